"""Exact scores of the opposite side by token ids, over scripted servers of vLLM's and SGLang's shapes."""

import zlib
from contextlib import closing

import numpy as np
import pytest

from pipeline.config import GenerationConfig
from pipeline.generation.contrast import TokenChoice
from pipeline.generation.llms.check import check
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.prompts import one_line
from pipeline.generation.text_key import text_key
from pipeline.generation.token_choice import choose
from pipeline.generation.triplets import generate
from pipeline.records import Contrast, Premise, Side
from tests.servers.scripted_server import Answer, serving

PIECES = [b"</s>", b"\n", b"\xc3", b"\xa9", *(f" w{number}".encode() for number in range(300))]
PREMISES = [Premise.from_text(text) for text in ("Two dogs bark at a cat.", "The shop is closed today.")]


def encode(text: str) -> list[int]:
    return [4 + byte for byte in text.encode()][-30:]


def decode(ids: list[int]) -> str:
    return b"".join(PIECES[token] for token in ids).decode(errors="replace")


def row(ids: list[int]) -> np.ndarray:
    """The log-probabilities after these tokens, of a model whose two prompts mostly agree."""
    near = np.random.default_rng(zlib.crc32(str(ids[-1]).encode())).normal(0, 4, len(PIECES))
    logits = near + np.random.default_rng(zlib.crc32(str(ids).encode())).normal(0, 2, len(PIECES))
    return (logits - np.log(np.exp(logits).sum())).astype(np.float32)


def vllm(_number: int, asked: dict, *, is_old: bool = False) -> Answer:
    if asked["path"] == "/tokenize":
        ids = encode(asked["prompt"])
        return Answer(body={"count": len(ids), "max_model_len": 4096, "tokens": ids, "token_strs": None})
    if asked["path"] == "/detokenize":
        return Answer(body={"prompt": decode(asked["tokens"])})
    if asked["path"] != "/v1/completions" or asked.get("echo"):
        return Answer(404, {"error": {"message": "Not Found", "type": "NotFoundError", "code": 404}})
    ids = asked["prompt"] if isinstance(asked["prompt"], list) else encode(asked["prompt"])
    values = row(ids)
    first = int(values.argmax())
    wanted = None if is_old else asked.get("logprob_token_ids")
    listed = [first, *(wanted or np.argsort(-values)[: asked.get("logprobs") or 1].tolist())]
    as_ids = asked.get("return_tokens_as_token_ids") and not is_old
    name = (lambda token: f"token_id:{token}") if as_ids else (lambda token: decode([token]))
    logs = {
        "text_offset": [0],
        "token_logprobs": [float(values[first])],
        "tokens": [name(first)],
        "top_logprobs": [{name(token): float(values[token]) for token in listed}],
    }
    choice = {"index": 0, "text": decode([first]), "logprobs": logs, "finish_reason": "length", "stop_reason": None}
    usage = {"prompt_tokens": len(ids), "completion_tokens": 1, "total_tokens": len(ids) + 1}
    body = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "usage": usage}
    return Answer(body=body | {"choices": [choice | {"prompt_logprobs": None}]})


def sglang(number: int, asked: dict) -> Answer:
    if asked["path"] == "/detokenize":
        return Answer(body={"text": decode(asked["tokens"])})
    if asked["path"] != "/generate":
        return vllm(number, asked, is_old=True)  # its completions know nothing of ids
    ids = asked["input_ids"]
    values = row(ids)
    first = int(values.argmax())
    one = lambda token: [float(values[token]), token, None]  # noqa: E731
    about = {
        "id": "1",
        "finish_reason": {"type": "length", "length": 1},
        "prompt_tokens": len(ids),
        "completion_tokens": 1,
        "cached_tokens": len(ids) - 1,
        "output_token_logprobs": [one(first)],
        "output_top_logprobs": [[one(int(t)) for t in np.argsort(-values)[: asked.get("top_logprobs_num", 0)]]],
        "output_token_ids_logprobs": [[one(token) for token in asked.get("token_ids_logprob", [])]],
    }
    return Answer(body={"text": decode([first]), "output_ids": [first], "meta_info": about})


def full_contrast(premise: str, side: Side, config: GenerationConfig) -> str:
    """The reply that whole rows of both prompts lead to."""
    prompts = prompt_set(config.prompt_set)
    own, opposite = (
        encode(one.prefix() + one.tail(one_line(premise))) for one in (prompts.own(side), prompts.opposite(side))
    )
    written: list[int] = []
    while len(written) < config.max_new_tokens:
        [token] = choose(row(own + written)[None], row(opposite + written)[None], TokenChoice.of(config)).tolist()
        if token in (0, 1):
            break
        written.append(int(token))
    return decode(written)


@pytest.mark.parametrize(("script", "way"), [(vllm, "vllm"), (sglang, "sglang")])
def test_it_is_the_full_contrast_where_the_plausible_tokens_fit(script, way) -> None:
    config = GenerationConfig(omega=0.7, plausibility=0.1, max_new_tokens=12)
    with serving(script) as server:
        asked = LLMEntry("far", "remote", server.url, model="m", token_contrast=True, timeout_s=5.0)
        entry = check(asked).entry
        assert entry.token_ids == way
        server.calls.clear()
        with closing(RemoteLLM(entry)) as llm:
            made = list(generate(PREMISES, config, llm))
            usage, steps = llm.usage, llm.steps
    for item in made:
        for side, reply in ((Side.POSITIVE, item.positive), (Side.HARD_NEGATIVE, item.hard_negative)):
            assert reply.raw == full_contrast(item.premise.text, side, config)
    assert {item.contrast for item in made} == {Contrast.TOKEN_TOP20}
    assert steps[False] > 20 and steps[True] == 0
    scored = [call for call in server.calls if call["path"] in ("/generate", "/v1/completions")]
    assert usage.calls == len(scored) == 2 * steps.total()
    assert usage.reply_tokens == len(scored), "turning text into tokens is not charged for"
    prompts = prompt_set("default")
    keys = {
        text_key(config, prompts, one) for one in (entry, LLMEntry.from_json(entry.to_json() | {"token_ids": ""}))
    }
    assert len(keys) == 2, "what was written from lists alone is not served as exact"


def test_a_server_that_does_not_know_ids_keeps_to_the_lists_of_both_sides() -> None:
    with serving(lambda number, asked: vllm(number, asked, is_old=True)) as server:
        asked = LLMEntry("far", "remote", server.url, model="m", token_contrast=True, timeout_s=5.0)
        assert check(asked).entry.token_ids == ""


def test_a_character_of_two_tokens_is_no_end() -> None:
    from pipeline.generation.llms.token_ids import _ends

    assert not _ends("caf", "caf\ufffd") and not _ends("caf\ufffd", "café")
    assert _ends("café", "café") and _ends("café", "café\n") and _ends("café", "café</s>")
