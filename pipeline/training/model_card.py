"""The README.md beside a trained encoder: what it was made from, and how to load it."""

from dataclasses import asdict

from pipeline.config import TrainConfig

_TEMPLATE = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, sentence-similarity, feature-extraction]
---
# Sentence encoder trained on contrastively refined triplets

Starting from `{encoder}`, trained for {steps} steps on {triplets} triplets (premise, positive, hard negative).
{mask}

```python
from sentence_transformers import SentenceTransformer

encoder = SentenceTransformer("path/of/this/folder")
vectors = encoder.encode(["A first sentence.", "A second one."])
```

| setting | value |
|---|---|
{settings}

Method: MultiCSR, arXiv 2310.10962. Weights of the starting encoder keep their own licence.
"""


def model_card(config: TrainConfig, triplets: int) -> str:
    """Return the text of the card; it names settings, never the person's files beyond the encoder chosen."""
    mask = {
        "none": "No candidate was masked.",
        "phi": f"False negatives: candidates above cosine {config.mask_threshold} by the guide `{config.guide}`.",
    }.get(config.mask_rule, f"False negatives: rule `{config.mask_rule}` by the guide `{config.guide}`.")
    settings = "\n".join(f"| {name} | {value} |" for name, value in asdict(config).items())
    return _TEMPLATE.format(
        encoder=config.encoder, steps=config.steps, triplets=triplets, mask=mask, settings=settings
    )
