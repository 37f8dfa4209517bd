"""The threshold of a mask: what it means and its range, by rule and unit, for the form and for the checks."""

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.settings import Setting


def _margin(help_text: str, label: str, unit: str) -> Setting:
    return Setting(help_text, label=label, unit=unit, ge=-1, le=1, step=0.01, slider=(-1.0, 1.0))


MASK_THRESHOLDS: Mapping[str, Setting] = MappingProxyType(
    {
        "phi": Setting(
            "What a φ masks depends on guide and data, and may be next to nothing: the preview beside the form "
            "counts it by kind of candidate. On the sample corpus 0.9 is worth 0.4 points without curation and "
            "nothing after it (docs/stage-ablation.md).",
            label="φ  guide cosine above which a candidate is masked",
            unit="cosine",
            gt=0,
            le=1,
            step=0.01,
            slider=(0.01, 1.0),
        ),
        "random_pairs": Setting(
            "phi is the guide cosine that this share of random pairs of the training texts exceeds.",
            label="Share of random pairs above φ",
            unit="share",
            gt=0,
            lt=1,
            step=0.0005,
        ),
        "gist_absolute": _margin(
            "Candidates whose guide cosine exceeds that of the own positive minus this margin are masked.",
            "Margin (cosine)",
            "cosine",
        ),
        "gist_relative": _margin(
            "Candidates whose guide cosine exceeds that of the own positive minus this share of it are masked.",
            "Margin (share of the own positive's cosine)",
            "share",
        ),
        "student": _margin(
            "Candidates that the encoder itself puts this much above the own positive's cosine are masked.",
            "Margin (cosine)",
            "cosine",
        ),
    }
)
"""What mask_threshold means, and its range, by rule and unit; see `threshold_meaning`."""
USUAL_THRESHOLDS = {"phi": 0.9, "random_pairs": 0.001, "gist_absolute": 0.0, "gist_relative": 0.0, "student": 0.1}
"""The default of phi, and where a form starts from when another meaning is chosen."""


def threshold_meaning(mask_rule: str, threshold_unit: str) -> str:
    """Return the entry of MASK_THRESHOLDS that a rule and a unit call for; "none" without a mask."""
    if mask_rule in ("phi", "released"):
        return "random_pairs" if threshold_unit == "random_pairs" else "phi"
    return mask_rule
