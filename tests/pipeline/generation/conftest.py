"""The embedded LLM, loaded once for all tests of generation that need a real one."""

from collections.abc import Iterator

import pytest

from pipeline.generation.engines.fastest import load_llama
from pipeline.generation.engines.llama import LlamaLLM
from pipeline.generation.llms.registry import EMBEDDED


@pytest.fixture(scope="session")
def llm() -> Iterator[LlamaLLM]:
    with load_llama(EMBEDDED, threads=1) as loaded:
        yield loaded
