"""The README.md beside a trained encoder: what it was made from, what it scores, and how to load it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from pipeline.durable import write_text
from pipeline.train_config import TrainConfig

_LIBRARIES = ("sentence-transformers", "transformers", "torch")
_SCORES = "<!-- scores -->"

_TEMPLATE = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, sentence-similarity, feature-extraction]
---
# Sentence encoder trained on contrastively refined triplets

Starting from `{encoder}`, trained on {rows} triplets (premise, positive, hard negative){data}.
{kept} {mask}

```python
from sentence_transformers import SentenceTransformer

encoder = SentenceTransformer("path/of/this/folder")
vectors = encoder.encode(["A first sentence.", "A second one."])
```

## Scores

{scores}

## Settings

| setting | value |
|---|---|
{settings}

Hash of settings and triplets: {fingerprint}. Made with {libraries}.

Method: MultiCSR, arXiv 2310.10962. Weights of the starting encoder keep their own licence.
"""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """The facts of a run that its card states."""

    config: TrainConfig
    rows: int
    data: str
    """Name of the training set; empty where it has none."""
    fingerprint: str
    kept_step: int
    dev_score: float | None
    threshold: float | None
    """The cosine that masked."""


def model_card(facts: CardFacts) -> str:
    """Return the text of the card; it names settings, never the person's files beyond the encoder chosen."""
    config = facts.config
    settings = "\n".join(f"| {name} | {value} |" for name, value in asdict(config).items())
    return _TEMPLATE.format(
        encoder=config.encoder,
        rows=f"{facts.rows:,}",
        data=f", {facts.data}" if facts.data else "",
        kept=_kept(facts),
        mask=_mask(config, facts.threshold),
        scores=_SCORES + "\nNot scored yet.\n" + _SCORES,
        settings=settings,
        fingerprint=facts.fingerprint,
        libraries=", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
    )


def add_scores(folder: Path, scores: Mapping[str, tuple[float, int]]) -> None:
    """Write the scores of a finished encoder into its card: Spearman as a fraction, and pairs, by task.

    The card's metadata gets them too, as model hubs read them. Scores written before are replaced.
    """
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8")
    rows = "\n".join(f"| {task} | {100 * score:.2f} | {pairs:,} |" for task, (score, pairs) in scores.items())
    table = f"| task | Spearman x100 | pairs |\n|---|---:|---:|\n{rows}"
    text = re.sub(f"{_SCORES}.*{_SCORES}", lambda _: f"{_SCORES}\n{table}\n{_SCORES}", text, flags=re.DOTALL)
    text = re.sub(r"\nmodel-index:\n.*?(?=\n---\n)", "", text, count=1, flags=re.DOTALL)
    write_text(path, text.replace("\n---\n", f"\n{_model_index(scores)}\n---\n", 1))


def _model_index(scores: Mapping[str, tuple[float, int]]) -> str:
    lines = ["model-index:", "  - name: encoder", "    results:"]
    for task, (score, _) in scores.items():
        lines += [
            "      - task: {type: semantic-similarity, name: Semantic Similarity}",
            f"        dataset: {{type: {task.lower()}, name: {task}}}",
            f"        metrics: [{{type: spearman_cosine, value: {score:.6f}}}]",
        ]
    return "\n".join(lines)


def _kept(facts: CardFacts) -> str:
    steps = f"{facts.kept_step} of {facts.config.steps} steps"
    if facts.dev_score is None:
        return f"The weights are those after {steps}."
    which = "the best dev score of the run" if facts.config.keep == "best" else "the last step"
    return f"The weights are those of {which}, after {steps} (dev score {facts.dev_score:.4f})."


def _mask(config: TrainConfig, threshold: float | None) -> str:
    if config.mask_rule == "none" or threshold is None:
        return "No candidate was masked."
    if config.mask_rule == "phi":
        return f"False negatives: candidates above cosine {threshold:.4g} by the guide `{config.guide}`."
    return f"False negatives: rule `{config.mask_rule}` with {threshold:.4g} by the guide `{config.guide}`."
