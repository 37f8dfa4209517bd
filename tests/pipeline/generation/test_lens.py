"""The contrast lens: the values of a record against two models asked from scratch, and its replay by hand."""

import json

import numpy as np
import pytest

from pipeline.generation.contrast import TokenChoice
from pipeline.generation.lens import KEPT_OPPOSITE, KEPT_OWN, Candidate, LensRecord, LensStep, record_reply
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.llms.protocol import log_softmax
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.token_probabilities import EngineReader, RereadingReader, answer, open_reader
from pipeline.records import InputError, Side
from tests.references.naive_pair import NaivePair

PREMISE = "Two dogs chase a ball across the wet beach."
HOW = TokenChoice(omega=0.6, plausibility=0.1)


def recorded(llm, prompts, side: Side, how: TokenChoice = HOW, tokens: int = 16) -> LensRecord:
    own, opposite = (
        EngineReader(llm, llm.tokenize(prompt.prefix()) + llm.tokenize(prompt.tail(PREMISE)), row)
        for row, prompt in enumerate((prompts.own(side), prompts.opposite(side)))
    )
    steps = record_reply(
        (own, opposite),
        how,
        max_new_tokens=tokens,
        is_end=lambda token: bool(llm.ends[token]),
        text_of=lambda token: llm.detokenize([token]),
    )
    try:
        return LensRecord(how.omega, how.plausibility, tuple(steps))
    finally:
        own.close()
        opposite.close()


@pytest.mark.parametrize(("name", "side"), [("default", Side.POSITIVE), ("against copying", Side.HARD_NEGATIVE)])
def test_values_are_those_of_two_models_asked_from_scratch_at_every_token(llm, name, side):
    """Two `Llama` objects, both prompts with all tokens so far evaluated anew for each step.

    Tolerance: the record reads one token at a time and the reference whole texts, and with 8-bit activations the
    logits of another batch shape differ by 0.1 on average and 0.3 at most; so 0.2 on average, 0.5 for any value. The
    two prompts' own values lie further apart than that.
    """
    prompts = prompt_set(name)
    record = recorded(llm, prompts, side, tokens=5)
    naive = NaivePair(llm.path, prompts, omega=HOW.omega, plausibility=HOW.plausibility, threads=1)
    gaps, apart = [], []
    for place in range(0, len(record.steps), 2):
        naive.start(PREMISE, side)
        for before in record.steps[:place]:
            naive.push(before.candidates[before.chosen].token)
        own, opposite = naive.rows()
        step = record.steps[place]
        for candidate in step.candidates[:10]:
            gaps += [candidate.own - own[candidate.token], candidate.opposite - opposite[candidate.token]]
            apart.append(candidate.own - opposite[candidate.token])
        assert own.max() - own[step.candidates[0].token] < 0.5, "the first candidate is the likeliest"
        z = own - HOW.omega * opposite
        z[own < own.max() + np.log(HOW.plausibility)] = -np.inf
        assert z.max() - z[step.candidates[step.chosen].token] < 0.8
    naive.close()
    assert len(gaps) >= 40
    assert np.abs(gaps).max() < 0.5
    assert np.abs(gaps).mean() < 0.2 < np.abs(apart).mean()


def test_the_replay_at_the_recorded_omega_is_the_record_and_others_leave_it(llm):
    record = recorded(llm, prompt_set("default"), Side.POSITIVE)
    assert record.leaves_at(HOW.omega) is None
    leaving = [record.leaves_at(omega) for omega in (0.0, 0.3, 0.9)]
    assert any(place is not None for place in leaving), "contrast must have changed a token"
    place = record.leaves_at(0.0)
    if place is not None:  # plain greedy choice: the likeliest own token
        step = record.steps[place]
        assert step.choice(0.0, HOW.plausibility) is step.candidates[0]
    again = recorded(llm, prompt_set("default"), Side.POSITIVE, TokenChoice(0.0, 0.1))
    shared = place if place is not None else len(record.steps)
    taken = [[step.candidates[step.chosen].token for step in one.steps[:shared]] for one in (record, again)]
    assert taken[0] == taken[1], "up to where the replay leaves the record, plain generation writes the same"


def test_a_record_survives_json(llm):
    record = recorded(llm, prompt_set("default"), Side.HARD_NEGATIVE, tokens=3)
    assert LensRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


class Script:
    """A reader whose next-token probabilities are written down."""

    def __init__(self, rows):
        self.rows, self.seen = iter(rows), []

    def read(self, tokens):
        self.seen.append(list(tokens))
        return np.log(np.array(next(self.rows), dtype=np.float32))

    def close(self):
        pass


def test_choice_cut_and_pushed_away_by_hand():
    own = Script([[0.5, 0.3, 0.15, 0.05], [0.05, 0.05, 0.1, 0.8]])
    opposite = Script([[0.7, 0.1, 0.01, 0.19], [0.25, 0.25, 0.25, 0.25]])
    how = TokenChoice(omega=0.5, plausibility=0.4)
    steps = list(record_reply((own, opposite), how, max_new_tokens=5, is_end=lambda token: token == 3, text_of=str))
    first, last = steps
    # z: log .5 - .5 log .7 = -0.515; log .3 - .5 log .1 = -0.053; token 2 (0.15 < 0.4 * 0.5) is cut though z is 0.41.
    assert first.candidates[first.chosen].token == 1
    assert [one.token for one in first.plausible(0.4)] == [0, 1]
    assert [one.token for one in first.pushed_away(0.5, 0.4)] == [0]
    assert first.choice(0.0, 0.4).token == 0 and first.choice(0.5, 0.0).token == 2
    assert (last.ends, last.candidates[last.chosen].token, last.pushed_away(0.5, 0.4)) == (True, 3, ())
    assert own.seen == opposite.seen == [[], [1]], "both are continued by the same token"
    record = LensRecord(0.5, 0.4, tuple(steps))
    # Equal z where .3 / .5 = (.1 / .7) ** omega: below log(3/5) / log(1/7) = 0.2625 the plain choice stays.
    assert record.leaves_at(0.27) is None
    assert record.leaves_at(0.26) == 0


def test_every_possible_winner_is_kept():
    rng = np.random.default_rng(3)
    own, opposite = (log_softmax(rng.normal(0, 1, (1, 400)).astype(np.float32))[0] for _ in range(2))
    readers = Script([np.exp(own)]), Script([np.exp(opposite)])
    how = TokenChoice(omega=0.5, plausibility=0.0)
    [step] = record_reply(readers, how, max_new_tokens=1, is_end=lambda _: False, text_of=str)
    assert KEPT_OWN <= len(step.candidates) <= KEPT_OWN + KEPT_OPPOSITE + 101
    for omega in np.arange(0, 1, 0.05):
        assert step.choice(float(omega), 0.0).token == int(np.argmax(own - omega * opposite))


def test_a_candidate_knows_its_z():
    assert Candidate(1, "a", -1.0, -3.0).z(0.5) == 0.5
    assert LensStep((Candidate(1, "a", -1.0, -3.0),), 0, ends=False).pushed_away(0.9, 0.1) == ()


def test_an_answer_goes_on_from_any_text_and_repeats_with_its_seed(llm):
    prompt = llm.tokenize("The capital of France is")

    def tokens(how: TokenChoice, seed: int = 0, limit: int = 6) -> list[int]:
        reader = EngineReader(llm, prompt)
        try:
            return list(answer(reader, how, seed=seed, max_new_tokens=limit, is_end=lambda t: bool(llm.ends[t])))
        finally:
            reader.close()

    assert "Paris" in llm.detokenize(tokens(TokenChoice()))
    hot = TokenChoice(temperature=1.2)
    assert tokens(hot, seed=1) == tokens(hot, seed=1)
    assert len({tuple(tokens(hot, seed=seed)) for seed in range(4)}) > 1
    assert len(tokens(TokenChoice(), limit=2)) == 2


def test_a_prompt_longer_than_the_window_is_told(llm):
    with pytest.raises(InputError, match="shorten"):
        EngineReader(llm, [5] * (llm.window + 1)).read(())


def test_any_llm_that_shows_its_probabilities_can_be_read(llm):
    """The plain reader, which asks for everything anew, against one that keeps a row; tolerance as above."""
    whole = GgufLLM(llm)
    prompt = f"Say it again.\nSentence: {PREMISE}\nAgain:"
    kept, plain = open_reader(whole, prompt, row=1), RereadingReader(whole, prompt)
    assert isinstance(kept, EngineReader) and kept.prompt_tokens == plain.prompt_tokens
    rows = [(reader.read(()), reader.read([llm.tokenize(" Two")[0]])) for reader in (kept, plain)]
    kept.close()
    for one, other in zip(*rows, strict=True):
        best = np.argsort(-other)[:10]
        assert np.abs(one[best] - other[best]).mean() < 0.2
    with pytest.raises(InputError, match="empty"):
        open_reader(whole, "")
