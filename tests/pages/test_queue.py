"""Deciding triplets in the queue: every press reaches the store, and can be taken back."""

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import TextArea

from tests.pages.conftest import Draw
from tests.pages.filled import TRIPLETS
from workbench.workspace import Workspace

USABLE = TRIPLETS - 2


@pytest.fixture
def queue(draw: Draw, filled: dict[str, str]) -> AppTest:
    return draw("curate", view="Queue")


def press(app: AppTest, name: str) -> None:
    app.button(key=f"queue_{name}").click().run()
    assert [error.message for error in app.exception] == []


def decisions(workspace: Workspace) -> dict[str, str]:
    latest = workspace.store.decisions.latest()
    return dict(zip(latest["triplet_id"].str[-2:], latest["action"], strict=True))


@pytest.mark.parametrize("name", ["accept", "reject", "swap"])
def test_a_press_is_stored_and_undone(queue: AppTest, workspace: Workspace, name: str) -> None:
    press(queue, name)
    assert decisions(workspace) == {"00": name}
    press(queue, "undo")
    assert decisions(workspace) == {}


def test_the_queue_moves_on_and_ends(queue: AppTest, workspace: Workspace) -> None:
    for _ in range(USABLE):
        press(queue, "accept")
    assert decisions(workspace) == {f"{number:02d}": "accept" for number in range(USABLE)}
    assert "All decided" in [heading.value for heading in queue.subheader]
    press(queue, "undo")
    assert len(decisions(workspace)) == USABLE - 1


def test_skip_leaves_the_triplet_undecided(queue: AppTest, workspace: Workspace) -> None:
    press(queue, "skip")
    press(queue, "accept")
    assert decisions(workspace) == {"01": "accept"}


def positive_of(queue: AppTest) -> TextArea:
    return next(area for area in queue.text_area if area.label == "Positive")


def test_an_edit_needs_both_texts(queue: AppTest, workspace: Workspace) -> None:
    press(queue, "edit")
    save = queue.button[[button.label for button in queue.button].index("Save")]
    positive_of(queue).set_value("   ")
    save.click().run()
    assert len(queue.error) == 1
    assert decisions(workspace) == {}
    positive_of(queue).set_value("A better positive.")
    queue.button[[button.label for button in queue.button].index("Save")].click().run()
    assert decisions(workspace) == {"00": "edit"}
    assert workspace.store.decisions.latest().iloc[0]["positive"] == "A better positive."
