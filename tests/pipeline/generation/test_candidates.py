"""Several candidates per side: each rule against values worked by hand, and a run against its own candidates."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from pipeline.config import GenerationConfig
from pipeline.generation.llms.meter import BudgetError, Meter
from pipeline.generation.llms.protocol import Reply
from pipeline.generation.llms.torch_llm import BatchLimits
from pipeline.generation.triplets import Candidate, chosen, copied_share, generate
from pipeline.records import Contrast, InputError, Outcome, Premise, Side, SideResult

PREMISE = "The old boat lies on the beach."


def candidate(text, own=None, opposite=None, *, outcome=Outcome.OK, tokens=4):
    return Candidate(SideResult(text, text, outcome, tokens), own, opposite)


def test_each_rule_takes_what_its_name_says():
    # z = own - 0.5 opposite: a -6 + 2 = -4 (2 tokens: -2), b -9 + 6 = -3 (1.5: 2 tokens), c -8 + 1 = -7 (10: -0.7)
    a = candidate("The old boat lies on the beach today.", -6.0, -4.0, tokens=2)
    b = candidate("The vessel rests on the shore.", -9.0, -12.0, tokens=2)
    c = candidate("Somewhere an ancient ship.", -8.0, -2.0, tokens=10)
    offered = [a, b, c]
    assert [one.contrast(0.5) for one in offered] == [-4.0, -3.0, -7.0]
    best = {rule: chosen(offered, rule, omega=0.5, premise=PREMISE) for rule in (
        "first", "contrast", "contrast_per_token", "least_overlap")}  # fmt: skip
    assert best == {"first": a, "contrast": b, "contrast_per_token": c, "least_overlap": c}


def test_only_usable_candidates_are_chosen_and_without_any_the_first_tells_why():
    copy = candidate(PREMISE, -1.0, -1.0, outcome=Outcome.COPY)
    good = candidate("Fine.", -50.0, -1.0)
    unknown = candidate("Unknown.")
    assert chosen([copy, good], "contrast", omega=0.5, premise=PREMISE) is good
    assert chosen([unknown, good], "contrast", omega=0.5, premise=PREMISE) is good, "what is not known comes last"
    assert chosen([unknown, copy], "contrast", omega=0.5, premise=PREMISE) is unknown
    refused = candidate("No.", outcome=Outcome.REFUSED)
    assert chosen([refused, copy], "contrast", omega=0.5, premise=PREMISE) is refused
    assert candidate("x", -1.0).contrast(0.5) is None and candidate("x", -1.0).contrast(0.0) == -1.0
    assert copied_share("the BOAT sings", PREMISE) == pytest.approx(2 / 3) and copied_share("", PREMISE) == 1.0


@pytest.mark.parametrize("wrong", [{"candidates": 0}, {"candidates": 65}, {"candidates": 2}, {"choice": "best"},
                                   {"token_budget": -1}, {"money_budget": -0.1}])  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(InputError):
        GenerationConfig(**wrong)


class Scripted:
    """An LLM whose candidates are known: the text names its seed, log p is given."""

    name, context_length = "scripted", None

    def __init__(self, contrast, *, measures, repeats=False):
        self.contrast, self._measures, self._repeats, self.asked = contrast, measures, repeats, []

    def replies(self, asks, prompts, config, should_stop):
        for ask in asks:
            self.asked.append(ask)
            for side in Side:
                values = (-float(ask.key % 3), 0.0) if self._measures else (None, None)
                kind = "other" if side is Side.POSITIVE or self._repeats else "odd"
                yield Reply(ask.key, side, f" Quite {kind} words, {ask.key % 3}.", tokens=3, own_log_p=values[0],
                            opposite_log_p=values[1])  # fmt: skip

    def log_probabilities(self, asked, questions, replies):
        return np.array([-10.0 if "1." in reply else -20.0 for reply in replies])

    def close(self):
        pass


CONFIG = GenerationConfig(omega=0.5, temperature=0.8, candidates=3)


def test_a_run_asks_for_every_candidate_with_its_own_seed_and_keeps_one():
    llm = Scripted(Contrast.TOKEN, measures=True)
    made = list(generate([Premise.from_text(PREMISE), Premise.from_text("Other.")], CONFIG, llm))
    assert len(made) == 2 and len(llm.asked) == 6 and len({ask.seed for ask in llm.asked}) == 6
    assert {item.positive.text for item in made} == {"Quite other words, 0."}
    assert {item.contrast for item in made} == {Contrast.TOKEN}
    again = Scripted(Contrast.TOKEN, measures=True)
    list(generate([Premise.from_text("Other."), Premise.from_text(PREMISE)], CONFIG, again))
    assert {ask.seed for ask in again.asked} == {ask.seed for ask in llm.asked}, "seeds follow the premise"


def test_what_was_not_measured_while_writing_is_measured_afterwards():
    llm = Scripted(Contrast.TOKEN, measures=False)
    [made] = generate([Premise.from_text(PREMISE)], CONFIG, llm)
    assert (made.positive.text, made.hard_negative.text) == ("Quite other words, 1.", "Quite odd words, 1.")


@pytest.mark.parametrize("count", [1, 3])
def test_a_hard_negative_is_another_sentence_than_the_positive_or_a_copy(count):
    config = replace(CONFIG, candidates=count, temperature=0.8)
    [made] = generate([Premise.from_text(PREMISE)], config, Scripted(Contrast.TOKEN, measures=True, repeats=True))
    assert made.positive.text == "Quite other words, 0." and made.positive.outcome is Outcome.OK
    if count == 1:
        assert made.hard_negative.outcome is Outcome.COPY and not made.is_ok
    else:
        assert made.is_ok and made.hard_negative.text == "Quite other words, 1."


@pytest.mark.parametrize(("measures", "choice", "count", "used"), [
    (True, "contrast", 3, Contrast.SEQUENCE), (True, "contrast_per_token", 3, Contrast.SEQUENCE),
    (True, "first", 3, Contrast.NONE), (True, "contrast", 1, Contrast.NONE), (False, "contrast", 3, Contrast.NONE),
])  # fmt: skip
def test_a_server_is_recorded_as_contrasted_only_when_it_was(measures, choice, count, used):
    config = GenerationConfig(omega=0.5, temperature=0.8, candidates=count, choice=choice)
    [made] = generate([Premise.from_text(PREMISE)], config, Scripted(Contrast.SEQUENCE, measures=measures))
    assert made.contrast is used


def test_a_meter_waits_for_calls_under_way_before_it_gives_up():
    meter = Meter(token_budget=400)
    first = meter.reserve("x" * 200, 10)
    got = []
    waiting = threading.Thread(target=lambda: got.append(meter.reserve("x" * 200, 10)))
    waiting.start()
    time.sleep(0.1)
    assert not got, "the worst case of two calls does not fit"
    meter.settle(first, 20, 5)
    waiting.join(timeout=5)
    assert got and meter.spent.tokens == 25
    meter.settle(got[0], None, None)
    assert meter.spent.tokens == 25 + 200 + 64 + 10, "what is not told is counted as reserved"
    with pytest.raises(BudgetError):
        meter.reserve("x" * 200, 10)


def test_a_note_of_batch_sizes_that_cannot_be_read_is_learned_anew(tmp_path):
    limits = BatchLimits(tmp_path, "a")
    limits.shrink(9)
    assert BatchLimits(tmp_path, "a").at_most(100) == 4
    for damaged in ("", "[]", '{"a": "x"}', "{"):
        (tmp_path / "batch-limits.json").write_text(damaged)
        assert BatchLimits(tmp_path, "a").at_most(100) == 100
    BatchLimits(tmp_path, "b").shrink(1)
    assert BatchLimits(tmp_path, "b").at_most(5) == 1
