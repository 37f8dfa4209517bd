"""Votes of a blind test: which of two replies a person prefers, without knowing what wrote them."""

import logging
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.records import InputError
from pipeline.statistics import Interval, share
from workbench.journal import append_rows, new_id, now, read_rows

_CAST, _RETRACTED = "votes", "retracted_votes"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Vote:
    """One vote."""

    vote_id: str
    comparison: str
    """What is compared: the two generation runs, or the preview."""
    pair_id: str
    """A hash of premise, side and the two replies."""
    side: str
    preferred: str
    """Name of what wrote the better reply; empty without a preference."""
    annotator: str
    created_at: str


VoteList = list[Vote]


class Votes:
    """The file of votes of a workspace; a vote that was taken back stays in it, with a line that says so."""

    def __init__(self, workspace_root: Path) -> None:
        self.path = workspace_root / "votes.jsonl"

    def list(self, comparison: str | None = None) -> VoteList:
        """Return the votes that stand, oldest first; all of them, or those of one comparison."""
        found: dict[str, Vote] = {}
        for row in read_rows(self.path):
            try:
                if row["table"] == _CAST:
                    vote = Vote(**row["vote"])
                    found[vote.vote_id] = vote
                elif row["table"] == _RETRACTED:
                    found.pop(row["vote_id"], None)
            except (KeyError, TypeError) as error:
                _log.warning("A line of %s is no vote of this version: %s", self.path.name, error)
        return [vote for vote in found.values() if comparison in (None, vote.comparison)]

    def add(self, comparison: str, pair_id: str, *, side: str, preferred: str, annotator: str) -> Vote:
        """Keep a vote. Raises InputError where this annotator has voted on the pair already."""
        if any(one.pair_id == pair_id and one.annotator == annotator for one in self.list(comparison)):
            raise InputError("You have voted on these two replies already, perhaps in another tab.")
        vote = Vote(new_id("vote"), comparison, pair_id, side, preferred, annotator, now())
        append_rows(self.path, [{"table": _CAST, "vote": asdict(vote)}])
        return vote

    def retract(self, comparison: str, *, annotator: str) -> None:
        """Take back this annotator's last vote of a comparison. Raises InputError where there is none."""
        own = [vote for vote in self.list(comparison) if vote.annotator == annotator]
        if not own:
            raise InputError("There is no vote of yours to take back here.")
        append_rows(self.path, [{"table": _RETRACTED, "created_at": now(), "vote_id": own[-1].vote_id}])


@dataclass(frozen=True, slots=True)
class Preference:
    """The votes for one of two writers among those with a preference, and the votes without one."""

    wins: int
    votes: int
    ties: int

    @classmethod
    def of(cls, votes: Collection[Vote], name: str) -> "Preference":
        """Count the votes for the writer of this name."""
        clear = [vote for vote in votes if vote.preferred]
        return cls(sum(vote.preferred == name for vote in clear), len(clear), len(votes) - len(clear))

    @property
    def lead(self) -> Interval:
        """How many percentage points of the votes it has more than the other one, with Wilson's interval."""
        found = share(self.wins, self.votes)
        return Interval(*(200 * end - 100 for end in (found.value, found.low, found.high)))
