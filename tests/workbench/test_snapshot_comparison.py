"""Two snapshots compared by hand, and every file format that leaves the browser read back."""

import io
import zipfile

import pandas as pd
import pytest

from pipeline.exchange import read_triplets
from pipeline.records import Triplet
from workbench.components.curate.snapshot_list import compare_rows, compare_settings
from workbench.store.snapshots import Snapshot
from workbench.workspace import Workspace

COLUMNS = ["triplet_id", "premise", "positive", "hard_negative"]


def rows(*names: str, changed: str = "") -> pd.DataFrame:
    made = [[name, f"p {name}", f"q {name}{'!' if name == changed else ''}", f"n {name}"] for name in names]
    return pd.DataFrame(made, columns=COLUMNS)


def test_rows_by_hand():
    change = compare_rows(rows("a", "b", "c", "d"), rows("d", "c", "e", changed="c"))
    assert change.same == 1
    assert change.removed["triplet_id"].tolist() == ["a", "b"]
    assert change.added["triplet_id"].tolist() == ["e"]
    assert change.changed[["triplet_id", "positive", "new_positive"]].values.tolist() == [["c", "q c", "q c!"]]
    nothing = compare_rows(rows("a"), rows())
    assert (nothing.same, len(nothing.removed), len(nothing.added), len(nothing.changed)) == (0, 1, 0, 0)


def test_settings_that_differ():
    common = {"rows": 1, "file": "f", "sha256": "s", "created_at": "2026"}
    details = {"judges": {"guide:g": ["v1"]}, "reasons": {"kept by rule": 3}, "attempts": []}
    first = Snapshot("1", "one", ("x",), "guide:g", {"alpha": 3.0, "beta": 3.0}, **common, details=details)
    second = Snapshot("2", "two", ("x",), "guide:g", {"alpha": 4.0, "beta": 3.0}, **common)
    assert compare_settings(first, second) == [
        ("alpha", "3", "4"),
        ("calibration of guide:g", "v1", "none"),
        ("kept by rule", "3", "none"),
    ]
    assert compare_settings(first, first) == []


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "zip"])
def test_a_download_holds_the_snapshot(tmp_path, ending):
    from workbench.components.curate.snapshot_list import packed

    with Workspace(tmp_path / "ws") as workspace:
        frame = rows("=a", "b")
        snapshot = workspace.store.snapshots.create("mine", [], None, None, frame)
        data = packed(workspace, snapshot, ending)
    expected = [Triplet(*row) for row in frame[COLUMNS[1:]].itertuples(index=False, name=None)]
    if ending != "zip":
        assert read_triplets(data, name=f"x.{ending}").triplets == expected
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(tmp_path / "set")
    assert read_triplets(tmp_path / "set").triplets == expected
    assert "pretty_name: mine\n" in (tmp_path / "set" / "README.md").read_text()
