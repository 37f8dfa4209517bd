"""Stage 1: contrastively refined generation of positives and hard negatives."""

from pipeline import offered

__getattr__, __all__ = offered(__name__)
