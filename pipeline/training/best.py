"""The weights with the best dev score of a run, kept apart from its checkpoints' own weights."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_WEIGHTS, _RECORD = "best.safetensors", "best.json"


class BestWeights:
    """Holds a copy of the encoder's weights in main memory; no optimizer state, no file until a checkpoint is due."""

    def __init__(self, encoder: "SentenceTransformer", *, patience: int = 0, keeps_weights: bool = True) -> None:
        self.encoder, self.patience, self.keeps_weights = encoder, patience, keeps_weights
        self.step: int | None = None
        self.score = float("nan")
        self.without_new_best = 0
        self._weights: dict[str, Tensor] = {}

    def offer(self, step: int, score: float) -> None:
        """Take the weights of this step if its score is the highest so far; NaN never is."""
        if score > self.score or (self.step is None and score == score):
            self.step, self.score, self.without_new_best = step, score, 0
            if self.keeps_weights:
                self._weights = {
                    name: tensor.detach().to("cpu", copy=True).contiguous()
                    for name, tensor in self.encoder.state_dict().items()
                }
        else:
            self.without_new_best += 1

    @property
    def is_out_of_patience(self) -> bool:
        """Whether so many scores in a row were no new best that the run should end."""
        return 0 < self.patience <= self.without_new_best

    def restore(self) -> None:
        """Put the best weights into the encoder; without a score it keeps those it has."""
        if self._weights:
            self.encoder.load_state_dict(self._weights)

    def save(self, folder: Path) -> None:
        """Write weights and record into a checkpoint."""
        from safetensors.torch import save_file

        if self.step is None:
            return
        if self._weights:
            save_file(self._weights, folder / _WEIGHTS)
        record = {"step": self.step, "score": self.score, "without_new_best": self.without_new_best}
        (folder / _RECORD).write_text(json.dumps(record), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read what `save` wrote, if it wrote anything."""
        from safetensors.torch import load_file

        if not (folder / _RECORD).is_file():
            return
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        self.step, self.score = record["step"], record["score"]
        self.without_new_best = record["without_new_best"]
        if (folder / _WEIGHTS).is_file():
            self._weights = load_file(folder / _WEIGHTS)
