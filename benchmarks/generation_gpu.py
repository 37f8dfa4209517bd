"""Generation on a GPU: SmolLM2's shape, prompts of 260 tokens, 32 new tokens, against transformers' `generate`.

Ours writes under contrast, two rows a sentence, 200 tokens of each prompt shared; the baseline continues as many rows
of whole prompts greedily, of which two count as a sentence. Both take the same weights in bfloat16 and never end a
reply early. Run: python -m benchmarks.generation_gpu      (on a CPU: --small, a smoke check only)
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from pipeline.generation.contrast import TokenChoice
from pipeline.generation.engines.lockstep import Lockstep, Request
from pipeline.generation.engines.torch_llama import TorchLlama
from pipeline.generation.llms.transformers_llm import DecoderLLM
from pipeline.records import Side
from pipeline.weights import smollm2_safetensors_folder
from tests.references.host_work import HostWork

SHARED, OWN, NEW = 200, 60, 32
PEAK_FLOPS, WEIGHTS = 989e12, 134.5e6
"""The H100's dense bf16 rate as its data sheet has it, and SmolLM2-135M's weights."""


def numbers(*shape: int) -> list[list[int]]:
    """Return random tokens of the vocabulary."""
    return np.random.default_rng(shape).integers(100, 40_000, shape).tolist()


def ours(engine: TorchLlama, premises: int, new: int) -> float:
    """Return sentences/s; prompts are read within the time, shared parts before it."""
    prefixes: dict[str, list[int]] = dict(zip(Side, numbers(2, SHARED), strict=True))
    tails = numbers(2 * premises, OWN)
    never = np.zeros(engine.vocabulary, dtype=bool)
    lockstep = Lockstep(
        engine, prefixes, TokenChoice(omega=0.6), slots=engine.rows // 2, max_new_tokens=new, ends=never
    )
    asks = (
        Request(key, dict(zip(Side, tails[2 * key : 2 * key + 2], strict=True)), seed=key) for key in range(premises)
    )
    started = time.perf_counter()
    written = sum(len(reply.tokens) == new for reply in lockstep.run(asks, lambda: False))
    return written / (time.perf_counter() - started)


def generated(model: DecoderLLM, rows: int, batch: int, new: int) -> float:
    """Return sentences/s of `generate`, two rows each."""
    prompts = torch.tensor(numbers(rows, SHARED + OWN), device=model.device)
    started = time.perf_counter()
    for start in range(0, rows, batch):
        part = prompts[start : start + batch]
        mask = torch.ones_like(part)
        model.model.generate(
            part, attention_mask=mask, max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=0
        )
    if model.device != "cpu":
        torch.cuda.synchronize()
    return rows / 2 / (time.perf_counter() - started)


def twice(run: Callable[[], float]) -> float:
    """Return the second rate: the first one compiles, and grows memory."""
    run()
    return run()


def main() -> None:
    """Print rates, the ratio and the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a few tokens on the CPU: no figures")
    small = parser.parse_args().small
    if not small and not torch.cuda.is_available():
        parser.error("there is no GPU here; --small runs a smoke check on the CPU")
    device, premises, batch, new = ("cpu", 3, 4, 3) if small else ("cuda:0", 4096, 1024, NEW)
    folder = smollm2_safetensors_folder()
    print("CPU: the figures mean nothing" if small else torch.cuda.get_device_name(), f"torch {torch.__version__}")
    with DecoderLLM.load(folder, name="transformers", device=device) as model:
        baseline = twice(lambda: generated(model, 4 * premises // 2, batch, new))
    print(f"transformers' generate, batch {batch}: {baseline:,.1f} sentences/s")
    with TorchLlama(folder, name="engine", device=device) as engine:
        rate = twice(lambda: ours(engine, premises, new))
        print(f"engine, step by step: {rate:,.1f} sentences/s, x{rate / baseline:.1f} (wanted: 2,000, then 5,000)")
        with HostWork() as work:
            ours(engine, min(premises, engine.rows), new)
        each = 100 / (4 * min(premises, engine.rows) * new)
        print(
            f"per 100 tokens of replies: {work.waits * each:.2f} waits for the device, "
            f"{work.copies * each:.2f} copies to it; {engine.allocations} allocations of cache in all"
        )
        engine.compile(**{"backend": "eager"} if small else {"mode": "reduce-overhead"})
        rate = twice(lambda: ours(engine, premises, new))
        print(f"engine, compiled: {rate:,.1f} sentences/s, x{rate / baseline:.1f}")
    if not small:
        limit = PEAK_FLOPS / (2 * WEIGHTS * 2 * (OWN + new))
        print(f"limit: {limit:,.0f} sentences/s at the H100's dense bf16 rate")


if __name__ == "__main__":
    main()
