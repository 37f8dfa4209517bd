"""Triplets imported in the page, snapshots compared, neighbours in the queue; all without a browser."""

from dataclasses import asdict

import pandas as pd
from streamlit.testing.v1 import AppTest

from pipeline.config import CurationRule
from tests.pages.conftest import Draw
from tests.pages.filled import JUDGE
from workbench.workspace import Workspace

ROW = b"A dog runs.,A dog is running.,A dog sleeps.\n"
CSV = b"sent0,sent1,hard_neg\n" + 2 * ROW + b",no premise,x\n"


def healthy(app: AppTest) -> AppTest:
    assert [error.message for error in app.exception] == []
    return app


def offered() -> None:
    """The inside of the dialog, which AppTest closes on every rerun."""
    from tests.pages.test_exchange_views import CSV
    from workbench.components.imports import _offer_upload
    from workbench.workspace import current_workspace

    _offer_upload(current_workspace(), CSV, "synced.csv")


def test_the_dialog_opens_on_an_empty_page(draw: Draw) -> None:
    app = healthy(draw("curate").button(key="import_first").click().run())
    assert app.file_uploader(key="triplets_file").label.startswith("Columns sent0")


def test_a_file_is_previewed_and_imported(workspace: Workspace) -> None:
    app = healthy(AppTest.from_function(offered, default_timeout=30).run())
    assert any("1 empty" in caption.value or "premise" in caption.value for caption in app.caption)
    assert app.button(key="triplets_import").label == "Import 1 triplet"
    app.button(key="triplets_import").click().run()
    attempts = workspace.store.triplets.attempts()
    assert attempts[["title", "rows"]].values.tolist() == [["synced", 1]]


def offered_western() -> None:
    from workbench.components.imports import _offer_premises_import
    from workbench.workspace import current_workspace

    _offer_premises_import(
        current_workspace(), "anchor;n\nCafé au lait.;1\nIt rains.;2\n".encode("cp1252"), "western.csv"
    )


def test_a_file_that_is_not_utf8_is_offered_with_a_sample_and_loses_no_row(workspace: Workspace) -> None:
    app = healthy(AppTest.from_function(offered_western, default_timeout=30).run())
    assert app.button(key="import_western.csv").label == "Import 1 premise"
    assert any("Café au lait" in caption.value for caption in app.caption)
    app = healthy(app.checkbox(key="encoding_western.csv").check().run())
    assert app.button(key="import_western.csv").label == "Import 2 premises"


def test_two_snapshots_are_compared(draw: Draw, workspace: Workspace, filled: dict[str, str]) -> None:
    first = workspace.store.snapshots.get(filled["snapshot"])
    kept = workspace.store.snapshots.rows(first.snapshot_id).iloc[1:]
    workspace.store.snapshots.create("second", [filled["attempt"]], JUDGE, asdict(CurationRule(alpha=4.0)), kept)
    app = healthy(draw("curate", view="Snapshots", snapshot=first.snapshot_id))
    app = healthy(app.toggle(key="compare_snapshots").set_value(True).run())
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures == {
        "In both, the same": "7",
        "Only in the first": "1",
        "Only in the second": "0",
        "Texts differ": "0",
    }
    settings = pd.concat([table.value for table in app.dataframe if "What differs" in table.value.columns])
    assert settings.iloc[0].tolist()[0] == "alpha"


def test_neighbours_say_what_they_need(draw: Draw, filled: dict[str, str]) -> None:
    app = healthy(draw("curate", view="Queue"))
    app = healthy(app.toggle(key="queue_neighbours").set_value(True).run())
    assert any("under Hygiene" in caption.value for caption in app.caption)
