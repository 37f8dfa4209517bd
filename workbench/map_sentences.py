"""The sentences of an embedding map: of triplets, three to each, or of a task's scored pairs, two to each."""

from typing import Final

import pandas as pd

TRIPLET_ROLES: Final = ("premise", "positive", "hard_negative")
PAIR_ROLES: Final = ("sentence1", "sentence2")
_TASK: Final = "task:"
OUTCOMES: Final = {"positive": "positive_outcome", "hard_negative": "hard_negative_outcome"}
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
        if OUTCOMES["positive"] in frame:
            part["outcome"] = frame[OUTCOMES[role]] if role in OUTCOMES else role
        parts.append(part)
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)
