"""The scheduler that decodes many replies in parallel and keeps the batch full.

Each reply owns one row (own prompt) or, under contrast, two (own and opposite prompt) that always hold the same
reply tokens. A premise's two sides are opened together, as one side's opposite prompt may be the other side's own;
each prompt is decoded once and copied. A finished reply frees its rows for a waiting premise at the next step.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.generation.contrast import TokenChoice
from pipeline.generation.engines.engine import PREFIXES, CacheFullError, DecodeError, Engine, Piece
from pipeline.generation.token_choice import choose
from pipeline.records import Outcome, Side

OTHER = {Side.POSITIVE: Side.HARD_NEGATIVE, Side.HARD_NEGATIVE: Side.POSITIVE}


@dataclass(frozen=True, slots=True)
class Request:
    """One premise to generate for: its tokens under each prompt (after the shared prefix) and the requested sides."""

    key: int
    tails: Mapping[str, Sequence[int]]
    seed: int
    sides: tuple[Side, ...] = (Side.POSITIVE, Side.HARD_NEGATIVE)


@dataclass(frozen=True, slots=True)
class RawReply:
    """A reply as tokens, without its end token; cut: it reached the token limit; problem: why it did not finish."""

    key: int
    side: Side
    tokens: list[int]
    cut: bool = False
    problem: Outcome | None = None
    own_log_p: float | None = None
    """log p(reply | own prompt) in nats, where replies are measured."""
    opposite_log_p: float | None = None


@dataclass(slots=True)
class _Row:
    sequence: int
    start: int = 0  # position of the first reply token
    output: int = -1  # row of the current step's logits


@dataclass(slots=True)
class _Reply:
    """A reply in the batch; without tokens its premise has not been decoded yet."""

    request: Request
    side: Side
    rows: list[_Row]
    draws: np.random.Generator
    tokens: list[int] = field(default_factory=list)
    log_ps: list[Sequence[float]] = field(default_factory=list)  # of each token, under one or both prompts

    def measured(self) -> tuple[float | None, float | None]:
        """Return log p of the tokens so far under the own and the opposite prompt; None where it was not measured."""
        sums = [math.fsum(side) for side in zip(*self.log_ps, strict=True)]
        own, opposite, *_ = (*sums, None, None)
        return own, opposite


class Lockstep:
    """Decodes replies to requests; `run` yields them in order of completion."""

    def __init__(
        self,
        llm: Engine,
        prefixes: Mapping[str, Sequence[int]],
        how: TokenChoice,
        *,
        slots: int,
        max_new_tokens: int,
        opposites: Mapping[Side, str] = OTHER,
        ends: NDArray[np.bool_] | None = None,
        is_full: Callable[[Sequence[int]], bool] | None = None,
        is_measured: bool = False,
    ) -> None:
        """Prompts are named by a key: a side's own prompt by the side, its opposite as `opposites` says.

        ends: which tokens end a reply, by default those that end one of a line; is_full: whether a reply is cut
        behind these tokens, by default at max_new_tokens, which none exceeds; is_measured: whether the
        log-probabilities of replies are wanted.
        """
        self._is_measured = is_measured
        self._ends = llm.ends if ends is None else ends
        self._is_full = is_full or (lambda tokens: len(tokens) >= max_new_tokens)
        self._llm = llm
        self._opposites = opposites
        self._how = how
        self._rows_each = 2 if how.omega > 0 else 1
        self._prefix = {key: (llm.prefix(tokens), len(tokens)) for key, tokens in prefixes.items()}
        self._sequences = list(range(llm.sequences - 2, PREFIXES - 1, -1))
        # A premise is opened with both sides, so fewer than two slots would never open one.
        self._limit = max(2, min(slots, len(self._sequences) // self._rows_each))
        self._slots = self._limit
        self._cells = llm.cells - llm.prefix_cells
        self._longest = max_new_tokens + llm.ahead - 1  # tokens behind an end are computed and thrown away
        self._active: list[_Reply] = []
        self._waiting: deque[Request] = deque()

    def fits(self, request: Request) -> bool:
        """Whether a request with its longest reply fits the model's window and the cache."""
        longest = max(self._prefix[key][1] + len(tail) for key, tail in request.tails.items())
        return longest + self._longest <= self._llm.window and self._need(request) <= self._cells

    def run(self, source: Iterator[Request], should_stop: Callable[[], bool]) -> Iterator[RawReply]:
        """Yield every side of every request when it finishes; stops between two steps if `should_stop` says so."""
        try:
            while not should_stop():
                self._admit(source)
                if not self._active:
                    return
                yield from self._step()
        finally:
            for reply in self._active:
                self._release(reply)
            self._active.clear()

    def _need(self, request: Request) -> int:
        """Return the most cells that a request can take: its tails once, its replies once per row."""
        replies = len(request.sides) * self._rows_each * self._longest
        return sum(len(tail) for tail in request.tails.values()) + replies

    def _admit(self, source: Iterator[Request]) -> None:
        """Put waiting requests into the batch while rows and cells are free."""
        # Sides of one request share their tails; counting them per side overestimates, which is safe.
        used = sum(self._need(reply.request) // len(reply.request.sides) + 1 for reply in self._active)
        while request := (self._waiting.popleft() if self._waiting else next(source, None)):
            if len(request.sides) > self._slots:
                request, later = (replace(request, sides=(side,)) for side in request.sides)
                self._waiting.appendleft(later)
            used += self._need(request)
            if len(self._active) + len(request.sides) > self._slots or (used > self._cells and self._active):
                self._waiting.appendleft(request)
                return
            self._active.extend(self._open(request, side) for side in request.sides)

    def _open(self, request: Request, side: Side) -> _Reply:
        draws = np.random.default_rng([request.seed, int(side is Side.POSITIVE)])
        rows = [_Row(self._sequences.pop()) for _ in range(self._rows_each)]
        return _Reply(request, side, rows, draws)

    def _step(self) -> Iterator[RawReply]:
        """Decode a token for every active reply, and the premises of new ones; then more tokens before a look."""
        pieces = self._continuations()
        copies = self._openings(pieces)
        try:
            logits = self._llm.logits(pieces)
        except CacheFullError:
            yield from self._make_room()
            return
        except DecodeError:
            yield from self._end_all(Outcome.FAILED)
            return
        for source, target in copies:
            self._llm.share(source, target)
        chosen = [self._choose(logits)]
        while len(chosen) < self._llm.ahead:
            pieces = self._continuations(len(chosen))
            try:
                logits = self._llm.logits(pieces, chosen[-1][0].repeat_interleave(self._rows_each))
            except CacheFullError:
                break  # these tokens may do; the next step makes room if they do not
            chosen.append(self._choose(logits))
        tokens, log_ps = (torch.stack(each, dim=1) for each in zip(*chosen, strict=True))
        unmeasured: list[list[list[float]]] = [[[]] * len(chosen)] * len(self._active)
        yield from self._append(tokens.tolist(), log_ps.tolist() if self._is_measured else unmeasured)

    def _continuations(self, unseen: int = 0) -> list[Piece]:
        """Return what continues the replies, behind this many tokens that only the device knows."""
        pieces: list[Piece] = []
        for reply in self._active:
            if not reply.tokens and not unseen:
                continue
            for row in reply.rows:
                row.output = len(pieces)
                position = row.start + len(reply.tokens) + unseen - 1
                pieces.append(Piece(row.sequence, position, reply.tokens[-1:] or [0]))
        return pieces

    def _openings(self, pieces: list[Piece]) -> list[tuple[int, int]]:
        """Add each prompt of the new premises once; return the (source, target) sequences to copy afterwards."""
        copies: list[tuple[int, int]] = []
        first: dict[tuple[int, str], _Row] = {}
        for reply in (reply for reply in self._active if not reply.tokens):
            for row, prompt in zip(reply.rows, (reply.side, self._opposites[reply.side]), strict=False):
                sequence, length = self._prefix[prompt]
                tail = reply.request.tails[prompt]
                row.start = length + len(tail)
                known = first.setdefault((reply.request.key, prompt), row)
                if known is row:
                    self._llm.share(sequence, row.sequence)
                    row.output = len(pieces)
                    pieces.append(Piece(row.sequence, length, tail))
                else:
                    row.output = known.output
                    copies.append((known.sequence, row.sequence))
        return copies

    def _choose(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a token per active reply, (n,), chosen on the device of the logits, and log p under its prompts.

        log p: (n, prompts) where replies are measured, else (n, 0).
        """
        rows = torch.tensor([[row.output for row in reply.rows] for reply in self._active]).to(logits.device)
        sides = [logits[rows[:, side]] for side in range(self._rows_each)]
        draws = None
        if self._how.temperature > 0:
            draws = np.array([reply.draws.random() for reply in self._active])
        tokens = choose(sides[0], sides[1] if len(sides) == 2 else None, self._how, draws)
        measured = [side.log_softmax(dim=1).gather(1, tokens[:, None]) for side in sides if self._is_measured]
        return tokens, torch.cat(measured, dim=1) if measured else logits.new_empty(len(tokens), 0)

    def _append(self, tokens: list[list[int]], log_ps: list[list[list[float]]]) -> Iterator[RawReply]:
        """Take over the tokens chosen for each reply, (active, chosen), and those that end one."""
        still: list[_Reply] = []
        ended: list[RawReply] = []
        for reply, chosen, measured in zip(self._active, tokens, log_ps, strict=True):
            for token, log_p in zip(chosen, measured, strict=True):
                ends = bool(self._ends[token])
                if not ends:
                    reply.tokens.append(token)
                    reply.log_ps.append(log_p)
                if ends or self._is_full(reply.tokens):
                    self._release(reply)
                    ended.append(
                        RawReply(reply.request.key, reply.side, reply.tokens, not ends, None, *reply.measured())
                    )
                    break
            else:
                still.append(reply)
        self._active = still
        self._slots = min(self._limit, self._slots + len(ended))  # recover slowly after a full cache
        yield from ended

    def _make_room(self) -> Iterator[RawReply]:
        """Queue the newer half of the batch again and go on with the rest; a reply alone without room is too long."""
        if len(self._active) == 1:
            yield from self._end_all(Outcome.TOO_LONG)
            return
        staying = self._active[: len(self._active) // 2]
        for reply in reversed(self._active[len(staying) :]):
            self._release(reply)
            self._waiting.appendleft(replace(reply.request, sides=(reply.side,)))
        for reply in (reply for reply in staying if not reply.tokens):
            for row in reply.rows:
                self._llm.forget(row.sequence)  # it is opened anew in the next step
        self._active = staying
        self._slots = len(staying)

    def _end_all(self, problem: Outcome) -> Iterator[RawReply]:
        ended = [RawReply(reply.request.key, reply.side, reply.tokens, problem=problem) for reply in self._active]
        for reply in self._active:
            self._release(reply)
        self._active = []
        yield from ended

    def _release(self, reply: _Reply) -> None:
        for row in reply.rows:
            self._llm.forget(row.sequence)
            self._sequences.append(row.sequence)
