"""Servers as they are: reasoning that can be switched off or not, roles, limits, replicas, additions to a call."""

import json
import time
from threading import Event, Thread

import pytest

from pipeline.config import GenerationConfig
from pipeline.curation.remote_digit import RemoteDigitJudge
from pipeline.generation.llms.check import check, explored
from pipeline.generation.llms.pace import Pace, Replicas
from pipeline.generation.llms.presets import PRESETS, preset_of
from pipeline.generation.llms.protocol import Ask
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.llms.retries import Patience
from pipeline.generation.outcomes import classify
from pipeline.generation.prompt_sets import prompt_set
from pipeline.records import InputError, Outcome, Side, Stopped
from tests.servers.gpt5_server import OTHER_SIDE, SENTENCE, chat_only, gpt5
from tests.servers.scripted_server import Answer, chat, completion, serving

QUICK = Patience(attempts=3, first_wait_s=0.01, longest_wait_s=0.05)
S = SENTENCE
PREMISE = "The hills are close by."
PROMPTS = prompt_set("default")


def entry(server, **settings) -> LLMEntry:
    return LLMEntry("far", "remote", server.url, **({"model": "m", "timeout_s": 5.0} | settings))


def replies(found: LLMEntry, **settings):
    llm = RemoteLLM(found, patience=QUICK)
    config = GenerationConfig(**({"omega": 0.0, "max_new_tokens": 24} | settings))
    try:
        return list(llm.replies(iter([Ask(0, PREMISE, 1)]), PROMPTS, config, lambda: False))
    finally:
        llm.close()


def test_a_model_like_gpt_5_is_added_and_used() -> None:
    with serving(chat_only(gpt5)) as server:
        found = check(entry(server, form="chat")).entry
        before = len(server.calls)
        assert {reply.raw for reply in replies(found, temperature=0.7, top_p=0.9)} == {S, OTHER_SIDE}
        assert RemoteDigitJudge(found, judge_id="digit:far", patience=QUICK).scores([("a", "b")]) == [4.0]
    assert (found.length_field, found.api, found.speaks) == ("max_completion_tokens", "chat", "chat")
    assert found.left_out == ("temperature",) or set(found.left_out) == {"temperature", "top_p"}
    assert json.loads(found.thinking) == {"reasoning_effort": "minimal"} and not found.reasons
    sent = server.calls[before]
    assert [turn["role"] for turn in sent["messages"]] == ["system", *["user", "assistant"] * 3, "user"]
    assert sent["messages"][-1]["content"] == PREMISE and sent["reasoning_effort"] == "minimal"


def test_a_setting_refused_in_a_run_is_left_out_from_then_on() -> None:
    """A check sends the usual values; another one may be refused later."""

    def script(_number: int, asked: dict) -> Answer:
        if "min_p" in asked:
            return Answer(400, {"error": {"message": "Unrecognized request argument supplied: min_p"}})
        return chat(S)

    with serving(script) as server:
        llm = RemoteLLM(entry(server, api="chat", concurrency=1), patience=QUICK)
        config = GenerationConfig(omega=0.0, temperature=0.7, min_p=0.1)
        asks = [Ask(number, PREMISE, 1) for number in range(2)]
        assert [one.raw for one in llm.replies(iter(asks), PROMPTS, config, lambda: False)] == [S] * 4
        llm.close()
    assert llm.entry.left_out == ("min_p",) and len(server.calls) == 5


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "tags"])
def test_thinking_that_cannot_be_switched_off_has_tokens_of_its_own_and_is_kept_in_the_raw_text(field: str) -> None:
    thought = "The user wants a paraphrase."

    def script(_number: int, asked: dict) -> Answer:
        answer = chat(S)
        [choice] = answer.body["choices"]
        is_cut = asked["max_tokens"] < 100
        message = {"content": f"<think>{thought}" if is_cut else f"<think>{thought}</think>\n\n{S}"}
        if field != "tags":
            message = {"content": None if is_cut else S, field: thought}
        choice["message"] |= message
        choice["finish_reason"] = "length" if is_cut else "stop"
        return answer

    with serving(chat_only(script)) as server:
        found = check(entry(server)).entry
        assert found.reasons
        for reply in replies(found, reasoning_tokens=200):
            assert server.calls[-1]["max_tokens"] == 224
            result = classify(reply.raw, PREMISE, reply.side, PROMPTS, cut=reply.cut, tokens=reply.tokens)
            assert result.text == S and thought in result.raw
        for reply in replies(found, reasoning_tokens=0):
            result = classify(reply.raw, PREMISE, reply.side, PROMPTS, cut=reply.cut, tokens=reply.tokens)
            assert result.outcome is Outcome.TRUNCATED and thought in result.raw


def test_thinking_is_switched_off_through_the_template() -> None:
    def script(_number: int, asked: dict) -> Answer:
        is_off = asked.get("chat_template_kwargs") == {"enable_thinking": False}
        return chat(S if is_off else "<think>\nOkay, the user")

    with serving(chat_only(script)) as server:
        found = check(entry(server)).entry
        assert not found.reasons and {reply.raw for reply in replies(found)} == {S}


@pytest.mark.parametrize(
    "words",
    [
        "System role not supported",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "Error rendering prompt with jinja template: Only user and assistant roles are supported!",
    ],
)
def test_instructions_stand_in_the_first_turn_where_a_template_has_no_system(words: str) -> None:
    def script(_number: int, asked: dict) -> Answer:
        has_system = asked["messages"][0]["role"] == "system"
        return Answer(400, {"object": "error", "message": words, "code": 400}) if has_system else chat(S)

    with serving(chat_only(script)) as server:
        found = check(entry(server)).entry
        replies(found)
    turn = server.calls[-1]["messages"][0]
    assert found.turns == 1 and turn["role"] == "user"
    assert any(turn["content"].startswith(PROMPTS.own(side).instruction) for side in Side)


def test_an_instruct_model_is_asked_in_turns_unless_that_costs_the_contrast() -> None:
    def script(_number: int, asked: dict) -> Answer:
        return chat(S) if asked["path"].endswith("/chat/completions") else completion(f" {S}")

    with serving(script, [{"id": "some-8b-instruct"}, {"id": "some-8b"}]) as server:
        found = {
            model: explored(entry(server, model=model), patience=QUICK)[0]
            for model in ("some-8b-instruct", "some-8b")
        }
        forced, _ = explored(entry(server, model="some-8b", form="chat"), patience=QUICK)
    assert [(one.api, one.speaks) for one in found.values()] == [("chat", "chat"), ("completions", "completion")]
    assert forced.api == "chat"


TOO_LONG = {
    "OpenAI": {"error": {"message": "This model's maximum context length is 8192 tokens. However, your messages "
        "resulted in 9001 tokens.", "type": "invalid_request_error", "code": "context_length_exceeded"}},
    "vLLM": {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you "
        "requested 4100 tokens (4000 in the messages, 100 in the completion).", "type": "BadRequestError",
        "code": 400},
    "SGLang": {"object": "error", "message": "The input (5000 tokens) is longer than the model's context length "
        "(4096 tokens).", "type": "BadRequest", "code": 400},
    "llama.cpp": {"error": {"code": 400, "message": "the request exceeds the available context size. try increasing "
        "the context size or enable context shift", "type": "exceed_context_size_error"}},
    "LM Studio": {"error": "Trying to keep the first 5000 tokens when context the overflows. However, the model is "
        "loaded with context length of only 4096 tokens."},
}  # fmt: skip


@pytest.mark.parametrize("server_name", TOO_LONG)
def test_a_context_that_overflows_is_too_long(server_name: str) -> None:
    with serving(lambda *_: Answer(400, TOO_LONG[server_name])) as server:
        found = replies(entry(server, api="chat"))
    assert {reply.problem for reply in found} == {Outcome.TOO_LONG} and len(server.calls) == 2


def test_every_call_carries_the_body_and_the_headers_of_the_entry() -> None:
    with serving(lambda *_: chat(S)) as server:
        body = {"chat_template_kwargs": {"enable_thinking": False}}
        replies(entry(server, api="chat", extra_body=json.dumps(body), headers='{"X-Title": "study"}'))
    assert server.calls[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert server.headers[0]["x-title"] == "study"
    with pytest.raises(InputError, match="holds a key"):
        LLMEntry("far", "remote", "http://127.0.0.1:1", headers='{"api-key": "sk-1"}')
    with pytest.raises(InputError, match="JSON object"):
        LLMEntry("far", "remote", "http://127.0.0.1:1", extra_body="[1]")


def test_calls_go_to_the_least_busy_replica_and_on_when_one_is_down() -> None:
    slow = lambda *_: Answer(body=chat(S).body, delay_s=0.2)  # noqa: E731
    with serving(slow) as one, serving(slow) as two:
        llm = RemoteLLM(entry(one, api="chat", replicas=(two.url,), concurrency=4), patience=QUICK)
        asks = [Ask(number, PREMISE, 1) for number in range(4)]
        assert len(list(llm.replies(iter(asks), PROMPTS, GenerationConfig(omega=0.0), lambda: False))) == 8
        llm.close()
        assert len(one.calls) == len(two.calls) == 4
    with serving(lambda *_: chat(S)) as alive:
        down = "http://127.0.0.1:9/v1"
        found = replies(entry(alive, api="chat", replicas=(down,), concurrency=1))
    assert {reply.raw for reply in found} == {S}
    chosen = Replicas(["a", "b"])
    with pytest.raises(OSError), chosen.taken((OSError,)):
        raise OSError
    with chosen.taken((OSError,)) as client:
        assert client == "b", "a failure is shunned"


def test_a_key_goes_to_no_replica_on_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_API_KEY", "sk-secret-123")
    with serving(lambda *_: chat(S)) as one, serving(lambda *_: chat(S)) as two:
        settings = {"key_variable": "FAR_API_KEY", "key_origin": one.url.removesuffix("/v1"), "replicas": (two.url,)}
        with pytest.raises(InputError, match="was given for"):
            RemoteLLM(entry(one, api="chat", **settings))


def test_fewer_calls_at_once_after_a_refusal_for_speed_and_more_again() -> None:
    pace = Pace(at_once=8)
    for _ in range(2):
        pace.end(pace.begin(1, Event()), is_limited=True)
    assert pace.allowed == 2
    for _ in range(40):
        pace.end(pace.begin(1, Event()))
    assert pace.allowed == 8


def test_limits_per_minute_hold_calls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stopped = Event()
    stopped.set()  # whoever would have to wait is stopped instead
    by_calls, by_tokens = Pace(requests_per_minute=2), Pace(tokens_per_minute=100)
    for _ in range(2):
        by_calls.end(by_calls.begin(1, stopped))
    by_tokens.end(by_tokens.begin(90, stopped), tokens=95)
    for pace, tokens in ((by_calls, 1), (by_tokens, 10)):
        with pytest.raises(Stopped):
            pace.begin(tokens, stopped)
    now[0] = 60.5
    by_calls.begin(1, stopped)
    by_tokens.begin(500, stopped)


def test_a_waiting_call_begins_when_another_ends() -> None:
    pace = Pace(at_once=1)
    first = pace.begin(1, Event())
    thread = Thread(target=lambda: pace.end(pace.begin(1, Event())))
    thread.start()
    pace.end(first)
    thread.join(timeout=5)
    assert not thread.is_alive()


def test_presets_are_entries_that_a_check_can_start_from() -> None:
    for name, preset in PRESETS.items():
        made = LLMEntry(name, "remote", preset.url, **preset.settings)
        assert preset_of(name) is preset and made.location.endswith("/v1")
    with pytest.raises(InputError, match="choose one of openai"):
        preset_of("nobody")
