"""Stage 2: judges, calibration and the curation rule."""

from pipeline.lazy import offer

__getattr__, __all__ = offer(
    __name__,
    {
        "load_judge": "judges",
        "score_triplets": "judges",
        "default_calibration": "calibration",
        "keeps": "rules",
        "funnel": "rules",
    },
)
