"""Stage 1 with the embedded LLM: outcomes add up, seeds repeat, and the batch agrees with the plain loop."""

from collections import Counter

import pytest

from pipeline.config import GenerationConfig
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.llms.protocol import Ask
from pipeline.generation.llms.registry import entry_for
from pipeline.generation.outcomes import words
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.prompts import FewShot
from pipeline.generation.triplets import generate
from pipeline.records import Contrast, InputError, Outcome, Premise, Side
from tests.references.naive_pair import NaivePair

SENTENCES = [
    "A man in a blue shirt is fixing a bicycle.",
    "How many legs does a spider have?",
    "The bakery on the corner opens at six every morning.",
    "Two dogs chase a ball across the beach.",
    "She was late because the bus had broken down.",
    "Water the plants before the sun gets too hot.",
]
WEIRD = [
    "",
    "   \t ",
    "😀😀😀",
    "bell \x07 escape \x1b[31m nul \x00 end",
    "line\nbreaks\r\nin it",
    "\ud800 half a pair",
    "<|im_end|><|im_start|>system",
    "word " * 3000,
    "x" * 200_000,
    "Ünïcödé שלום 你好",
    "?",
]
SHORT = 16


def triplets(llm, texts, **settings):
    config = GenerationConfig(**({"max_new_tokens": SHORT} | settings))
    premises = [Premise(str(place), text) for place, text in enumerate(texts)]
    made = list(generate(premises, config, GgufLLM(llm)))
    return {int(triplet.premise.premise_id): triplet for triplet in made}, made


@pytest.mark.parametrize("omega", [0.0, 0.6])
def test_every_premise_ends_in_one_outcome_per_side(llm, omega):
    texts = SENTENCES + WEIRD
    by_place, made = triplets(llm, texts, omega=omega)
    assert sorted(by_place) == list(range(len(texts)))
    assert len(made) == len(texts)
    for side in ("positive", "hard_negative"):
        assert sum(Counter(getattr(one, side).outcome for one in made).values()) == len(texts)
    assert {one.contrast for one in made} == {Contrast.TOKEN if omega else Contrast.NONE}
    for place, text in enumerate(texts):
        assert by_place[place].premise.text == text, "the premise comes back untouched"
    for unfit in (text for text in WEIRD if not text.strip()):
        assert by_place[texts.index(unfit)].positive.outcome is Outcome.FAILED
    for endless in (text for text in WEIRD if len(text) > 10_000):
        assert by_place[texts.index(endless)].hard_negative.outcome is Outcome.TOO_LONG


def test_outcomes_say_what_the_texts_are(llm):
    _, made = triplets(llm, SENTENCES, omega=0.0, max_new_tokens=6)
    sides = [(one.premise.text, side) for one in made for side in (one.positive, one.hard_negative)]
    assert any(side.outcome is Outcome.TRUNCATED for _, side in sides)
    for premise, side in sides:
        assert (side.outcome is Outcome.TRUNCATED) == (side.tokens == 6)
        if side.outcome is Outcome.OK:
            assert side.text and words(side.text) != words(premise)


def test_batched_tokens_are_what_the_plain_loop_over_two_models_would_choose(llm):
    """Each token of the batched replies is put to two `Llama` objects stepped one by one.

    The texts themselves are not compared: with 8-bit activations the logits of one prompt differ by 0.07 on average
    and 0.3 at most from one batch shape to another, so near-ties fall either way and the rest of a reply follows. So:
    a token is at most 0.8 below the loop's best z (two prompts' rounding), and nearly always it is the best.
    """
    batched, _ = triplets(llm, SENTENCES, omega=0.6)
    naive = NaivePair(llm.path, prompt_set("default"), omega=0.6, plausibility=0.05, threads=1)
    gaps = []
    for place in range(3):
        for side, result in (
            (Side.POSITIVE, batched[place].positive),
            (Side.HARD_NEGATIVE, batched[place].hard_negative),
        ):
            naive.start(SENTENCES[place], side)
            for token in llm.tokenize(result.raw):
                z = naive.z()
                gaps.append(z.max() - z[token])
                naive.push(token)
    naive.close()
    assert len(gaps) > 30
    assert max(gaps) < 0.8
    assert sum(gap == 0 for gap in gaps) > 0.8 * len(gaps)


def test_continuations_are_the_likeliest_tokens_one_by_one(llm):
    """What premises from scratch are written with, against a loop that reads everything anew for each token."""
    spoken = GgufLLM(llm)
    shared = "Each line names a place.\nPlace: Rome\n"
    tails = ["Place:", "Another place, by the sea:", "word " * 3000]
    config = GenerationConfig(omega=0.6, max_new_tokens=5, batch_size=2)
    asks = [Ask(number, tail, seed=0) for number, tail in enumerate(tails)]
    made = spoken.continuations(FewShot(shared[:-1]), iter(asks), config, lambda: False)
    found = {reply.key: reply for reply in made}
    assert sorted(found) == [0, 1, 2] and found[2].problem is Outcome.TOO_LONG
    for ask in asks[:2]:
        tokens: list[int] = []
        while len(tokens) < 5:
            token = int(spoken.next_log_probabilities(shared + ask.premise, tokens)[-1].argmax())
            if spoken.is_end(token):
                break
            tokens.append(token)
        assert found[ask.key].raw == spoken.detokenize(tokens)


@pytest.mark.parametrize("omega", [0.0, 0.6])
def test_left_alone_the_batch_fills_the_rows_of_the_engine(llm, omega, monkeypatch):
    rows, logits = [], llm.logits

    def counted(pieces):
        rows.append(len(pieces))
        return logits(pieces)

    monkeypatch.setattr(llm, "logits", counted)
    monkeypatch.setattr(llm, "rows", 12)
    premises = [Premise.from_text(f"{sentence} Number {number}.") for number, sentence in enumerate(SENTENCES * 2)]
    list(generate(premises, GenerationConfig(omega=omega, max_new_tokens=3), GgufLLM(llm)))
    assert max(rows) == 12


def test_contrast_moves_the_replies(llm):
    plain, contrasted = triplets(llm, SENTENCES, omega=0.0)[0], triplets(llm, SENTENCES, omega=0.6)[0]
    assert sum(plain[place].positive.raw != contrasted[place].positive.raw for place in plain) >= 3


def test_samples_repeat_with_their_seed_and_change_with_another(llm):
    settings = {"omega": 0.6, "temperature": 0.9, "top_p": 0.95}
    first, again, other = (triplets(llm, SENTENCES, seed=seed, **settings)[0] for seed in (1, 1, 2))
    assert first == again
    assert sum(first[place].positive.raw != other[place].positive.raw for place in first) >= 3


def test_a_stop_ends_the_run_early_and_the_model_serves_the_next(llm):
    seen = []
    for triplet in generate(
        (Premise(str(place), text) for place, text in enumerate(SENTENCES * 4)),
        GenerationConfig(omega=0.0, max_new_tokens=SHORT, batch_size=4),
        GgufLLM(llm),
        should_stop=lambda: len(seen) >= 2,
    ):
        seen.append(triplet)
    assert 2 <= len(seen) < len(SENTENCES) * 4
    assert len(triplets(llm, SENTENCES[:2], omega=0.0)[1]) == 2


def test_a_premise_given_twice_is_answered_twice(llm):
    _, made = triplets(llm, [SENTENCES[0]] * 2, omega=0.0)
    assert len(made) == 2
    assert made[0].positive == made[1].positive


def test_unknown_names_are_told_with_the_known_ones(llm, tmp_path):
    with pytest.raises(InputError, match="default"):
        triplets(llm, SENTENCES[:1], prompt_set="no such set")
    with pytest.raises(InputError, match="smollm2-135m"):
        entry_for("gpt-17")
    with pytest.raises(InputError, match=r"There is no LLM '.*absent\.gguf'"):
        entry_for(str(tmp_path / "absent.gguf"))
