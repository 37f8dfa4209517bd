"""What both architectures of transformers share: batches of replies, each token chosen from two rows of logits.

The rows of a step are the own prompts of a batch and, while omega is above 0, the opposite prompts of the same
replies; both are continued by the same token, chosen from z = l - omega * l^ (MultiCSR, arXiv 2310.10962, stage 1).
Finished replies leave the batch once they are half of it. When memory does not suffice the batch is halved and
written again; the size that did fit is kept for later runs.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import GenerationConfig
from pipeline.errors import InputError
from pipeline.generation.contrast import TokenChoice, choose
from pipeline.generation.llms.batch_limits import BatchLimits
from pipeline.generation.llms.protocol import Ask, Reply, ShouldStop, sum_of
from pipeline.generation.prompts import PromptSet
from pipeline.records import Contrast, Outcome, Side

if TYPE_CHECKING:
    import torch

LONGEST_WINDOW = 4096
"""Tokens of prompt and reply that are worth their memory here, whatever a model allows."""
_BATCHES_SORTED = 8
"""Replies of this many batches are sorted by length, so that a batch holds prompts of like length."""
_LONGEST_TOKEN_CHARS = 32
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens of a prompt: the part that all premises of a side share, and the rest."""

    prefix: tuple[int, ...]
    tail: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prefix) + len(self.tail)


@dataclass(slots=True)
class Job:
    """A reply to write: its place, its two prompts as tokens and what was chosen so far."""

    key: int
    side: Side
    own: Prompt
    opposite: Prompt
    seed: int
    draws: np.random.Generator = field(init=False)
    tokens: list[int] = field(default_factory=list)
    own_log_p: float | None = None
    opposite_log_p: float | None = None
    is_ended: bool = False

    def __post_init__(self) -> None:
        # One stream of draws for both prompts of a reply, the same whatever its place in a batch.
        self.draws = np.random.default_rng([self.seed, int(self.side is Side.POSITIVE)])

    def anew(self) -> "Job":
        """Return the same job with nothing written."""
        return Job(self.key, self.side, self.own, self.opposite, self.seed)

    def append(
        self, token: int, own: "torch.Tensor", opposite: "torch.Tensor | None", config: GenerationConfig
    ) -> None:
        """Take over a token, and its log-probabilities where candidates are to be compared."""
        self.tokens.append(token)
        if config.candidates > 1:
            self.own_log_p = (self.own_log_p or 0.0) + float(own.float().log_softmax(-1)[token])
            if opposite is not None:
                self.opposite_log_p = (self.opposite_log_p or 0.0) + float(opposite.float().log_softmax(-1)[token])


class Steps(ABC):
    """The memory of one batch: prompts read once, then one token per row and step."""

    @abstractmethod
    def first(self) -> "torch.Tensor":
        """Return the logits after the prompts, (rows, vocabulary)."""

    @abstractmethod
    def next(self, tokens: NDArray[np.int64]) -> "torch.Tensor":
        """Append a token to every row and return the logits after it, (rows, vocabulary)."""

    @abstractmethod
    def keep(self, rows: NDArray[np.int64]) -> None:
        """Go on with these rows only."""


class TorchLLM(ABC):
    """A model of transformers in float32 (CPU) or bfloat16 (GPU), loaded without code of its own."""

    contrast = Contrast.TOKEN

    def __init__(self, model: Any, tokenizer: Any, *, name: str, limits: BatchLimits | None = None) -> None:
        self.name = name
        self.model = model
        self.tokenizer = tokenizer
        self.device = str(model.device)
        self.limits = limits or BatchLimits()
        self._line_breaks: dict[int, bool] = {}
        self.context_length: int | None = self._window()

    def replies(
        self, asks: Iterator[Ask], prompts: PromptSet, config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield both sides of each ask, a batch at a time; see LLM.replies."""
        window = max(1, config.batch_size * _BATCHES_SORTED // len(Side))
        while not should_stop() and (drawn := list(islice(asks, window))):
            waiting: list[Job] = []
            for ask in drawn:
                jobs = self._jobs(ask, prompts, config)
                if jobs is None:
                    yield from (Reply(ask.key, side, "", problem=Outcome.TOO_LONG) for side in Side)
                else:
                    waiting += jobs
            waiting.sort(key=lambda job: len(job.own) + len(job.opposite))
            while waiting and not should_stop():
                size = self.limits.at_most(config.batch_size)
                batch, waiting = waiting[:size], waiting[size:]
                try:
                    yield from self._write(batch, config, should_stop)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    if len(batch) == 1:
                        yield Reply(batch[0].key, batch[0].side, "", problem=Outcome.FAILED, reason="out of memory")
                        continue
                    self._release()
                    self.limits.shrink(len(batch))
                    waiting = [job.anew() for job in batch] + waiting

    @abstractmethod
    def begin(self, prompts: Sequence[Prompt]) -> Steps:
        """Read these prompts, one per row."""

    @abstractmethod
    def next_log_probabilities(self, prompt: str, reply: Sequence[int]) -> NDArray[np.float32]:
        """Return log p of every next token after the prompt and each token of the reply; see TokenLLM."""

    @abstractmethod
    def prompt(self, shared: str, rest: str) -> Prompt:
        """Return the tokens of a prompt, with whatever the model wants around them."""

    def log_probabilities(self, prompts: Sequence[str], replies: Sequence[str]) -> NDArray[np.float64]:
        """Return log p(reply | prompt) of each pair; nan for one that does not fit the window."""
        found = []
        for prompt, reply in zip(prompts, replies, strict=True):
            tokens = self.tokenize(reply)
            try:
                found.append(sum_of(self.next_log_probabilities(prompt, tokens), tokens))
            except InputError:
                found.append(float("nan"))
        return np.array(found, dtype=np.float64)

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text, without any that start or end a sequence."""
        clean = text.encode("utf-8", errors="replace").decode()
        return list(self.tokenizer(clean, add_special_tokens=False, verbose=False)["input_ids"])

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def is_end(self, token: int) -> bool:
        """Whether this token ends a reply: one of the model's own end tokens, or any that holds a line break."""
        if token not in self._line_breaks:
            self._line_breaks[token] = "\n" in self.tokenizer.decode([token])
        return token in self._end_tokens() or self._line_breaks[token]

    def close(self) -> None:
        """Free the weights."""
        self.model = None
        self._release()

    def __enter__(self) -> "TorchLLM":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _jobs(self, ask: Ask, prompts: PromptSet, config: GenerationConfig) -> list[Job] | None:
        """Return a job per side, or None when the premise does not fit."""
        longest = self.context_length or LONGEST_WINDOW
        if len(ask.premise) > longest * _LONGEST_TOKEN_CHARS:
            return None
        jobs = []
        for side in Side:
            own, opposite = (
                self.prompt(one.prefix(), one.tail(ask.premise))
                for one in (prompts.own(side), prompts.opposite(side))
            )
            if max(len(own), len(opposite)) + self._room(config) > longest:
                return None
            jobs.append(Job(ask.key, side, own, opposite, ask.seed))
        return jobs

    def _write(self, batch: list[Job], config: GenerationConfig, should_stop: ShouldStop) -> list[Reply]:
        """Write the replies of a batch to their ends; a stop returns those that have ended."""
        import torch

        how = TokenChoice(config.omega, config.plausibility, config.temperature, config.top_p)
        halves = 2 if config.omega > 0 else 1
        ended: list[Reply] = []
        rows = list(batch)  # a job per row of a half; jobs that have ended stay until the batch is cut
        with torch.inference_mode():
            steps = self.begin([job.own for job in rows] + [job.opposite for job in rows if halves == 2])
            logits = steps.first()
            while not should_stop():
                own, opposite = logits[: len(rows)], logits[len(rows) :] if halves == 2 else None
                chosen = _choose(own, opposite, how, rows)
                for row in (row for row, job in enumerate(rows) if not job.is_ended):
                    job, token = rows[row], int(chosen[row])
                    is_end = self.is_end(token)
                    if not is_end:
                        job.append(token, own[row], opposite[row] if opposite is not None else None, config)
                    if is_end or len(job.tokens) >= config.max_new_tokens:
                        job.is_ended = True
                        ended.append(self._reply(job, cut=not is_end))
                still = np.flatnonzero([not job.is_ended for job in rows])
                if not len(still):
                    break
                if 2 * len(still) <= len(rows):
                    steps.keep(np.concatenate([still + half * len(rows) for half in range(halves)]))
                    rows, chosen = [rows[row] for row in still], chosen[still]
                logits = steps.next(np.tile(chosen, halves))
        return ended

    def _reply(self, job: Job, *, cut: bool) -> Reply:
        return Reply(
            job.key,
            job.side,
            self.detokenize(job.tokens),
            tokens=len(job.tokens),
            cut=cut,
            own_log_p=job.own_log_p,
            opposite_log_p=job.opposite_log_p,
        )

    def _end_tokens(self) -> frozenset[int]:
        named = self.model.generation_config.eos_token_id
        if named is None:
            named = self.model.config.eos_token_id
        return frozenset(named if isinstance(named, list | tuple) else [] if named is None else [named])

    @abstractmethod
    def _window(self) -> int:
        """Return the longest prompt and reply together that the model can hold, in tokens."""

    @abstractmethod
    def _room(self, config: GenerationConfig) -> int:
        """Return how many tokens of the window the longest reply takes from the prompt."""

    def _release(self) -> None:
        import gc

        import torch

        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch says that memory did not suffice; on a CPU it is a plain RuntimeError."""
    import torch

    told = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in told for word in _OUT_OF_MEMORY)


def load_settings(device: str) -> dict[str, Any]:
    """Return what every model is loaded with: nothing from the network, no code, no pickle, a dtype that works."""
    import torch

    # bfloat16 products are killed on some CPUs that announce them.
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    return {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True, "dtype": dtype}


def _choose(
    own: "torch.Tensor", opposite: "torch.Tensor | None", how: TokenChoice, rows: Sequence[Job]
) -> NDArray[np.int64]:
    """Choose a token per pair of rows; see contrast.choose."""
    if own.device.type != "cpu" and how.temperature == 0:
        return _choose_greedy(own, opposite, how)  # all the logits would wait for the bus
    draws = np.array([job.draws.random() for job in rows]) if how.temperature > 0 else None
    return choose(_host(own), None if opposite is None else _host(opposite), how, draws)


def _choose_greedy(own: "torch.Tensor", opposite: "torch.Tensor | None", how: TokenChoice) -> NDArray[np.int64]:
    """The greedy case of contrast.choose, on the device."""
    import torch

    own = own.float()
    z = own if opposite is None else own - how.omega * opposite.float()
    if how.plausibility > 0:
        floor = own.max(dim=1, keepdim=True).values + float(np.log(how.plausibility))
        z = torch.where(own < floor, -torch.inf, z)
    return z.argmax(dim=1).cpu().numpy()


def _host(logits: "torch.Tensor") -> NDArray[np.float32]:
    return np.asarray(logits.float().cpu().numpy())
