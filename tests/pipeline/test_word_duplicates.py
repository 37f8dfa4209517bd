"""Near duplicates against a comparison of every text with every earlier one."""

import random

import pytest

from pipeline.generation.written_premises import WordDuplicates, jaccard, word_set


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 1.0])
def test_the_same_are_found_as_by_comparing_all(threshold: float):
    draw = random.Random(7)
    words = "a the dog cat runs sleeps quickly on under bridge river old red".split()
    texts = [" ".join(draw.choices(words, k=draw.randint(1, 9))) for _ in range(400)]
    index, seen, found = WordDuplicates(threshold), [], 0
    for text in texts:
        expected = next((old for old in seen if jaccard(word_set(text), word_set(old)) >= threshold), None)
        assert index.find(text) == expected
        found += expected is not None
        index.add(text)
        seen.append(text)
    assert 20 < found < 400


def test_case_and_signs_do_not_count_and_a_changed_word_may():
    index = WordDuplicates(0.7)
    index.add("The old dog sleeps under the bridge.")
    assert index.find("the old dog, sleeps under the bridge!") is not None
    assert index.find("The old dog sleeps under a bridge.") is not None
    assert index.find("A cat sleeps in a red car.") is None
    index.add("???")
    assert index.find("!!!") is None
    assert index.find("???") == "???"


def test_a_threshold_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="threshold"):
        WordDuplicates(0.0)
