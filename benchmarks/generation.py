"""Batched contrastive generation against a loop over two `Llama` objects stepped token by token.

Same premises, few-shots, omega and, for the first comparison, the same file of weights. Run from the project root:

    python -m benchmarks.generation [--premises FILE] [--limit N] [--loop-limit N] [--omega W] [--threads N]

It prints sentences per second, their ratio, and what the matrix products alone would allow on this machine.
"""

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np

from pipeline.config import GenerationConfig
from pipeline.generation.generate import EMBEDDED, generate, load_llm
from pipeline.generation.llama import PREFIXES, LlamaLLM, Piece
from pipeline.generation.prompts import prompt_set
from pipeline.records import Premise, Side
from pipeline.weights import embedded_gguf
from tests.references.naive_pair import NaivePair

SHIPPED_PREMISES = Path(__file__).resolve().parent.parent / "assets" / "premises.txt"


def batched(llm: LlamaLLM, premises: list[Premise], config: GenerationConfig) -> dict[str, float]:
    """Return sentences and rows per second of the batched engine, and tokens per sentence."""
    started = time.perf_counter()
    sides = [side for made in generate(premises, config, llm) for side in (made.positive, made.hard_negative)]
    seconds = time.perf_counter() - started
    tokens = sum(side.tokens + 1 for side in sides)
    counts = Counter(side.outcome.value for side in sides)
    print(f"    outcomes {dict(counts)}")
    return {
        "sentences_per_s": len(sides) / seconds,
        "rows_per_s": tokens * (2 if config.omega else 1) / seconds,
        "tokens_per_sentence": tokens / len(sides),
    }


def loop(path: Path, premises: list[Premise], config: GenerationConfig, threads: int) -> float:
    """Return sentences per second of the plain loop over two models."""
    naive = NaivePair(path, prompt_set(config.prompt_set), omega=config.omega, threads=threads)
    started = time.perf_counter()
    for premise in premises:
        for side in Side:
            naive.reply(premise.text, side, config.max_new_tokens)
    seconds = time.perf_counter() - started
    naive.close()
    return 2 * len(premises) / seconds


def products_limit(llm: LlamaLLM, tokens: int = 248) -> float:
    """Return rows per second when there is next to nothing to attend to: 62 one-token sequences at a time."""
    rng = np.random.default_rng(0)
    pieces = [Piece(PREFIXES + row % 62, row // 62, [int(rng.integers(100, 40_000))]) for row in range(tokens)]
    started = time.perf_counter()
    for start in range(0, tokens, 62):
        llm.decode(pieces[start : start + 62])
    seconds = time.perf_counter() - started
    for row in range(62):
        llm.forget(PREFIXES + row)
    return tokens / seconds


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--premises", type=Path, default=SHIPPED_PREMISES)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--loop-limit", type=int, default=4, help="premises given to the slow loop")
    parser.add_argument("--omega", type=float, default=0.6)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    lines = [line.strip() for line in options.premises.read_text(encoding="utf-8").splitlines() if line.strip()]
    premises = [Premise.from_text(line) for line in lines[: options.limit]]
    config = GenerationConfig(omega=options.omega)
    step = max(1, len(premises) // options.loop_limit)
    few = premises[::step][: options.loop_limit]

    print(f"{len(premises)} premises, omega {config.omega}, {options.threads} threads; the loop answers {len(few)}")
    slow = loop(embedded_gguf(), few, config, options.threads)
    print(f"  loop over two Llama objects, packaged file : {slow:6.2f} sentences/s")
    for label, name in (("packaged file", str(embedded_gguf())), ("requantised", EMBEDDED)):
        with load_llm(name, threads=options.threads) as llm:
            result = batched(llm, premises, config)
            limit = products_limit(llm)
        print(
            f"  batched, {label:13}: {result['sentences_per_s']:6.2f} sentences/s "
            f"({result['sentences_per_s'] / slow:.1f} times the loop), {result['rows_per_s']:.0f} reply rows/s; "
            f"matrix products alone would allow {limit:.0f} rows/s"
        )


if __name__ == "__main__":
    main()
