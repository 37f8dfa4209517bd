"""Remote LLMs against a real HTTP server that answers, refuses, stalls, breaks off and talks nonsense as scripted."""

import time
from collections import Counter
from email.utils import formatdate

import pytest

from pipeline.config import GenerationConfig
from pipeline.generation.llms.check import check
from pipeline.generation.llms.meter import BudgetError
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.llms.retries import Patience, retry_after_s
from pipeline.generation.triplets import generate
from pipeline.records import Contrast, InputError, Outcome, Premise
from tests.servers.scripted_server import Answer, chat, completion, serving

QUICK = Patience(attempts=3, first_wait_s=0.01, longest_wait_s=2.0)


def premises(count):
    return [Premise.from_text(f"Sentence number {i} is about the sea and boat {i}.") for i in range(count)]


def entry(server, **settings):
    fields = {"model": "m", "api": "completions", "timeout_s": 2.0, "concurrency": 4}
    return LLMEntry("far", "remote", server.url, **(fields | settings))


def run(server, count, config=None, **settings):
    llm = RemoteLLM(entry(server, **settings), patience=QUICK)
    try:
        made = list(generate(premises(count), config or GenerationConfig(omega=0.0), llm))
        return made, llm
    finally:
        llm.close()


def reply_to(asked):
    """A usable reply that depends on the prompt alone."""
    words = asked["prompt"].rsplit("boat ", 1)[1].split(".")[0]
    things = "valleys" if asked["prompt"].endswith("Different meaning:") else "mountains"
    return completion(f" A quite different text numbered {words} tells of {things}.")


def test_calls_are_bounded_and_every_premise_is_answered():
    with serving(lambda _number, asked: Answer(**{**vars(reply_to(asked)), "delay_s": 0.02})) as server:
        made, llm = run(server, 20, concurrency=3)
    assert len(made) == 20 and all(item.is_ok for item in made)
    assert 2 <= server.most_at_once <= 3
    assert {call["stop"][0] for call in server.calls} == {"\n"} and len(server.calls) == 40
    assert (llm.usage.calls, llm.usage.prompt_tokens, llm.usage.reply_tokens) == (40, 800, 200)
    assert {item.contrast for item in made} == {Contrast.NONE}


def test_min_p_is_sent_where_it_is_asked_for_and_only_there():
    with serving(lambda _number, asked: reply_to(asked)) as server:
        for min_p in (0.0, 0.2):
            run(server, 1, GenerationConfig(omega=0.0, temperature=0.8, min_p=min_p))
    assert [call.get("min_p") for call in server.calls] == [None, None, 0.2, 0.2]


def test_omega_without_prompt_log_probabilities_is_plain_and_says_so():
    with serving(lambda _number, asked: reply_to(asked)) as server:
        made, _ = run(server, 3, GenerationConfig(omega=0.6, temperature=0.8, candidates=3))
    assert {item.contrast for item in made} == {Contrast.NONE}
    assert len(server.calls) == 3 * 2 * 3
    assert len({call["seed"] for call in server.calls}) == 9, "each candidate has a seed of its own"


@pytest.mark.parametrize("header", ["0.4", "date"])
def test_a_429_makes_everybody_wait_as_long_as_it_asks(header):
    def script(number, asked):
        if number == 0:
            after = formatdate(time.time() + 1.5, usegmt=True) if header == "date" else header
            return Answer(429, {"error": {"message": "slow down"}}, {"Retry-After": after})
        return reply_to(asked)

    with serving(script) as server:
        made, llm = run(server, 4, concurrency=1)
    assert all(item.is_ok for item in made)
    assert server.times[1] - server.times[0] >= 0.35
    assert llm.usage.calls == 8, "a refused call is not charged for"


@pytest.mark.parametrize(
    "fault",
    [
        Answer(500, {"error": {"message": "oops"}}),
        Answer(raw=b'{"choices": [', status=200),
        Answer(raw=b"<html>busy</html>", status=200),
        Answer(body={"choices": []}),
        Answer(body=[1, 2]),
        Answer(body={"choices": [{"text": 5}]}),
        Answer(body={"choices": [{"text": "x"}]}, cut=True),
        Answer(503, {"error": "down"}, {"Retry-After": "0.05"}),
    ],
    ids=["500", "half json", "html", "no choices", "a list", "no text", "cut", "503"],
)
def test_a_fault_is_tried_again_and_one_that_stays_spoils_only_its_own_row(fault):
    bad = "boat 2."

    def script(number, asked):
        is_first = sum(call["prompt"] == asked["prompt"] for call in server.calls) == 1
        return fault if bad in asked["prompt"] or is_first else reply_to(asked)

    with serving(script) as server:
        made, _ = run(server, 5)
    outcomes = {item.premise.text: (item.positive.outcome, item.hard_negative.outcome) for item in made}
    assert len(outcomes) == 5
    for text, pair in outcomes.items():
        assert pair == ((Outcome.FAILED,) * 2 if bad in text else (Outcome.OK,) * 2)


def test_a_slow_answer_ends_at_the_deadline_and_is_charged_at_its_upper_bound():
    def script(number, asked):
        return Answer(**{**vars(reply_to(asked)), "delay_s": 1.0 if "boat 1." in asked["prompt"] else 0.0})

    with serving(script) as server:
        made, llm = run(server, 3, timeout_s=0.3)
    failed = [item for item in made if item.positive.outcome is Outcome.FAILED]
    assert [item.premise.text for item in failed] == [premises(3)[1].text]
    assert llm.usage.calls == 4 + 2 * QUICK.attempts
    assert llm.usage.prompt_tokens > 4 * 20 + 2 * QUICK.attempts * 100


def test_a_prompt_that_the_server_finds_too_long_is_too_long():
    def script(number, asked):
        if "boat 1." in asked["prompt"]:
            return Answer(400, {"error": {"message": "This model's maximum context length is 12 tokens"}})
        return reply_to(asked)

    with serving(script) as server:
        made, _ = run(server, 3)
    outcomes = Counter(item.positive.outcome for item in made)
    assert outcomes == {Outcome.OK: 2, Outcome.TOO_LONG: 1}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(401, {"error": {"message": "bad key sk-secret-123"}}), "check address, model and key"),
        (Answer(404, {"error": {"message": "no model"}}), "check address"),
        (Answer(302, {}, {"Location": "http://169.254.169.254/latest"}), "redirects are not followed"),
    ],
)
def test_what_no_retry_can_help_ends_the_run_with_one_sentence_and_without_the_key(answer, told, monkeypatch):
    monkeypatch.setenv("FAR_API_KEY", "sk-secret-123")
    with serving(lambda *_: answer) as server, pytest.raises(InputError, match=told) as error:
        run(server, 50, key_variable="FAR_API_KEY", concurrency=2)
    assert "sk-secret" not in str(error.value)
    assert server.headers[0]["authorization"] == "Bearer sk-secret-123"
    assert len(server.calls) <= 4


def test_a_server_that_is_down_stops_the_run_instead_of_failing_every_row():
    with serving(lambda *_: Answer(500, {})) as server:
        llm = RemoteLLM(entry(server, concurrency=2), patience=Patience(attempts=2, first_wait_s=0.001))
        made = []
        with pytest.raises(InputError, match="8 times in a row"):
            for item in generate(premises(200), GenerationConfig(omega=0.0), llm):
                made.append(item)
    assert len(made) <= 6


@pytest.mark.parametrize("kind", ["tokens", "money"])
def test_the_budget_is_never_exceeded(kind):
    """The server charges more than was written, up to what a call may cost at most."""

    def script(number, asked):
        return completion(" Mountains are far away from here.", prompt_tokens=len(asked["prompt"]), reply_tokens=16)

    limit = {"token_budget": 9_000} if kind == "tokens" else {"money_budget": 0.02}
    config = GenerationConfig(omega=0.0, max_new_tokens=16, **limit)
    with serving(script) as server:
        llm = RemoteLLM(entry(server, price_in=2.0, price_out=8.0), patience=QUICK)
        made = []
        with pytest.raises(BudgetError, match="start the run again with a larger one"):
            for item in generate(premises(200), config, llm):
                made.append(item)
    charged = sum(len(call["prompt"]) for call in server.calls), 16 * len(server.calls)
    assert (llm.usage.prompt_tokens, llm.usage.reply_tokens) == charged
    if kind == "tokens":
        assert 7_000 < llm.usage.tokens <= 9_000
    else:
        assert 0.015 < llm.usage.money <= 0.02
        assert llm.usage.money == pytest.approx((2.0 * charged[0] + 8.0 * charged[1]) / 1e6)
    assert len(made) >= len(server.calls) // 2 - 4, "what was paid for is kept"


def test_a_stop_ends_the_run_early():
    seen = []
    with serving(lambda _number, asked: Answer(**{**vars(reply_to(asked)), "delay_s": 0.02})) as server:
        llm = RemoteLLM(entry(server), patience=QUICK)
        for item in generate(premises(500), GenerationConfig(omega=0.0), llm, should_stop=lambda: len(seen) >= 3):
            seen.append(item)
    assert 3 <= len(seen) < 20 and len(server.calls) < 60


def echo_server(shift=0):
    """A server with a known model: a token is a word, log p = -(length of the word) / 10, less under "Change"."""

    def script(number, asked):
        if not asked.get("echo"):
            if asked.get("logprobs"):
                logs = {"tokens": [" Rome"], "token_logprobs": [-0.5], "text_offset": [len(asked["prompt"])]}
                return completion(" Rome", logprobs=logs)
            words = ["short", "a longer text", "an even longer text about hills"]
            return completion(" " + words[asked["seed"] % 3] + f" {asked['seed'] % 3}")
        text, tokens, offsets, place = asked["prompt"], [], [], 0
        for part in text.replace(" ", "\0 ").split("\0"):
            tokens.append(part)
            offsets.append(place)
            place += len(part)
        each = 0.3 if "different" in text[:100] else 0.1
        values = [None, *(-each * len(part) for part in tokens[1:])]
        if shift:
            values = [None, None, *values[1:-1]]
        return completion(text, logprobs={"tokens": tokens, "token_logprobs": values, "text_offset": offsets})

    return script


def test_candidates_are_reranked_by_their_log_probability_under_both_prompts():
    config = GenerationConfig(omega=0.5, temperature=1.0, candidates=4, choice="contrast")
    with serving(echo_server()) as server:
        made, _ = run(server, 3, config, scores_prompts=True)
    assert {item.contrast for item in made} == {Contrast.SEQUENCE}
    echoes = [call for call in server.calls if call.get("echo")]
    assert len(echoes) == 3 * 2 * 4 * 2, "each candidate under both prompts"
    for item in made:
        # own costs 0.1 nats a letter and the opposite 0.3: z = -0.1 n + 0.15 n grows with length on the positive
        # side, and falls on the other one, whose own prompt is the expensive one.
        drawn = {call["prompt"].rsplit(":", 1)[1] for call in echoes if item.premise.text in call["prompt"]}
        assert f" {item.positive.text}" == max(drawn, key=len)
        assert f" {item.hard_negative.text}" == min(drawn, key=len)


@pytest.mark.parametrize(("shift", "contrast"), [(0, Contrast.SEQUENCE), (1, Contrast.NONE)])
def test_a_check_trusts_an_echo_only_when_it_agrees_with_what_was_written(shift, contrast):
    with serving(echo_server(shift)) as server:
        facts = check(LLMEntry("far", "remote", server.url, timeout_s=2.0))
    assert (facts.entry.model, facts.entry.api) == ("m", "completions")
    assert facts.contrast is contrast and facts.entry.scores_prompts is (contrast is Contrast.SEQUENCE)
    assert facts.entry.digest == f"server:{server.url}#m"


def test_a_server_without_completions_is_used_by_chat():
    def script(number, asked):
        if asked["path"].endswith("/chat/completions"):
            return chat("Mountains are far away from here.")
        return Answer(404, {"error": {"message": "not here"}})

    models = [{"id": "m", "max_model_len": 777}, {"id": "other"}]
    with serving(script, models) as server:
        with pytest.raises(InputError, match="Name the model of far: the server has m, other"):
            check(LLMEntry("far", "remote", server.url, timeout_s=2.0))
        with pytest.raises(InputError, match="has no model 'x'"):
            check(LLMEntry("far", "remote", server.url, model="x", timeout_s=2.0))
        facts = check(LLMEntry("far", "remote", server.url, model="m", timeout_s=2.0))
    assert (facts.entry.api, facts.contrast, facts.context_length) == ("chat", Contrast.NONE, 777)
    assert facts.sample == "Mountains are far away from here."
    assert "messages" in server.calls[-1]


def test_retry_after_is_seconds_or_a_date_or_nothing():
    assert retry_after_s("2.5") == 2.5
    assert retry_after_s("-3") == 0
    assert retry_after_s(None) is None and retry_after_s("soon") is None
    assert 5 < retry_after_s(formatdate(time.time() + 10, usegmt=True)) <= 10
