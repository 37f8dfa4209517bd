"""Search for text and patterns against Python's own `in` and `re`; shortcuts must never lose a row."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import add, triplet_row

from workbench.store.filters import TripletFilter, certain_text, containing

SENTENCES = [
    "Straße 42 is CLOSED.",
    "A man reads shelf 4242 twice.",
    "100%_ of \\ 'quotes' \"here\"",
    "ΟΔΥΣΣΕΥΣ and Ånen",
    "a.b*c [x] {2} (y) | z^ $9",
]


@pytest.fixture
def shelf(store):
    rows = [
        triplet_row(f"t{n}", premise=text, positive=f"P{n}", hard_negative="") for n, text in enumerate(SENTENCES)
    ]
    add(store, "triplets", rows)
    return store


@pytest.mark.parametrize(
    "text", ["shelf 4242", "42", "CLOSED", "ånen", "%_", "\\", "' ", "[x]", "p1", "1\n", "zebra", "straße"]
)
def test_text_in_any_case_as_python_finds_it(shelf, text):
    found = shelf.triplets.rows(TripletFilter(text=text))["triplet_id"].tolist()
    texts = [(sentence, f"P{n}", "") for n, sentence in enumerate(SENTENCES)]
    expected = [f"t{n}" for n, sides in enumerate(texts) if any(text.lower() in side.lower() for side in sides)]
    assert found == expected


PATTERN_PARTS = [
    "shelf",
    "42",
    "4",
    "2+",
    "2*",
    "x?",
    "[a-z]+",
    r"\d",
    r"\.",
    ".",
    "s{2}",
    " ",
    "c{0,1}",
    "^",
    "$",
    "a",
]


@given(st.lists(st.sampled_from(PATTERN_PARTS), max_size=6).map("".join), st.text("shelfx42a. sc", max_size=30))
def test_every_match_contains_the_certain_text(pattern, text):
    try:
        matched = re.search(pattern, text)
    except re.error:
        return
    if matched:
        assert certain_text(pattern) in matched[0] or certain_text(pattern) in text


@pytest.mark.parametrize(
    ("pattern", "sure"),
    [
        (r"book 4[0-3] ", "book 4"),
        ("abcd*", "abc"),
        ("abc|abd", ""),
        ("(abc)", ""),
        ("(?i)abc", ""),
        (r"\x41bcd", ""),
        (r"\101bcd", ""),
        ("[[:alpha:]]bcd", ""),
        (r"abc\.defg", "defg"),
        ("abcd{0}ef", "abc"),
        ("ab.cd", ""),
    ],
)
def test_certain_text_by_hand(pattern, sure):
    assert certain_text(pattern) == sure


def test_the_rarest_letter_is_looked_for_first():
    assert containing("shelf 4242")[1] == ["4242", "shelf 4242"]
    assert containing("4242")[1] == ["4242"]


def test_a_pattern_keeps_its_case_and_stays_inside_one_sentence(shelf):
    def ids(pattern):
        return shelf.triplets.rows(TripletFilter(pattern=pattern))["triplet_id"].tolist()

    assert ids("CLOSED") == ["t0"]
    assert ids("closed") == []
    assert ids("twice.[^a]*P1") == []
    assert ids("^A man reads .*twice\\.$") == ["t1"]
