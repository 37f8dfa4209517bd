"""Memory of a generation worker over corpora of growing size, with a stub in place of the LLM.

Each size runs in a process of its own: a job folder with that many premises, the real handler, journal and fsync. The
figure is the growth of the process's largest resident size over what it had when the handler was called, in MB. Read
beside it: the baseline, the same premises read as one table into a list, which is what the handler did before it
streamed; and the limit, 16 bytes a premise, for the two sets of ids that a resumed run has to know.

    python -m benchmarks.generation_memory --sizes 10000 100000
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))  # run as a script from anywhere


def job_folder(root: Path, size: int) -> Path:
    """Make the folder of a job over this many premises, and leave."""
    import pandas as pd

    from pipeline.config import GenerationConfig
    from pipeline.records import text_id
    from workbench.jobs.folder import JobFolder, JobRecord, Status
    from workbench.jobs.kinds import GenerateSpec

    texts = [
        f"Premise number {i} says that the boat of family {i * 7919 % size} left at {i % 24} o'clock."
        for i in range(size)
    ]
    frame = pd.DataFrame({"premise_id": [text_id(text) for text in texts], "text": texts})
    folder = JobFolder(root / f"job-{size}")
    record = JobRecord(f"job-{size}", "memory", "2026-01-01T00:00:00+00:00", GenerateSpec(GenerationConfig()))
    folder.create(record, Status(), frame)
    return folder.path


class StubLLM:
    """Answers at once, without a model; replies are cut at the limit, which spares the slow look at the language."""

    name, context_length = "stub", None

    def __init__(self) -> None:
        from pipeline.records import Contrast

        self.contrast = Contrast.TOKEN

    def replies(self, asks, prompts, config, should_stop):  # noqa: ANN001, ANN201
        """Yield a reply per side."""
        from pipeline.generation.llms.protocol import Reply
        from pipeline.records import Side

        for ask in asks:
            for side in Side:
                yield Reply(
                    ask.key, side, f" Nothing of the sort happened in town {ask.key} that day.", tokens=12, cut=True
                )

    def close(self) -> None:
        """Nothing to free."""


def measured(folder: Path, how: str) -> dict[str, float]:
    """Run one child's work; return seconds and megabytes."""
    from workbench.jobs.context import JobContext
    from workbench.jobs.handlers import generation as handler
    from workbench.jobs.kinds import GenerateSpec

    setattr(handler, "open_llm", lambda _entry, **_: StubLLM())  # noqa: B010
    context: JobContext[GenerateSpec] = JobContext(folder)
    context.begin()
    import pandas  # noqa: F401  (loaded before, as their size is not the corpus's)
    import pyarrow.parquet  # noqa: F401

    before, since = resident_mb(), time.monotonic()
    if how == "handler":
        handler.run_generate(context)
    else:
        frame = context.input()
        kept = [(str(i), text) for i, text in zip(frame["premise_id"], frame["text"], strict=True)]
        assert len(kept) == len(frame)
    return {"mb": peak_mb() - before, "s": time.monotonic() - since}


def resident_mb() -> float:
    """Return the memory of this process now."""
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def peak_mb() -> float:
    """Return the largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def child(how: str, folder: Path) -> dict[str, float]:
    """Measure in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", how, str(folder)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run the sizes and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(Path(options.child[1]), options.child[0])))
        return
    with tempfile.TemporaryDirectory() as root:
        for size in options.sizes:
            subprocess.run(
                [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
                 f"from benchmarks.generation_memory import job_folder; from pathlib import Path\n"
                 f"job_folder(Path({root!r}), {size})"], check=True,
            )  # fmt: skip
            folder = Path(root) / f"job-{size}"
            table = child("table", folder)
            first = child("handler", folder)
            resumed = child("handler", folder)
            print(
                f"{size:>9,} premises: worker {first['mb']:6.1f} MB in {first['s']:5.1f} s, resumed when done "
                f"{resumed['mb']:6.1f} MB; one table and list {table['mb']:6.1f} MB; "
                f"{16 * size / 1e6:5.1f} MB for ids",
                flush=True,
            )


if __name__ == "__main__":
    main()
