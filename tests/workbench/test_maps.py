"""Maps as jobs and files: what is asked for twice is drawn once, and what is drawn adds up."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.records import InputError
from tests.pages.filled import finished_job
from tests.workbench.store_samples import add_import
from workbench.actions.analysis import (
    pair_sentences,
    save_slice,
    seed_corpus,
    start_projection,
    start_search,
    triplet_sentences,
)
from workbench.maps import TRIPLET_ROLES, MapFiles, SentenceMap, long_form, place_columns, task_of
from workbench.store.files import Slices
from workbench.workspace import Workspace

ATTEMPT = "20260101-000100-000-generate-aaaa"
EVALUATION = "20260101-000300-000-evaluate-dddd"


def triplets(count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "premise_id": [str(i) for i in range(count)],
            "premise": [f"A cat sleeps on mat {i}." for i in range(count)],
            "positive": [f"On mat {i} a cat is asleep." for i in range(count)],
            "hard_negative": [f"No cat sleeps on mat {i}." for i in range(count)],
        }
    )


@pytest.fixture
def attempt(workspace: Workspace) -> str:
    return add_import(workspace.store, "cats", "cats.csv", triplets(12))


def test_the_same_map_is_drawn_once(workspace: Workspace, attempt: str) -> None:
    first = start_projection(workspace, encoder="static-minilm", attempt_id=attempt)
    assert start_projection(workspace, encoder="static-minilm", attempt_id=attempt) == first
    others = [
        start_projection(workspace, encoder="static-minilm", attempt_id=attempt, method="pca"),
        start_projection(workspace, encoder="static-minilm", attempt_id=attempt, seed=1),
        start_projection(workspace, encoder="static-minilm", attempt_id=attempt, limit=11),
        start_projection(workspace, encoder="static-minilm", attempt_id=attempt, guide="all-MiniLM-L6-v2"),
        start_projection(workspace, encoder="all-MiniLM-L6-v2", attempt_id=attempt),
    ]
    assert len({made["job_id"] for made in [first, *others]}) == 6


def test_a_comparison_says_what_it_needs(workspace: Workspace, attempt: str) -> None:
    with pytest.raises(InputError, match="different encoders"):
        start_projection(workspace, encoder="static-minilm", compare_with=["static-minilm"], attempt_id=attempt)
    small = add_import(workspace.store, "few", "few.csv", triplets(9))
    # Copies count once: twelve triplets of one premise hold 25 sentences, which the job could not align.
    copies = add_import(workspace.store, "one", "one.csv", triplets(12).assign(premise="A cat."))
    for attempt_id, sentences in ((small, 27), (copies, 25)):
        with pytest.raises(
            InputError, match=f"holds {sentences} different sentences; an aligned map needs at least 30"
        ):
            start_projection(
                workspace, encoder="static-minilm", compare_with=["all-MiniLM-L6-v2"], attempt_id=attempt_id
            )
    made = start_projection(workspace, encoder="static-minilm", compare_with=["all-MiniLM-L6-v2"], attempt_id=attempt)
    spec = workspace.jobs.get(made["job_id"]).spec
    assert [item.name for item in spec.encoders] == ["static-minilm", "all-MiniLM-L6-v2"]
    assert spec.method == "aligned"


def test_searching_needs_words_and_a_map(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="type a sentence"):
        start_search(workspace, projection_id="gone", text="  ")
    with pytest.raises(InputError, match="no map gone"):
        start_search(workspace, projection_id="gone", text="a cat")


def test_slices_keep_each_triplet_once_and_come_back(workspace: Workspace) -> None:
    made = save_slice(workspace, name=" odd ", triplet_ids=["b", "a", "b"], origin="map")
    assert made["triplets"] == 2
    [saved] = Slices(workspace.root).list()
    assert (saved.slice_id, saved.name, saved.triplet_ids) == (made["slice_id"], "odd", ("b", "a"))
    with pytest.raises(InputError, match="name"):
        save_slice(workspace, name=" ", triplet_ids=["a"])


def test_seeds_become_a_corpus_without_doubles(workspace: Workspace) -> None:
    made = seed_corpus(workspace, texts=["A cat.", " A cat. ", "", "A dog."], name="seeds")
    assert made["premises"] == 2
    assert workspace.store.premises.rows(made["corpus_id"])["text"].tolist() == ["A cat.", "A dog."]
    with pytest.raises(InputError, match="no sentence"):
        seed_corpus(workspace, texts=[" "], name="seeds")


def test_a_triplet_keeps_its_three_rows_together() -> None:
    frame = triplets(3).assign(triplet_id=["x", "y", "z"])
    long = long_form(frame.iloc[::-1])
    assert long["triplet_id"].tolist() == ["z"] * 3 + ["y"] * 3 + ["x"] * 3
    assert long["role"].tolist() == list(TRIPLET_ROLES) * 3
    assert long["text"].iloc[3:6].tolist() == [frame[role].iloc[1] for role in TRIPLET_ROLES]


def test_failed_replies_are_drawn_when_asked_for_and_keep_their_outcome(workspace: Workspace) -> None:
    outcomes = [("ok", "ok"), ("copy", "ok"), ("ok", "truncated"), ("empty", "ok")]
    rows = [
        {
            **dict.fromkeys(("table", "llm", "prompt_set", "contrast"), ""),
            "table": "triplets",
            "triplet_id": f"t{number}",
            "attempt_id": ATTEMPT,
            "premise_id": str(number),
            "premise": f"A cat {number}.",
            "positive": "" if positive == "empty" else f"The cat {number}.",
            "hard_negative": f"No cat {number}.",
            "positive_outcome": positive,
            "hard_negative_outcome": hard_negative,
        }
        for number, (positive, hard_negative) in enumerate(outcomes)
    ]
    finished_job(workspace, ATTEMPT, "generate", rows, total=len(rows))
    workspace.wait(ATTEMPT, timeout_s=20)
    usable, _ = triplet_sentences(workspace, attempt_id=ATTEMPT, snapshot_id=None, every_outcome=False, limit=9)
    assert usable["triplet_id"].tolist() == ["t0"]
    drawn, corpus = triplet_sentences(workspace, attempt_id=ATTEMPT, snapshot_id=None, every_outcome=True, limit=9)
    assert (drawn["triplet_id"].tolist(), corpus) == (["t0", "t1", "t2"], ATTEMPT)
    long = long_form(drawn)
    assert long["outcome"].tolist() == ["premise", "ok", "ok", "premise", "copy", "ok", "premise", "ok", "truncated"]


def test_pairs_of_a_task_carry_the_rank_error_of_their_encoder(workspace: Workspace) -> None:
    """Ranks by hand: gold 1, 2, 3 of 3 and predicted 1, 3, 2 of 3 give errors 0, 1/3, -1/3."""
    pairs = pd.DataFrame(
        {
            "sentence1": ["a b", "c d", "e f"],
            "sentence2": ["a", "c", "e"],
            "subset": "own",
            "gold": [0.0, 2.0, 4.0],
            "predicted": [0.1, 0.9, 0.5],
        }
    )
    out = workspace.root / "jobs" / EVALUATION / "out"
    score = {"encoder_id": "static-minilm", "task": "Own", "spearman": 0.5, "pairs": 3, "job_id": EVALUATION}
    finished_job(workspace, EVALUATION, "evaluate", [{"table": "scores", **score}], total=1)
    out.mkdir(parents=True, exist_ok=True)
    pairs.to_parquet(out / "pairs-Own.parquet")
    workspace.wait(EVALUATION, timeout_s=20)

    frame, corpus = pair_sentences(workspace, task="Own", encoder_id="static-minilm")
    assert task_of(corpus) == "Own"
    assert frame["error"].tolist() == pytest.approx([0, 1 / 3, -1 / 3])
    long = long_form(frame)
    assert long["role"].tolist() == ["sentence1", "sentence2"] * 3
    assert long["text"].tolist() == ["a b", "a", "c d", "c", "e f", "e"]
    with pytest.raises(InputError, match="evaluate it on the task first"):
        pair_sentences(workspace, task="Own", encoder_id="all-MiniLM-L6-v2")

    made = start_projection(workspace, encoder="static-minilm", task="Own", guide="all-MiniLM-L6-v2")
    spec = workspace.jobs.get(made["job_id"]).spec
    assert (spec.corpus, spec.guide) == (corpus, None)


def test_places_between_drawings_and_files_of_earlier_versions(tmp_path: Path) -> None:
    points = pd.DataFrame({"triplet_id": ["t", "t"], "role": ["premise", "positive"], "text": ["a", "b"]})
    for drawing, columns in enumerate(place_columns(2)):
        points[list(columns)] = np.array([[0.0, 1.0], [2.0, 3.0]]) + 10 * drawing
    files = MapFiles(tmp_path / "points.parquet")
    files.write(points, {"encoders": [], "clusters": ["cats"]})
    drawn = SentenceMap(files.points)
    np.testing.assert_allclose(drawn.places_at(0.5), [[5, 6], [7, 8]])
    np.testing.assert_allclose(drawn.places_at(1.0), drawn.places[1])
    assert drawn.cluster_names == ["cats"]
    assert json.loads(files.about_path.read_bytes())["clusters"] == ["cats"]
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    points[["triplet_id", "role", "text", "x", "y"]].to_parquet(earlier / "points.parquet")
    old = SentenceMap(earlier / "points.parquet")
    assert (len(old.places), old.pairs, old.vectors(), old.cluster_names) == (1, None, None, [])
