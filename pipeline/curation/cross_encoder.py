"""A cross-encoder as judge: one model reads both sentences together and answers with a grade or with NLI's labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipeline import encoder_folders, hub
from pipeline.records import InputError, WeightsError

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_ENTAILMENT, _CONTRADICTION = "entailment", "contradiction"
LABELS: Final = {"entail": _ENTAILMENT, "entailed": _ENTAILMENT, "contradict": _CONTRADICTION}
"""Other spellings of NLI's labels."""


class CrossEncoderJudge:
    """Scores pairs by a model of one output (STS, a grade) or of NLI's labels, premise first.

    The raw value is the logit of the grade, or log p(entailment) - log p(contradiction), which is the difference of
    the two logits; a calibration puts either on 0 to 5.
    """

    def __init__(self, model: "CrossEncoder", judge_id: str, *, batch_size: int = 32) -> None:
        self.model, self.judge_id, self.batch_size = model, judge_id, batch_size
        self._columns = _columns(model.config, judge_id)

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return raw values, float64 (n,)."""
        from torch.nn import Identity

        if not pairs:
            return np.empty(0, dtype=np.float64)
        logits = self.model.predict(
            list(pairs), batch_size=self.batch_size, activation_fn=Identity(), show_progress_bar=False
        )
        table = np.asarray(logits, dtype=np.float64).reshape(len(pairs), -1)
        if self._columns is None:
            return table[:, 0]
        towards, away = self._columns
        return table[:, towards] - table[:, away]


def load_cross_encoder(name_or_folder: str, judge_id: str, *, device: str = "auto") -> CrossEncoderJudge:
    """Load a cross-encoder from a folder with safetensors weights, or from OWNER/NAME on the hub.

    Raises InputError for what is neither, is no classifier of pairs, or has other labels than NLI's; WeightsError for
    weights that are damaged.
    """
    from sentence_transformers import CrossEncoder

    from pipeline.encoders import all_weights_from

    folder = Path(name_or_folder).expanduser()
    if not folder.is_dir() and hub.is_hub_name(name_or_folder):
        folder = hub.fetch(hub.HubName.parse(name_or_folder)).path
    if not folder.is_dir():
        raise InputError(f"There is no cross-encoder {name_or_folder!r}; name its folder, or OWNER/NAME on the hub.")
    encoder_folders.check_folder(folder)
    try:
        with all_weights_from(folder):  # a plain encoder has no head: the library would draw one at random
            model = CrossEncoder(
                str(folder),
                device=encoder_folders.resolve_device(device),
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
            )
    except (InputError, WeightsError):
        raise
    except Exception as error:  # whatever transformers, tokenizers and safetensors say about a damaged folder
        message = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{folder} cannot be loaded as a cross-encoder ({type(error).__name__}: {message})."
        ) from error
    return CrossEncoderJudge(model, judge_id)


def _columns(config: Any, judge_id: str) -> tuple[int, int] | None:
    """Return the columns of entailment and contradiction; None for a model with one output."""
    if config.num_labels == 1:
        return None
    names = {LABELS.get(str(name).lower(), str(name).lower()): int(place) for place, name in config.id2label.items()}
    if _ENTAILMENT not in names or _CONTRADICTION not in names:
        raise InputError(
            f"{judge_id} answers with {', '.join(map(str, config.id2label.values()))}: a judge has one output, or "
            "labels called entailment and contradiction."
        )
    return names[_ENTAILMENT], names[_CONTRADICTION]
