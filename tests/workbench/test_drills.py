"""Short versions of the drills; `make drill MINUTES=30` runs them for so many minutes each."""

import os
import subprocess
import sys

import pytest

from tests.conftest import DRILL, PROJECT

MINUTES = os.environ.get("DRILL_MINUTES", "5")


@pytest.mark.drill
def test_nothing_acknowledged_is_lost_by_kills():
    much = ["--minutes", MINUTES] if DRILL else ["--kills", "5"]
    command = [sys.executable, "-m", "tests.drills.kills", *much]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| lost |" in done.stdout


@pytest.mark.drill
@pytest.mark.skipif(not DRILL, reason="starts forty servers one after the other: runs with DRILL=1")
def test_presses_survive_kills_of_the_real_server():
    command = [sys.executable, "-m", "tests.drills.page_kills", "--kills", "40"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| 0 | 0 |" in done.stdout and "| equal |" in done.stdout


@pytest.mark.drill
@pytest.mark.skipif(not DRILL, reason="the short version is test_ray.py; runs with DRILL=1")
def test_no_row_of_a_cluster_is_lost_by_kills():
    pytest.importorskip("ray", reason="needs the extra ray: pip install 'multicsr-workbench[ray]'")
    command = [sys.executable, "-m", "tests.drills.ray", "--kills", "50"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0, doubled 0" in done.stdout


@pytest.mark.drill
def test_every_bad_input_is_one_sentence():
    much = ["--inputs", "100000", "--minutes", MINUTES] if DRILL else ["--inputs", "40"]
    command = [sys.executable, "-m", "tests.drills.inputs", *much]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Faults: 0." in done.stdout


@pytest.mark.drill
@pytest.mark.skipif(not DRILL, reason="fills a workspace with 100,000 triplets: runs with DRILL=1")
def test_sessions_and_commands_at_once_lose_nothing():
    """Eight sessions on 100,000 triplets; what was measured is printed and not asserted."""
    command = [sys.executable, "-m", "tests.drills.load", "--minutes", MINUTES]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 lost, 0 doubled;" in done.stdout and "Faults: 0." in done.stdout
    print(done.stdout)
