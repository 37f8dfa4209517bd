"""The sentences of an embedding map: of triplets, three to each, or of a task's scored pairs, two to each."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from pipeline.errors import InputError
from workbench.pair_slices import pair_ids
from workbench.store.triplets import TripletFilter

if TYPE_CHECKING:
    from workbench.workspace import Workspace

TRIPLET_ROLES: Final = ("premise", "positive", "hard_negative")
PAIR_ROLES: Final = ("sentence1", "sentence2")
_TASK: Final = "task:"
_OUTCOMES: Final = {"positive": "positive_outcome", "hard_negative": "hard_negative_outcome"}
PAIR_COLUMNS: Final = ("gold", "predicted", "error")
"""Gold score, cosine, and predicted rank less gold rank as a share of all pairs."""


def task_corpus(task: str) -> str:
    """Name under which a map of a task's pairs is filed."""
    return f"{_TASK}{task}"


def task_of(corpus: str) -> str | None:
    """Task whose pairs a map draws, or None for a map of triplets."""
    return corpus.removeprefix(_TASK) if corpus.startswith(_TASK) else None


def roles_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """Roles of the sentences in a table of triplets or pairs."""
    return PAIR_ROLES if PAIR_ROLES[0] in frame else TRIPLET_ROLES


def long_form(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per sentence: triplet_id (for pairs the pair's id), role, text and what is known of each.

    The sentences of a triplet or pair follow each other. Pairs bring gold, predicted and error; triplets whose
    outcomes are given bring the outcome of each side, and `premise` for the premise.
    """
    frame = frame.reset_index(drop=True)
    parts = []
    for role in roles_of(frame):
        part = pd.DataFrame({"triplet_id": frame["triplet_id"], "role": role, "text": frame[role]})
        for column in PAIR_COLUMNS:
            if column in frame:
                part[column] = frame[column]
        if _OUTCOMES["positive"] in frame:
            part["outcome"] = frame[_OUTCOMES[role]] if role in _OUTCOMES else role
        parts.append(part)
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)


def triplet_sentences(
    workspace: "Workspace", *, attempt_id: str | None, snapshot_id: str | None, every_outcome: bool
) -> tuple[pd.DataFrame, str]:
    """Return triplets of an attempt or a snapshot, and the name they are filed under.

    With `every_outcome` an attempt's copies, truncated and other failed replies are kept too, as long as both sides
    hold a text to draw. Raises InputError when there is nothing to draw.
    """
    columns = ["triplet_id", *TRIPLET_ROLES]
    if snapshot_id:
        frame, corpus = workspace.store.snapshots.rows(snapshot_id), snapshot_id
    elif attempt_id:
        chosen = TripletFilter(attempt_ids=(attempt_id,), outcome="" if every_outcome else "ok")
        frame, corpus = workspace.store.triplets.rows(chosen), attempt_id
        if every_outcome:
            columns += _OUTCOMES.values()
            frame = frame[frame["positive"].str.strip().ne("") & frame["hard_negative"].str.strip().ne("")]
    else:
        raise InputError("A map needs sentences: name an attempt, a snapshot or a task.")
    if frame.empty:
        raise InputError(f"{corpus} holds no triplet with both sides ok: generate some first.")
    return frame[columns], corpus


def pair_sentences(workspace: "Workspace", *, task: str, encoder_id: str) -> tuple[pd.DataFrame, str]:
    """Return the pairs of a task with the rank errors of an encoder, and the name they are filed under.

    Raises InputError when the encoder has no score on the task, or its predictions are gone.
    """
    scores = workspace.store.scores.matrix()
    found = scores[(scores["encoder_id"] == encoder_id) & (scores["task"] == task)]
    path = Path()
    if len(found):
        path = workspace.root / "jobs" / found.iloc[0]["job_id"] / "out" / f"pairs-{task}.parquet"
    if not path.is_file():
        raise InputError(f"{encoder_id} has no predictions on {task}: evaluate it on the task first.")
    pairs = pd.read_parquet(path)
    pairs["error"] = pairs["predicted"].rank(pct=True) - pairs["gold"].rank(pct=True)
    pairs["triplet_id"] = pair_ids(zip(pairs["sentence1"], pairs["sentence2"], strict=True))
    frame = pairs.drop_duplicates("triplet_id")
    return frame[["triplet_id", *PAIR_ROLES, *PAIR_COLUMNS]], task_corpus(task)
