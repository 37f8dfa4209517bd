"""The judge that compares sentence vectors: cosine of a guide encoder."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.evaluation.benchmark import Encoder
from pipeline.evaluation.metrics import row_cosine

_CHUNK_PAIRS = 1024


class GuideJudge:
    """Scores sentence pairs by an encoder's cosine; quick, and blind to contradictions that share most words."""

    def __init__(self, encoder: Encoder, name: str = "all-MiniLM-L6-v2", *, batch_size: int = 64) -> None:
        self.encoder = encoder
        self.judge_id = f"guide:{name}"
        self.batch_size = batch_size

    def scores(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        on_progress: Callable[[int], None] | None = None,
        should_stop: Callable[[], object] | None = None,
    ) -> np.ndarray:
        """Raw cosines in [-1, 1], float64 (n,); shorter than `pairs` when should_stop asked to stop.

        Each sentence is encoded once per chunk of pairs, and `on_progress` gets the number of pairs done.
        """
        done: list[np.ndarray] = []
        for start in range(0, len(pairs), _CHUNK_PAIRS):
            if should_stop is not None and should_stop():
                break
            done.append(self._cosines(pairs[start : start + _CHUNK_PAIRS]))
            if on_progress is not None:
                on_progress(min(start + _CHUNK_PAIRS, len(pairs)))
        return np.concatenate(done) if done else np.empty(0, dtype=np.float64)

    def _cosines(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        row_of = {text: row for row, text in enumerate(texts)}
        vectors = np.asarray(self.encoder.encode(texts, batch_size=self.batch_size, show_progress_bar=False))
        first, second = ([row_of[pair[side]] for pair in pairs] for side in (0, 1))
        return row_cosine(vectors[first], vectors[second])
