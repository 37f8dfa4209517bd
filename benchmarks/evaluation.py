"""Time of the STS suite, as the workbench runs it, against encoding every sentence of every pair as it comes.

Each sentence is encoded once, longest first, and its vector kept: the second evaluation reads it. Beside the time
stand the arithmetic of the encoder's layers at the rate that matrix products reach here, which it cannot beat, and
the time scaled to the pairs of all seven tasks, where not all of them are at hand. On a machine with other work the
processor's seconds say more than the clock's: with OMP_NUM_THREADS=1, half of them is what two free cores need.

Run: python -m benchmarks.evaluation STS_FOLDER [ENCODER ...] [--every 8: that share of the pairs]
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from pipeline.encoders import load_encoder
from pipeline.evaluation.benchmark import evaluate, summary
from pipeline.evaluation.hub_tasks import STS_ON_HUB
from pipeline.evaluation.sts import StsTask, read_tasks
from pipeline.vectors import corpus_vectors

SUITE_PAIRS = sum(task.rows for task in STS_ON_HUB.values())
SAMPLE_PAIRS = 400
SIZE, TIMES = 1024, 8


def main() -> None:
    """Print seconds, averages and ratios of each encoder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("encoders", nargs="*", default=["static-minilm", "all-MiniLM-L6-v2"])
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    tasks = [thinned(task, options.every) for task in read_tasks(options.folder)]
    pairs = sum(len(task) for task in tasks)
    texts = [text for task in tasks for text in task.sentence1 + task.sentence2]
    print(f"{len(tasks)} tasks, {pairs:,} pairs, {len(set(texts)):,} different sentences of {2 * pairs:,}")
    print(f"{torch.get_num_threads()} threads; matrix products reach {flops_per_s() / 1e9:.0f} GFLOP/s")
    for name in options.encoders:
        report(name, tasks, texts, pairs)


def thinned(task: StsTask, every: int) -> StsTask:
    """One pair of a task in this many."""
    kept = {field: getattr(task, field)[::every] for field in ("sentence1", "sentence2", "gold", "subset")}
    return replace(task, **kept)


def report(name: str, tasks: list[StsTask], texts: list[str], pairs: int) -> None:
    """Measure one encoder."""
    encoder = load_encoder(name)
    with TemporaryDirectory() as folder:
        started, busy = time.perf_counter(), time.process_time()
        vectors = corpus_vectors(texts, encoder, cache=Path(folder))
        table = summary(result.score for result in evaluate(encoder, tasks, vectors=vectors))
        first_s, busy_s = time.perf_counter() - started, time.process_time() - busy
        started = time.perf_counter()
        summary(
            result.score
            for result in evaluate(encoder, tasks, vectors=corpus_vectors(texts, encoder, cache=Path(folder)))
        )
        again_s = time.perf_counter() - started
    plain_s, plain_busy_s = as_they_come(encoder, tasks, pairs)
    scores = ", ".join(f"{task} {row['spearman']}" for task, row in table["tasks"].items())
    ratio = (
        f"{plain_s / first_s:.1f} times as fast as {plain_s:.0f} s ({plain_busy_s / busy_s:.1f} by processor time)"
    )
    print(f"\n{name}: {scores}; average {table['average']}")
    print(f"  {first_s:.1f} s, processor {busy_s:.1f} s, from kept vectors {again_s:.1f} s; {ratio}")
    whole_s, whole_busy_s = (seconds * SUITE_PAIRS / pairs for seconds in (first_s, busy_s))
    print(
        f"  scaled to the {SUITE_PAIRS:,} pairs of the seven tasks: {whole_s:.1f} s, processor {whole_busy_s:.1f} s"
    )
    layers = layer_parameters(encoder)
    if layers:
        tokens = sum(len(ids) for ids in encoder.tokenizer(list(set(texts)))["input_ids"])
        limit_s = 2 * layers * tokens / flops_per_s()
        print(f"  arithmetic of {tokens:,} tokens through {layers:,} weights: at least {limit_s:.1f} s")


def as_they_come(encoder: Any, tasks: list[StsTask], pairs: int) -> tuple[float, float]:
    """Seconds of clock and processor for all pairs, from a sample of each task in its own order, in batches of 64."""
    taken, started, busy = 0, time.perf_counter(), time.process_time()
    for task in tasks:
        step = max(1, len(task) // SAMPLE_PAIRS)
        for side in (task.sentence1, task.sentence2):
            encoder.encode(side[::step], batch_size=64, show_progress_bar=False)
        taken += len(task.sentence1[::step])
    return (time.perf_counter() - started) * pairs / taken, (time.process_time() - busy) * pairs / taken


def layer_parameters(encoder: Any) -> int:
    """Weights that every token is multiplied with; 0 for an encoder that only looks vectors up."""
    layers = [p for name, p in encoder.named_parameters() if ".layer." in name and p.ndim == 2]
    return sum(p.numel() for p in layers)


def flops_per_s() -> float:
    """Rate of float32 matrix products on this machine with the threads at hand."""
    left = torch.randn(SIZE, SIZE)
    left @ left
    quickest_s = float("inf")
    for _ in range(TIMES):  # the quickest: other work on the machine takes its turns between and during them
        started = time.perf_counter()
        left @ left
        quickest_s = min(quickest_s, time.perf_counter() - started)
    return 2 * SIZE**3 / quickest_s


if __name__ == "__main__":
    main()
