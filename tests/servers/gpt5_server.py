"""A model with reasoning as its provider serves it: chat only, usual settings refused in the provider's words."""

from functools import partial

from tests.servers.scripted_server import Answer, Script, chat

SENTENCE, OTHER_SIDE = "Mountains are far away from here.", "Nobody has ever seen a mountain."
ABSENT = Answer(404, {"error": {"message": "Invalid URL (POST /v1/completions)", "type": "invalid_request_error"}})


def chat_only(script: Script) -> Script:
    return lambda number, asked: script(number, asked) if asked["path"].endswith("/chat/completions") else ABSENT


def refused(message: str, param: str | None, code: str | None) -> Answer:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Answer(400, {"error": error})


def gpt5(_number: int, asked: dict) -> Answer:
    """Refuses what models with reasoning refuse; thinks with every effort but minimal."""
    unsupported = partial(refused, code="unsupported_value")
    if "max_tokens" in asked:
        words = "Unsupported parameter: 'max_tokens' is not supported with this model."
        words += " Use 'max_completion_tokens' instead."
        return refused(words, "max_tokens", "unsupported_parameter")
    if "logprobs" in asked:
        words = "Unsupported parameter: 'logprobs' is not supported with this model."
        return refused(words, "logprobs", "unsupported_parameter")
    for name in ("temperature", "top_p"):
        if asked.get(name, 1) != 1:
            words = f"Unsupported value: '{name}' does not support {asked[name]} with this model."
            return unsupported(f"{words} Only the default (1) value is supported.", name)
    if "chat_template_kwargs" in asked:
        return refused("Unrecognized request argument supplied: chat_template_kwargs", None, None)
    effort = asked.get("reasoning_effort", "medium")
    if effort == "none":
        words = "Unsupported value: 'reasoning_effort' does not support 'none' with this model."
        return unsupported(
            f"{words} Supported values are: 'minimal', 'low', 'medium', and 'high'.", "reasoning_effort"
        )
    thought = 0 if effort == "minimal" else 64
    is_cut = asked["max_completion_tokens"] <= thought
    said = OTHER_SIDE if asked["messages"][0]["content"].startswith("Change") else SENTENCE
    if "response_format" in asked:
        said = '{"score": 4}'
    body = chat("" if is_cut else said).body
    body["choices"][0]["finish_reason"] = "length" if is_cut else "stop"
    body["usage"]["completion_tokens_details"] = {"reasoning_tokens": min(thought, asked["max_completion_tokens"])}
    return Answer(body=body)
