"""An LLM, a judge or an encoder whose work the actors of a cluster do, in the forms that handlers know."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import GenerationConfig
from pipeline.generation.llms.protocol import Ask, Reply
from pipeline.generation.prompts import FewShot
from pipeline.records import InputError
from workbench.jobs import row_makers
from workbench.jobs.context import JobContext
from workbench.jobs.places import Place
from workbench.jobs.ray_rows import RayRows

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from pipeline.vectors import Embed

_TEXTS_AT_ONCE = 128


class LLMOnCluster:
    """An LLM that continues prompts on the nodes."""

    def __init__(self, pool: RayRows) -> None:
        self.pool = pool

    def continuations(
        self, asked: FewShot, asks: Iterator[Ask], _config: GenerationConfig, should_stop: Callable[[], bool]
    ) -> Iterator[Reply]:
        """Yield how the LLM answers; see LLM. The config is that of the actors."""
        items = [(str(ask.key), (asked, ask)) for ask in asks]
        for batch in self.pool.results(iter(items), len(items), should_stop):
            yield from (reply for _, reply in batch)

    def close(self) -> None:
        """End the actors and leave the cluster."""
        self.pool.close()


class JudgeOnCluster:
    """A judge whose pairs are scored on the nodes."""

    def __init__(self, judge_id: str, pool: RayRows, should_stop: Callable[[], bool]) -> None:
        self.judge_id, self._pool, self._should_stop = judge_id, pool, should_stop

    def scores(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """Return one raw value per pair, float64 (n,). Raises Stopped when asked to stop."""
        found = self._pool.in_order([(pair,) for pair in pairs], self._should_stop)
        return np.array([value for (value,) in found], dtype=np.float64)


@contextmanager
def embedding(context: JobContext[Any], folder: str, encoder: "SentenceTransformer") -> "Iterator[Embed | None]":
    """Give what embeds texts on the nodes where the job runs on a cluster, and None where it runs here.

    encoder: the one in this folder, as this machine has it. Raises InputError where the nodes have another one in the
    folder: its vectors would be kept as this one's.
    """
    place = Place.parse(context.spec.on)
    if place.engine != "ray":
        yield None
        return
    from pipeline.vectors import encoder_identity

    with closing(RayRows(place.address, row_makers.EmbedMaker(folder, _TEXTS_AT_ONCE))) as pool:
        there = pool.identity(context.is_to_stop)
        context.stop_if_asked()
        if there != encoder_identity(encoder):
            raise InputError(f"The nodes of the cluster have another encoder in {folder}: copy this machine's there.")
        yield partial(_embedded, pool, context)


def _embedded(pool: RayRows, context: JobContext[Any], texts: list[str]) -> NDArray[np.float32]:
    vectors = np.array(pool.in_order(texts, context.is_to_stop), dtype=np.float32)
    context.note(**pool.details())
    return vectors
