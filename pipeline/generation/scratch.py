"""Premises from scratch: an LLM fills the cells of topic x genre x length, and every attempt has one outcome.

In the manner of SynCSE's scratch setting (Zhang et al. 2023), with target counts per cell: a cell that lacks premises
is asked again, round by round, until it is full or its attempts are used up.
"""

from collections.abc import Callable, Iterable, Iterator

from pipeline.config import ScratchConfig, plain
from pipeline.generation.llms.protocol import LLM, Ask, Reply
from pipeline.generation.premise_filing import Attempt, Cell, Filing, cells, chosen_genres
from pipeline.generation.premise_prompts import Genre
from pipeline.records import Outcome, text_id


def write_premises(
    config: ScratchConfig,
    llm: LLM,
    *,
    known: Iterable[Attempt] = (),
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Attempt]:
    """Yield attempts as they end, until every cell holds its target or has used up its attempts.

    known: attempts of an earlier run of the same config, which this one continues. InputError for a genre or topic
    that nobody has worded.
    """
    return _Writer(config, llm, known).attempts(should_stop)


class _Writer:
    """One run: the rounds over the genres."""

    def __init__(self, config: ScratchConfig, llm: LLM, known: Iterable[Attempt]) -> None:
        self._config = config
        self._llm = llm
        self._genres = chosen_genres(config)
        self._cells = cells(config)
        self._filing = Filing(config)
        for attempt in known:
            self._filing.remember(attempt)

    def attempts(self, should_stop: Callable[[], bool]) -> Iterator[Attempt]:
        made = True
        while made and not should_stop():
            made = False
            for genre in self._genres:
                for attempt in self._round(genre, should_stop):
                    made = True
                    yield attempt

    def _round(self, genre: Genre, should_stop: Callable[[], bool]) -> Iterator[Attempt]:
        """Ask once for all that this genre's cells lack."""
        asked = [
            (cell, number) for cell in self._cells if cell.genre == genre.name for number in self._filing.wanted(cell)
        ]
        replies = self._llm.continuations(genre.prefix(), self._asks(genre, asked), plain(self._config), should_stop)
        for reply in replies:
            yield self._filed(*asked[reply.key], reply)

    def _asks(self, genre: Genre, asked: list[tuple[Cell, int]]) -> Iterator[Ask]:
        for key, (cell, number) in enumerate(asked):
            seed = int(text_id("\n".join([str(self._config.seed), *cell, str(number)])), 16)
            yield Ask(key, genre.tail(cell.topic, cell.length), seed)

    def _filed(self, cell: Cell, number: int, reply: Reply) -> Attempt:
        failed = reply.problem in (Outcome.FAILED, Outcome.TOO_LONG)
        return self._filing.file(cell, number, reply.raw, cut=reply.cut, failed=failed, reason=reply.reason)
