"""Premises from scratch: an LLM fills a grid of topic x genre x length; every attempt has one outcome.

A sentence counts towards its actual length, whatever length was requested.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from unicodedata import normalize

from pipeline.config import ScratchConfig, plain
from pipeline.generation.clean_up import has_words, sentence_in
from pipeline.generation.llms.protocol import LLM, Ask, Reply
from pipeline.generation.outcomes import refusal_rule, repeats_itself, words
from pipeline.generation.premise_prompts import GENRES, TOPICS, Genre, Length
from pipeline.generation.prompts import CleanUp
from pipeline.records import InputError, Outcome, text_id

_LEAST_WORDS = 3
_CLEAN_UP = CleanUp(bullets=False, labels=False, quotes=False)
"""A premise keeps its quotes; one with a bullet or a label is malformed."""
_WHOLE = re.compile(r"""["'“‘(]?[A-Z0-9].*[.?!]["'”’)]?""")
_RESIDUE = re.compile(r"https?:|www\.|[\[\]{}<>|_#*\\]|\bAbout [^.?!]*:")


class PremiseOutcome(StrEnum):
    """How one attempt at a premise ended."""

    OK = "ok"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    CELL_FULL = "cell_full"
    OTHER_LENGTH = "other_length"
    MALFORMED = "malformed"
    LOOP = "loop"
    REFUSED = "refused"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    FAILED = "failed"


class Cell(NamedTuple):
    """One combination of topic, genre and length to be filled."""

    topic: str
    genre: str
    length: Length


@dataclass(frozen=True, slots=True)
class Attempt:
    """One requested sentence: the cell it was requested for, its text, actual length and outcome."""

    asked: Cell
    number: int
    """How many attempts this cell had before."""
    text: str
    length: Length
    outcome: PremiseOutcome
    reason: str = ""
    """Why it failed, in the words of the LLM's server."""

    @property
    def cell(self) -> Cell:
        """The cell that the sentence belongs to."""
        return self.asked._replace(length=self.length)


def cells(config: ScratchConfig) -> list[Cell]:
    """Return every cell of a config, genre by genre."""
    return [
        Cell(topic, genre.name, length)
        for genre in chosen_genres(config)
        for topic in config.topics or TOPICS
        for length in chosen_lengths(config)
    ]


def chosen_genres(config: ScratchConfig) -> list[Genre]:
    """Return the genres that a config names, or all; InputError for an unknown one."""
    known = {genre.name: genre for genre in GENRES}
    unknown = [name for name in config.genres if name not in known]
    if unknown:
        raise InputError(f"There is no genre {unknown[0]!r}; choose from {', '.join(known)}.")
    return [known[name] for name in config.genres or known]


def chosen_lengths(config: ScratchConfig) -> list[Length]:
    """Return the lengths that a config names, or all; InputError for an unknown one."""
    unknown = [name for name in config.lengths if name not in set(Length)]
    if unknown:
        raise InputError(f"There is no length {unknown[0]!r}; choose from {', '.join(Length)}.")
    return [length for length in Length if length in config.lengths or not config.lengths]


class CellGrid:
    """Everything written so far: which cells are full, which texts exist, and the outcome of each attempt."""

    def __init__(self, config: ScratchConfig) -> None:
        self._config = config
        self._lengths = frozenset(chosen_lengths(config))
        self._kept: Counter[Cell] = Counter()
        self._asked: Counter[Cell] = Counter()
        self._exact: set[str] = set()
        self._near = WordDuplicates(config.near_duplicate)
        for genre in GENRES:  # an example repeated word for word is a duplicate
            for _, example in genre.examples:
                self._take(example)

    def add(
        self, asked: Cell, number: int, raw: str, *, cut: bool = False, failed: bool = False, reason: str = ""
    ) -> Attempt:
        """Turn a reply into an attempt and count it in the grid; only the reply's first sentence is used."""
        found = sentence_in(raw, wanted=_CLEAN_UP)
        text = found.text
        length = Length.of(text)
        is_cut = cut and not found.is_whole
        if failed:
            outcome = PremiseOutcome.FAILED
        elif found.flaw is not None:
            outcome = PremiseOutcome(Outcome.TRUNCATED if is_cut else found.flaw)
        else:
            outcome = self._outcome(asked, text, cut=is_cut)
        if outcome is PremiseOutcome.OK:
            outcome = self._place(asked._replace(length=length), text)
        attempt = Attempt(asked, number, text, length, outcome, reason)
        self.remember(attempt)
        return attempt

    def remember(self, attempt: Attempt) -> None:
        """Count an attempt, and keep its text if it is ok."""
        self._asked[attempt.asked] = max(self._asked[attempt.asked], attempt.number + 1)
        if attempt.outcome is PremiseOutcome.OK:
            self._kept[attempt.cell] += 1
            self._take(attempt.text)

    def wanted(self, cell: Cell) -> range:
        """Return the numbers of the next attempts at a cell."""
        missing = max(0, self._config.per_cell - self._kept[cell])
        first, most = self._asked[cell], self._config.per_cell * self._config.tries
        return range(first, min(first + missing, most))

    def _outcome(self, asked: Cell, text: str, *, cut: bool) -> PremiseOutcome:
        if not has_words(text):
            return PremiseOutcome.EMPTY
        if refusal_rule(text):
            return PremiseOutcome.REFUSED
        if repeats_itself(text):
            return PremiseOutcome.LOOP
        if cut:
            return PremiseOutcome.TRUNCATED
        is_question = text.rstrip("\"'”’)").endswith("?")
        whole = _WHOLE.fullmatch(text) and not _RESIDUE.search(text) and len(text.split()) >= _LEAST_WORDS
        if not whole or (asked.genre == "question" and not is_question):
            return PremiseOutcome.MALFORMED
        return PremiseOutcome.OK

    def _place(self, cell: Cell, text: str) -> PremiseOutcome:
        if words(text) in self._exact:
            return PremiseOutcome.DUPLICATE
        if self._near.find(text) is not None:
            return PremiseOutcome.NEAR_DUPLICATE
        if cell.length not in self._lengths:
            return PremiseOutcome.OTHER_LENGTH
        return PremiseOutcome.CELL_FULL if self._kept[cell] >= self._config.per_cell else PremiseOutcome.OK

    def _take(self, text: str) -> None:
        self._exact.add(words(text))
        self._near.add(text)


def write_premises(
    config: ScratchConfig,
    llm: LLM,
    *,
    known: Iterable[Attempt] = (),
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Attempt]:
    """Yield attempts as they finish, until every cell has reached its target or used up its attempts.

    known: attempts of an earlier run of the same config, which this one continues. InputError for an
    unknown genre or length.
    """
    return _Writer(config, llm, known).attempts(should_stop)


class _Writer:
    """One run: rounds over the genres."""

    def __init__(self, config: ScratchConfig, llm: LLM, known: Iterable[Attempt]) -> None:
        self._config = config
        self._llm = llm
        self._genres = chosen_genres(config)
        self._cells = cells(config)
        self._grid = CellGrid(config)
        for attempt in known:
            self._grid.remember(attempt)

    def attempts(self, should_stop: Callable[[], bool]) -> Iterator[Attempt]:
        made = True
        while made and not should_stop():
            made = False
            for genre in self._genres:
                for attempt in self._round(genre, should_stop):
                    made = True
                    yield attempt

    def _round(self, genre: Genre, should_stop: Callable[[], bool]) -> Iterator[Attempt]:
        """Request everything that this genre's cells still lack, once."""
        asked = [
            (cell, number) for cell in self._cells if cell.genre == genre.name for number in self._grid.wanted(cell)
        ]
        replies = self._llm.continuations(genre.few_shot, self._asks(genre, asked), plain(self._config), should_stop)
        for reply in replies:
            yield self._attempt(*asked[reply.key], reply)

    def _asks(self, genre: Genre, asked: list[tuple[Cell, int]]) -> Iterator[Ask]:
        for key, (cell, number) in enumerate(asked):
            seed = int(text_id("\n".join([str(self._config.seed), *cell, str(number)])), 16)
            yield Ask(key, genre.question(cell.topic, cell.length), seed)

    def _attempt(self, cell: Cell, number: int, reply: Reply) -> Attempt:
        failed = reply.problem in (Outcome.FAILED, Outcome.TOO_LONG)
        return self._grid.add(cell, number, reply.raw, cut=reply.cut, failed=failed, reason=reply.reason)


_WORD = re.compile(r"\w+")


class WordDuplicates:
    """Texts seen so far; `find` returns the one that a new text nearly repeats, by Jaccard similarity of word sets.

    Comparing with every earlier text would be quadratic. Two sets with Jaccard similarity of at least t share a word
    among the first n - ceil(t n) + 1 of n words in any fixed order (prefix filtering; Chaudhuri et al. 2006, Bayardo
    et al. 2007), so only texts that share such a word are compared. Long words come first, as they are rare.
    `curation.hygiene` finds all near pairs of a whole set at once, by letter sequences.
    """

    def __init__(self, threshold: float = 0.7) -> None:
        """threshold: least Jaccard similarity of the words of near duplicates, in (0, 1]."""
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must lie above 0 and at most 1, got {threshold}")
        self._threshold = threshold
        self._texts: list[str] = []
        self._words: list[frozenset[str]] = []
        self._by_word: defaultdict[str, list[int]] = defaultdict(list)

    def find(self, text: str) -> str | None:
        """Return the earliest added text that this one equals or nearly repeats, or None."""
        words = word_set(text)
        candidates = {number for word in self._first(words) for number in self._by_word.get(word, ())}
        near = (number for number in candidates if jaccard(words, self._words[number]) >= self._threshold)
        first = min(near, default=None)
        return None if first is None else self._texts[first]

    def add(self, text: str) -> None:
        """Remember a text."""
        words = word_set(text)
        for word in self._first(words):
            self._by_word[word].append(len(self._texts))
        self._texts.append(text)
        self._words.append(words)

    def _first(self, words: frozenset[str]) -> list[str]:
        ordered = sorted(words, key=lambda word: (-len(word), word))
        return ordered[: len(ordered) - math.ceil(self._threshold * len(ordered) - 1e-9) + 1]


def word_set(text: str) -> frozenset[str]:
    """Return the case-folded words of a text; a text without letters or digits counts as one word."""
    return frozenset(_WORD.findall(normalize("NFC", text).casefold())) or frozenset([text.strip()])


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the Jaccard similarity of two word sets, in [0, 1]."""
    return len(left & right) / len(left | right)
