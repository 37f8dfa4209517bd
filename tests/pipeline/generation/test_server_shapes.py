"""Answers and refusals in the words of real servers, over HTTP: what a check makes of them, and a row."""

import json

import pytest

from pipeline.config import GenerationConfig
from pipeline.curation.remote_digit import RemoteDigitJudge
from pipeline.generation.llms.check import check, explored
from pipeline.generation.llms.endpoints import EndpointError
from pipeline.generation.llms.protocol import Ask
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.llms.retries import Patience, masked
from pipeline.generation.outcomes import classify
from pipeline.generation.prompt_sets import prompt_set
from pipeline.records import InputError, Outcome, Side
from tests.servers.scripted_server import Answer, chat, serving

QUICK = Patience(attempts=3, first_wait_s=0.01, longest_wait_s=0.05)
S = "Mountains are far away from here."
PREMISE = "The hills are close by."


def entry(server, **settings):
    return LLMEntry("far", "remote", server.url, **({"model": "m", "api": "chat", "timeout_s": 5.0} | settings))


def of(message, finish_reason="stop", **usage):
    """A chat answer around a message."""
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish_reason}
    body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    return Answer(body=body | ({"usage": {"prompt_tokens": 20, "total_tokens": 44} | usage} if usage else {}))


def replies(server, **settings):
    llm = RemoteLLM(entry(server, **settings), patience=QUICK)
    config = GenerationConfig(omega=0.0, max_new_tokens=24)
    try:
        return list(llm.replies(iter([Ask(0, PREMISE, 1)]), prompt_set("default"), config, lambda: False))
    finally:
        llm.close()


NO_MAX_TOKENS = {"error": {
    "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
    "instead.", "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter",
}}  # fmt: skip
NO_TEMPERATURE = {"error": {
    "message": "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is "
    "supported.", "type": "invalid_request_error", "param": "temperature", "code": "unsupported_value",
}}  # fmt: skip
NO_SEED = {"object": "error", "message": {"detail": [
    {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": 0}
]}, "type": "invalid_request_error", "param": None, "code": None}  # fmt: skip


def test_what_a_server_refuses_is_found_out_once_and_remembered():
    def script(_number, asked):
        if not asked["path"].endswith("/chat/completions"):
            return Answer(404, {"error": {"message": "Invalid URL (POST /v1/completions)"}})
        if "max_tokens" in asked:
            return Answer(400, NO_MAX_TOKENS)
        if "temperature" in asked:
            return Answer(400, NO_TEMPERATURE)
        return Answer(422, NO_SEED) if "seed" in asked else chat(S)

    with serving(script) as server:
        found = check(entry(server, api="")).entry
        before = len(server.calls)
        assert {reply.raw for reply in replies(server, **remembered(found))} == {S}
        assert len(server.calls) - before == 2, "no setting is tried again"
        llm = LLMEntry.from_json(json.loads(json.dumps(found.to_json())))
    assert llm == found
    assert (found.length_field, found.left_out) == ("max_completion_tokens", ("temperature", "seed"))
    assert server.calls[-1]["max_completion_tokens"] == 24 and "max_tokens" not in server.calls[-1]


def remembered(found):
    return {name: getattr(found, name) for name in ("api", "length_field", "left_out")}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "Insufficient credits to run this", "code": 402}}, "Insufficient credits to run this"),
        ({"error": {"message": "Provider returned error", "code": 400}}, "Provider returned error"),
        ({"error": "model 'm' not found, try pulling it first"}, "try pulling it first"),
        ({"object": "error", "message": "The model `m` does not exist.", "code": 404}, "does not exist"),
        ({"detail": "Not enough memory to load the model"}, "Not enough memory"),
    ],
)
def test_an_error_in_an_answer_of_status_200_is_shown_at_once(body, words):
    with serving(lambda *_: Answer(body=body)) as server, pytest.raises(InputError, match=words):
        check(entry(server))
    assert len(server.calls) == 1, "it is not asked again"


def test_a_busy_server_that_says_so_in_its_body_is_asked_again():
    def script(number, _asked):
        return Answer(body={"error": {"message": "Rate limited", "code": 429}}) if number == 0 else chat(S)

    with serving(script) as server:
        assert [reply.raw for reply in replies(server, concurrency=1)] == [S, S]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_a_reply_that_is_all_reasoning_fails_the_check_and_is_truncated(field):
    answer = of({"content": None, field: "Okay, the user wants"}, "length", completion_tokens=24)
    with serving(lambda *_: answer) as server:
        with pytest.raises(InputError, match="all 24 tokens went into its reasoning"):
            check(entry(server))
        for reply in replies(server):
            result = classify(
                reply.raw, PREMISE, Side.POSITIVE, prompt_set("default"), cut=reply.cut, tokens=reply.tokens
            )
            assert result.outcome is Outcome.TRUNCATED and "the user wants" in result.raw


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "text", "text": S}]},
        {"content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": S},
        ]},
        {"content": S, "reasoning_content": "Okay, the user wants"},
    ],
)  # fmt: skip
def test_content_in_parts_is_the_text_of_its_parts_behind_the_thoughts(message):
    with serving(lambda *_: of(message)) as server:
        for reply in replies(server):
            result = classify(reply.raw, PREMISE, reply.side, prompt_set("default"), cut=False, tokens=reply.tokens)
            assert result.text == S and ("</think>" in reply.raw) == ("hm" in str(message) or "Okay" in str(message))
            assert reply.tokens == len(reply.raw.split()), "without usage words are counted"


def test_what_a_content_filter_ended_is_refused_and_says_so():
    refused = {"error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None, "param": "prompt", "code": "content_filter", "status": 400,
    }}  # fmt: skip
    for answer in (of({"content": "Mountains"}, "content_filter"), Answer(400, refused)):
        with serving(lambda *_, answer=answer: answer) as server:
            found = replies(server)
        assert {reply.problem for reply in found} == {Outcome.REFUSED}
        assert all("content" in reply.reason and not reply.is_servers_fault for reply in found)


def test_an_answer_without_choices_is_told_in_words():
    with serving(lambda *_: Answer(body={"id": "x", "choices": [], "model": "m"})) as server:
        assert {reply.problem for reply in replies(server)} == {Outcome.FAILED}
        with pytest.raises(InputError, match="no choices in it"):
            explored(entry(server), patience=QUICK)


@pytest.mark.parametrize(("wanted", "listed"), [("qwen3", "qwen3:latest"), ("Qwen3-4B", "Qwen/Qwen3-4B"), ("m", "m")])
def test_a_model_is_found_under_the_name_that_the_server_lists(wanted, listed):
    with serving(lambda *_: chat(S), [{"id": listed}, {"id": "other"}]) as server:
        found, _ = explored(entry(server, model=wanted), patience=QUICK)
        with pytest.raises(InputError, match="has no model 'qwen'"):
            explored(entry(server, model="qwen"), patience=QUICK)
    assert found.model == listed and server.calls[-1]["model"] == listed


@pytest.mark.parametrize("shape", ["404", "error with 200", "native answer"])
@pytest.mark.parametrize("ending", ["", "/", "/v1/chat/completions"])
def test_an_address_without_its_version_is_found(ending, shape):
    """llama.cpp answers /completions in a form of its own, LM Studio any unknown path with 200."""
    wrong = {
        "404": Answer(404, {"detail": "Not Found"}),
        "error with 200": Answer(body={"error": "Unexpected endpoint or method. (POST /completions)"}),
        "native answer": Answer(body={"content": S, "tokens_predicted": 5}),
    }[shape]
    with serving(lambda _number, asked: chat(S) if asked["path"] == "/v1/chat/completions" else wrong) as server:
        address = server.url.removesuffix("/v1") + ending
        found = check(LLMEntry("far", "remote", address, model="m", timeout_s=5.0)).entry
    assert (found.location, found.api) == (server.url, "chat")
    assert found.digest == f"server:{server.url}#m"


def test_a_key_goes_to_the_host_it_was_given_for_and_to_no_other(monkeypatch):
    monkeypatch.setenv("FAR_API_KEY", "sk-secret-123")
    with serving(lambda *_: chat(S)) as server, serving(lambda *_: chat(S)) as other:
        found, _ = explored(entry(server, key_variable="FAR_API_KEY"), patience=QUICK)
        assert found.key_origin == server.url.removesuffix("/v1")
        moved = LLMEntry.from_json(found.to_json() | {"location": other.url})
        for opened in (lambda: RemoteLLM(moved), lambda: RemoteDigitJudge(moved, judge_id="digit:far")):
            with pytest.raises(EndpointError, match="was given for"):
                opened()
    assert other.calls == [] and server.headers[-1]["authorization"] == "Bearer sk-secret-123"


KEY = "sk-proj-Ab1Cd2Ef3Gh4Ij5Kl6"


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_no_part_of_a_key_is_told_wherever_a_message_is_cut(status, monkeypatch):
    monkeypatch.setenv("FAR_API_KEY", KEY)
    said = []

    def script(*_):
        return Answer(status, {"error": {"message": said[-1]}} if status != 500 else said[-1])

    with serving(script) as server:
        llm = RemoteLLM(entry(server, key_variable="FAR_API_KEY"), patience=Patience(1, 0.01, 0.01))
        for length in (0, 25, 58, *range(90, 165)):
            said.append("x" * length + f"{KEY} is wrong; {KEY[:12]}")
            with pytest.raises(InputError) as error:
                llm.answer("Hello", GenerationConfig(omega=0.0))
            told = str(error.value)
            assert not any(KEY[start : start + 6] in told for start in range(len(KEY) - 5)), told
        llm.close()
    assert len(server.calls) == len(said)


def test_masking_leaves_words_alone():
    assert masked("no key here", "") == "no key here" == masked("no key here", "none")
    assert masked(f"a {KEY} b {KEY}", KEY) == "a *** b ***"


@pytest.mark.parametrize(
    ("message", "value"),
    [
        ({"content": "Rating (0-5): 4"}, 4.0),
        ({"content": "<think>\nSentence 1 has two verbs.\n</think>\n\n{\"score\": 4}"}, 4.0),
        ({"content": [{"type": "text", "text": "4/5"}]}, 4.0),
        ({"content": None, "reasoning_content": "Sentence 1 has 2 verbs"}, None),
        ({"content": "3 or 4"}, None),
    ],
)  # fmt: skip
def test_a_judge_that_is_refused_log_probabilities_and_schemas_asks_for_a_number(message, value):
    def script(_number, asked):
        for name, words in (
            ("logprobs", "logprobs is not supported by this model"),
            ("response_format", "'response_format' of type 'json_schema' is not supported"),
        ):
            if name in asked:
                return Answer(400, {"error": {"message": words}})
        return of(message)

    with serving(script) as server:
        judge = RemoteDigitJudge(entry(server, concurrency=1), judge_id="digit:far", patience=QUICK)
        [found] = judge.scores([("It rains.", "Rain falls.")])
    assert len(server.calls) == 4, "each way is tried once"
    if value is None:
        assert found != found and judge.unscored == {"unparsable": 1}
    else:
        assert found == value and not judge.unscored
