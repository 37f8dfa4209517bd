"""Texts and names full of markup, on every page and view: whatever parses Markdown or HTML must show them as text."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from tests.pages.planted import RAW, RAW_HTML, TASK, plant
from workbench.paths import PROJECT
from workbench.workspace import close_current_workspace, current_workspace

PLAIN = {
    *{
        ("Text", "body"),
        ("TextInput", "value"),
        ("TextInput", "default"),
        ("TextArea", "value"),
        ("TextArea", "default"),
    },
    *{("Selectbox", "options"), ("Selectbox", "raw_value"), ("MultiSelect", "options"), ("PageLink", "query_string")},
    *{("Code", "code_text"), ("FileUploader", "label")},
}
"""Fields that the browser shows as they are."""
VIEWS = (
    *("home", "embedding_map", "embedding_map?map=MAP"),
    *(f"generate?generation={view}" for view in ("Premises", "Contrast", "Prompts", "Free prompt")),
    *(f"generate?generation={view}" for view in ("A run", "All runs", "LLMs")),
    *(f"curate?view={view}" for view in ("Rule", "Judges", "Queue", "List", "Hygiene", "Agreement", "Snapshots")),
    *(f"train?training={view}&run=RUN" for view in ("New run", "Runs", "Studies")),
    *(f"evaluate?evaluation={view}" for view in ("Scores", "Leaderboard", "Two encoders", "Space", "Transfer")),
    f"evaluate?evaluation=Scores&encoder=RUN&task={TASK}",
    *(f"error_analysis?errors={view}&encoder=RUN&task={TASK}" for view in ("Pairs and slices", "Two encoders")),
    *(f"error_analysis?errors={view}" for view in ("Hard negatives", "Behavioural tests")),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("planted") / "ws"
    close_current_workspace()


@pytest.fixture
def planted(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("MULTICSR_WORKSPACE", str(root))
    return _planted(root)


@cache
def _planted(root: Path) -> dict[str, str]:
    return plant(current_workspace())


def strings(message: Message) -> Iterator[tuple[str, str, str]]:
    """Yield (message type, field, value) of every text in a message of the page."""
    for field, value in message.ListFields():
        for item in value if field.is_repeated and not field.message_type else [value]:
            if isinstance(item, str):
                yield message.DESCRIPTOR.name, field.name, item
        if field.message_type and not field.message_type.GetOptions().map_entry:
            for part in value if field.is_repeated else [value]:
                yield from strings(part)


def drawn_texts(proto: Message) -> Iterator[tuple[str, str, str]]:
    """Yield the texts that something parses: of a chart those in its figure, where only HTML counts."""
    for kind, field, text in strings(proto):
        if kind == "PlotlyChart" and field == "spec":
            yield from ((kind, field, part) for part in _leaves(json.loads(text)))
        elif field not in ("id", "alt") and (kind, field) not in PLAIN:
            yield kind, field, text


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)


def protos(block: Block) -> Iterator[Message]:
    for node in block.children.values():
        if isinstance(node, Block):
            if node.proto is not None:
                yield node.proto
            yield from protos(node)
        else:
            yield node.proto


@pytest.mark.parametrize("view", VIEWS)
def test_no_text_is_parsed(planted: dict[str, str], view: str) -> None:
    page, _, query = view.partition("?")
    app = AppTest.from_file(str(PROJECT / "pages" / f"{page}.py"), default_timeout=60)
    for name, value in (part.split("=") for part in query.split("&") if part):
        app.query_params[name] = planted.get(value.lower(), value)
    app.run()
    assert [error.message for error in app.exception] == []
    parsed = [
        (*found, piece)
        for proto in protos(app._tree)
        for found in drawn_texts(proto)
        for piece in (RAW_HTML if found[0] == "PlotlyChart" else RAW)
        if piece in found[2]
    ]
    assert parsed == []
    assert any("zq" in found[2] for proto in protos(app._tree) for found in strings(proto)), "nothing is planted here"
