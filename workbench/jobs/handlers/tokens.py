"""Counting tokens as a job: the server itself never loads an LLM."""

from contextlib import closing

from pipeline.durable import write_json
from pipeline.generation.llms.opening import open_llm
from pipeline.generation.reading import token_llm
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import TokensSpec


def run(context: JobContext[TokensSpec]) -> None:
    """Write out/tokens.json: the tokens of each text of the spec, and the LLM's window (null where unknown)."""
    texts = context.spec.texts
    context.progress(0, len(texts), message="Loading the LLM")
    with closing(open_llm(context.spec.llm)) as llm:
        found = {"counts": [len(token_llm(llm).tokenize(text)) for text in texts], "window": llm.context_length}
    write_json(context.out / "tokens.json", found)
    context.progress(len(texts), len(texts), message="Counted")
