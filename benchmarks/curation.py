"""Curation at one or ten million triplets: what pages and actions ask of the store, timed.

    python -m benchmarks.curation [--triplets 10000000] [--repeats 5] [--folder FOLDER]

Builds the rows in a throw-away workspace through the doors that people use (import of a file, journal of a judge),
and prints the median of each question, and the most memory that this process held in each part. Baselines run in the
same process: pages by OFFSET instead of a key, and the rule over a pandas frame instead of in SQL. With a folder the
workspace is kept there, and found again by the next run. Ten million triplets take 25 GB of disk.
"""

import argparse
import re
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
from workbench.actions.analysis import triplet_sentences
from workbench.actions.curation import curate
from workbench.actions.data import export_triplets, import_triplets
from workbench.store.connection import run
from workbench.store.filters import Sorting, TripletFilter
from workbench.store.store import _OVERVIEW
from workbench.store.triplets import _ATTEMPTS
from workbench.workspace import Workspace

JUDGE = "guide:all-MiniLM-L6-v2"
_WHOLE_FRAMES, _MOST_DECIDED = 1_000_000, 1_000_000
"""Rows up to which the baselines that hold all of them run, and up to which all are decided at once."""
_RULES = [CurationRule(alpha=2.5 + 0.1 * step, beta=3.0, gamma=0.1) for step in range(5)]


def main() -> None:
    """Build, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triplets", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the workspace is made and kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        started = perf_counter()
        with Workspace(folder / "ws") as workspace:
            report("workspace opened", perf_counter() - started, "")
            attempts = workspace.store.triplets.attempts()["attempt_id"].tolist()
            attempt_id = attempts[0] if attempts else built(workspace, folder, options.triplets)
            memory("import and scores")
            ask(workspace, attempt_id, options.repeats)
            memory("questions of pages")
            decide(workspace, attempt_id, options.repeats)
            memory("bulk decisions")
            carry_out(workspace, attempt_id, folder)
            memory("snapshot, export, sample of a map")


def built(workspace: Workspace, folder: Path, count: int) -> str:
    """Import a file of so many triplets and store a judge's scores; return the id of the import."""
    source = folder / "triplets.parquet"
    writer = get_context("spawn").Process(target=write_source, args=(source, count))
    writer.start()
    writer.join()
    started, before = perf_counter(), process_time()
    attempt_id = str(import_triplets(workspace, path=str(source))["attempt_id"])
    seconds = perf_counter() - started
    report(f"import of {count:,} triplets, {count / seconds:,.0f}/s", seconds, "30,000/s", process_time() - before)
    memory("import")
    started, before = perf_counter(), process_time()
    judge(workspace, attempt_id)
    report("scores of one judge stored", perf_counter() - started, "", process_time() - before)
    return attempt_id


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

    timed("moved threshold: density and counts", moved, repeats, "500 ms")

    def by_frame() -> None:
        fresh = store.judgements.plane(list(attempts), JUDGE)
        keeps(_RULES[0], fresh["a"].to_numpy(), fresh["b"].to_numpy()).sum()

    if total <= _WHOLE_FRAMES:
        timed("  baseline: rule over a frame of all scores", by_frame, 1, "")
    filters = {
        "first page": everything,
        "text in 1 of 100": TripletFilter(attempt_ids=attempts, judge_id=JUDGE, text="book 42 "),
        "text in 1 of 10,000": TripletFilter(attempt_ids=attempts, judge_id=JUDGE, text="shelf 4242 "),
        "regular expression": TripletFilter(attempt_ids=attempts, judge_id=JUDGE, pattern=r"book 4[0-3] "),
        "score range": TripletFilter(attempt_ids=attempts, judge_id=JUDGE, a_min=4.0, b_max=1.0),
        "undecided": TripletFilter(attempt_ids=attempts, judge_id=JUDGE, decision="undecided"),
    }
    for name, chosen in filters.items():
        timed(f"page of 50, {name}", partial(store.triplets.page, chosen), repeats, "200 ms")
    deep = total - 200
    timed("page of 50, last page by its key", lambda: store.triplets.page(everything, after=deep), repeats, "200 ms")
    if total <= _WHOLE_FRAMES:
        timed("  baseline: last page by OFFSET", lambda: by_offset(workspace, deep), 1, "")
    border = Sorting("border", JUDGE, (3.0, 3.0, 0.1))
    timed("page of 50, border of the rule first", lambda: store.triplets.sorted_page(everything, border), repeats, "")
    limits, moving = (3.0, 3.0, 0.1), iter([(3.0 + step / 100, 3.0, 0.1) for step in range(1, repeats + 1)])
    timed("funnel", lambda: store.funnels.counts(list(attempts), JUDGE, next(moving)), repeats, "")
    timed("final set counted by reason", lambda: store.final_sets.reasons(list(attempts), JUDGE, limits), repeats, "")
    timed("overview of Home", lambda: store.database.records(_OVERVIEW), 1, "")
    timed("runs and imports listed", lambda: store.database.frame(_ATTEMPTS), 1, "")
    timed("count of a text filter", lambda: store.triplets.count(filters["text in 1 of 100"]), 1, "")


def decide(workspace: Workspace, attempt_id: str, repeats: int) -> None:
    """Time bulk decisions over a tenth of the triplets, over all of a million, and what comes after them."""
    store, attempts = workspace.store, (attempt_id,)
    tenth = TripletFilter(attempt_ids=attempts, text="ten 3 ", decision="undecided")
    everything = TripletFilter(attempt_ids=attempts, decision="undecided")
    for some in (tenth, everything):
        matching = store.triplets.count(some)
        if matching > _MOST_DECIDED:
            continue
        for step in ("bulk", "undo", "redo", "undo"):
            started, before = perf_counter(), process_time()
            if step == "bulk":
                store.decisions.decide_all(some, "reject", annotator="ann", expected=matching)
            elif step == "undo":
                store.decisions.undo("ann")
            else:
                store.decisions.redo("ann")
            limit = f"{matching // 100_000:d} s" if step == "bulk" else ""
            report(f"{step} of {matching:,} decisions", perf_counter() - started, limit, process_time() - before)
    store.decisions.redo("ann")
    shown = [TripletFilter(attempt_ids=attempts, judge_id=JUDGE, decision=state) for state in ("reject", "undecided")]
    for chosen in shown:
        name = f"page of 50, {chosen.decision}, after the bulk steps"
        timed(name, partial(store.triplets.page, chosen), repeats, "200 ms")
    store.decisions.undo("ann")
    timed("funnel, after the bulk steps", lambda: store.funnels.counts(list(attempts), JUDGE, (3.1, 3.0, 0.1)), 1, "")


def carry_out(workspace: Workspace, attempt_id: str, folder: Path) -> None:
    """Time what takes triplets out of the workspace."""
    started, before = perf_counter(), process_time()
    rule = {"alpha": 3.0, "beta": 3.0, "gamma": 0.1}
    made = curate(workspace, attempt_ids=[attempt_id], name="kept", judge_id=JUDGE, rule=rule)
    report(f"snapshot of {made['triplets']:,} triplets", perf_counter() - started, "", process_time() - before)
    memory("snapshot")
    for name in ("out.parquet", "out.jsonl"):
        started, before = perf_counter(), process_time()
        export_triplets(workspace, path=str(folder / name), snapshot_id=made["snapshot_id"])
        report(f"export of the snapshot, {name[4:]}", perf_counter() - started, "", process_time() - before)
    memory("export")
    sources = {"run": {"attempt_id": attempt_id}, "snapshot": {"snapshot_id": made["snapshot_id"]}}
    for name, given in sources.items():
        timed(f"5,000 triplets of a {name} for a map", partial(sampled, workspace, **given), 1, "")


def sampled(workspace: Workspace, **source: str) -> None:
    """Ask for the triplets of a map as its action does."""
    asked = {"attempt_id": None, "snapshot_id": None} | source
    triplet_sentences(workspace, every_outcome=False, limit=5000, **asked)


def memory(name: str) -> None:
    """Print the most memory this process has held since the last call; the source was written by another one."""
    [peak] = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    Path("/proc/self/clear_refs").write_text("5")  # the largest size counts anew
    print(f"{'largest memory: ' + name:58} {int(peak) / 1024**2:7.2f} GB   {'':22} (limit 4 GB)", flush=True)


def by_offset(workspace: Workspace, offset: int) -> None:
    """The page as most tools ask for it."""
    with workspace.store.database.read() as cursor:
        run(cursor, "SELECT * FROM triplets ORDER BY triplet_id LIMIT 50 OFFSET ?", [offset])


def write_source(path: Path, count: int) -> None:
    """Write synthetic triplets of a length like captions'."""
    random = np.random.default_rng(0)
    with pq.ParquetWriter(path, pa.schema([(name, pa.string()) for name in ("sent0", "sent1", "hard_neg")])) as file:
        for start in range(0, count, 100_000):
            numbers = range(start, min(count, start + 100_000))
            shelf, book = (random.integers(0, most, len(numbers)).tolist() for most in (10_000, 100))
            rows = {
                "sent0": [
                    f"A man number {i} reads the book {b} from shelf {s} on a bus ten {i % 10} ."
                    for i, s, b in zip(numbers, shelf, book, strict=True)
                ],
                "sent1": [f"Somebody, {i}, is reading on public transport in the early morning." for i in numbers],
                "hard_neg": [f"Nobody, {i}, has ever seen a bus or anything else on this road." for i in numbers],
            }
            file.write_table(pa.table(rows))


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
