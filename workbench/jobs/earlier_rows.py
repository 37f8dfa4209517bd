"""Rows that earlier runs wrote from the very same settings, prompts and weights: a repeated run takes them over."""

from collections.abc import Iterator
from pathlib import Path

from workbench.jobs.compact_ids import CompactIds
from workbench.jobs.folder import JobFolder
from workbench.journal import Row, read_rows


def earlier_rows(job: Path, *, text_key: str, wanted: CompactIds, done: CompactIds) -> Iterator[Row]:
    """Yield the triplet row of each wanted premise that is not done and that an earlier job has.

    Rows are told by their own key, so a run with another omega, seed, prompt or weight is never served. What failed
    is not taken over: it may go well this time.
    """
    for row in read_rows(JobFolder(job).journal):
        is_ours = row["table"] == "triplets" and row.get("text_key") == text_key
        if not is_ours or "failed" in (row.get("positive_outcome"), row.get("hard_negative_outcome")):
            continue
        premise_id = str(row.get("premise_id"))
        if premise_id in wanted and premise_id not in done:
            yield row
