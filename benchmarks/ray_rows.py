"""Rows per second of 1, 2, 4 ... stub workers on a Ray cluster, against the ideal, and what a row costs the driver.

A worker is an actor that sleeps for a fixed time per row, so it needs no core of its own; the driver does all that
it does for a real job: it takes triplets in, makes their journal rows, writes and fsyncs them. Its processor time per
row gives the ceiling, the rows per second at which one driver would be at work all the time. Rates are measured once
every actor is ready, from the first row to the last.

    python -m benchmarks.ray_rows --workers 1 2 4 --cost-ms 50
    python -m benchmarks.ray_rows --workers 100 --cost-ms 1000     # as a cluster of LLMs that write a row a second
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))  # run as a script from anywhere

TEXT = "The boat of the family left the harbour early in the morning, before the storm came over the sea."


class StubMaker:
    """Sleeps, and answers with a triplet of usual length."""

    def __init__(self, cost_s: float) -> None:
        self._cost_s = cost_s

    def identity(self) -> str:
        """Return a constant: all are alike."""
        return "stub"

    def results(self, block: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        """Yield a triplet per premise."""
        from pipeline.records import Contrast, GeneratedTriplet, Outcome, Premise, SideResult

        for key, text in block:
            time.sleep(self._cost_s)
            side = SideResult(f"{TEXT} {key}", f" {TEXT} {key}", Outcome.OK, 24)
            yield key, GeneratedTriplet(Premise(key, text), side, side, Contrast.TOKEN)


def measured(address: str, workers: int, rows: int, cost_s: float, folder: Path) -> dict[str, float]:
    """Run so many rows over the actors of a cluster; return rates and the driver's processor time per row."""
    from pipeline.config import GenerationConfig
    from workbench.jobs.handlers.generation import row
    from workbench.jobs.ray_rows import RayRows
    from workbench.journal import Journal

    config, journal = GenerationConfig(), Journal(folder / f"{workers}.jsonl")
    pool = RayRows(address, StubMaker(cost_s), cores=1)
    since = time.monotonic()
    while pool.ready(workers) < workers:
        pass
    start_s = time.monotonic() - since
    items = ((f"{number:016x}", f"{TEXT} {number}") for number in range(rows))
    began, spent, done = time.monotonic(), time.process_time(), 0
    for batch in pool.results(items, rows, lambda: False):
        journal.append([row("job", "", config, item, "key") for _, item in batch])
        done += len(batch)
    seconds, cpu = time.monotonic() - began, time.process_time() - spent
    journal.close()
    pool.close()
    if done != rows:
        raise RuntimeError(f"{done} rows of {rows} came back.")
    return {"start_s": start_s, "rows_per_s": rows / seconds, "cpu_us": 1e6 * cpu / rows}


def main() -> None:
    """Print the table."""
    from tests.ray_cluster import ray_nodes

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--cost-ms", type=float, default=50.0)
    parser.add_argument("--seconds", type=float, default=20.0, help="of work per line")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(PROJECT)
    cost_s = options.cost_ms / 1000
    print("| workers | rows | ideal rows/s | rows/s | of the ideal | driver, µs a row | ceiling, rows/s | ready, s |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for workers in options.workers:
        rows, ideal = int(options.seconds * workers / cost_s), workers / cost_s
        with tempfile.TemporaryDirectory() as folder, ray_nodes(1, cpus=workers) as nodes:
            found = measured(nodes.address, workers, rows, cost_s, Path(folder))
        share, ceiling = found["rows_per_s"] / ideal, 1e6 / found["cpu_us"]
        figures = f"{found['rows_per_s']:.1f} | {share:.1%} | {found['cpu_us']:.0f} | {ceiling:,.0f}"
        print(f"| {workers} | {rows:,} | {ideal:.1f} | {figures} | {found['start_s']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
