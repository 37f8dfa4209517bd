"""Any OpenAI-compatible server: plain generation, or candidates reranked by their log-probability under both prompts.

A server shows no logits, so the contrast cannot choose tokens. Where it returns log-probabilities of prompts, whole
replies are compared instead: log p(reply | own prompt) - omega log p(reply | opposite prompt). Otherwise the replies
are plain, and say so.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any

import numpy as np
import openai
from numpy.typing import NDArray

from pipeline.config import GenerationConfig
from pipeline.generation.llms.endpoints import checked_url, http_client, key_for
from pipeline.generation.llms.meter import BudgetError, Meter, Usage
from pipeline.generation.llms.protocol import Ask, Reply, ShouldStop
from pipeline.generation.llms.refused_settings import sent_settings
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.responses import Written, echoed_log_p, read_reply
from pipeline.generation.llms.retries import CallError, Calls, Patience
from pipeline.generation.prompts import PromptSet
from pipeline.records import Contrast, InputError, Outcome, Side, Stopped

_POLL_S = 0.2
_GRACE_S = 5.0
"""Longest wait for calls under way when a run is stopped; they are paid for."""
_FAILURES_IN_A_ROW = 8
"""Calls that failed for good, one after the other, after which the server is taken to be down."""


def written(
    jobs: Iterator[tuple[Ask, Side]],
    write: Callable[[Ask, Side], Reply],
    should_stop: ShouldStop,
    stop: Event,
    *,
    name: str,
    concurrency: int,
) -> Iterator[Reply]:
    """Yield the reply of every job as it comes, up to `concurrency` calls under way at once.

    stop: set when the run ends, to make calls that wait for their turn give up. Raises what ends the run, such as a
    spent budget, after the replies that were under way; InputError as well when the server seems to be down.
    """
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="llm-call")
    under_way: set[Future[Reply]] = set()
    ended: InputError | None = None
    failed_in_a_row = 0
    try:
        while ended is None and not should_stop():
            while len(under_way) < concurrency and (job := next(jobs, None)) is not None:
                under_way.add(pool.submit(write, *job))
            if not under_way:
                return
            done, under_way = wait(under_way, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                reply, error = _outcome(future)
                ended = ended or error
                if reply is not None:
                    is_down = reply.problem is Outcome.FAILED and reply.is_servers_fault
                    failed_in_a_row = failed_in_a_row + 1 if is_down else 0
                    yield reply
                    if failed_in_a_row >= max(_FAILURES_IN_A_ROW, 2 * concurrency):
                        ended = InputError(
                            f"The server of {name} failed {failed_in_a_row} times in a row ({reply.reason}): "
                            "check it and start the run again; finished rows are not paid for twice."
                        )
        if not isinstance(ended, BudgetError):
            stop.set()  # calls that wait for their turn give up; those under way are waited for
        for future in wait(under_way, timeout=_GRACE_S if stop.is_set() else None).done:
            reply, error = _outcome(future)
            ended = ended or error
            if reply is not None:
                yield reply
        if ended is not None:
            raise ended
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _outcome(future: "Future[Reply]") -> tuple[Reply | None, InputError | None]:
    """Return a thread's reply, or what ends the run."""
    try:
        return future.result(), None
    except Stopped:
        return None, None
    except InputError as error:
        return None, error


class RemoteLLM:
    """A model behind a server; keeps up to `concurrency` calls under way."""

    def __init__(
        self, entry: LLMEntry, *, patience: Patience | None = None, context_length: int | None = None
    ) -> None:
        """Look up the key and check the address; nothing is sent yet. Raises InputError."""
        self.name = entry.name
        self.entry = entry
        self.contrast = Contrast.SEQUENCE if entry.scores_prompts else Contrast.NONE
        self.context_length = context_length
        self.spent = Usage()
        """What earlier parts of the run were charged for; counts towards its budget."""
        self._patience = patience or Patience()
        url = checked_url(entry.location)
        key = key_for(entry.key_variable, url, entry.key_origin)
        self.secret = key if entry.key_variable else ""
        """The key, to be masked wherever a server repeats it; empty for none."""
        self.client = openai.OpenAI(
            base_url=url,
            api_key=key,
            max_retries=0,  # tried again here, where it is metered
            timeout=entry.timeout_s,
            http_client=http_client(url, timeout_s=entry.timeout_s),
        )
        self._meter = self._new_meter(GenerationConfig())

    @property
    def usage(self) -> Usage:
        """What the run was charged for so far, earlier parts included."""
        return self._meter.spent

    def replies(
        self, asks: Iterator[Ask], prompts: PromptSet, config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield both sides of each ask as they come; see LLM.replies.

        Raises BudgetError once the budget has no room for another call, and InputError when the server refuses every
        call or seems to be down; what was answered before is yielded first.
        """
        jobs = ((ask, side) for ask in asks for side in Side)
        return self._written(jobs, config, should_stop, lambda writer, *job: writer.side(*job, prompts))

    def continuations(
        self, shared: str, asks: Iterator[Ask], config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield how the LLM goes on from each text as it comes; see LLM.continuations and `replies`."""
        # A run asks for one kind of text after the other: what the earlier ones cost counts towards its budget.
        self.spent = max(self.spent, self.usage, key=lambda usage: usage.calls)
        jobs = ((ask, Side.POSITIVE) for ask in asks)
        return self._written(
            jobs, config, should_stop, lambda writer, ask, side: writer.reply(ask, side, shared + ask.premise)
        )

    def log_probabilities(self, prompts: Sequence[str], replies: Sequence[str]) -> NDArray[np.float64]:
        """Return log p(reply | prompt) of each pair; nan where the server does not say."""
        calls = self._calls(Event())
        found = []
        for prompt, reply in zip(prompts, replies, strict=True):
            try:
                value = self.reply_log_p(calls, prompt, reply) if self.contrast is Contrast.SEQUENCE else None
            except CallError:
                value = None
            found.append(float("nan") if value is None else value)
        return np.array(found, dtype=np.float64)

    def answer(self, prompt: str, config: GenerationConfig) -> tuple[str, int, bool]:
        """Return how the server goes on from a prompt: text, tokens, whether it was cut at the limit. InputError."""
        try:
            return self.write(self._calls(Event()), prompt, config, config.seed)[:3]
        except CallError as error:
            raise InputError(str(error)) from error

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def write(self, calls: Calls, prompt: str, config: GenerationConfig, seed: int) -> Written:
        """Return one reply to a prompt."""
        settings = sent_settings(
            self.entry,
            model=self.entry.model,
            max_tokens=config.max_new_tokens,
            temperature=config.temperature,
            top_p=config.top_p,
            seed=seed % 2**31,
        )
        if config.min_p > 0:  # no setting of OpenAI's own, so it is sent only where it is asked for
            settings["extra_body"] = {"min_p": config.min_p}
        call: Callable[[], Any]
        if self.entry.api == "chat":
            messages: list[Any] = [{"role": "user", "content": prompt}]
            call = lambda: self.client.chat.completions.create(messages=messages, **settings)  # noqa: E731
        else:
            settings |= sent_settings(self.entry, stop=["\n"])
            call = lambda: self.client.completions.create(prompt=prompt, **settings)  # noqa: E731
        return calls.make(call, read_reply, prompt=prompt, reply_tokens=config.max_new_tokens)

    def reply_log_p(self, calls: Calls, prompt: str, reply: str) -> float | None:
        """Return log p(reply | prompt) from the server's echo of both; None when it does not say."""
        return calls.make(
            lambda: self.client.completions.create(
                prompt=prompt + reply,
                **sent_settings(
                    self.entry, model=self.entry.model, max_tokens=1, echo=True, logprobs=1, temperature=0
                ),
            ),
            lambda answer: echoed_log_p(answer, prompt, reply),
            prompt=prompt + reply,
            reply_tokens=1,
        )

    def _new_meter(self, config: GenerationConfig) -> Meter:
        return Meter(
            price_in=self.entry.price_in,
            price_out=self.entry.price_out,
            token_budget=config.token_budget,
            money_budget=config.money_budget,
            spent=self.spent,
        )

    def _calls(self, stop: Event) -> Calls:
        return Calls(self._meter, patience=self._patience, stop=stop, secret=self.secret)

    def _written(
        self,
        jobs: Iterator[tuple[Ask, Side]],
        config: GenerationConfig,
        should_stop: ShouldStop,
        write: Callable[["_Writer", Ask, Side], Reply],
    ) -> Iterator[Reply]:
        stop = Event()
        self._meter = self._new_meter(config)
        bound = partial(write, _Writer(self, self._calls(stop), config))
        return written(jobs, bound, should_stop, stop, name=self.name, concurrency=self.entry.concurrency)


class _Writer:
    """Writes one reply, in a thread of its own."""

    def __init__(self, llm: RemoteLLM, calls: Calls, config: GenerationConfig) -> None:
        self._llm, self._calls, self._config = llm, calls, config

    def side(self, ask: Ask, side: Side, prompts: PromptSet) -> Reply:
        """Return the reply to one side of a premise, with its scores where candidates are to be compared."""
        own, opposite = (
            _printable(one.prefix() + one.tail(ask.premise)) for one in (prompts.own(side), prompts.opposite(side))
        )
        reply = self.reply(ask, side, own)
        if reply.problem is not None:
            return reply
        scores = self._scores(own, opposite, reply.raw)
        return replace(reply, own_log_p=scores[0], opposite_log_p=scores[1])

    def reply(self, ask: Ask, side: Side, prompt: str) -> Reply:
        """Return the reply to a prompt, or what kept it from being written."""
        try:
            found = self._llm.write(self._calls, _printable(prompt), self._config, ask.seed)
        except CallError as error:
            problem = Outcome.TOO_LONG if error.is_too_long else Outcome.FAILED
            problem = Outcome.REFUSED if error.is_filtered else problem
            return Reply(
                ask.key, side, "", problem=problem, reason=str(error), is_servers_fault=error.is_servers_fault
            )
        if found.is_filtered:
            reason = "the server's content filter ended the reply"
            return Reply(ask.key, side, found.text, found.tokens, problem=Outcome.REFUSED, reason=reason)
        return Reply(ask.key, side, found.text, tokens=found.tokens, cut=found.cut)

    def _scores(self, own: str, opposite: str, text: str) -> tuple[float | None, float | None]:
        """Return log p under both prompts where candidates are to be compared; a reply is kept without them."""
        wanted = self._config.candidates > 1 and self._config.omega > 0 and self._config.choice.startswith("contrast")
        if not wanted or self._llm.contrast is not Contrast.SEQUENCE or not text.strip():
            return None, None
        try:
            values = [self._llm.reply_log_p(self._calls, prompt, text) for prompt in (own, opposite)]
        except CallError:
            return None, None
        return (values[0], values[1]) if None not in values else (None, None)


def _printable(text: str) -> str:
    return text.encode("utf-8", errors="replace").decode()
