"""The guided visit and the list of keys."""

import pytest

from tests.pages.conftest import Draw, texts
from workbench.actions import ACTIONS
from workbench.components.keys import QUEUE
from workbench.workspace import Workspace


def test_the_sample_begins_the_visit_and_a_skipped_one_stays_away(draw: Draw, workspace: Workspace) -> None:
    app = draw("home")
    assert "of 6" not in texts(app)
    app.main.button[0].click().run()
    assert "1 of 6" in texts(app)
    app.button(key="visit_skip").click().run()
    assert "of 6" not in texts(app)
    assert "of 6" not in texts(draw("generate"))
    (workspace.root / "visit.json").write_text("{")
    assert "of 6" not in texts(draw("home")), "damaged, as if it were closed"


def test_a_step_on_another_page_offers_to_go_there(draw: Draw, workspace: Workspace) -> None:
    ACTIONS["set_visit"](workspace, step=3)
    assert "3 of 6" in texts(app := draw("train"))
    assert "visit_show" in {button.key for button in app.button}
    ACTIONS["set_visit"](workspace, step=7)
    assert "of 6" not in texts(draw("train"))


@pytest.mark.usefixtures("filled")
def test_every_key_of_the_queue_is_listed(draw: Draw) -> None:
    shown = {button.proto.shortcut for button in draw("curate", view="Queue").button} - {""}
    listed = {key.lower() for key, _ in QUEUE if len(key) == 1} | set("12345")
    assert shown == listed - {"u"}, "U comes with a regenerated sentence"
