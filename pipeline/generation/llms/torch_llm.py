"""What both architectures of transformers share: batches of prompts, cut to what memory allows, and single questions.

When memory does not suffice a batch is halved and written again; the size that did fit is kept for later runs.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.config import GenerationConfig
from pipeline.durable import write_json
from pipeline.generation.engines.engine import is_out_of_memory
from pipeline.generation.engines.transformers_folder import LONGEST_WINDOW, end_tokens, load, start_tokens, tokens_of
from pipeline.generation.forms import CompletionForm, Form, Spelling
from pipeline.generation.llms.protocol import Ask, Given, Reply, ShouldStop, log_probabilities_of
from pipeline.generation.llms.torch_writing import Job, Prompt, Steps, write_batch
from pipeline.generation.prompts import FewShot, PromptSet, one_line
from pipeline.generation.reply_limit import ReplyLimit
from pipeline.records import Contrast, Outcome, Side

_FILE = "batch-limits.json"
_BATCHES_SORTED = 8
"""Replies of this many batches are sorted by length, so that a batch holds prompts of like length."""
_LONGEST_TOKEN_CHARS = 32
FormOf = Callable[[Spelling, tuple[int, ...]], Form]
"""Makes the form of an LLM from its tokenizer and the tokens that its texts begin with."""


class BatchLimits:
    """The limit of one model on one machine; without a folder it is forgotten with the process."""

    def __init__(self, folder: Path | None = None, key: str = "") -> None:
        self._path = folder / _FILE if folder else None
        self._key = key
        self._limit: int | None = self._read().get(key)

    def at_most(self, wanted: int) -> int:
        """Return the number of replies to try."""
        return wanted if self._limit is None else max(1, min(wanted, self._limit))

    def shrink(self, failed: int) -> None:
        """Note that this many did not fit: half of them is tried next, now and in later runs."""
        self._limit = max(1, failed // 2)
        if self._path is None:
            return
        write_json(self._path, self._read() | {self._key: self._limit}, indent=1)

    def _read(self) -> dict[str, int]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8")) if self._path else {}
        except (OSError, ValueError):
            return {}  # a note that cannot be read is learned anew
        if not isinstance(found, dict):
            return {}
        return {str(key): limit for key, limit in found.items() if isinstance(limit, int) and limit >= 1}


class TorchLLM(ABC):
    """A model of transformers in float32 (CPU) or bfloat16 (GPU), loaded without code of its own."""

    contrast = Contrast.TOKEN
    auto_class: ClassVar[str]
    """The class of transformers that loads such a model."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        limits: BatchLimits | None = None,
        form_of: FormOf = CompletionForm,
    ) -> None:
        """form_of: how it is asked, by default with one text."""
        self.name = name
        self.model = model
        self.tokenizer = tokenizer
        self.device = str(model.device)
        self.limits = limits or BatchLimits()
        self._line_breaks: dict[int, bool] = {}
        self.context_length: int | None = self._window()
        self.form = form_of(self, start_tokens(tokenizer))
        self._ends = end_tokens(model) | self.form.ends()

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        name: str,
        device: str,
        limits: BatchLimits | None = None,
        form_of: FormOf = CompletionForm,
    ) -> Self:
        """Load a folder with safetensors weights; see folder_weights.load."""
        model, tokenizer = load(folder, cls.auto_class, device)
        return cls(model, tokenizer, name=name, limits=limits, form_of=form_of)

    def replies(
        self, asks: Iterator[Ask], prompts: PromptSet, config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield both sides of each ask, a batch at a time; see LLM.replies."""

        def jobs(ask: Ask) -> Iterator[Job]:
            for side in Side:
                own, opposite = (
                    self.prompt(one.few_shot, one_line(ask.premise))
                    for one in (prompts.own(side), prompts.opposite(side))
                )
                yield Job(ask.key, side, own, opposite, ask.seed)

        sides = {side: prompts.own(side).few_shot for side in Side}
        return self._written(asks, sides, jobs, config, should_stop)

    def continuations(
        self, asked: FewShot, asks: Iterator[Ask], config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield how the LLM answers each question, a batch at a time; see LLM.continuations."""

        def jobs(ask: Ask) -> Iterator[Job]:
            prompt = self.prompt(asked, ask.premise)
            yield Job(ask.key, Side.POSITIVE, prompt, prompt, ask.seed)

        plain = replace(config, omega=0.0, candidates=1)
        return self._written(asks, {Side.POSITIVE: asked}, jobs, plain, should_stop)

    @abstractmethod
    def begin(self, prompts: Sequence[Prompt]) -> Steps:
        """Read these prompts, one per row."""

    @abstractmethod
    def next_log_probabilities(self, prompt: Given, reply: Sequence[int]) -> NDArray[np.float32]:
        """Return log p of every next token after the prompt and each token of the reply; see TokenLLM."""

    @abstractmethod
    def prompt(self, asked: FewShot, question: str, *, given: bool = False) -> Prompt:
        """Return the tokens of a prompt, with whatever the model wants around them; given: see forms.Form."""

    def log_probabilities(
        self, asked: FewShot, questions: Sequence[str], replies: Sequence[str]
    ) -> NDArray[np.float64]:
        """Return log p(reply | question) of each pair; nan for one that does not fit the window."""
        return log_probabilities_of(self, asked, questions, replies)

    def tokenize(self, text: str, *, marked: bool = False) -> list[int]:
        """Return the tokens of a text, without any that start or end a sequence; see forms.Spelling."""
        return tokens_of(self.tokenizer, text, marked=marked)

    def detokenize(self, tokens: Sequence[int], *, marked: bool = False) -> str:
        """Return the text of tokens; the tags of a thought are kept. marked: special tokens as well."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=not (marked or self.form.thinks)))

    def prompt_tokens(self, asked: FewShot, question: str) -> list[int]:
        """Return the tokens of a whole prompt."""
        prompt = self.prompt(asked, question)
        return [*prompt.prefix, *prompt.tail]

    def is_end(self, token: int) -> bool:
        """Whether this token ends a reply: one of the model's own, or in a reply of one line any with a break."""
        if token in self._ends or not self.form.ends_at_line:
            return token in self._ends
        if token not in self._line_breaks:
            self._line_breaks[token] = "\n" in self.tokenizer.decode([token])
        return self._line_breaks[token]

    def close(self) -> None:
        """Free the weights."""
        self.model = None
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _written(
        self,
        asks: Iterator[Ask],
        sides: Mapping[Side, FewShot],
        jobs: Callable[[Ask], Iterator[Job]],
        config: GenerationConfig,
        should_stop: ShouldStop,
    ) -> Iterator[Reply]:
        """Yield a reply per side of each ask; one that does not fit the window is answered with that."""
        window = max(1, self._at_once(config) * _BATCHES_SORTED // len(sides))
        while not should_stop() and (drawn := list(islice(asks, window))):
            waiting: list[Job] = []
            for ask in drawn:
                if self._may_fit(ask) and self._fit(found := list(jobs(ask)), config):
                    waiting += found
                else:
                    yield from (Reply(ask.key, side, "", problem=Outcome.TOO_LONG) for side in sides)
            waiting.sort(key=lambda job: len(job.own) + len(job.opposite))
            for job, cut in self._in_batches(waiting, config, should_stop):
                yield job if isinstance(job, Reply) else self._reply(job, self.form.began(sides[job.side]), cut=cut)

    def _in_batches(
        self, waiting: list[Job], config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[tuple[Job | Reply, bool]]:
        """Yield jobs that ended, with whether they were cut; a reply for one that memory has no room for."""
        limit = ReplyLimit(config, self.form, self)
        while waiting and not should_stop():
            size = self._at_once(config)
            batch, waiting = waiting[:size], waiting[size:]
            try:
                ended = write_batch(
                    batch, self.begin, config, is_end=self.is_end, is_full=limit.is_reached, should_stop=should_stop
                )
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    [job] = batch
                    yield Reply(job.key, job.side, "", problem=Outcome.FAILED, reason="out of memory"), False
                    continue
                self._release()
                self.limits.shrink(len(batch))
                waiting = [job.anew() for job in batch] + waiting
                continue
            yield from ended

    def _at_once(self, config: GenerationConfig) -> int:
        """Return how many replies to try side by side."""
        return self.limits.at_most(config.batch_size or replies_at_once(self.device))

    def _may_fit(self, ask: Ask) -> bool:
        """Whether a text is worth tokenizing at all."""
        return len(ask.premise) <= (self.context_length or LONGEST_WINDOW) * _LONGEST_TOKEN_CHARS

    def _fit(self, jobs: Sequence[Job], config: GenerationConfig) -> bool:
        """Whether every prompt leaves its reply room in the window."""
        room = (self.context_length or LONGEST_WINDOW) - self._room(config)
        return all(max(len(job.own), len(job.opposite)) <= room for job in jobs)

    def _reply(self, job: Job, began: str, *, cut: bool) -> Reply:
        return Reply(
            job.key,
            job.side,
            began + self.detokenize(job.tokens),
            tokens=len(job.tokens),
            cut=cut,
            own_log_p=job.own_log_p,
            opposite_log_p=job.opposite_log_p,
        )

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


def replies_at_once(device: str) -> int:
    """Return how many replies are tried side by side where the settings leave it open.

    A GPU that has no room for so many tries half; the number has not been tuned on one.
    """
    return 32 if device == "cpu" else 1024
