"""Stage 2: judges, calibration and the curation rule."""

from pipeline import offered

__getattr__, __all__ = offered(__name__)
