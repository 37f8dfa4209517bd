"""Curation at a million triplets: what the page Curate asks of the store, timed against the plainest way to ask it.

    python -m benchmarks.curation [--triplets 1000000] [--repeats 5]

Builds the rows in a throw-away workspace through the doors that people use (import of a file, journal of a judge),
and prints the median of each question. Baselines run in the same process: pages by OFFSET instead of a key, and the
rule over a pandas frame instead of in SQL.
"""

import argparse
import resource
import tempfile
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import CurationRule
from pipeline.curation.rules import keeps
from workbench.actions.data import import_triplets
from workbench.store.connection import run
from workbench.store.filters import Sorting, TripletFilter
from workbench.workspace import Workspace

JUDGE = "guide:all-MiniLM-L6-v2"
_RULES = [CurationRule(alpha=2.5 + 0.1 * step, beta=3.0, gamma=0.1) for step in range(5)]


def main() -> None:
    """Build, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triplets", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Workspace(Path(folder) / "ws") as workspace:
        source = Path(folder) / "million.parquet"
        writer = get_context("spawn").Process(target=write_source, args=(source, options.triplets))
        writer.start()
        writer.join()
        started, before = perf_counter(), process_time()
        attempt_id = import_triplets(workspace, path=str(source))["attempt_id"]
        report(f"import of {options.triplets:,} triplets", perf_counter() - started, "60 s", process_time() - before)
        memory("largest memory of this process, import")
        started = perf_counter()
        judge(workspace, attempt_id)
        report("scores of one judge stored", perf_counter() - started, "")
        ask(workspace, attempt_id, options.repeats)
        memory("largest memory of this process, all of the above")


def ask(workspace: Workspace, attempt_id: str, repeats: int) -> None:
    """Time the page's questions."""
    store, attempts = workspace.store, (attempt_id,)
    rules = iter(_RULES * repeats)
    everything = TripletFilter(attempt_ids=attempts, judge_id=JUDGE)
    total = store.triplets.count(everything)

    def moved() -> None:
        rule = next(rules)
        store.judgements.histogram(list(attempts), JUDGE, 50)
        store.judgements.rule_counts(list(attempts), JUDGE, rule)

    timed("moved threshold: density and counts", moved, repeats, "300 ms")
    frame = store.judgements.plane(list(attempts), JUDGE)
    a, b = frame["a"].to_numpy(), frame["b"].to_numpy()

    def by_frame() -> None:
        fresh = store.judgements.plane(list(attempts), JUDGE)
        keeps(_RULES[0], fresh["a"].to_numpy(), fresh["b"].to_numpy()).sum()

    timed("  baseline: rule over a frame of all scores", by_frame, 1, "")
    del frame, a, b
    filters = {
        "first page": everything,
        "text in 1 of 100": TripletFilter(attempt_ids=attempts, judge_id=JUDGE, text="book 42 "),
        "text in 1 of 10,000": TripletFilter(attempt_ids=attempts, judge_id=JUDGE, text="shelf 4242 "),
        "regular expression": TripletFilter(attempt_ids=attempts, judge_id=JUDGE, pattern=r"book 4[0-3] "),
        "score range": TripletFilter(attempt_ids=attempts, judge_id=JUDGE, a_min=4.0, b_max=1.0),
        "undecided": TripletFilter(attempt_ids=attempts, judge_id=JUDGE, decision="undecided"),
    }
    for name, chosen in filters.items():
        timed(f"page of 50, {name}", partial(store.triplets.page, chosen), repeats, "150 ms")
    deep = total - 200
    timed("page of 50, last page by its key", lambda: store.triplets.page(everything, after=deep), repeats, "150 ms")
    timed("  baseline: last page by OFFSET", lambda: by_offset(workspace, deep), 1, "")
    border = Sorting("border", JUDGE, (3.0, 3.0, 0.1))
    timed("page of 50, border of the rule first", lambda: store.triplets.sorted_page(everything, border), repeats, "")
    limits = (3.0, 3.0, 0.1)
    timed("funnel", lambda: store.funnels.counts(list(attempts), JUDGE, limits), repeats, "")
    timed("final set counted by reason", lambda: store.final_sets.reasons(list(attempts), JUDGE, limits), repeats, "")
    timed("final set read for a snapshot", lambda: store.final_sets.kept(list(attempts), JUDGE, limits), 1, "")
    timed("count of a text filter", lambda: store.triplets.count(filters["text in 1 of 100"]), repeats, "")
    some = TripletFilter(attempt_ids=attempts, text="ten 3 ", decision="undecided")
    matching = store.triplets.count(some)
    for step in ("bulk", "undo", "redo"):
        started, before = perf_counter(), process_time()
        if step == "bulk":
            store.decisions.decide_all(some, "reject", annotator="ann", expected=matching)
        elif step == "undo":
            store.decisions.undo("ann")
        else:
            store.decisions.redo("ann")
        report(f"{step} of {matching:,} decisions", perf_counter() - started, "3 s", process_time() - before)
    timed("page of 50, rejected, after the bulk step",
          lambda: store.triplets.page(TripletFilter(attempt_ids=attempts, judge_id=JUDGE, decision="reject")),
          repeats, "150 ms")  # fmt: skip


def memory(name: str) -> None:
    """Print the most memory this process has held so far; the source was written by another one."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{name:58} {peak:7.2f} GB   {'':22} (limit 2 GB)", flush=True)


def by_offset(workspace: Workspace, offset: int) -> None:
    """The page as most tools ask for it."""
    with workspace.store.database.read() as cursor:
        run(cursor, "SELECT * FROM triplets ORDER BY triplet_id LIMIT 50 OFFSET ?", [offset])


def write_source(path: Path, count: int) -> None:
    """Write synthetic triplets of a length like captions'."""
    random = np.random.default_rng(0)
    shelf, book = random.integers(0, 10_000, count), random.integers(0, 100, count)
    places = zip(range(count), shelf.tolist(), book.tolist(), strict=True)
    rows = {
        "sent0": [
            f"A man number {i} reads the book {b} from shelf {s} on a bus ten {i % 10} ." for i, s, b in places
        ],
        "sent1": [f"Somebody, {i}, is reading on public transport in the early morning." for i in range(count)],
        "hard_neg": [f"Nobody, {i}, has ever seen a bus or anything else on this road." for i in range(count)],
    }
    pq.write_table(pa.table(rows), path)


def judge(workspace: Workspace, attempt_id: str) -> None:
    """Store scores for every triplet, as the ingester does with a judge's journal, a batch at a time."""
    random = np.random.default_rng(1)
    total = workspace.store.triplets.count(TripletFilter(attempt_ids=(attempt_id,)))
    for start in range(0, total, 50_000):
        n = min(50_000, total - start)
        a, b = random.uniform(1, 5, n), random.uniform(0, 4, n)
        rows: list[dict[str, Any]] = [
            {"triplet_id": f"{attempt_id}-{start + i}", "judge_id": JUDGE, "a": a[i], "b": b[i], "source": "jobs/1"}
            for i in range(n)
        ]
        with workspace.store.database.write() as cursor:
            workspace.store.judgements.insert(cursor, rows)


def timed(name: str, question: Callable[[], object], repeats: int, limit: str) -> None:
    """Print the median time of a question."""
    seconds, of_processor = [], []
    for _ in range(repeats):
        started, before = perf_counter(), process_time()
        question()
        seconds.append(perf_counter() - started)
        of_processor.append(process_time() - before)
    report(name, median(seconds), limit, median(of_processor))


def report(name: str, seconds: float, limit: str, of_processor: float | None = None) -> None:
    """Print one line: time on the clock, and processor time of all threads, which a busy machine lengthens less."""
    shown = f"{seconds * 1000:7.0f} ms" if seconds < 10 else f"{seconds:7.1f} s "
    work = "" if of_processor is None else f"processor {of_processor * 1000:6.0f} ms"
    print(f"{name:58} {shown}   {work:22} {f'(limit {limit})' if limit else ''}", flush=True)


if __name__ == "__main__":
    main()
