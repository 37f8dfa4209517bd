"""The documentation against the code: a setting that is not described, or described wrongly, fails here."""

import ast
import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from docs import make_settings
from pipeline import config
from pipeline.exchange import RECORD_COLUMNS
from pipeline.files.cells import EXPORT_COLUMNS, MISSING
from pipeline.files.source import COMPRESSED, KINDS, MAX_LINE_BYTES
from pipeline.premises import MAX_PREMISE_CHARS, USUAL_COLUMNS
from pipeline.records import Outcome
from pipeline.settings import settings_of
from pipeline.studies.spec_file import read_study
from pipeline.train_config import TRAIN_PRESETS, MaskRule
from workbench.cli.main import with_freeze
from workbench.cli.parser import build_parser
from workbench.paths import SAMPLE_CORPUS

DOCS = Path(__file__).parents[1] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_settings_page_is_what_its_script_makes_of_the_configs():
    assert page("settings.md") == make_settings.page(page("settings.md")), "run `make docs`"


def test_the_settings_page_has_every_field_mask_rule_and_preset():
    text = page("settings.md")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    for kind in config.CONFIGS:
        body = next(part for part in sections if part.startswith(f"{kind.__name__}\n"))
        assert re.findall(r"^\| `(\w+)` \|", body, flags=re.MULTILINE) == [item.name for item in fields(kind)]
    assert all(f"`{rule}`" in text for rule in get_args(MaskRule))
    assert all(f"*{name}*" in text for name in (*config.RULE_PRESETS, *TRAIN_PRESETS))


@pytest.mark.parametrize(
    ("command", "kind"), zip(("generate", "write-premises", "curate freeze", "train"), config.CONFIGS, strict=True)
)
def test_the_help_of_a_command_says_what_the_settings_page_says(command, kind, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100000")  # one line per option
    with pytest.raises(SystemExit):
        build_parser().parse_args([*command.split(), "--help"])
    told = " ".join(capsys.readouterr().out.split())
    for name, declared in settings_of(kind).items():
        assert f"--{name.replace('_', '-')}" in told and " ".join(declared.help.split()) in told, name


def test_data_formats_names_what_the_code_accepts():
    text = page("data-formats.md")
    assert all(f"`{ending}`" in text for ending in KINDS if ending)
    assert all(f"`{column}`" in text for column in (*RECORD_COLUMNS, *EXPORT_COLUMNS, *USUAL_COLUMNS))
    assert all(f"`{word}`" in text for word in MISSING)
    assert all(ending in text for ending in COMPRESSED)
    assert all(f"`{outcome}`" in text for outcome in Outcome)
    assert f"{MAX_PREMISE_CHARS:,} characters" in text and f"{MAX_LINE_BYTES:,} bytes" in text


def test_links_between_documents_lead_somewhere():
    files = [*DOCS.glob("*.md"), DOCS.parent / "README.md"]
    links = [
        (file, target)
        for file in files
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text(encoding="utf-8"))
    ]
    assert links
    assert [f"{file.name}: {target}" for file, target in links if not (file.parent / target).exists()] == []


@pytest.mark.parametrize("name", ["../CONTRIBUTING.md", "architecture.md"])
def test_every_module_that_a_page_names_is_there(name):
    named = re.findall(r"`((?:pipeline|workbench|pages|tests|benchmarks)/[\w/.]+)`", page(name))
    assert len(named) > 5
    assert [path for path in named if not (DOCS.parent / path).exists()] == []


def sentences_of_the_code() -> list[str]:
    """All string literals of the shipped code, as one reads them; a placeholder is an ellipsis."""
    found = []
    for path in [path for top in ("pipeline", "workbench") for path in (DOCS.parent / top).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_the_messages_of_the_troubleshooting_page_are_those_of_the_code():
    told = re.findall(r"^\| `(.+?)` \| ", page("troubleshooting.md"), flags=re.MULTILINE)
    known = sentences_of_the_code()
    assert len(told) >= 14
    assert [message for message in told if not any(message.removesuffix(" …") in text for text in known)] == []


@pytest.mark.drill
@pytest.mark.timeout(1200)
def test_the_tutorial_can_be_followed(tmp_path):
    """Short: its commands are known and its study file is read. At full length everything is run as printed."""
    script = "\n".join(re.findall(r"^```\n(.*?)^```", page("tutorial.md"), flags=re.DOTALL | re.MULTILINE))
    commands = [shlex.split(line)[3:] for line in script.splitlines() if line.startswith("python -m workbench ")]
    assert len(commands) >= 10
    for command in commands:
        build_parser().parse_args(with_freeze(command))
    study = tmp_path / "mine.yaml"
    study.write_text(script.split("> mine.yaml <<'END'\n")[1].split("END\n")[0], encoding="utf-8")
    assert len(read_study(study, sample=SAMPLE_CORPUS).arms) == 3
    if os.environ.get("DRILL"):
        paths = {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        environment = os.environ | paths | {"PYTHONPATH": str(DOCS.parent)}
        done = subprocess.run(
            ["bash", "-ec", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "refined and curated" in done.stdout and "report" in done.stdout
