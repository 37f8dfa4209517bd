"""Time one engine: `python -m pipeline.generation.trial ENGINE THREADS` prints its rate as JSON.

It may take so much processor time, not so much time on the clock: a machine that is busy would have no result.
"""

import json
import sys
import time
from contextlib import suppress

from pipeline.config import GenerationConfig
from pipeline.generation.engines.fastest import ENGINES
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.premise_prompts import GENRES
from pipeline.generation.triplets import generate
from pipeline.records import Premise

PREMISES = 31
"""Enough to fill the rows of every engine."""
CONFIG = GenerationConfig(omega=0.6, max_new_tokens=10)
MOST_PROCESSOR_S = 180
"""Per thread; an engine that needs more is not the fastest one."""


def main(engine: str, threads: int) -> None:
    """Generate from one premise to warm up, then time a batch and print its rate."""
    texts = [text for genre in GENRES for _, text in genre.examples][:PREMISES]
    premises = [Premise.from_text(text) for text in texts]
    llm = GgufLLM(ENGINES[engine]("trial", threads))
    list(generate(premises[:1], CONFIG, llm))
    started = time.process_time()
    sentences = 2 * len(list(generate(premises, CONFIG, llm)))
    print(json.dumps({"sentences_per_processor_s": sentences / (time.process_time() - started)}))  # noqa: T201
    llm.close()


def limit_processor_time(seconds: int) -> None:
    """Let the system end this process after so many seconds of processor time; nothing where it cannot."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no such module, a container may forbid it
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


if __name__ == "__main__":
    limit_processor_time(MOST_PROCESSOR_S * int(sys.argv[2]))
    main(sys.argv[1], int(sys.argv[2]))
