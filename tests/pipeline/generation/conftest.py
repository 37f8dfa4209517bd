"""The embedded LLM, loaded once for all tests of generation that need a real one."""

from collections.abc import Iterator

import pytest

from pipeline.generation.generate import EMBEDDED, load_llm
from pipeline.generation.llama import LlamaLLM


@pytest.fixture(scope="session")
def llm() -> Iterator[LlamaLLM]:
    with load_llm(EMBEDDED, threads=1) as loaded:
        yield loaded
