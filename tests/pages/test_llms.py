"""All kinds of LLM driven through the Generate page: added, checked, chosen, and their rows read back."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from pipeline.records import Side
from pipeline.studies.run import tiny_t5
from pipeline.weights import embedded_gguf, smollm2_safetensors_folder
from tests.pages.conftest import Draw, texts
from tests.servers.scripted_server import Answer, completion, serving
from workbench.actions.data import import_premises
from workbench.jobs.kinds import CheckSpec
from workbench.workspace import Workspace

PREMISES = "A man in a blue shirt is fixing a bicycle.\nThe bakery opens at six every morning."


def added(app: AppTest, workspace: Workspace, name: str, *, path: str = "", url: str = "", **server: str) -> AppTest:
    """Fill in the form of the registry, press its button, wait for the check."""
    if url:
        app.segmented_control(key="llms_where").set_value("Server").run()
        app.text_input(key="llms_url").set_value(url)
        for field, value in server.items():
            app.text_input(key=f"llms_{field}").set_value(value)
    else:
        app.text_input(key="llms_path").set_value(path)
    app.text_input(key="llms_name").set_value(name)
    app.button(key="llms_add").click().run()
    assert [error.value for error in app.error] == []
    [job] = workspace.jobs.of(CheckSpec, lambda spec: spec.entry.name == name)
    ended = workspace.wait(job.job_id, timeout_s=240)
    assert ended.state == "finished", ended.message
    return app.run()


def generated(app: AppTest, workspace: Workspace, name: str, **settings: float) -> list[dict]:
    """Choose the LLM, press Generate, wait, read the journal."""
    app.segmented_control(key="tabs_generation").set_value("Run").run()
    app.selectbox(key="generate_llm").set_value(name).run()
    for slider, value in settings.items():
        app.slider(key=f"generate_{slider}").set_value(value)
    app.number_input(key="generate_max_new_tokens").set_value(10)
    app.run()
    [start] = [button for button in app.button if button.label.startswith("Generate ")]
    start.click().run()
    assert [error.value for error in app.error] == [] and [error.message for error in app.exception] == []
    job = next(job for job in workspace.jobs.list() if job.kind == "generate")
    ended = workspace.wait(job.job_id, timeout_s=240)
    assert ended.state == "finished", ended.message
    app.run()
    assert [error.message for error in app.exception] == []
    lines = (workspace.root / "jobs" / job.job_id / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["table"] == "triplets"]
    assert sorted(row["premise"] for row in rows) == sorted(PREMISES.splitlines())
    assert {row["llm"] for row in rows} == {name}
    shown = next(frame.value for frame in app.dataframe if "positive" in frame.value.columns)
    assert sorted(shown["premise"]) == sorted(PREMISES.splitlines()), "the page shows the rows"
    [counts] = [pills.options for pills in app.pills if str(pills.label) == "Rows by outcome"]
    assert sum(int(option.rsplit(" ", 1)[1]) for option in counts) == len(Side) * len(rows)
    return rows


@pytest.fixture
def app(draw: Draw, workspace: Workspace) -> AppTest:
    import_premises(workspace, text=PREMISES, name="two")
    return draw("generate", generation="LLMs")


def facts(app: AppTest, name: str) -> dict:
    table = next(frame.value for frame in app.dataframe if "tokens_per_s" in frame.value.columns)
    return table.set_index("name").loc[name].to_dict()


def test_a_gguf_file(app: AppTest, workspace: Workspace) -> None:
    app = added(app, workspace, "packaged", path=str(embedded_gguf()))
    found = facts(app, "packaged")
    assert (found["contrast"], found["form"], found["state"]) == ("token by token", "turns of a chat", "ok")
    app.selectbox(key="llms_check_name").set_value("packaged").run()
    assert r"Context:] 1\,024 tokens" in texts(app) and "Price:] nothing" in texts(app)
    rows = generated(app, workspace, "packaged")
    assert {(row["contrast"], row["omega"]) for row in rows} == {("token", 0.6)}
    assert all(row["positive_raw"].strip() for row in rows)


def test_a_decoder_of_transformers(app: AppTest, workspace: Workspace) -> None:
    app = added(app, workspace, "copy", path=str(smollm2_safetensors_folder()))
    assert facts(app, "copy")["kind"] == "decoder (transformers)"
    rows = generated(app, workspace, "copy")
    assert {(row["contrast"], row["omega"]) for row in rows} == {("token", 0.6)}
    assert all(row["positive_raw"].strip() for row in rows)


def test_an_encoder_decoder_of_transformers(app: AppTest, workspace: Workspace, tmp_path: Path) -> None:
    torch.manual_seed(3)
    app = added(app, workspace, "tiny t5", path=str(tiny_t5(tmp_path / "t5")))
    assert facts(app, "tiny t5")["kind"] == "encoder-decoder (transformers)"
    rows = generated(app, workspace, "tiny t5", omega=0.3)
    assert {(row["contrast"], row["omega"]) for row in rows} == {("token", 0.3)}


def test_an_llm_is_removed_with_a_click_and_the_embedded_one_cannot_be(app, workspace, tmp_path) -> None:
    torch.manual_seed(3)
    app = added(app, workspace, "tiny t5", path=str(tiny_t5(tmp_path / "t5")))
    assert app.button(key="llms_remove").disabled, "the embedded one is chosen first"
    app.selectbox(key="llms_check_name").set_value("tiny t5").run()
    app.button(key="llms_remove").click().run()
    assert [error.value for error in app.error] == []
    assert app.selectbox(key="llms_check_name").options == ["smollm2-135m"]
    app.segmented_control(key="tabs_generation").set_value("Run").run()
    assert app.selectbox(key="generate_llm").options == ["smollm2-135m"]


def test_a_scripted_server_that_limits_fails_stalls_babbles_and_hangs_up(app: AppTest, workspace: Workspace) -> None:
    """Each fault meets a call of the run; every premise is answered all the same, and the page tells the charges."""
    faults = [
        Answer(429, {"error": {"message": "slow down"}}, {"Retry-After": "0.2"}),
        Answer(500, {"error": {"message": "oops"}}),
        Answer(body={"choices": [{"text": "too late"}]}, delay_s=2.5),
        Answer(raw=b"<html>busy"),
        Answer(body={"choices": []}, cut=True),
    ]
    running = []

    def script(_number: int, asked: dict) -> Answer:
        if not running:
            return completion(" Rome")
        return faults.pop(0) if faults else completion(f" Mountains are far away {len(asked['prompt'])}.")

    with serving(script) as server:
        app.segmented_control(key="llms_where").set_value("Server").run()
        app.number_input(key="llms_timeout_s").set_value(1)
        app = added(app, workspace, "far", url=server.url, model="m")
        assert facts(app, "far")["contrast"] == "none: plain replies"
        running.append(True)
        rows = generated(app, workspace, "far")
    assert faults == []
    assert {(row["contrast"], row["omega"]) for row in rows} == {("none", 0.0)}
    assert {row["positive_outcome"] for row in rows} == {"ok"}
    assert "ω has no effect" in texts(app)
    assert "charged by the server" in texts(app)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[str]:
    """llama-cpp-python's own server with the embedded weights, as a person would start it."""
    pytest.importorskip(
        "sse_starlette", reason="llama-cpp-python's server needs the packages of tests/requirements.txt"
    )
    port = _free_port()
    log = (tmp_path / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "llama_cpp.server", "--model", str(embedded_gguf()), "--model_alias", "smollm2",
         "--port", str(port), "--n_ctx", "1024", "--n_threads", "2"],
        stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}/v1"
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/models", timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "server.log").read_text()
                time.sleep(0.2)
        yield url
    finally:
        process.kill()
        process.wait()
        log.close()


def test_llama_cpp_pythons_own_server(app: AppTest, workspace: Workspace, own_server: str) -> None:
    app = added(app, workspace, "own server", url=own_server)
    found = facts(app, "own server")
    assert (found["weights"], found["kind"]) == ("smollm2", "server")
    # Started as usual it returns no log-probabilities at all, and the check finds that out.
    assert found["contrast"] == "none: plain replies"
    rows = generated(app, workspace, "own server")
    assert {(row["contrast"], row["omega"]) for row in rows} == {("none", 0.0)}
    assert all(row["positive_raw"].strip() for row in rows)


def test_what_cannot_be_added_is_told_in_one_sentence(app: AppTest) -> None:
    app.text_input(key="llms_name").set_value("x")
    app.text_input(key="llms_path").set_value("/nowhere")
    app.button(key="llms_add").click().run()
    assert "neither a GGUF file nor a transformers folder" in app.error[0].value
    app.segmented_control(key="llms_where").set_value("Server").run()
    app.text_input(key="llms_url").set_value("http://169.254.169.254/latest")
    app.button(key="llms_add").click().run()
    assert "not on the list of endpoints" in app.error[0].value


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
