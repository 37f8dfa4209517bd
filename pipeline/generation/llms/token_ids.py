"""The contrast token by token over a server that takes and gives the ids of tokens: exact on the opposite side.

The own prompt shows its best twenty tokens; the opposite one is asked for the log-probabilities of the plausible ones
among them. Prompts and replies are sent as ids, so that no text is cut into other tokens on the way.

vLLM: completions with `logprob_token_ids` and `return_tokens_as_token_ids`, beside /tokenize and /detokenize.
SGLang: its own /generate with `token_ids_logprob`, beside the same two.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np

from pipeline.generation.clean_up import is_template_token
from pipeline.generation.contrast import TokenChoice
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.responses import first_choice, usage_of
from pipeline.generation.llms.retries import CallError, Calls, MalformedError, Parsed, ServerError, plain
from pipeline.generation.llms.token_lists import LISTED, lowest, picked
from pipeline.records import InputError

_WAYS: tuple[Literal["vllm", "sglang"], ...] = ("vllm", "sglang")
_TOKEN_ID = re.compile(r"token_id:(\d+)")
_TOLERANCE_NATS = 0.1
"""Servers round, and compute other last digits in another batch."""
_TRIED = (0, 2, -1)
"""Places in the list of the best tokens whose scores are asked for again by the check."""


class Server(Protocol):
    """What is used of a RemoteLLM."""

    entry: LLMEntry

    def create(self, api: str, **settings: Any) -> Any:
        """Make one call of OpenAI's API."""

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Make one call of another address of the server."""


class TokenServer:
    """The calls of one server, in the way that its entry names."""

    def __init__(self, llm: Server, calls: Calls, way: Literal["", "vllm", "sglang"] = "") -> None:
        self._llm, self._calls, self._uncharged = llm, calls, calls.uncharged()
        self._is_sglang = (way or llm.entry.token_ids) == "sglang"

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a prompt, with BOS where the model has one."""
        body = {"model": self._llm.entry.model, "prompt": text}
        return self._free(partial(self._llm.post, "/tokenize", body), _ids)

    def text(self, ids: Sequence[int]) -> str:
        """Return what tokens spell, special ones as well."""
        body = {"model": self._llm.entry.model, "tokens": list(ids), "skip_special_tokens": False}
        return self._free(partial(self._llm.post, "/detokenize", body), _text) if ids else ""

    def scores(self, ids: Sequence[int], wanted: Sequence[int] = ()) -> dict[int, float]:
        """Return log p of these next tokens in nats, or without any of the best ones; the best first."""
        if self._is_sglang:
            call = partial(self._llm.post, "/generate", _generate(ids, wanted))
        else:
            extra = {"return_tokens_as_token_ids": True} | ({"logprob_token_ids": list(wanted)} if wanted else {})
            call = partial(
                self._llm.create,
                "completions",
                prompt=list(ids),
                max_tokens=1,
                temperature=0,
                logprobs=1 if wanted else LISTED,
                extra_body=extra,
            )
        read = partial(_generated if self._is_sglang else _completed, wanted=wanted)
        # A token stands for four characters where prompts are counted before the server has.
        return self._calls.make(call, read, prompt="0000" * len(ids), reply_tokens=1)

    def _free(self, call: Any, read: Any) -> Any:
        return self._uncharged.make(call, read, prompt="", reply_tokens=0)


@dataclass(frozen=True, slots=True)
class ByIds:
    """A reply, and its log-probabilities under both prompts."""

    text: str
    tokens: int
    cut: bool
    own: float
    opposite: float


def written_by_ids(
    server: TokenServer,
    prompts: tuple[str, str],
    how: TokenChoice,
    longest: int,
    draws: np.random.Generator,
    steps: Counter[bool],
) -> ByIds:
    """Choose token after token; `steps` counts them by whether the own list was too short for certainty.

    prompts: own and opposite. draws: uniform numbers for sampling.
    """
    own_ids, opposite_ids = (server.ids(prompt) for prompt in prompts)
    written: list[int] = []
    text, sums = "", np.zeros(2)
    while len(written) < longest:
        best = list(server.scores([*own_ids, *written]).items())
        floor = lowest(best, how)
        plausible = [(token, log_p) for token, log_p in best if log_p >= floor]
        exact = server.scores([*opposite_ids, *written], [token for token, _ in plausible])
        pairs = np.array([(log_p, exact[token]) for token, log_p in plausible])
        draw = draws.random() if how.temperature > 0 else None
        place = picked(pairs[:, 0].tolist(), pairs[:, 1].tolist(), how, draw)
        steps[best[-1][1] >= floor] += 1
        longer = server.text([*written, plausible[place][0]])
        if _ends(text, longer):
            return ByIds(text, len(written), False, *sums.tolist())
        written.append(plausible[place][0])
        text, sums = longer, sums + pairs[place]
    return ByIds(text, len(written), True, *sums.tolist())


def _ends(text: str, longer: str) -> bool:
    """Whether the last token ends a reply: it spells a line break, a token of a template, or nothing."""
    if longer.endswith("\ufffd"):
        return False  # part of a character, which the next token completes
    whole = text.rstrip("\ufffd")
    new = longer[len(whole) :] if longer.startswith(whole) else longer
    return not new or "\n" in new or is_template_token(new.strip())


def way_of(llm: Server, calls: Calls, prompt: str) -> Literal["", "vllm", "sglang"]:
    """Return in which way a server says the same log-probabilities of given tokens as of its best ones; or none."""
    for way in _WAYS:
        server = TokenServer(llm, calls, way)
        try:
            ids = server.ids(prompt)
            best = list(server.scores(ids).items())
            tried = dict(best[place] for place in _TRIED)
            again = server.scores(ids, list(tried))
            if server.text(ids) and all(abs(again[token] - tried[token]) < _TOLERANCE_NATS for token in tried):
                return way
        except (CallError, ServerError, InputError, IndexError):
            continue
    return ""


def _generate(ids: Sequence[int], wanted: Sequence[int]) -> dict[str, Any]:
    asked = {"token_ids_logprob": list(wanted)} if wanted else {"top_logprobs_num": LISTED}
    sampling = {"max_new_tokens": 1, "temperature": 0.0}
    return {
        "input_ids": list(ids),
        "sampling_params": sampling,
        "return_logprob": True,
        "logprob_start_len": -1,
    } | asked


def _generated(answer: Any, wanted: Sequence[int]) -> Parsed:
    """Read SGLang's answer: lists of [log p, id, text] for the one token that was written."""
    about = plain(answer).get("meta_info")
    about = about if isinstance(about, dict) else {}
    lists = about.get("output_token_ids_logprobs" if wanted else "output_top_logprobs")
    listed = lists[0] if isinstance(lists, list) and lists and isinstance(lists[0], list) else []
    found = {one[1]: one[0] for one in listed if isinstance(one, list) and len(one) >= 2}
    return Parsed(_checked(found, wanted), *usage_of({"usage": about}))


def _completed(answer: Any, wanted: Sequence[int]) -> Parsed:
    """Read vLLM's answer: its best tokens as {"token_id:17": log p}."""
    found = plain(answer)
    logs = first_choice(found).get("logprobs")
    lists = logs.get("top_logprobs") if isinstance(logs, dict) else None
    listed = lists[0] if isinstance(lists, list) and lists and isinstance(lists[0], dict) else {}
    named = {_TOKEN_ID.fullmatch(name): log_p for name, log_p in listed.items()}
    return Parsed(_checked({int(n[1]): log_p for n, log_p in named.items() if n}, wanted), *usage_of(found))


def _checked(found: Mapping[Any, Any], wanted: Sequence[int]) -> dict[int, float]:
    values = {token: value for token, value in found.items() if isinstance(value, int | float)}
    if not values or any(token not in values for token in wanted):
        raise MalformedError("no log-probabilities of the tokens that were asked for in it")
    return dict(sorted(values.items(), key=lambda one: -one[1]))


def _ids(answer: Any) -> Parsed:
    tokens = plain(answer).get("tokens")
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, int) for token in tokens):
        raise MalformedError("no tokens in it")
    return Parsed(tokens, 0, 0)


def _text(answer: Any) -> Parsed:
    found = plain(answer)
    text = found.get("prompt", found.get("text"))
    if not isinstance(text, str):
        raise MalformedError("no text in it")
    return Parsed(text, 0, 0)
