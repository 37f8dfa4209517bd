"""The skill that is shipped for agents: each command runs, in its order, from premises to the second encoder."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import warm
from tests.conftest import DRILL
from workbench.cli.parser import build_parser
from workbench.paths import ASSETS, PROJECT, SAMPLE_PREMISES

SKILL = (ASSETS / "skill" / "SKILL.md").read_text(encoding="utf-8")
SUBJECTS = ("dog", "cook", "child", "nurse", "farmer", "pilot")
PARTS = {"dev": ("runs home", "eats soup", "sleeps late"), "test": ("swims far", "reads books", "sings loud")}


def pairs(actions: tuple[str, ...]) -> str:
    """Scored pairs with and without negation: enough of both for a slice."""
    rows = ["score\tsentence1\tsentence2"]
    for place, subject in enumerate(SUBJECTS):
        for step, action in enumerate(actions):
            rows.append(f"{5 - step}\tThe {subject} {action}.\tA {subject} {action} today.")
            rows.append(f"{1 + (place + step) % 2}\tThe {subject} {action}.\tThe {subject} never {action}.")
    return "\n".join(rows) + "\n"


@pytest.mark.drill
def test_every_command_of_the_skill_runs_in_its_order(tmp_path: Path, own_workspace: Path):
    """Short: up to the sentences of the worst slice, from which the same commands go round once more."""
    script = "\n".join(["set -e", *re.findall(r"```bash\n(.*?)```", SKILL, flags=re.DOTALL)])
    first, again = script.split("multicsr import-premises worst.txt", 1)
    commands = [shlex.split(line)[1:] for line in script.splitlines() if line.startswith("multicsr ")]
    assert len(commands) >= 20
    for command in commands:
        build_parser().parse_args(command)
    assert {line.split()[1] for line in again.splitlines() if line.startswith("multicsr ")} <= set(first.split())
    lines = SAMPLE_PREMISES.read_text(encoding="utf-8").splitlines()[:5]
    (tmp_path / "premises.txt").write_text("\n".join(lines), encoding="utf-8")
    for part, actions in PARTS.items():
        (tmp_path / part).mkdir()
        (tmp_path / part / f"{part}.tsv").write_text(pairs(actions), encoding="utf-8")
    (tmp_path / "bin").mkdir()
    program = shlex.join([*warm.program(), "-m", "workbench"])
    (tmp_path / "bin" / "multicsr").write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    (tmp_path / "bin" / "multicsr").chmod(0o755)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"

    done = subprocess.run(
        ["bash", "-c", script if DRILL else first],
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(PROJECT), "MULTICSR_WORKSPACE": str(own_workspace)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    told = " ".join(done.stdout.split())
    assert re.search(r"average │ -?[\d.]+ \(-?[\d.]+ to -?[\d.]+\) │ -?[\d.]+ \(", told), "an interval of the gain"
    assert "negation on one side" in told
    assert 2 <= len((tmp_path / "worst.txt").read_text(encoding="utf-8").splitlines()) <= 10


def test_the_skill_says_when_to_use_it_and_names_only_commands_that_exist():
    front = yaml.safe_load(SKILL.split("---\n")[1])
    assert front["name"] == "multicsr" and 50 < len(front["description"]) < 1024
    [known] = [set(item.choices) for item in build_parser()._actions if item.choices and not item.option_strings]
    named = set(re.findall(r"(?:^|`)multicsr ([a-z-]+)", SKILL, flags=re.MULTILINE))
    assert named <= known and {"generate", "judge", "train", "evaluate", "scores", "slices"} <= named
