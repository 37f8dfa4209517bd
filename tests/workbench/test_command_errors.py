"""What the system refuses ends in one sentence and status 2, wherever in a command it happens."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.durable import os_error_sentence
from workbench.cli.main import main


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A plain file, a folder, a table of premises and one of triplets."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "premises").write_text("A dog runs.\n")
    (tmp_path / "triplets.csv").write_text("sent0,sent1,hard_neg\nA dog runs.,A dog, A cat.\n")
    names = {name: str(tmp_path / name) for name in ("file", "folder", "premises")}
    return names | {
        "triplets": str(tmp_path / "triplets.csv"),
        "under": str(tmp_path / "file" / "inside"),
        "absent": str(tmp_path / "no" / "where"),
        "proc": "/proc/x",
    }


@pytest.mark.parametrize(
    "command",
    [
        "jobs --workspace {file}",
        "jobs --workspace {under}",
        "jobs --workspace {proc}",
        "doctor --json {folder}",
        "jobs --json {absent}",
        "jobs --json {under}",
        "jobs --json {proc}",
        "backup {under}",
        "generate --premises {premises} --out {under}",
        "generate --premises {premises} --out {folder}",
        "generate --premises {folder} --out {file}",
        "train --triplets {triplets} --out {under} --encoder static-minilm --steps 1",
        "import {under}",
        "import-premises {folder}",
        "encoders add {file}",
        "export {under}.csv --attempt nothing",
        "study {folder}",
    ],
)
def test_what_the_system_refuses_is_one_sentence(command, files, capfd):
    arguments = [word.format_map(files) for word in command.split()]
    assert main(arguments) == 2
    told = capfd.readouterr().err.splitlines()[-1]  # a bar of progress may stand before it
    assert told.endswith(".") and any(name in told for name in (*files.values(), "nothing")), told


def test_the_sentence_names_file_and_reason():
    error = PermissionError(13, "Permission denied", "/srv/x.json")
    assert os_error_sentence(error).startswith("/srv/x.json cannot be used: permission denied;")
    assert os_error_sentence(OSError(5, "Input/output error")) == "The system refused this: Input/output error."
    assert "is full" in os_error_sentence(OSError(28, "No space left on device", "/srv/x.json"))


def test_a_name_in_another_encoding_is_refused(capfd, tmp_path):
    assert main(["import-premises", os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")]) == 2
    assert "not valid UTF-8" in " ".join(capfd.readouterr().err.split())


def test_json_is_written_through_what_is_no_plain_file(tmp_path, own_workspace):
    kept, link, pipe = tmp_path / "kept.json", tmp_path / "link.json", tmp_path / "pipe"
    kept.write_text("old")
    link.symlink_to(kept)
    assert main(["jobs", "--json", str(link)]) == 0
    assert link.is_symlink() and json.loads(kept.read_text()) == {"jobs": []}
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    assert main(["jobs", "--json", str(pipe)]) == 0
    assert json.loads(reader.communicate(timeout=20)[0]) == {"jobs": []}
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert main(["jobs", "--json", "/dev/null"]) == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_reader_that_has_enough_is_no_error(command_environment):
    script = f"{sys.executable} -m workbench jobs | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], env=command_environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "announced", ["[]", "null", "{}", '{"pid": 1, "address": "x", "port": "y", "token_file": "z"}']
)
def test_a_damaged_announcement_is_no_server(announced, own_workspace):
    own_workspace.mkdir()
    (own_workspace / "owner.json").write_text(announced)
    (own_workspace / "z").write_text("token")
    assert main(["jobs"]) == 0


@pytest.mark.parametrize(
    "command", ["generate --premises {premises} --on ray", "train --triplets {triplets} --on gpu:0"]
)
def test_a_place_is_refused_where_it_would_be_ignored(command, files, tmp_path, capfd):
    out = tmp_path / "out"
    assert main([*(word.format_map(files) for word in command.split()), "--out", str(out)]) == 2
    assert f"--on {command.split()[-1]} is for jobs of the workspace" in capfd.readouterr().err
    assert not out.exists()
