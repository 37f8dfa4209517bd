"""The contrast from two lists of best tokens against the full contrast: by arithmetic, and over a real server."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.token_lists import CONFIG, shares, two_servers
from pipeline.config import GenerationConfig
from pipeline.generation.contrast import TokenChoice
from pipeline.generation.llms.check import check
from pipeline.generation.llms.costs import expected_usage
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.llms.retries import MalformedError, Patience
from pipeline.generation.llms.token_lists import LISTED, chosen_from, token_list
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.token_choice import choose
from pipeline.generation.triplets import generate
from pipeline.records import Contrast, InputError, Premise
from tests.servers.scripted_server import Answer, completion, serving

QUICK = Patience(attempts=3, first_wait_s=0.01, longest_wait_s=0.05)


def rows(seed: int, *, size: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    own = rng.normal(0, 4, size)
    opposite = own + rng.normal(0, 2, size)
    logs = (row - np.log(np.exp(row).sum()) for row in (own, opposite))
    return tuple(row.astype(np.float32)[None] for row in logs)  # type: ignore[return-value]


def best(row: np.ndarray) -> list[tuple[str, float]]:
    order = np.argsort(-row[0])[:LISTED]
    return [(f"t{token}", float(row[0, token])) for token in order]


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_choice_that_is_certain_is_the_choice_from_full_rows(temperature: float) -> None:
    how = TokenChoice(omega=0.6, plausibility=0.1, temperature=temperature)
    certain = 0
    for seed in range(300):
        own, opposite = rows(seed)
        draw = np.array([np.random.default_rng(seed).random()])
        found = chosen_from(best(own), best(opposite), how, float(draw[0]))
        assert found is not None
        full = f"t{choose(own, opposite, how, draw)[0]}"
        if not found.is_short:
            certain += 1
            assert found.text == full
    assert certain > 100, "or the test would say nothing"


def test_what_lists_lack_is_counted_as_short() -> None:
    how = TokenChoice(omega=0.6, plausibility=0.1)
    flat = [(f"t{number}", -3.0) for number in range(LISTED)]
    found = chosen_from(flat, flat, how, None)
    assert found is not None and found.is_short, "more tokens may be as plausible as the last one"
    own, opposite = [("a", -0.5), ("b", -1.0), ("c", -9.0)], [("a", -0.2), ("x", -3.0)]
    found = chosen_from(own, opposite, how, None)
    assert found is not None and (found.text, found.is_short) == ("b", False), "b can only be better than it seems"
    assert chosen_from([("\ufffd", -0.1), ("bytes:\\xe2", -0.2)], opposite, how, None) is None
    for end in ("", "\n", " \n\n", "<|im_end|>", "</s>", "<end_of_turn>"):
        found = chosen_from([(end, -0.1)], opposite, how, None)
        assert found is not None and found.ends


def test_lists_are_read_as_llama_cpps_own_server_writes_them_and_also_where_the_reply_ends() -> None:
    def listed(token: str, log_p: float, spelled: bytes) -> dict:
        return {"id": 1, "token": token, "bytes": list(spelled), "logprob": log_p}

    best = [listed(" dog", -0.4, b" dog"), listed("", -1.5, b"\xf0\x9f"), listed("", -2.0, b"")]
    logs = {"content": [best[0] | {"top_logprobs": best[::-1]}]}
    found = token_list(completion(" dog", logprobs=logs).body).value
    assert found == [(" dog", -0.4), ("\ufffd", -1.5), ("", -2.0)]
    lists = {"tokens": [""], "top_logprobs": [{"<|im_end|>": -0.3, " cat": -1.4}]}  # vLLM
    ending = completion("", logprobs=lists, finish_reason="stop")
    assert token_list(ending.body).value == [("<|im_end|>", -0.3), (" cat", -1.4)], "the contrast may go on"
    assert token_list(completion("", finish_reason="stop").body).value == [("", 0.0)]
    with pytest.raises(MalformedError):
        token_list(completion("x", logprobs={"content": [{"token": "x", "logprob": -0.1}]}).body)


def test_over_a_real_server_it_is_the_full_contrast_wherever_the_plausible_tokens_fit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("sse_starlette", reason="needs the packages of tests/requirements.txt")
    config = replace(CONFIG, max_new_tokens=6)
    premises = [Premise.from_text(text) for text in ("Two dogs bark at a cat.", "The shop is closed today.")]
    with two_servers(config) as far:
        assert far.entry.api == "completions"
        made = list(generate(premises, config, far))
    assert {item.contrast for item in made} == {Contrast.TOKEN_TOP20}
    assert len(far.seen) == far.steps.total() >= 12
    assert all(step.is_equal or step.is_short for step in far.seen if step.is_equal is not None)
    with capsys.disabled():
        print(f"\ntoken-top20: {shares(far.seen)}")
    assert sum(step.is_equal is True and not step.is_short for step in far.seen) > 0.8 * len(far.seen)


def test_the_check_refuses_a_server_that_shows_no_list() -> None:
    with serving(lambda *_: completion(" Rome")) as server:
        entry = LLMEntry("far", "remote", server.url, model="m", token_contrast=True, timeout_s=5.0)
        with pytest.raises(InputError, match="shows no log-probabilities of its best tokens"):
            check(entry)
    with serving(lambda _n, asked: Answer(404) if "prompt" in asked else completion("x")) as server:
        entry = LLMEntry("far", "remote", server.url, model="m", token_contrast=True, form="chat", timeout_s=5.0)
        with pytest.raises(InputError):
            check(entry)


def test_the_cost_of_a_run_is_known_before() -> None:
    def script(_number: int, asked: dict) -> Answer:
        lists = [{" a": -0.3, " b": -2.0}] if len(asked["prompt"].rsplit(":", 1)[1]) < 6 else [{"\n": -0.1}]
        return completion("x", logprobs={"top_logprobs": lists}, prompt_tokens=len(asked["prompt"]) // 4)

    config = GenerationConfig(omega=0.5, max_new_tokens=4)
    with serving(script) as server:
        entry = LLMEntry("far", "remote", server.url, model="m", api="completions", token_contrast=True, price_in=2.0)
        with closing(RemoteLLM(entry, patience=QUICK)) as llm:
            [made] = generate([Premise.from_text("Dogs bark now.")], config, llm)
            assert made.contrast is Contrast.TOKEN_TOP20 and made.positive.raw == " a a a"
            usage = llm.usage
    expected = expected_usage(entry, config, prompt_set("default"), ["Dogs bark now."])
    assert usage.calls == 16 and expected.calls == 20
    assert usage.prompt_tokens == pytest.approx(expected.prompt_tokens, rel=0.3)
    assert expected.money == pytest.approx(expected.prompt_tokens * 2e-6)
