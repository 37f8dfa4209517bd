"""The registry of LLMs with real weights: added by a check in a process of its own, and used by name."""

import json
import os
import re
from pathlib import Path

import pytest
import torch

from pipeline.generation.llms.registry import EMBEDDED, LLMEntry
from pipeline.records import InputError
from pipeline.studies.run import tiny_t5
from pipeline.weights import GGUF_SHA256, embedded_gguf
from tests.servers.gpt5_server import chat_only, gpt5
from tests.servers.scripted_server import serving
from workbench.actions import ACTIONS
from workbench.workspace import Workspace, rebuild


@pytest.fixture
def real(own_workspace: Path):
    with Workspace(own_workspace) as opened:
        yield opened


def waited(workspace, started):
    return workspace.wait(started["job_id"], timeout_s=240)


def test_the_embedded_llm_is_there_before_any_check(real):
    [only] = ACTIONS["llms"](real)["llms"]
    assert (only["entry"]["name"], only["state"], only["contrast"]) == (EMBEDDED, "ok", "token")
    with pytest.raises(InputError, match="is the embedded LLM"):
        ACTIONS["add_llm"](real, name=EMBEDDED, path=str(embedded_gguf()))
    with pytest.raises(InputError, match="neither a GGUF file nor"):
        ACTIONS["add_llm"](real, name="x", path="/nowhere")
    with pytest.raises(InputError, match="There is no LLM 'x'"):
        ACTIONS["check_llm"](real, name="x")


def test_a_removed_llm_is_gone_until_it_is_added_again_and_a_rebuild_knows(own_workspace, tmp_path):
    torch.manual_seed(3)
    folder = str(tiny_t5(tmp_path / "t5"))
    with Workspace(own_workspace) as workspace:
        for name in ("one", "two"):
            assert waited(workspace, ACTIONS["add_llm"](workspace, name=name, path=folder)).state == "finished"
        ACTIONS["remove_llm"](workspace, name="one")
        assert [llm.entry.name for llm in workspace.store.llms.list()] == [EMBEDDED, "two"]
        assert workspace.store.premises.corpora() == []
        for absent in ("one", "never there"):
            with pytest.raises(InputError, match=f"There is no LLM '{absent}'"):
                ACTIONS["remove_llm"](workspace, name=absent)
        with pytest.raises(InputError, match="always there"):
            ACTIONS["remove_llm"](workspace, name=EMBEDDED)
    rebuild(own_workspace)
    with Workspace(own_workspace) as workspace:
        assert [llm.entry.name for llm in workspace.store.llms.list()] == [EMBEDDED, "two"]
        assert waited(workspace, ACTIONS["add_llm"](workspace, name="one", path=folder)).state == "finished"
        assert [llm.entry.name for llm in workspace.store.llms.list()] == [EMBEDDED, "one", "two"]


def test_a_gguf_and_an_encoder_decoder_are_checked_listed_and_used_by_name(real, tmp_path):
    torch.manual_seed(3)
    folder = tiny_t5(tmp_path / "t5")
    for name, path in (("packaged", embedded_gguf()), ("tiny t5", folder)):
        assert waited(real, ACTIONS["add_llm"](real, name=name, path=str(path))).state == "finished"
    found = {llm.entry.name: llm for llm in real.store.llms.list()}
    assert list(found) == [EMBEDDED, "packaged", "tiny t5"]
    assert found["packaged"].entry.digest == f"sha256:{GGUF_SHA256}"
    assert found["packaged"].context_length == 1024 and found["packaged"].tokens_per_s > 1
    assert found["packaged"].sample, "the embedded weights write words"
    assert {llm.contrast for llm in found.values()} == {"token"}
    assert found["tiny t5"].entry.kind == "encoder-decoder"
    assert found["tiny t5"].entry.digest != found["packaged"].entry.digest

    corpus = ACTIONS["import_premises"](real, text="A dog runs.\nHow far is it?", name="two")["corpus_id"]
    started = ACTIONS["start_generate"](
        real, corpus_id=corpus, config={"llm": "tiny t5", "omega": 0.5, "max_new_tokens": 4}
    )
    assert waited(real, started).state == "finished"
    rows = [json.loads(line) for line in (real.root / "jobs" / started["job_id"] / "journal.jsonl").open()]
    assert len(rows) == 2
    assert {(row["llm"], row["contrast"], row["omega"]) for row in rows} == {("tiny t5", "token", 0.5)}


def test_a_failed_check_says_why_and_its_llm_is_not_used(real, tmp_path):
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(embedded_gguf().read_bytes()[:200_000])
    job = waited(real, ACTIONS["add_llm"](real, name="damaged", path=str(damaged)))
    assert job.state == "failed" and "damaged" in job.message
    llm = real.store.llms.get("damaged")
    assert (llm.state, llm.message) == ("failed", job.message)
    corpus = ACTIONS["import_premises"](real, text="A dog runs.", name="one")["corpus_id"]
    with pytest.raises(InputError, match="last check of damaged failed"):
        ACTIONS["start_generate"](real, corpus_id=corpus, config={"llm": "damaged"})


def test_the_command_line_adds_lists_and_checks(tmp_path, workbench):
    folder = tiny_t5(tmp_path / "t5")

    def run(*arguments):
        return workbench("llms", *arguments, COLUMNS="200")

    added = run("add", "small", "--path", os.path.relpath(folder))
    assert added.returncode == 0, added.stderr
    assert "encoder-decoder" in added.stdout
    assert run("check", "small", "--json", str(tmp_path / "found.json")).returncode == 0
    assert json.loads((tmp_path / "found.json").read_text())["entry"]["name"] == "small"
    assert "small" in run("list").stdout
    assert run("check", "absent").returncode == 2


def test_a_server_that_refuses_usual_settings_is_added_and_writes_on_the_command_line(tmp_path, workbench):
    premises, found = tmp_path / "premises.txt", tmp_path / "found.json"
    premises.write_text("The hills are close by.\nWe walk in the valley.\n")
    with serving(chat_only(gpt5)) as server:
        prices = ("--price-in", "1.25", "--price-out", "10")
        added = workbench("llms", "add", "far", "--url", server.url, "--form", "chat", *prices, COLUMNS="200")
        assert added.returncode == 0, added.stderr
        assert "The server refuses temperature" in added.stdout and "reasoning_effort" in added.stdout
        made = workbench("generate", "--premises", premises, "--llm", "far", "--json", found, COLUMNS="200")
        assert made.returncode == 0, made.stderr
    assert re.search(r"About 4 calls: [\d,]+ prompt and [\d,]+ reply tokens, 0\.00 money", made.stdout)
    assert json.loads(found.read_text())["outcomes"] == {"positive ok": 2, "hard negative ok": 2}


def test_an_entry_refuses_what_cannot_be_meant_and_survives_json():
    entry = LLMEntry("a", "remote", "http://127.0.0.1:1/v1", model="m", key_variable="A_API_KEY")
    assert LLMEntry.from_json(json.loads(json.dumps(entry.to_json() | {"later": 1}))) == entry
    for wrong in ({"name": " "}, {"name": "a\nb"}, {"kind": "pickle"}, {"concurrency": 0}, {"price_in": -1}):
        with pytest.raises(InputError):
            LLMEntry(**{"name": "a", "kind": "gguf", "location": "x", **wrong})
