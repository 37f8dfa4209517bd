"""Votes of a blind test: kept once per person and pair, taken back, counted with an interval."""

from pathlib import Path

import pytest

from pipeline.records import InputError
from workbench.journal import append_rows
from workbench.store.votes import Preference, Votes


def cast(votes: Votes, pair: str, preferred: str, annotator: str = "ann", comparison: str = "one") -> None:
    votes.add(comparison, pair, side="positive", preferred=preferred, annotator=annotator)


def test_a_vote_is_kept_once_per_person_and_taken_back_alone(tmp_path: Path) -> None:
    votes = Votes(tmp_path)
    cast(votes, "p", "ω 0")
    cast(votes, "p", "ω 0.6", annotator="bob")
    cast(votes, "p", "ω 0.6", comparison="other")
    with pytest.raises(InputError, match="voted on these two replies already"):
        cast(votes, "p", "ω 0.6")
    votes.retract("one", annotator="ann")
    assert [(one.annotator, one.preferred) for one in votes.list("one")] == [("bob", "ω 0.6")]
    assert len(votes.list()) == 2
    with pytest.raises(InputError, match="no vote of yours"):
        votes.retract("one", annotator="ann")
    cast(votes, "p", "")
    assert Votes(tmp_path).list("one")[-1].preferred == "", "another process reads the same"


def test_a_line_of_another_version_stops_no_other(tmp_path: Path) -> None:
    votes = Votes(tmp_path)
    append_rows(votes.path, [{"table": "votes", "vote": {"who": "x"}}, {"table": "votes"}])
    cast(votes, "p", "ω 0")
    assert len(votes.list()) == 1


def test_the_lead_is_in_points_over_the_votes_with_a_preference(tmp_path: Path) -> None:
    votes = Votes(tmp_path)
    for number, preferred in enumerate(["b"] * 15 + ["a"] * 5 + [""] * 7):
        cast(votes, f"p{number}", preferred)
    found = Preference.of(votes.list(), "b")
    assert (found.wins, found.votes, found.ties) == (15, 20, 7)
    # Wilson (1927) for 15 of 20: 53.13 % to 88.81 %; a lead is twice the share less 100.
    assert (found.lead.value, found.lead.low, found.lead.high) == pytest.approx((50, 6.26, 77.62), abs=0.01)
    assert found.lead.is_settled and not Preference.of(votes.list()[:1], "b").lead.is_settled
    assert not Preference.of([], "b").lead.is_settled
