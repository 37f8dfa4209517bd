"""Stage 1: contrastively refined generation of positives and hard negatives."""

from pipeline.lazy import offer

__getattr__, __all__ = offer(
    __name__,
    {
        "entry_for": "llms.registry",
        "open_llm": "llms.loading",
        "generate": "triplets",
        "prompt_set": "prompt_sets",
    },
)
