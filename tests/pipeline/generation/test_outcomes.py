"""Raw replies by hand: what is cleaned away, and which single outcome each gets."""

import pytest

from pipeline.generation.outcomes import classify, clean, words
from pipeline.generation.prompt_sets import prompt_set
from pipeline.records import Outcome, Side

PREMISE = "A man is riding a horse."
DEFAULT = prompt_set("default")


def outcome(raw: str, *, cut: bool = False, premise: str = PREMISE) -> Outcome:
    return classify(raw, premise, Side.POSITIVE, DEFAULT, cut=cut, tokens=3).outcome


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (" Someone rides a horse.", Outcome.OK),
        (" a MAN is riding, a horse", Outcome.COPY),
        ('"A man is riding a horse!"', Outcome.COPY),
        ("", Outcome.EMPTY),
        (" \t ", Outcome.EMPTY),
        ('""', Outcome.EMPTY),
        ("I'm sorry, but I can't help with that.", Outcome.REFUSED),
        ("I cannot rewrite this sentence.", Outcome.REFUSED),
        ("As an AI language model, I do not ride.", Outcome.REFUSED),
        ("I cannot ride a horse.", Outcome.OK),
        ("Sorry to say, he rides a horse.", Outcome.OK),
        ("A horse, ridden", Outcome.OK),
    ],
)
def test_each_reply_has_its_outcome(raw, expected):
    assert outcome(raw) is expected


def test_a_cut_reply_is_truncated_unless_it_says_nothing():
    assert outcome(" Someone rides a", cut=True) is Outcome.TRUNCATED
    assert outcome("   ", cut=True) is Outcome.EMPTY


def test_the_raw_text_is_kept_beside_the_cleaned_one():
    result = classify(' "Someone rides." ', PREMISE, Side.POSITIVE, DEFAULT, cut=False, tokens=5)
    assert (result.text, result.raw, result.tokens) == ("Someone rides.", ' "Someone rides." ', 5)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("- A cat sleeps.", "A cat sleeps."),
        ("2) A cat sleeps.", "A cat sleeps."),
        ("“A cat sleeps.”", "A cat sleeps."),
        ('"Stop," he said, "now"', '"Stop," he said, "now"'),
        ("It's Ann's", "It's Ann's"),
        (f"{DEFAULT.positive.reply_label}: A cat sleeps.", "A cat sleeps."),
        ("A  cat\tsleeps.\nSentence: another", "A cat sleeps."),
        ("3 cats sleep.", "3 cats sleep."),
    ],
)
def test_clean_takes_off_wrapping_and_nothing_else(raw, text):
    assert clean(raw, DEFAULT.positive) == (text, False)


def test_signs_alone_are_compared_as_signs():
    assert outcome("😀 😀", premise="😀😀") is Outcome.COPY
    assert outcome("😢", premise="😀") is Outcome.OK
    assert words("É ! x") == "éx"
