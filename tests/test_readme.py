"""The commands of the README do what it says, in the order it gives them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm
from tests.conftest import DRILL

README = Path(__file__).parents[1] / "README.md"


def block(title: str) -> list[str]:
    """Return the lines of the first code block under this heading."""
    section = README.read_text(encoding="utf-8").split(f"## {title}\n", 1)[1]
    code = re.search(r"```\w*\n(.*?)```", section, flags=re.DOTALL)
    assert code is not None
    return code.group(1).splitlines()


@pytest.mark.drill
def test_the_commands_without_a_browser_run_to_scores(tmp_path: Path):
    """As printed, in a shell that knows nothing but the project's folder after `make install`.

    The first command starts as it does there; the others by fork, see warm.py, and without the trial that chooses an
    engine. At full length all of it is as printed.
    """
    for entry in README.parent.iterdir():
        if entry.name != ".venv":
            (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / ".venv").symlink_to(sys.prefix)  # the environment of `make install`, wherever it lies here
    (tmp_path / "my.csv").write_text(
        "id,sentence\n1,A boy kicks a red ball.\n2,The train leaves at noon.\n3,Two cooks argue over the soup.\n"
    )
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.tsv").write_text(
        "subset\tscore\tsentence1\tsentence2\n"
        "a\t5\tA dog runs.\tA dog is running.\na\t1\tA dog runs.\tThe bank closed.\na\t3\tA dog runs.\tA cat runs.\n"
    )
    (tmp_path / "home").mkdir()
    plain = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    commands = block("Without a browser")
    places = [place for place, line in enumerate(commands) if line.startswith("python -m workbench ")]
    assert len(places) >= 7
    if not DRILL:
        commands.insert(places[0] + 1, f'python() {{ {shlex.join(warm.program())} "$@"; }}')
        plain |= warm.told() | {"MULTICSR_ENGINE": "llama.cpp"}

    script = "\n".join(["set -ex", *commands])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=plain, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert (tmp_path / "scores.json").exists()
    assert list((tmp_path / "home").rglob("state.duckdb")), "the commands used another workspace than the default one"


def test_the_notebook_example_runs_to_scores(tmp_path: Path, shared_data: Path):
    (tmp_path / "assets").symlink_to(README.parent / "assets")
    (tmp_path / "folder").symlink_to(shared_data / "sts")
    script = "\n".join(block("In a notebook"))
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(README.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    average = re.search(r"'average': ([\d.]+)", done.stdout)
    assert average is not None and 50 < float(average[1]) < 75, done.stdout  # a static encoder, hardly trained


def test_what_the_pipeline_offers_is_there_and_costs_nothing_before_it_is_used():
    code = (
        "import sys, pipeline\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "from pipeline import curation, evaluation, generation, training\n"
        "for package in (pipeline, generation, curation, training, evaluation):\n"
        "    assert all(callable(getattr(package, name)) for name in package.__all__), package\n"
        "assert not hasattr(pipeline, 'nothing')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=README.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_without_the_packages_one_sentence_says_what_to_do(tmp_path: Path):
    """The system's Python, as a shell outside the environment finds it: `-S` hides what this one has installed."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "workbench", "doctor"],
        cwd=README.parent,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "make install" in done.stderr and ".venv/bin/activate" in done.stderr


def test_the_first_screen_names_the_two_commands_of_the_makefile():
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    first_screen = README.read_text(encoding="utf-8").split("```")[1]
    for target in ("demo", "test"):
        assert f"make {target}" in first_screen
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_every_benchmark_of_the_makefile_starts(tmp_path: Path):
    """Each is imported as `make bench` starts it, from the project's root; none is timed here."""
    root = README.parent
    dry = ["make", "-n", "bench", "bench-gpu", f"STS_DIR={tmp_path}", "-o", "install-test"]
    printed = subprocess.run(dry, cwd=root, capture_output=True, text=True, check=True).stdout
    listed = re.search(r"for name in (.*?);", printed)
    assert listed is not None and "-m benchmarks.$name" in printed
    names = [f"benchmarks.{name}" for name in listed[1].split()] + re.findall(r"-m (benchmarks\.\w+)", printed)
    assert len(names) >= 8
    script = f"import importlib\nfor name in {names}: assert callable(importlib.import_module(name).main)"
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
