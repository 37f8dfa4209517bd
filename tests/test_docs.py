"""The documentation against the code: a setting that is not described, or described wrongly, fails here."""

import dataclasses
import re
from pathlib import Path
from typing import get_args

import pytest

from pipeline import config
from pipeline.exchange import RECORD_COLUMNS
from pipeline.files.formulas import EXPORT_COLUMNS, MISSING
from pipeline.files.source import COMPRESSED, KINDS, MAX_LINE_BYTES
from pipeline.premises import MAX_PREMISE_CHARS, USUAL_COLUMNS
from pipeline.records import Outcome

DOCS = Path(__file__).parents[1] / "docs"
SETTINGS = [kind for kind in vars(config).values() if dataclasses.is_dataclass(kind) and isinstance(kind, type)]


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def documented_fields(kind: type) -> dict[str, list[str]]:
    """Cells of each row of the table below the heading of this class, by field."""
    section = re.split(r"^## ", page("settings.md"), flags=re.MULTILINE)
    body = next(part for part in section if part.startswith(f"{kind.__name__}\n"))
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", body, flags=re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split(" | ")] for name, rest in rows}


def test_there_are_settings_to_check():
    assert {kind.__name__ for kind in SETTINGS} >= {"GenerationConfig", "CurationRule", "TrainConfig"}


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_every_setting_is_described_with_default_unit_and_meaning(kind):
    described = documented_fields(kind)
    fields = dataclasses.fields(kind)
    assert list(described) == [field.name for field in fields]
    for field in fields:
        default, unit, meaning = described[field.name]
        wanted = repr(field.default).replace("'", '"')
        assert default == f"`{wanted}`", field.name
        assert unit and meaning.endswith("."), field.name


def test_every_mask_rule_and_preset_is_named():
    text = page("settings.md")
    assert all(f"`{rule}`" in text for rule in get_args(config.MaskRule))
    assert all(f"*{name}*" in text for name in (*config.RULE_PRESETS, *config.TRAIN_PRESETS))


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
