"""The scheduler against a loop over single replies, with a model whose logits are known exactly."""

from dataclasses import replace

import numpy as np
import pytest
from toy_llm import END, ToyLLM, logits_after

from pipeline.generation.contrast import TokenChoice, pick
from pipeline.generation.engines.lockstep import OTHER, Lockstep, RawReply, Request
from pipeline.generation.token_choice import contrast
from pipeline.records import Outcome, Side

PREFIXES = {Side.POSITIVE: [1, 2, 3], Side.HARD_NEGATIVE: [4, 5], "repeat": [6, 6]}
LIMIT = 12


def requests(count: int) -> list[Request]:
    rng = np.random.default_rng(0)
    made = []
    for key in range(count):
        words = rng.integers(1, 11, rng.integers(1, 6)).tolist()
        made.append(Request(key, {Side.POSITIVE: [*words, 7], Side.HARD_NEGATIVE: [*words, 8]}, seed=key))
    return made


def one_by_one(request: Request, side: Side, how: TokenChoice, opposites=OTHER) -> tuple[list[int], bool]:
    """One reply, token by token, both prompts written out in full each time."""
    draws = np.random.default_rng([request.seed, int(side is Side.POSITIVE)])
    reply: list[int] = []
    while len(reply) < LIMIT:
        own, opposite = (
            logits_after([*PREFIXES[prompt], *request.tails[prompt], *reply])[None]
            for prompt in (side, opposites[side])
        )
        z = contrast(own, opposite, omega=how.omega, plausibility=how.plausibility)[0].numpy()
        token = pick(z, how, draws.random() if how.temperature else None)
        if token == END:
            return reply, False
        reply.append(token)
    return reply, True


def run(llm: ToyLLM, how: TokenChoice, wanted: list[Request], slots: int = 6) -> list[RawReply]:
    lockstep = Lockstep(llm, PREFIXES, how, slots=slots, max_new_tokens=LIMIT)
    return list(lockstep.run(iter(wanted), lambda: False))


def assert_as_one_by_one(replies: list[RawReply], wanted: list[Request], how: TokenChoice) -> None:
    assert sorted((reply.key, reply.side) for reply in replies) == sorted(
        (request.key, side) for request in wanted for side in Side
    )
    for reply in replies:
        assert (reply.tokens, reply.cut) == one_by_one(wanted[reply.key], reply.side, how)


@pytest.mark.parametrize(("slots", "ahead"), [(1, 1), (2, 3), (7, 1), (7, 5), (200, 1)])
@pytest.mark.parametrize(
    "how",
    [TokenChoice(), TokenChoice(omega=0.6), TokenChoice(omega=0.6, plausibility=0, temperature=0.8, top_p=0.9)],
    ids=["plain", "contrast", "sampled"],
)
def test_replies_side_by_side_equal_replies_one_by_one(slots, ahead, how):
    wanted = requests(17)
    replies = run(ToyLLM(ahead=ahead), how, wanted, slots)
    assert {reply.cut for reply in replies} == {True, False}, "the toy must both end and be cut"
    assert_as_one_by_one(replies, wanted, how)


def test_contrast_changes_replies():
    wanted = requests(17)
    plain, contrasted = (
        {(reply.key, reply.side): reply.tokens for reply in run(ToyLLM(), how, wanted)}
        for how in (TokenChoice(), TokenChoice(omega=0.6))
    )
    assert sum(plain[key] != contrasted[key] for key in plain) > 10


def test_the_batch_stays_full_while_premises_wait():
    llm = ToyLLM()
    run(llm, TokenChoice(omega=0.6), requests(60), slots=8)
    middle = llm.rows_per_call[2 : len(llm.rows_per_call) // 2]
    # Rows of open replies are refilled in pairs of sides; a new premise brings two pieces for its four rows.
    assert np.mean(middle) > 0.8 * 16


def test_each_prompt_of_a_premise_is_decoded_once():
    llm = ToyLLM()
    wanted = requests(1)
    run(llm, TokenChoice(omega=0.6), wanted)
    assert llm.rows_per_call[0] == 2, "two prompts for four rows"


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("real_cells", [30, 45, 90])
def test_a_full_cache_shrinks_the_batch_and_nothing_is_lost(real_cells, ahead):
    """The scheduler is told of more cells than there are, so its own reckoning cannot prevent the overflow."""
    wanted, how = requests(9), TokenChoice(omega=0.6)
    llm = ToyLLM(cells=4096, real_cells=real_cells, ahead=ahead)
    replies = run(llm, how, wanted, slots=16)
    assert llm.calls > len(llm.rows_per_call), "the cache must have overflowed"
    if real_cells >= 45:
        assert_as_one_by_one(replies, wanted, how)
    else:  # not even one reply fits with both its rows in every case: those are named, the others are right
        assert len(replies) == 18
        for reply in replies:
            if reply.problem is None:
                assert (reply.tokens, reply.cut) == one_by_one(wanted[reply.key], reply.side, how)
            else:
                assert reply.problem is Outcome.TOO_LONG


def test_known_shortage_of_cells_admits_fewer_premises_without_an_overflow():
    wanted, how = requests(9), TokenChoice(omega=0.6)
    llm = ToyLLM(cells=130)
    assert_as_one_by_one(run(llm, how, wanted, slots=16), wanted, how)
    assert llm.calls == len(llm.rows_per_call)


def test_a_broken_call_fails_the_replies_in_flight_and_no_others():
    wanted, how = requests(9), TokenChoice(omega=0.6)
    replies = run(ToyLLM(broken_calls=[3]), how, wanted, slots=4)
    failed = [reply for reply in replies if reply.problem is Outcome.FAILED]
    assert 1 <= len(failed) <= 4
    assert len({(reply.key, reply.side) for reply in replies}) == len(replies) == 18


def test_a_stop_leaves_no_sequence_behind():
    llm, seen = ToyLLM(), []
    lockstep = Lockstep(llm, PREFIXES, TokenChoice(omega=0.6), slots=6, max_new_tokens=LIMIT)
    for reply in lockstep.run(iter(requests(30)), lambda: len(seen) >= 3):
        seen.append(reply)
    assert 3 <= len(seen) < 20
    assert llm.open_sequences() == len(PREFIXES)


def test_a_side_can_have_an_opposite_that_is_nobodys_own_prompt():
    how, opposites = TokenChoice(omega=0.6), {Side.POSITIVE: "repeat", Side.HARD_NEGATIVE: "positive"}
    wanted = [replace(one, tails={**one.tails, "repeat": one.tails[Side.POSITIVE][:-1]}) for one in requests(9)]
    lockstep = Lockstep(ToyLLM(), PREFIXES, how, slots=6, max_new_tokens=LIMIT, opposites=opposites)
    moved = 0
    for reply in lockstep.run(iter(wanted), lambda: False):
        request = wanted[reply.key]
        assert (reply.tokens, reply.cut) == one_by_one(request, reply.side, how, opposites)
        moved += (reply.tokens, reply.cut) != one_by_one(request, reply.side, how)
    assert moved >= 5, "the other opposite must have mattered"
