"""The embedded LLM, loaded once for all tests of generation that need a real one."""

from collections.abc import Iterator

import pytest

from pipeline.generation.llama import LlamaLLM
from pipeline.generation.llms.entries import EMBEDDED
from pipeline.generation.loading import load_llama


@pytest.fixture(scope="session")
def llm() -> Iterator[LlamaLLM]:
    with load_llama(EMBEDDED, threads=1) as loaded:
        yield loaded
