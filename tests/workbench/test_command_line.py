"""The command line as a user meets it: real processes, exit statuses, one sentence for each bad input."""

import json
import subprocess
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.evaluation.sts import STANDARD_TASKS
from tests.conftest import DRILL
from workbench.cli import main as cli_main
from workbench.cli.main import main
from workbench.workspace import Workspace

CHECK_VALUES = {
    "STS12": (72.37, 3108),
    "STS14": (75.60, 3750),
    "STSB-test": (82.03, 1379),
    "SICKR-test": (77.15, 4927),
}


def assert_one_sentence(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """The command refused its input: status 2, one sentence with these parts, nothing else."""
    told = " ".join(done.stderr.split())
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in told, told
    assert told.endswith("."), told


@pytest.mark.drill
def test_minilm_gives_the_published_check_values(workbench, shared_data: Path, tmp_path: Path):
    answer, sts = tmp_path / "scores.json", tmp_path / "sts"
    asked = CHECK_VALUES if DRILL else {"STSB-test": CHECK_VALUES["STSB-test"]}
    sts.mkdir()
    for task in asked:
        (sts / f"{task}.tsv").symlink_to(shared_data / "sts" / f"{task}.tsv")
    done = workbench("evaluate", "--encoder", "all-MiniLM-L6-v2", "--sts-dir", sts, "--json", answer)

    assert done.returncode == 0, done.stderr
    result = json.loads(answer.read_text())
    assert result["encoder"] == "all-MiniLM-L6-v2"
    for task, (spearman, pairs) in asked.items():
        assert result["tasks"][task]["spearman"] == pytest.approx(spearman, abs=0.05)
        assert result["tasks"][task]["pairs"] == pairs
    assert {"STS13", "STS15", "STS16"} <= set(result["missing"]) == set(STANDARD_TASKS) - asked.keys()
    assert result["average"] == pytest.approx(mean(value for value, _ in asked.values()), abs=0.05)


def test_bad_premises_are_refused_in_one_sentence(workbench, tmp_path: Path):
    binary, table, empty = tmp_path / "binary.txt", tmp_path / "table.csv", tmp_path / "empty.txt"
    binary.write_bytes(b"\x00\x01\x02\xff\xfe" * 500)
    table.write_text("id,sentence\n1,A dog runs.\n")
    empty.write_text("")

    assert_one_sentence(workbench("import-premises", binary), "binary.txt")
    assert_one_sentence(workbench("import-premises", table, "--column", "text"), "table.csv", "sentence")
    assert_one_sentence(workbench("import-premises", empty), "empty.txt")
    assert_one_sentence(workbench("import-premises", tmp_path / "absent.txt"), "absent.txt")


def test_a_10_mb_line_is_one_rejected_row_and_the_rest_goes_in(workbench, tmp_path: Path):
    premises, answer = tmp_path / "long.txt", tmp_path / "answer.json"
    premises.write_text("A dog runs.\n" + "x" * 10_000_000 + "\nA cat sleeps.\nA dog runs.\n")

    done = workbench("import-premises", premises, "--json", answer)

    assert done.returncode == 0, done.stderr
    counts = json.loads(answer.read_text())
    assert (counts["premises"], counts["duplicates"], sum(counts["rejected"].values())) == (2, 1, 1)
    assert counts["lines"] == 4


def test_bad_settings_and_missing_folders_are_refused_in_one_sentence(workbench, tmp_path: Path):
    premises = tmp_path / "premises.txt"
    premises.write_text("A dog runs.\n")
    out = tmp_path / "out.jsonl"

    assert_one_sentence(workbench("generate", "--premises", premises, "--out", out, "--omega", 5), "omega", "5")
    assert_one_sentence(
        workbench("evaluate", "--encoder", "static-minilm", "--sts-dir", tmp_path / "no"), str(tmp_path / "no")
    )
    assert_one_sentence(workbench("evaluate", "--encoder", "no-such", "--sts-dir", tmp_path), "no")
    assert_one_sentence(workbench("generate", "--corpus", "nothing"), "nothing", "import")
    assert_one_sentence(workbench("train", "--snapshot", "nothing"), "nothing")
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("train --snapshot x --mask-phi -1", "mask_threshold of the rule phi must be above 0"),
        ("train --snapshot x --seed -1", "seed must be from 0 to 4,294,967,295, got -1."),
        ("train --snapshot x --device abc", "device must be auto, cpu, mps, cuda or cuda:NUMBER, got 'abc'."),
        (f"train --snapshot x --steps {'1' * 23}", "steps must be at most 1,000,000,000"),
        ("train --snapshot x --temperature nan", "temperature must be a number, got nan."),
        (f"train --snapshot x --encoder {'x' * 100_000}", "encoder must have 1 to 4,096 visible characters"),
        ("llms add a --url http://127.0.0.1:1 --price-in nan", "price_in must be a number, got nan."),
        (f"import-premises PREMISES --name {'x' * 100_000}", "The name of a corpus must have 1 to 255"),
        ("import-premises PREMISES --name=", "The name of a corpus must have 1 to 255"),
        ("jobs", "There is no workspace"),
        ("export x.jsonl --snapshot s", "There is no workspace"),
        ("serve --address a.name.of.no.machine.example", "cannot be used"),
        (f"serve --address {'x' * 300}", "cannot be used"),
    ],
)
def test_what_no_setting_can_be_is_one_sentence(capsys, tmp_path, arguments, told):
    premises = tmp_path / "premises.txt"
    premises.write_text("A dog runs.\n")
    words = arguments.replace("PREMISES", str(premises)).split()
    assert main([*words, "--workspace", str(tmp_path / "workspace")]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert told in error and error.endswith(".") and len(error) < 400


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("serve --port 99999", "must be a port from 1 to 65,535, got '99999'"),
        ("serve --port 0", "must be a port"),
        (f"serve --port {'9' * 5000}", "must be a port"),
        ("curate list --limit -1", "must be a whole number from 1"),
        ("curate next --by A --limit 0", "must be a whole number from 1"),
        ("move job --up -1", "must be a whole number from 1"),
    ],
)
def test_numbers_out_of_range_are_refused_by_the_parser(capsys, arguments, told):
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_mistyped_workspace_is_not_created(capsys, tmp_path):
    (tmp_path / "papers").mkdir()
    for name in ("mistyped", "papers"):
        for command in ("jobs", "rebuild", "curate list", "llms list", "call overview", "backup copy.duckdb"):
            assert main([*command.split(), "--workspace", str(tmp_path / name)]) == 2
            assert str(tmp_path / name) in capsys.readouterr().err.replace("\n", "")
    assert list(tmp_path.rglob("*")) == [tmp_path / "papers"]


@pytest.mark.parametrize("order", ["call overview {} --workspace W", "call --workspace W overview {}",
                                   "call overview --workspace W {}"])  # fmt: skip
def test_options_may_stand_between_the_words_of_a_command(capsys, tmp_path, order):
    Workspace(tmp_path).open().close()
    assert main(order.replace("W", str(tmp_path)).split()) == 0
    assert json.loads(capsys.readouterr().out)["premises"] == 0


def test_until_the_first_row_a_command_says_what_its_job_is_doing(monkeypatch):
    """Trying the engines takes minutes on a busy machine, and all one saw was "0 of 12"."""
    said = {"rate": None, "settled": True, "message": "Trying which engine is fastest"}
    views = iter(
        [said | {"state": "running", "done": done, "total": 12} for done in (0, 3)]
        + [said | {"state": "finished", "done": 12, "total": 12}]
    )
    shown: list[tuple[str, int]] = []
    monkeypatch.setattr(cli_main, "POLL_SECONDS", 0)
    progress = SimpleNamespace(show=lambda what, done, total, rate: shown.append((what, done)))
    cli_main.follow(lambda name, **given: next(views), "a job", "Stage 1", progress)
    assert shown == [("Stage 1, Trying which engine is fastest", 0), ("Stage 1", 3), ("Stage 1", 12)]


def test_a_corrupted_gguf_is_refused_in_one_sentence(workbench, tmp_path: Path):
    premises, weights = tmp_path / "premises.txt", tmp_path / "broken.gguf"
    premises.write_text("A dog runs.\n")
    weights.write_bytes(b"GGUF" + b"\x07" * 4096)

    done = workbench("generate", "--premises", premises, "--llm", weights, "--out", tmp_path / "out.jsonl")

    assert_one_sentence(done, "broken.gguf")


def test_a_second_process_is_told_who_has_the_workspace(workbench, own_workspace: Path):
    with Workspace(own_workspace):
        done = workbench("jobs")

    assert_one_sentence(done, "in use by process", str(own_workspace))


def test_triplets_go_in_and_out_without_loss(workbench, tmp_path: Path):
    source, exported = tmp_path / "nli.csv", tmp_path / "out.jsonl"
    source.write_text(
        'sent0,sent1,hard_neg\nA dog runs.,"A dog, running.",A dog sleeps.\nIt rains.,Rain falls.,It is dry.\n'
    )

    assert workbench("import", source, "--name", "nli").returncode == 0
    assert workbench("curate", "--name", "all").returncode == 0
    done = workbench("export", exported, "--snapshot", "all")

    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in exported.read_text().splitlines()]
    assert [list(row.values()) for row in rows] == [
        ["A dog runs.", "A dog, running.", "A dog sleeps."],
        ["It rains.", "Rain falls.", "It is dry."],
    ]


def test_training_without_a_workspace_gives_a_folder_that_loads(workbench, tmp_path: Path):
    source, out = tmp_path / "nli.jsonl", tmp_path / "encoder"
    rows = [
        {"sent0": f"A dog runs {i}.", "sent1": f"Dog {i} is running.", "hard_neg": f"A cat {i}."} for i in range(12)
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    done = workbench(
        "train", "--triplets", source, "--encoder", "static-minilm", "--steps", 3, "--batch-size", 4, "--out", out,
        "--mask-phi", 0.8, "--json", tmp_path / "answer.json",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    from sentence_transformers import SentenceTransformer

    folder = json.loads((tmp_path / "answer.json").read_text())["model"]
    assert SentenceTransformer(folder, device="cpu").encode(["A dog runs."]).shape == (1, 384)


def test_retrieval_is_scored_with_and_without_a_workspace(workbench, tmp_path: Path):
    """Each query is the text of one document, so that every measure is 1 on any encoder."""
    task, alone, kept = tmp_path / "echo", tmp_path / "alone.json", tmp_path / "kept.json"
    (task / "qrels").mkdir(parents=True)
    texts = ["A dog runs.", "The bank raised its rates.", "Snow fell all night."]
    for file, mark in (("corpus", "d"), ("queries", "q")):
        lines = [json.dumps({"_id": f"{mark}{row}", "text": text}) for row, text in enumerate(texts)]
        (task / f"{file}.jsonl").write_text("\n".join(lines))
    (task / "qrels" / "test.tsv").write_text("".join(f"q{row}\td{row}\t1\n" for row in range(3)))
    asked = ("evaluate", "--encoder", "static-minilm", "--retrieval-dir", task)

    assert workbench(*asked, "--json", alone).returncode == 0
    done = workbench(*asked, "--workspace", tmp_path / "ws", "--json", kept)
    assert done.returncode == 0, done.stderr
    for path in (alone, kept):
        score = json.loads(path.read_text())["retrieval"]["echo"]
        assert (score["ndcg_at_10"], score["map_at_100"], score["queries"], score["documents"]) == (1.0, 1.0, 3, 3)
    [rows] = (tmp_path / "ws" / "jobs").glob("*/out/retrieval-echo.parquet")
    frame = pd.read_parquet(rows)
    assert frame["found"].tolist() == frame["wanted"].tolist() == frame["query"].tolist()
    assert frame["first_rank"].tolist() == [1, 1, 1]
    assert_one_sentence(workbench(*asked[:-1], tmp_path / "absent"), "absent")


def test_transfer_is_scored_with_and_without_a_workspace(workbench, tmp_path: Path):
    """Two subjects a child can tell apart: an encoder that sees words at all finds the class of every text."""
    folder, alone, kept = tmp_path / "senteval" / "MR", tmp_path / "alone.json", tmp_path / "kept.json"
    folder.mkdir(parents=True)
    for ending, words in (("pos", "a lovely warm {} film"), ("neg", "the {} engine needs oil")):
        lines = [words.format(word) for word in "old new big small red blue good cheap fast slow loud".split()]
        (folder / f"rt-polarity.{ending}").write_text("\n".join(lines))
    asked = ("evaluate", "--encoder", "static-minilm", "--transfer-dir", tmp_path / "senteval")

    assert workbench(*asked, "--json", alone).returncode == 0
    done = workbench(*asked, "--workspace", tmp_path / "ws", "--json", kept)
    assert done.returncode == 0, done.stderr
    for path in (alone, kept):
        score = json.loads(path.read_text())["transfer"]["MR"]
        assert (score["accuracy"], score["majority"], score["examples"]) == (1.0, 0.5, 22)
    [rows] = (tmp_path / "ws" / "jobs").glob("*/out/transfer-MR.parquet")
    frame = pd.read_parquet(rows)
    assert (frame["label"] == frame["predicted"]).all() and set(frame["label"]) == {"negative", "positive"}
    assert_one_sentence(workbench(*asked[:-1], tmp_path / "absent"), "absent")


def test_imports_list_the_rejected_rows_and_offer_the_encoding_to_try(workbench, tmp_path: Path):
    table, answer = tmp_path / "t.csv", tmp_path / "answer.json"
    table.write_bytes("anchor,positive,negative\nCafé,b,c\na,b,\na,b,c\n".encode("cp1252"))
    done = workbench("import", table, "--json", answer)
    assert "hard_negative: empty" in done.stdout and "not UTF-8" in done.stdout, done.stderr
    assert "--encoding cp1252" in done.stdout and "Café,b,c" in done.stdout
    counts = json.loads(answer.read_text())
    assert [(row["line"], row["reason"]) for row in counts["rejected_rows"]] == [
        (2, "not UTF-8"),
        (3, "hard_negative: empty"),
    ]
    assert workbench("import", table, "--encoding", "cp1252", "--json", answer).returncode == 0
    counts = json.loads(answer.read_text())
    assert (counts["triplets"], counts["encoding"], counts["encoding_offer"]) == (2, "cp1252", None)
    assert workbench("import-premises", table, "--json", answer).returncode == 0
    counts = json.loads(answer.read_text())
    assert counts["rejected_rows"] == [{"line": 2, "reason": "not UTF-8", "begins": "Caf� | b | c"}]
    assert counts["encoding_offer"] == {"encoding": "cp1252", "sample": "Café,b,c"}


@pytest.mark.parametrize("kept", [True, False], ids=["in the workspace", "on its own"])
def test_a_task_without_a_score_and_a_line_left_out_are_told_with_their_reasons(
    workbench, own_workspace: Path, tmp_path: Path, kept: bool
):
    folder, answer = tmp_path / "sts", tmp_path / "scores.json"
    folder.mkdir()
    row = "sentence1,sentence2,score\n" + "A dog runs.,A dog is running.,3\n"
    (folder / "flat.csv").write_text(row + "It rains.,A cat sleeps.,3\n")
    (folder / "lines.csv").write_text(row + "It rains.,A cat sleeps.,1\n,It is dry.,2\n")
    options = ("--workspace", own_workspace) if kept else ()
    done = workbench("evaluate", "--encoder", "static-minilm", "--sts-dir", folder, "--json", answer, *options)
    assert done.returncode == 0, done.stderr
    assert "flat (its gold scores are all the same)" in " ".join(done.stdout.split())
    found = json.loads(answer.read_text())
    assert found["undefined"] == {"flat": "its gold scores are all the same"} and list(found["tasks"]) == ["lines"]
    [left_out] = found["rejected"]["lines"]
    assert (left_out["line"], left_out["reason"]) == (4, "a sentence is empty")
