"""Hard negatives mined from the other rows' positives, to be compared with those that an LLM wrote."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.records import Triplet

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MARGIN = 0.05
"""A text nearer to the premise than this share below its own positive may be one more positive, and is left out."""


def mined_hard_negatives(triplets: Sequence[Triplet], guide: "SentenceTransformer") -> list[Triplet]:
    """Replace each hard negative by the nearest positive of another row that is no false negative to the guide.

    That is TopK-PercPos of NV-Retriever (arXiv 2407.15831) with one negative a row, as sentence-transformers does it.
    Rows without a text below the margin are left out; the order is that of the triplets.
    """
    from datasets import Dataset
    from sentence_transformers.util import mine_hard_negatives

    pairs = {
        "anchor": [triplet.premise for triplet in triplets],
        "positive": [triplet.positive for triplet in triplets],
    }
    mined = mine_hard_negatives(
        Dataset.from_dict(pairs), guide, num_negatives=1, relative_margin=MARGIN, verbose=False
    )
    return [Triplet(row["anchor"], row["positive"], row["negative"]) for row in mined]
