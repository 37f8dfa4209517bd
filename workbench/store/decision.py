"""One human decision, and what it makes of a triplet's texts."""

from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from pipeline.errors import InputError

Action = Literal["accept", "reject", "swap", "edit", "reset"]
BULK_ACTIONS: Final[tuple[Action, ...]] = ("accept", "reject", "swap", "reset")
"""What can be said of many triplets at once."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person says about one triplet; texts are needed for an edit only."""

    triplet_id: str
    action: Action
    positive: str | None = None
    hard_negative: str | None = None
    annotator: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of a triplet now and as generated; they differ only because of a decision."""

    positive: str
    hard_negative: str
    generated: tuple[str, str]
    is_changed: bool


def after(decision: Decision, texts: Texts) -> Texts:
    """Return the texts of the triplet after this decision."""
    if decision.action == "swap":
        return replace(texts, positive=texts.hard_negative, hard_negative=texts.positive, is_changed=True)
    if decision.action == "reset":
        positive, hard_negative = texts.generated
        return replace(texts, positive=positive, hard_negative=hard_negative, is_changed=False)
    if decision.action == "edit":
        positive = texts.positive if decision.positive is None else decision.positive.strip()
        hard_negative = texts.hard_negative if decision.hard_negative is None else decision.hard_negative.strip()
        if not positive or not hard_negative:
            raise InputError(f"An edit of triplet {decision.triplet_id} needs both texts; one is empty.")
        return replace(texts, positive=positive, hard_negative=hard_negative, is_changed=True)
    if decision.action not in get_args(Action):
        raise InputError(f"{decision.action} is no decision; choose one of {', '.join(get_args(Action))}.")
    return texts
