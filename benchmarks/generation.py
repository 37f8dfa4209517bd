"""Batched contrastive generation against a loop over two `Llama` objects stepped token by token.

Same premises, few-shots, omega and, in the first comparison, the same file of weights; then every engine that the
workbench's own trial chooses from. Run from the project root:

    python -m benchmarks.generation [--premises FILE] [--limit N] [--loop-limit N] [--omega W] [--threads N]

It prints sentences per second, their ratio, tokens per second of prompts and replies and what the matrix products
alone would allow on this machine, and how often host and device wait for each other. On a machine shared with other
programs the ratio per second of processor time (--threads 1) is the one to trust.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from pipeline.config import GenerationConfig
from pipeline.generation.engines.engine import PREFIXES, Engine, Piece
from pipeline.generation.engines.fastest import ENGINES, load_llama
from pipeline.generation.engines.torch_llama import TorchLlama
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.llms.protocol import LLM
from pipeline.generation.llms.transformers_llm import DecoderLLM
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.triplets import generate
from pipeline.records import Premise, Side
from pipeline.weights import embedded_gguf, smollm2_safetensors_folder
from tests.references.host_work import HostWork
from tests.references.naive_pair import NaivePair

SHIPPED_PREMISES = Path(__file__).resolve().parent.parent / "assets" / "premises.txt"


@dataclass
class Rate:
    """Items done, and the seconds they took on the clock and on the processor."""

    items: int = 0
    clock_s: float = 0.0
    cpu_s: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Add what the block takes."""
        clock, cpu = time.perf_counter(), time.process_time()
        yield
        self.clock_s += time.perf_counter() - clock
        self.cpu_s += time.process_time() - cpu

    def __str__(self) -> str:
        return f"{self.items / self.clock_s:7.2f}/s on the clock, {self.items / self.cpu_s:7.2f} per processor second"

    def times(self, other: "Rate") -> str:
        """Return both ratios to another rate."""
        clock = (self.items / self.clock_s) / (other.items / other.clock_s)
        cpu = (self.items / self.cpu_s) / (other.items / other.cpu_s)
        return f"{clock:.1f} times the loop on the clock, {cpu:.1f} times per processor second"


def batched(llm: LLM, premises: list[Premise], config: GenerationConfig) -> Rate:
    """Return the sentences that an LLM, which has written before, writes side by side."""
    sentences = Rate()
    with sentences.measured():
        for made in generate(premises, config, llm):
            for side in (made.positive, made.hard_negative):
                sentences.items += 1
                sentences.outcomes[side.outcome.value] += 1
    return sentences


@contextmanager
def tokens_of(llm: Engine) -> Iterator[list[int]]:
    """Yield a list that gets the number of tokens of every call."""
    counts: list[int] = []
    inner = llm.logits

    def counted(pieces: Sequence[Piece], tokens: torch.Tensor | None = None) -> torch.Tensor:
        counts.append(sum(len(piece.tokens) for piece in pieces))
        return inner(pieces, tokens)

    llm.logits = counted  # type: ignore[method-assign]
    yield counts
    del llm.logits  # that of the class again


def loop(path: Path, premises: list[Premise], config: GenerationConfig, threads: int) -> Rate:
    """Return the sentences of the plain loop over two models."""
    naive = NaivePair(path, prompt_set(config.prompt_set), omega=config.omega, threads=threads)
    rate = Rate()
    with rate.measured():
        for premise in premises:
            for side in Side:
                naive.reply(premise.text, side, config.max_new_tokens)
                rate.items += 1
    naive.close()
    return rate


def products_alone(llm: Engine, rows: int = 62, steps: int = 4) -> Rate:
    """Return tokens decoded when there is next to nothing to attend to: the limit set by the matrix products."""
    tokens = np.random.default_rng(0).integers(100, 40_000, (steps, rows)).tolist()
    rate = Rate(items=steps * rows)
    with rate.measured():
        for step in range(steps):
            llm.decode([Piece(PREFIXES + row, step, [tokens[step][row]]) for row in range(rows)])
    for row in range(rows):
        llm.forget(PREFIXES + row)
    return rate


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
    few = premises[:: max(1, len(premises) // options.loop_limit)][: options.loop_limit]

    print(f"{len(premises)} premises, omega {config.omega}, {options.threads} threads; the loop answers {len(few)}")
    slow = loop(embedded_gguf(), few, config, options.threads)
    print(f"loop over two Llama objects, packaged file\n    sentences {slow}", flush=True)
    packaged = str(embedded_gguf())
    report("llama.cpp, packaged file", load_llama(packaged, threads=options.threads), premises, config, slow)
    for engine, load in ENGINES.items():
        report(f"{engine}, as the workbench runs it", load(engine, options.threads), premises, config, slow)
    folder = smollm2_safetensors_folder()
    report("transformers folder", TorchLlama(folder, name="folder", threads=options.threads), premises, config, slow)
    torch.set_num_threads(options.threads)
    with DecoderLLM.load(folder, name="folder", device="cpu") as llm:
        batched(llm, premises[:1], config)
        sentences = batched(llm, premises[: max(1, len(premises) // 4)], config)
    print(f"transformers folder, transformers' own code: {sentences.times(slow)}")
    print(f"    sentences {sentences}", flush=True)


def report(label: str, llm: Engine, premises: list[Premise], config: GenerationConfig, slow: Rate) -> None:
    """Print what one engine reaches, how often that is the loop's rate, and the limit of its products."""
    with GgufLLM(llm) as writer:
        batched(writer, premises[:1], config)  # decodes the shared prefixes, once per loaded model
        with tokens_of(llm) as counts:
            sentences = batched(writer, premises, config)
        tokens = replace(sentences, items=sum(counts))
        limit = products_alone(llm, llm.rows)
        with tokens_of(llm) as counts, HostWork() as work:
            batched(writer, premises[: llm.rows // 4], config)
    share = (tokens.items / tokens.clock_s) / (limit.items / limit.clock_s)
    print(f"{label}: {sentences.times(slow)}; outcomes {dict(sentences.outcomes)}")
    print(f"    sentences {sentences}\n    tokens    {tokens}, {share:.0%} of the products alone")
    print(f"    products  {limit}, {llm.rows} rows a call")
    each = 100 / sum(counts)
    grown = llm.allocations * each if isinstance(llm, TorchLlama) else 0.0
    print(
        f"    per 100 tokens: {len(counts) * each:.2f} calls, {work.waits * each:.2f} waits for the device, "
        f"{work.copies * each:.2f} copies to it, {grown:.2f} allocations of cache",
        flush=True,
    )


if __name__ == "__main__":
    main()
