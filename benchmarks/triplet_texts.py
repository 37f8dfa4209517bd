"""Made-up triplets for timing: all sentences different, of the length of a caption or filled up to a length."""

from itertools import islice, product

from pipeline.records import Triplet

_SUBJECTS = ("A dog", "The old teacher", "My neighbour", "A small boat", "The orchestra", "Her brother", "A farmer")
_VERBS = ("finds", "paints", "forgets", "carries", "repairs", "sells", "draws", "hides", "admires", "follows")
_OBJECTS = ("a red kite", "the broken clock", "two wooden chairs", "a map of the town", "the last letter")
_PLACES = ("by the river", "in the rain", "after lunch", "behind the station on a quiet morning in early spring")
_ENDINGS = ("", " again", " with great care", " for the very first time this year", " while everybody else is asleep")
_FILLER = " and then walks slowly back along the same long road to the house where all of this began many years ago"


def captions(count: int, *, long: bool = False) -> list[Triplet]:
    """Return `count` triplets; with `long` every text has more than 32 tokens."""
    more = _FILLER + _FILLER if long else ""
    whole = [
        Triplet(
            f"{s} {v} {o} {p}{e}{more}.",
            f"{p.capitalize()}, {s.lower()} {v} {o}{e}{more}.",
            f"{s} never {v} {o}{e}{more}.",
        )
        for s, v, o, p, e in product(_SUBJECTS, _VERBS, _OBJECTS, _PLACES, _ENDINGS)
    ]
    numbered = (
        t if turn == 0 else Triplet(*(f"{turn} {text}" for text in (t.premise, t.positive, t.hard_negative)))
        for turn in range(count // len(whole) + 1)
        for t in whole
    )
    return list(islice(numbered, count))
