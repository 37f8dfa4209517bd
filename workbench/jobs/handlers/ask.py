"""A free prompt as a job: what the LLM writes on, shown while it grows."""

import time
from contextlib import closing

from pipeline.config import GenerationConfig
from pipeline.durable import write_json
from pipeline.generation.answering import answer
from pipeline.generation.contrast import TokenChoice
from pipeline.generation.llms.opening import open_llm
from pipeline.generation.llms.protocol import LLM
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.reading import open_reader, token_llm
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import AskSpec

_SHOWN_EVERY_TOKENS = 8


def run(context: JobContext[AskSpec]) -> None:
    """Write out/answer.json again and again: text so far, tokens of prompt (where known) and answer, seconds."""
    config = context.spec.config
    context.progress(0, config.max_new_tokens, message=f"Loading {config.llm}")
    with closing(open_llm(context.spec.llm)) as llm:
        page = _Page(context, config.max_new_tokens)
        if isinstance(llm, RemoteLLM):
            text, tokens, cut = llm.answer(context.spec.prompt, config)
            page.keep(text, tokens, ended=not cut)
        else:
            _write(llm, context.spec.prompt, config, page)
    if context.stop_seen is None:
        context.progress(config.max_new_tokens, config.max_new_tokens, message="Answered")


class _Page:
    """The file that the answer grows in."""

    def __init__(self, context: JobContext, limit: int) -> None:
        self.context = context
        self.prompt_tokens: int | None = None
        self._limit = limit
        self._since = time.monotonic()

    def keep(self, text: str, tokens: int, *, ended: bool) -> None:
        seconds = round(time.monotonic() - self._since, 2)
        record = {"text": text, "prompt_tokens": self.prompt_tokens, "tokens": tokens, "seconds": seconds}
        write_json(self.context.out / "answer.json", record | {"ended": ended}, sync=False)
        self.context.progress(tokens, self._limit, message="Writing")


def _write(llm: LLM, prompt: str, config: GenerationConfig, page: _Page) -> None:
    """Write token by token; line breaks belong to the answer, so only the model's own end token ends it."""
    spoken = token_llm(llm)
    reader = open_reader(llm, prompt)
    page.prompt_tokens = reader.prompt_tokens

    def is_end(token: int) -> bool:
        return spoken.is_end(token) and "\n" not in spoken.detokenize([token])

    how = TokenChoice.of(config)
    tokens: list[int] = []
    stream = answer(reader, how, seed=config.seed, max_new_tokens=config.max_new_tokens, is_end=is_end)
    for token in stream:
        tokens.append(token)
        if len(tokens) % _SHOWN_EVERY_TOKENS == 0:
            page.keep(spoken.detokenize(tokens), len(tokens), ended=False)
        if page.context.stop_requested():
            break
    ended = page.context.stop_seen is None and len(tokens) < config.max_new_tokens
    page.keep(spoken.detokenize(tokens), len(tokens), ended=ended)
