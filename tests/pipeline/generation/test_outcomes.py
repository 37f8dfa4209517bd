"""Raw replies by hand: what is cleaned away, and which single outcome each gets."""

from dataclasses import replace

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


def test_stop_strings_end_a_reply_and_save_it_from_being_truncated():
    prompts = replace(DEFAULT, positive=replace(DEFAULT.positive, stop=(" ###", "||")))
    told = classify("Someone rides.|| more ### x", PREMISE, Side.POSITIVE, prompts, cut=True, tokens=3)
    assert (told.text, told.outcome) == ("Someone rides.", Outcome.OK)
    assert classify("Someone rides", PREMISE, Side.POSITIVE, prompts, cut=True, tokens=3).outcome is Outcome.TRUNCATED


@pytest.mark.parametrize(
    ("part", "raw"),
    [
        ("bullets", "- A cat sleeps."),
        ("labels", "Same meaning: A cat sleeps."),
        ("preambles", "Sure, here is a paraphrase: A cat sleeps."),
        ("preambles", "Here's the rewritten sentence: A cat sleeps."),
        ("quotes", "“A cat sleeps.”"),
    ],
)
def test_each_part_of_the_clean_up_can_be_switched_off(part, raw):
    assert clean(raw, DEFAULT.positive)[0] == "A cat sleeps."
    kept = replace(DEFAULT.positive, clean_up=replace(DEFAULT.positive.clean_up, **{part: False}))
    assert clean(raw, kept)[0] == raw


@pytest.mark.parametrize("text", ["Here is the thing: a cat sleeps.", "Of course: a cat sleeps.", "Sure: it rains."])
def test_a_colon_alone_is_no_announcement(text):
    assert clean(text, DEFAULT.positive)[0] == text
