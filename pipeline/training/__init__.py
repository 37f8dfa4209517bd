"""Stage 3: contrastive training with false negatives masked by a guide model."""

from pipeline import offered

__getattr__, __all__ = offered(__name__)
