"""Time of the STS suite: each sentence encoded once, longest first, against encoding the pairs as they come.

Run: python -m benchmarks.evaluation STS_FOLDER [ENCODER ...]
"""

import sys
import time
from pathlib import Path

from pipeline.evaluation.benchmark import evaluate, summary
from pipeline.evaluation.sts import read_tasks
from pipeline.training.encoders import load_encoder


def main() -> None:
    """Print seconds and the average of each encoder."""
    folder, *names = sys.argv[1:]
    tasks = read_tasks(Path(folder))
    pairs = sum(len(task) for task in tasks)
    unique = len({text for task in tasks for text in task.sentence1 + task.sentence2})
    print(f"{len(tasks)} tasks, {pairs} pairs, {unique} different sentences of {2 * pairs}")
    for name in names or ["static-minilm"]:
        encoder = load_encoder(name)
        started = time.perf_counter()
        table = summary(result.score for result in evaluate(encoder, tasks))
        shared = time.perf_counter() - started
        started = time.perf_counter()
        for task in tasks:
            encoder.encode(task.sentence1, batch_size=64)
            encoder.encode(task.sentence2, batch_size=64)
        plain = time.perf_counter() - started
        print(f"{name}: average {table['average']}, {shared:.1f} s; every sentence of every pair {plain:.1f} s")


if __name__ == "__main__":
    main()
