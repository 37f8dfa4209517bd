"""Any OpenAI-compatible server: plain generation, or candidates reranked by their log-probability under both prompts.

A server shows no logits, so the contrast cannot choose tokens. Where it returns log-probabilities of prompts, whole
replies are compared instead: log p(reply | own prompt) - omega log p(reply | opposite prompt). Otherwise the replies
are plain, and say so.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any

import numpy as np
import openai
from numpy.typing import NDArray

from pipeline.config import GenerationConfig
from pipeline.generation.contrast import TokenChoice
from pipeline.generation.forms import turns
from pipeline.generation.llms.endpoints import checked_url, http_client, key_for
from pipeline.generation.llms.meter import Meter, Usage
from pipeline.generation.llms.pace import Pace, Replicas
from pipeline.generation.llms.protocol import Ask, Reply, ShouldStop
from pipeline.generation.llms.refused_settings import sent_settings, without_refused
from pipeline.generation.llms.registry import LLMEntry, json_object
from pipeline.generation.llms.responses import Written, echoed_log_p, read_reply
from pipeline.generation.llms.retries import CallError, Calls, Patience
from pipeline.generation.llms.side_by_side import written
from pipeline.generation.llms.templates import form_of
from pipeline.generation.llms.token_ids import TokenServer, written_by_ids
from pipeline.generation.llms.token_lists import LISTED, TokenList, chosen_from, token_list
from pipeline.generation.prompts import FewShot, PromptSet, one_line
from pipeline.records import Contrast, InputError, Outcome, Side


class RemoteLLM:
    """A model behind a server; keeps up to `concurrency` calls under way."""

    price_share = 1.0
    """Of the entry's prices, what a call costs."""

    def __init__(
        self, entry: LLMEntry, *, patience: Patience | None = None, context_length: int | None = None
    ) -> None:
        """Look up the key and check the address; nothing is sent yet. Raises InputError."""
        self.name = entry.name
        self.entry = entry
        self.contrast = Contrast.SEQUENCE if entry.scores_prompts else Contrast.NONE
        if entry.token_contrast:
            self.contrast = Contrast.TOKEN_TOP20
        self.steps = Counter[bool]()
        """Tokens chosen from two lists so far, by whether a list was too short for certainty."""
        self.context_length = context_length
        self.spent = Usage()
        """What earlier parts of the run were charged for; counts towards its budget."""
        self._patience = patience or Patience()
        urls = [checked_url(address) for address in (entry.location, *entry.replicas)]
        keys = [key_for(entry.key_variable, url, entry.key_origin) for url in urls]
        self.secret = keys[0] if entry.key_variable else ""
        """The key, to be masked wherever a server repeats it; empty for none."""
        self._replicas = Replicas(
            [
                openai.OpenAI(
                    base_url=url,
                    api_key=key,
                    max_retries=0,  # tried again here, where it is metered
                    timeout=entry.timeout_s,
                    default_headers=json_object(entry.headers, "Headers"),
                    http_client=http_client(url, timeout_s=entry.timeout_s),
                )
                for url, key in zip(urls, keys, strict=True)
            ]
        )
        self.client = self._replicas.clients[0]
        self.pace = Pace(
            at_once=entry.concurrency,
            requests_per_minute=entry.requests_per_minute,
            tokens_per_minute=entry.tokens_per_minute,
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
        self, asked: FewShot, asks: Iterator[Ask], config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield how the LLM answers each question as it comes; see LLM.continuations and `replies`."""
        # A run asks for one kind of text after the other: what the earlier ones cost counts towards its budget.
        self.spent = max(self.spent, self.usage, key=lambda usage: usage.calls)
        jobs = ((ask, Side.POSITIVE) for ask in asks)
        return self._written(
            jobs, config, should_stop, lambda writer, ask, side: writer.reply(ask, side, asked, ask.premise)
        )

    def log_probabilities(
        self, asked: FewShot, questions: Sequence[str], replies: Sequence[str]
    ) -> NDArray[np.float64]:
        """Return log p(reply | question) of each pair; nan where the server does not say."""
        calls = self._calls(Event())
        found = []
        for question, reply in zip(questions, replies, strict=True):
            prompt = asked.prefix() + asked.tail(question)
            try:
                value = self.reply_log_p(calls, prompt, reply) if self.contrast is Contrast.SEQUENCE else None
            except CallError:
                value = None
            found.append(float("nan") if value is None else value)
        return np.array(found, dtype=np.float64)

    def answer(self, prompt: str, config: GenerationConfig) -> tuple[str, int, bool]:
        """Return how the server goes on from a prompt: text, tokens, whether it was cut at the limit. InputError."""
        try:
            return self.write(self._calls(Event()), FewShot(""), prompt, config, config.seed)[:3]
        except CallError as error:
            raise InputError(str(error)) from error

    def close(self) -> None:
        """Close the connections."""
        for client in self._replicas.clients:
            client.close()

    def sent(self, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return settings of a call and more of its body, with all that the entry adds and leaves out."""
        sent = sent_settings(self.entry, model=self.entry.model, **settings)
        body = json_object(self.entry.extra_body, "More of the body") | json_object(self.entry.thinking, "thinking")
        return sent, sent_settings(self.entry, **body | sent.pop("extra_body", {}))

    def create(self, api: str, **settings: Any) -> Any:
        """Make one call of the chat or the completions API."""
        sent, body = self.sent(**settings)
        if body:
            sent["extra_body"] = body
        with self._replicas.taken((openai.APIConnectionError,)) as client:
            return (client.chat.completions if api == "chat" else client.completions).create(**sent)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Make one call that is not of OpenAI's API, such as /tokenize, which lies beside /v1."""
        with self._replicas.taken((openai.APIConnectionError,)) as client:
            beside = client.base_url.path.rstrip("/").removesuffix("/v1")
            where = client.base_url.copy_with(path=beside + path)
            return client.post(str(where), body=body, cast_to=dict[str, Any])

    def best_tokens(self, calls: Calls, prompt: str) -> TokenList:
        """Return the best tokens after a text, with their log-probabilities."""
        settings = {"max_tokens": 1, "logprobs": LISTED, "temperature": 0}
        call = partial(self.create, "completions", prompt=prompt, **settings)
        return calls.make(call, token_list, prompt=prompt, reply_tokens=1)

    def longest_reply(self, tokens: int, config: GenerationConfig) -> int:
        """Return the tokens that a reply of so many may take with the thought before it."""
        return tokens + (config.reasoning_tokens if self.entry.reasons else 0)

    def write(self, calls: Calls, asked: FewShot, question: str, config: GenerationConfig, seed: int) -> Written:
        """Return one reply to a question, as the form of the entry asks it.

        A setting that the server refuses is left out of the entry, and of all calls from then on.
        """
        prompt, settings = self.asked_by(asked, question, config, seed)
        longest = settings["max_tokens"]
        call = partial(self.create, self.entry.api, **settings)
        while True:
            known = self.entry
            try:
                return calls.make(call, read_reply, prompt=prompt, reply_tokens=longest)
            except CallError as error:
                entry = without_refused(known, error)
                if entry is None:
                    raise
                if self.entry is known:  # else another thread was as far, or farther
                    self.entry = entry

    def asked_by(
        self, asked: FewShot, question: str, config: GenerationConfig, seed: int
    ) -> tuple[str, dict[str, Any]]:
        """Return the text of a prompt, to count it by, and the settings of the call that sends it."""
        prompt = _printable(asked.prefix() + asked.tail(question))
        settings: dict[str, Any] = {
            "max_tokens": self.longest_reply(config.max_new_tokens, config),
            "temperature": config.temperature,
            "top_p": config.top_p,
            "seed": seed % 2**31,
        }
        if config.min_p > 0:  # no setting of OpenAI's own, so it is sent only where it is asked for
            settings["extra_body"] = {"min_p": config.min_p}
        if self.entry.api == "chat":
            return "".join(self.shown(asked, question)), settings | {"messages": self.messages(asked, question)}
        return prompt, settings | {"prompt": prompt, "stop": ["\n"]}

    def shown(self, asked: FewShot, question: str) -> tuple[str, str]:
        """Return what is sent, for people to read: the part that all questions share, and the rest."""
        if self.entry.api != "chat":
            return asked.prefix(), asked.tail(question)
        *before, last = (f"[{turn['role']}]\n{turn['content']}\n" for turn in self.messages(asked, question))
        return "".join(before), last

    def messages(self, asked: FewShot, question: str) -> list[Any]:
        """Return the turns that ask a question; in completion form a single one with the whole text."""
        ways = list(turns(asked, _printable(question)))
        return ways[-1] if form_of(self.entry) == "completion" else ways[min(self.entry.turns, len(ways) - 1)]

    def reply_log_p(self, calls: Calls, prompt: str, reply: str) -> float | None:
        """Return log p(reply | prompt) from the server's echo of both; None when it does not say."""
        return calls.make(
            lambda: self.create(
                "completions", prompt=prompt + reply, max_tokens=1, echo=True, logprobs=1, temperature=0
            ),
            lambda answer: echoed_log_p(answer, prompt, reply),
            prompt=prompt + reply,
            reply_tokens=1,
        )

    def _new_meter(self, config: GenerationConfig) -> Meter:
        return Meter(
            price_in=self.entry.price_in * self.price_share,
            price_out=self.entry.price_out * self.price_share,
            token_budget=config.token_budget,
            money_budget=config.money_budget,
            spent=self.spent,
        )

    def _calls(self, stop: Event) -> Calls:
        return Calls(self._meter, patience=self._patience, stop=stop, secret=self.secret, pace=self.pace)

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
        if self._llm.contrast is Contrast.TOKEN_TOP20 and self._config.omega > 0:
            return self._answered(ask, side, lambda: self._by_token(ask, side, own, opposite))
        reply = self.reply(ask, side, prompts.own(side).few_shot, one_line(ask.premise))
        if reply.problem is not None:
            return reply
        scores = self._scores(own, opposite, reply.raw)
        return replace(reply, own_log_p=scores[0], opposite_log_p=scores[1])

    def reply(self, ask: Ask, side: Side, asked: FewShot, question: str) -> Reply:
        """Return the reply to a question, or what kept it from being written."""
        return self._answered(ask, side, lambda: self._whole(ask, side, asked, question))

    def _answered(self, ask: Ask, side: Side, write: Callable[[], Reply]) -> Reply:
        try:
            return write()
        except CallError as error:
            problem = Outcome.TOO_LONG if error.is_too_long else Outcome.FAILED
            problem = Outcome.REFUSED if error.is_filtered else problem
            return Reply(
                ask.key, side, "", problem=problem, reason=str(error), is_servers_fault=error.is_servers_fault
            )

    def _whole(self, ask: Ask, side: Side, asked: FewShot, question: str) -> Reply:
        found = self._llm.write(self._calls, asked, question, self._config, ask.seed)
        if found.is_filtered:
            reason = "the server's content filter ended the reply"
            return Reply(ask.key, side, found.text, found.tokens, problem=Outcome.REFUSED, reason=reason)
        return Reply(ask.key, side, found.text, tokens=found.tokens, cut=found.cut)

    def _by_token(self, ask: Ask, side: Side, own: str, opposite: str) -> Reply:
        """Choose token after token from the lists of both prompts, each continued by the same text."""
        how, draws = TokenChoice.of(self._config), np.random.default_rng([ask.seed, int(side is Side.POSITIVE)])
        if self._llm.entry.token_ids:
            server = TokenServer(self._llm, self._calls)
            made = written_by_ids(server, (own, opposite), how, self._config.max_new_tokens, draws, self._llm.steps)
            return Reply(
                ask.key, side, made.text, made.tokens, cut=made.cut, own_log_p=made.own, opposite_log_p=made.opposite
            )
        text, log_p = "", [0.0, 0.0]
        for length in range(self._config.max_new_tokens):
            best, other = (self._llm.best_tokens(self._calls, prompt + text) for prompt in (own, opposite))
            token = chosen_from(best, other, how, draws.random() if how.temperature > 0 else None)
            if token is None:
                raise CallError("the server lists no token that can be continued as text", is_servers_fault=False)
            self._llm.steps[token.is_short] += 1
            if token.ends:
                return Reply(ask.key, side, text, length, own_log_p=log_p[0], opposite_log_p=log_p[1])
            text += token.text
            log_p = [log_p[0] + token.own_log_p, log_p[1] + token.opposite_log_p]
        tokens = self._config.max_new_tokens
        return Reply(ask.key, side, text, tokens, cut=True, own_log_p=log_p[0], opposite_log_p=log_p[1])

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
