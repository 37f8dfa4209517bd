"""Estimates of a run's time and memory before it starts, without reading weights or loading a model library."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from pipeline import weights
from pipeline.encoder_folders import tensor_shapes
from pipeline.records import InputError

_STATIC, _MINILM, _SMOLLM2 = "static-minilm", "all-MiniLM-L6-v2", "smollm2-135m"
_TABLE = "embeddings.word_embeddings.weight"
_SMOLLM2_PARAMETERS = 134_515_008
"""Its safetensors copy is made on first use, so it cannot be asked before."""
BYTES_PER_PARAMETER = 16
"""float32 weight, gradient and Adam's two moments."""

_CPU_STEP_S = {_STATIC: (0.040, 0.00004), _MINILM: (0.1, 0.018), _SMOLLM2: (0.5, 0.2)}
"""Seconds of a step on two CPU cores: of its own (the static table's optimizer), and per triplet of three texts."""
_GUIDE_TEXT_S, _LOADING_S = 0.002, 6.0
_LEAST_TEXT_S = 0.00005
"""Of embedding a text to score it, however small the encoder: it is still tokenised."""
STSB_DEV_TEXTS, STS_TEXTS = 3_000, 38_000
"""Texts of a dev score on STSB-dev, and of the seven STS test tasks after the last step."""


def parameter_count(encoder: str) -> int | None:
    """Return the parameters of a built-in encoder or of a local folder's safetensors files; None if unknown."""
    if encoder == _SMOLLM2:
        return _SMOLLM2_PARAMETERS
    try:
        if encoder in (_STATIC, _MINILM):
            shapes = tensor_shapes(weights.minilm_weights())
            return prod(shapes[_TABLE]) if encoder == _STATIC else sum(prod(shape) for shape in shapes.values())
        files = sorted(Path(encoder).rglob("*.safetensors")) if Path(encoder).is_dir() else []
        return sum(prod(shape) for file in files for shape in tensor_shapes(file).values()) if files else None
    except (InputError, OSError, ValueError, KeyError):
        return None


def fixed_memory_bytes(parameters: int, *, rows: int, width: int = 384, guided: bool = True) -> int:
    """Memory of weights, gradients, optimizer and guide vectors; what a batch's activations take comes on top.

    rows: triplets; each has up to three texts of `width` float32 numbers in the guide's table.
    """
    return BYTES_PER_PARAMETER * parameters + (3 * rows * width * 4 if guided else 0)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Seconds that a run takes, by what they go to."""

    steps_s: float
    beside_s: float
    """Loading, guide vectors, dev scores and the evaluation at the end."""

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.steps_s + self.beside_s


def dev_scores(steps: int, eval_every: int) -> int:
    """How many dev scores a run asks for: every so many steps and after the last one."""
    return -(-steps // eval_every) if eval_every else 1


def first_outlook(encoder: str, *, batch: int, steps: int, guide_texts: int, scored_texts: int) -> Outlook | None:
    """Estimate the time of a built-in encoder on two CPU cores without earlier runs; None for other encoders.

    guide_texts: texts that the guide has to embed. scored_texts: texts of all dev scores and of the final evaluation.
    """
    if encoder not in _CPU_STEP_S:
        return None
    # Forward takes a third of a triplet's training, which is three texts.
    text_s = max(_LEAST_TEXT_S, _CPU_STEP_S[encoder][1] / 9)
    beside = _LOADING_S + scored_texts * text_s + guide_texts * _GUIDE_TEXT_S
    return Outlook(steps * _step_s(encoder, batch), beside)


def outlook_like(
    measured: Mapping[str, float], *, encoder: str, batch: int, steps: int, scores: int, guide_texts: int
) -> Outlook:
    """Estimate the time of a run from an earlier run with this encoder.

    measured: triplets_per_s and batch, and where they were kept prepare_s, dev_s, dev_scores, evaluate_s, and guide_s
    and embedded_texts of the part of prepare_s in which the guide embedded texts. A step of another batch size takes
    longer by as much as is known of the encoder: a static one's hardly, any other's in proportion.
    """
    each_score = measured.get("dev_s", 0.0) / max(1.0, measured.get("dev_scores", 0.0))
    beside = measured.get("evaluate_s", 0.0) + scores * each_score
    if "prepare_s" not in measured:  # of a run that was killed only the rate is known
        beside += _LOADING_S + guide_texts * _GUIDE_TEXT_S
    else:
        beside += measured["prepare_s"]
        if "guide_s" in measured:  # runs of an earlier version kept one figure for loading and guide
            embedded = measured.get("embedded_texts", 0.0)
            text_s = measured["guide_s"] / embedded if embedded else _GUIDE_TEXT_S
            beside += guide_texts * text_s - measured["guide_s"]
    before = measured.get("batch", batch)
    step_s = before / measured["triplets_per_s"] * _step_s(encoder, batch) / _step_s(encoder, before)
    return Outlook(steps * step_s, beside)


def _step_s(encoder: str, batch: float) -> float:
    """Seconds of a step on two CPU cores; of an encoder that is not known, a multiple of them."""
    fixed, each = _CPU_STEP_S.get(encoder, (0.0, 1.0))
    return fixed + batch * each
