"""Stage 3: contrastive training with false negatives masked by a guide model."""

from pipeline.lazy import offer

__getattr__, __all__ = offer(
    __name__,
    {
        "train": "run",
    },
)
