"""The README.md beside a trained encoder: what it was made from, what it scores, and how to load it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.repocard import metadata_load

from pipeline.durable import write_text
from pipeline.files.cells import escape_markdown
from pipeline.records import InputError
from pipeline.train_config import TrainConfig

_LIBRARIES = ("sentence-transformers", "transformers", "torch")
_SCORES = "<!-- scores -->"

_BASES = {
    "all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2",
    "smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "static-minilm": "sentence-transformers/all-MiniLM-L6-v2",
    "static-minilm-unweighted": "sentence-transformers/all-MiniLM-L6-v2",
}
"""Built-in encoder -> the model on the hub that its weights come from, all of them Apache-2.0."""
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")

_TEMPLATE = """# Sentence encoder trained on contrastively refined triplets

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
    learning_rate: float | None = None
    """The peak that was used, per step; by default that of the settings."""


def model_card(facts: CardFacts) -> str:
    """Return the text of the card; it names settings, never the person's files beyond the encoder chosen."""
    config = facts.config
    named = asdict(config) | {"encoder": without_folder(config.encoder), "guide": without_folder(config.guide)}
    named["learning_rate"] = facts.learning_rate or config.learning_rate
    settings = "\n".join(f"| {name} | {escape_markdown(str(value))} |" for name, value in named.items())
    base, licence = origin(config.encoder)
    front = ModelCardData(
        base_model=base,
        license=licence,
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["sentence-transformers", "sentence-similarity", "feature-extraction"],
    )
    return f"---\n{front.to_yaml()}\n---\n" + _TEMPLATE.format(
        encoder=" ".join(str(named["encoder"]).replace("`", "'").split()),  # in a code span only ` ends it
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
    card = ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True)
    named = {" ".join(task.split()): score for task, score in scores.items()}
    lines = [f"| {escape_markdown(task)} | {100 * score:.2f} | {pairs:,} |" for task, (score, pairs) in named.items()]
    rows = "\n".join(lines)
    table = f"| task | Spearman x100 | pairs |\n|---|---:|---:|\n{rows}"
    marked = f"{_SCORES}\n{table}\n{_SCORES}"
    card.text = re.sub(f"{_SCORES}.*{_SCORES}", lambda _: marked, card.text, flags=re.DOTALL)
    data: Any = card.data
    data.model_name = "encoder"
    data.eval_results = [
        EvalResult(
            task_type="semantic-similarity",
            task_name="Semantic Similarity",
            dataset_type=task.lower(),
            dataset_name=task,
            metric_type="spearman_cosine",
            metric_value=round(score, 6),
        )
        for task, (score, _) in named.items()
    ]
    write_text(path, str(card))


def complete_card(folder: Path, *, licence: str, datasets: Sequence[str]) -> None:
    """Write licence and training sets, as the hub names them, into the card of a folder; what is not given stays.

    Raises InputError for a licence or a data set that cannot be one.
    """
    if (licence and not _LICENCE.fullmatch(licence)) or not all(map(_HUB_NAME.fullmatch, datasets)):
        raise InputError("A licence is a word such as apache-2.0, a data set OWNER/NAME.")
    path = folder / "README.md"
    card = ModelCard(path.read_text(encoding="utf-8") if path.is_file() else "", ignore_metadata_errors=True)
    data: Any = card.data
    data.license = licence or getattr(data, "license", None)
    data.datasets = list(datasets) or getattr(data, "datasets", None)
    write_text(path, str(card))


def origin(encoder: str) -> tuple[str | None, str | None]:
    """Return the model on the hub that an encoder comes from and its licence, each None where nothing says so.

    A folder's own card and configuration are asked; what they say must look like a name and a licence.
    """
    if encoder in _BASES:
        return _BASES[encoder], "apache-2.0"
    folder = Path(encoder)
    if not folder.is_dir():
        name = encoder.removeprefix("hub:").partition("@")[0]
        return (name if _HUB_NAME.fullmatch(name) else None), None
    card = _metadata(folder / "README.md")
    config = _json(folder / "config.json")
    base, licence = card.get("base_model") or config.get("_name_or_path"), card.get("license")
    is_name = isinstance(base, str) and bool(_HUB_NAME.fullmatch(base)) and not Path(base).exists()
    is_licence = isinstance(licence, str) and bool(_LICENCE.fullmatch(licence))
    return (base if is_name else None), (licence if is_licence else None)


def without_folder(encoder: str) -> str:
    """Return the name of an encoder; of a local folder its last part only, because a card is read elsewhere."""
    return Path(encoder).name if Path(encoder).is_dir() or Path(encoder).is_absolute() else encoder


def _metadata(card: Path) -> dict[str, Any]:
    try:
        return metadata_load(card) or {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _kept(facts: CardFacts) -> str:
    steps = f"{facts.kept_step} of {facts.config.steps} steps"
    if facts.dev_score is None:
        return f"The weights are those after {steps}."
    which = "the best dev score of the run" if facts.config.keep == "best" else "the last step"
    return f"The weights are those of {which}, after {steps} (dev score {facts.dev_score:.4f})."


def _mask(config: TrainConfig, threshold: float | None) -> str:
    if config.mask_rule == "none" or threshold is None:
        return "No candidate was masked."
    if config.mask_rule == "student":
        return f"False negatives: candidates that the encoder itself puts {threshold:.4g} above the own positive."
    guide = without_folder(config.guide)
    if config.mask_rule == "phi":
        return f"False negatives: candidates above cosine {threshold:.4g} by the guide `{guide}`."
    return f"False negatives: rule `{config.mask_rule}` with {threshold:.4g} by the guide `{guide}`."
