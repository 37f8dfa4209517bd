"""Texts that share the telling words of other texts: a quick search that needs no encoder."""

from collections.abc import Sequence

import numpy as np


def closest_by_words(wanted: Sequence[str], among: Sequence[str], *, count: int) -> list[int]:
    """Return the rows of up to `count` texts that share most with any of the wanted ones, best first.

    Cosine of tf-idf vectors of words, idf over `among`; the highest of the cosines with the wanted texts counts.
    Texts that share no word with any of them are left out. Words are runs of letters or digits, in lower case.
    """
    if not wanted or not among or count < 1:
        return []
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", sublinear_tf=True)
    try:
        rows = vectorizer.fit_transform(among)
    except ValueError:
        return []  # not a single word in any of them
    best = np.asarray((rows @ vectorizer.transform(wanted).T).max(axis=1).todense()).ravel()
    order = np.argsort(-best, kind="stable")[:count]
    return [int(row) for row in order if best[row] > 0]
