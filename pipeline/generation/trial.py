"""Time one engine: `python -m pipeline.generation.trial ENGINE THREADS` prints its rate as JSON."""

import json
import sys
import time

from pipeline.config import GenerationConfig
from pipeline.generation.engines.fastest import ENGINES
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.premise_prompts import GENRES
from pipeline.generation.triplets import generate
from pipeline.records import Premise

PREMISES = 31
"""Enough to fill the rows of every engine."""
CONFIG = GenerationConfig(omega=0.6, max_new_tokens=10)


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


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
