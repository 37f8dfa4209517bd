"""The behavioural suite: its sentences, its file, and its verdicts on encoders whose answer is known."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation import behaviour
from pipeline.evaluation.behaviour import Case, built_in_cases, by_capability, pairs_of, read_cases, run_cases
from pipeline.records import InputError

ASSET = Path(__file__).parents[3] / "assets" / "behaviour.jsonl"


def test_shipped_file_is_what_the_templates_give():
    assert read_cases(ASSET) == built_in_cases()


def test_suite_is_large_and_has_no_two_equal_cases():
    cases = built_in_cases()
    assert len(set(pairs_of(cases))) >= 500
    assert len({case.case_id for case in cases}) == len(cases)
    counts = Counter(case.capability for case in cases)
    assert len(counts) >= 13 and min(counts.values()) >= 20
    assert {case.kind for case in cases} == set(behaviour.KIND_WORDS)


def test_no_case_compares_a_sentence_with_itself():
    assert [pair for pair in pairs_of(built_in_cases()) if pair[0] == pair[1]] == []
    changed = [case for case in built_in_cases() if case.kind == "invariance"]
    assert [case for case in changed if case.third == case.sentence] == []


def test_swapped_roles_and_words_are_the_same_words():
    for case in built_in_cases():
        if case.capability in ("role swap", "word order"):
            words = [sorted(text.lower().rstrip(".").split()) for text in (case.sentence, str(case.third))]
            assert words[0] == words[1], case
            assert case.sentence != case.third


class Planted:
    """Answers planted cosines to the first axis; unrelated texts are at right angles to it."""

    def __init__(self, cosines):
        self.cosines = cosines

    def encode(self, sentences, **options):
        rows = [(c := self.cosines.get(text, 0.0), np.sqrt(1 - c * c)) for text in sentences]
        return np.array(rows)


def planted(kind, third=None):
    return Case.of("made", kind, "anchor", "near", third)


@pytest.mark.parametrize(
    ("kind", "cosines", "passed"),
    [
        ("same", {"near": 0.6}, True),
        ("same", {"near": 0.4}, False),
        ("different", {"near": 0.4}, True),
        ("different", {"near": 0.6}, False),
        ("directional", {"near": 0.6, "third": 0.5}, True),
        ("directional", {"near": 0.5, "third": 0.6}, False),
        ("directional", {"near": 0.5, "third": 0.5}, False),
    ],
)
def test_verdict_by_hand(kind, cosines, passed, monkeypatch):
    # u = 0: the reference pair is at right angles, so relative similarity is the cosine.
    monkeypatch.setattr(behaviour.templates, "unrelated", lambda: iter([("anchor", "unrelated", None)]))
    encoder = Planted({"anchor": 1.0, **cosines})
    [result] = run_cases([planted(kind, "third" if "third" in cosines else None)], encoder)
    assert result.similarity == pytest.approx(cosines["near"])
    assert result.passed is passed


@pytest.mark.parametrize(("moved", "passed"), [(0.95, True), (0.6, False)])
def test_invariance_looks_at_how_far_the_similarity_moves(moved, passed, monkeypatch):
    monkeypatch.setattr(behaviour.templates, "unrelated", lambda: iter([("near", "unrelated", None)]))
    encoder = Planted({"near": 1.0, "anchor": 0.9, "changed": moved})
    [result] = run_cases([planted("invariance", "changed")], encoder)
    assert result.passed is passed
    assert result.margin == pytest.approx(0.1 - abs(0.9 - moved))


def test_a_scale_shared_by_all_cosines_changes_no_verdict(monkeypatch):
    """An anisotropic encoder, whose unrelated pairs are at 0.8, is judged as one whose are at 0."""
    monkeypatch.setattr(behaviour.templates, "unrelated", lambda: iter([("anchor", "unrelated", None)]))
    for low in (0.0, 0.8):
        cosines = {"anchor": 1.0, "unrelated": low, "near": low + 0.6 * (1 - low)}
        [result] = run_cases([planted("same")], Planted(cosines))
        assert result.similarity == pytest.approx(0.6)


def test_counts_per_capability():
    cases = [planted("same"), planted("same"), planted("different")]
    results = [behaviour.CaseResult(case, 0.5, None, ok, 0.1) for case, ok in zip(cases, (1, 0, 1), strict=True)]
    scores = by_capability(results)
    assert [(score.kind, score.cases, score.passed, score.share) for score in scores] == [
        ("same", 2, 1, 0.5),
        ("different", 1, 1, 1.0),
    ]


def test_unusable_cases_name_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="3 sentences"):
        Case.of("made", "directional", "a", "b", None)
    with pytest.raises(InputError, match="kind of test"):
        Case.of("made", "better", "a", "b", None)
    path = tmp_path / "mine.jsonl"
    path.write_text('{"capability": "x"}\n')
    with pytest.raises(InputError, match="line 1"):
        read_cases(path)
