"""The two map jobs with the real static encoder: what their files hold agrees with the encoder itself."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.workbench.test_maps import triplets
from workbench.jobs.context import JobContext
from workbench.jobs.folder import JobFolder, JobRecord, Status
from workbench.jobs.worker import handler_of
from workbench.maps import SentenceMap

ENCODER = {"encoder_id": "static-minilm", "folder": "static-minilm", "name": "static-minilm"}
COUNT = 14


def run(folder: Path, kind: str, settings: dict, table: pd.DataFrame | None = None) -> JobContext:
    """Run a handler in this process as its worker would."""
    named = {"job_id": folder.name, "kind": kind, "title": kind, "created_at": "2026-01-01"}
    record = JobRecord.from_json(named | {"settings": settings})
    JobFolder(folder).create(record, Status(), table)
    context = JobContext(folder)
    context.begin()
    handler_of(kind)(context)
    context.end("finished")
    return context


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> SentenceMap:
    settings = {"encoders": [ENCODER], "method": "pca", "corpus": "cats", "guide": "static-minilm", "seed": 0}
    table = triplets(COUNT).assign(triplet_id=[f"t{i}" for i in range(COUNT)])
    context = run(tmp_path_factory.mktemp("jobs") / "map", "project", settings, table)
    return SentenceMap(context.out / "points.parquet")


def encoded(texts: list[str]) -> np.ndarray:
    from pipeline.encoders import load_encoder

    vectors = load_encoder("static-minilm").encode(texts)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_columns_agree_with_the_encoder(drawn: SentenceMap) -> None:
    points = drawn.points
    unit = encoded(points["text"].tolist())
    assert len(drawn) == 3 * COUNT
    np.testing.assert_allclose(np.asarray(drawn.vectors(), dtype=np.float32), unit, atol=2e-3)
    for first in range(0, len(points), 3):
        near, far = unit[first] @ unit[first + 1], unit[first] @ unit[first + 2]
        np.testing.assert_allclose(points["margin"].iloc[first : first + 3], near - far, atol=1e-4)
    assert set(points["cluster"]) <= set(range(len(drawn.cluster_names)))


def test_pairs_are_those_the_guide_finds_near(drawn: SentenceMap) -> None:
    unit = encoded(drawn.points["text"].tolist())
    cosines = unit @ unit.T
    expected = {
        (i, j)
        for i in range(0, 3 * COUNT, 3)
        for j in range(3 * COUNT)
        if j % 3 and j != i + 1 and cosines[i, j] > 0.5 + 1e-4
    }
    found = set(zip(drawn.pairs["premise"], drawn.pairs["candidate"], strict=True))
    assert len(expected) > COUNT
    assert expected <= found
    assert len(found - expected) <= 2, "pairs within rounding of the floor"
    assert drawn.about["pairs"] == {"guide": "static-minilm", "floor": 0.5, "candidates": COUNT * (2 * COUNT - 1)}


def test_search_finds_the_sentence_itself_first(drawn: SentenceMap, tmp_path: Path) -> None:
    unit = encoded(drawn.points["text"].tolist())
    nearest = (unit @ unit.T - 2 * np.eye(len(unit))).max(axis=1)
    alone = int(nearest.argmin())  # many differ in a number only, which weighs next to nothing
    assert nearest[alone] < 0.99
    settings = {
        "text": drawn.points["text"].iat[alone],
        "encoder": "static-minilm",
        "vectors": str(drawn.files.vectors_path(0)),
        "count": 5,
    }
    context = run(tmp_path / "search", "search", settings)
    found = pd.read_parquet(context.out / "found.parquet")
    assert found["point"].iat[0] == alone
    assert found["cosine"].iat[0] == pytest.approx(1.0, abs=2e-3)
    assert len(found) == 5
    assert found["cosine"].is_monotonic_decreasing


def test_a_map_of_pairs_has_two_sentences_each_and_no_margin(tmp_path: Path) -> None:
    first, second = (triplets(COUNT)[side] for side in ("premise", "positive"))
    table = pd.DataFrame({"triplet_id": [f"p{i}" for i in range(COUNT)], "sentence1": first, "sentence2": second})
    table = table.assign(gold=2.0, predicted=0.5, error=np.linspace(-1, 1, COUNT))
    settings = {"encoders": [ENCODER], "method": "pca", "corpus": "task:Own", "guide": None, "seed": 0}
    context = run(tmp_path / "map", "project", settings, table)
    drawn = SentenceMap(context.out / "points.parquet")
    assert len(drawn) == 2 * COUNT
    assert drawn.points["role"].iloc[:2].tolist() == ["sentence1", "sentence2"]
    np.testing.assert_allclose(drawn.points["error"], np.repeat(table["error"], 2))
    assert "margin" not in drawn.points
    assert drawn.pairs is None
