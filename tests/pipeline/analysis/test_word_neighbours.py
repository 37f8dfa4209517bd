"""Search by words against the overlap counted by hand."""

from pipeline.analysis.neighbours import closest_by_words

AMONG = ["the red car stopped", "the dog barked", "a red red rose", "nothing at all", "THE CAR!"]


def test_texts_with_rarer_shared_words_come_first_and_those_without_any_are_left_out():
    # "rose" is in one text, "red" in two, "the" in three; the last two share nothing with a rose that is red.
    assert closest_by_words(["red rose"], AMONG, count=5) == [2, 0]
    assert closest_by_words(["red rose"], AMONG, count=1) == [2]


def test_the_best_of_several_wanted_texts_counts():
    found = closest_by_words(["dog barked", "the car"], AMONG, count=3)
    assert found[0] in (1, 4) and set(found[:2]) == {1, 4}


def test_nothing_wanted_nothing_there_and_no_words():
    assert closest_by_words([], AMONG, count=3) == []
    assert closest_by_words(["dog"], [], count=3) == []
    assert closest_by_words(["dog"], ["!", "?"], count=3) == []
    assert closest_by_words(["zebra"], AMONG, count=3) == []
