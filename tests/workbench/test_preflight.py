"""The check before the installation, with the system's own Python."""

import subprocess
import sys
from collections import namedtuple
from pathlib import Path

from workbench.preflight import DISK_GB, problems

Usage = namedtuple("Usage", "total used free")
ROOM = Usage(10**12, 0, 10**11)


def test_nothing_is_wrong_on_a_good_machine(tmp_path: Path):
    assert problems(tmp_path, python=(3, 12), which=lambda name: name, disk=lambda folder: ROOM) == []


def test_each_problem_is_one_sentence_with_advice(tmp_path: Path):
    found = problems(tmp_path, python=(3, 9), which=lambda name: None, disk=lambda folder: Usage(10**12, 0, 10**9))

    assert len(found) == 4
    assert "Python 3.9" in found[0] and "PYTHON=python3.11" in found[0]
    assert "No C compiler" in found[1] and "build-essential" in found[1]
    assert "No C++ compiler" in found[2]
    assert "1.0 GB free" in found[3] and f"{DISK_GB} GB" in found[3]
    assert all(sentence.endswith(".") for sentence in found)


def test_it_runs_as_a_script_without_any_package(tmp_path: Path):
    script = Path(__file__).parents[2] / "workbench" / "preflight.py"
    done = subprocess.run([sys.executable, "-I", "-S", script, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
