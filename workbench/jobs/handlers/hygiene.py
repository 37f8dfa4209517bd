"""Hygiene of a set of triplets as a job: its findings become tables in out/, and nothing is decided by them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.analysis.margins import is_violated, triplet_cosines
from pipeline.analysis.masked_pairs import masked_pairs
from pipeline.curation.hygiene import copies, duplicate_groups, leaks
from pipeline.durable import write_array, write_json, write_table
from pipeline.evaluation.sts import find_tasks, read_task
from pipeline.records import Triplet
from pipeline.vectors import CorpusVectors, corpus_vectors
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import HygieneSpec

MASK_SAMPLE = 6_000
"""Triplets whose pairs are compared with each other; of more a sample is taken, always the same one."""
NEIGHBOUR_PREMISES = 200_000
"""Premises whose vectors are kept for the neighbours in the queue: 150 MB at most."""
_STAGES = 5


def run(context: JobContext[HygieneSpec]) -> None:
    """Write duplicates, leaks, copies and, with a guide, closer hard negatives, masked pairs and vectors."""
    frame = context.input()
    sides = [frame[name].tolist() for name in ("premise", "positive", "hard_negative")]
    triplets = [Triplet(*texts) for texts in zip(*sides, strict=True)]
    ids = frame["triplet_id"].to_numpy()
    _lexical(context, triplets, ids)
    if context.spec.guide:
        _semantic(context, context.spec.guide, sides, ids)
    context.progress(_STAGES, _STAGES, message="Looked through", triplets=len(frame))


def _lexical(context: JobContext[HygieneSpec], triplets: list[Triplet], ids: np.ndarray) -> None:
    total = f"{len(triplets):,}"
    threshold = context.spec.threshold

    def on_texts(done: int) -> None:
        _report(context, 0, f"Looking for duplicates, {done:,} of {total} triplets read")

    on_texts(0)
    groups = duplicate_groups(triplets, threshold=threshold, on_texts=on_texts)
    _keep(context, "duplicates", groups.assign(triplet_id=ids[groups["triplet"].to_numpy(dtype=int)]))
    _report(context, 1, "Looking for sentences of evaluation sets")
    sts_dir = context.spec.sts_dir
    tasks = [read_task(name, path) for name, path in find_tasks(Path(sts_dir)).items()] if sts_dir else []
    found = leaks(triplets, tasks, threshold=threshold)
    leaked = pd.DataFrame([[leak.side, leak.task, leak.sentence, leak.similarity] for leak in found],
                          columns=["side", "task", "sentence", "similarity"])  # fmt: skip
    _keep(context, "leaks", leaked.assign(triplet_id=[ids[leak.triplet] for leak in found]))
    _report(context, 2, "Looking for copies")
    copied = copies(triplets)
    _keep(
        context,
        "copies",
        pd.DataFrame({"triplet_id": [ids[place] for place, _ in copied], "finding": [what for _, what in copied]}),
    )
    write_json(context.out / "about.json", {"tasks": [task.name for task in tasks]})


def _semantic(context: JobContext[HygieneSpec], guide: str, sides: list[list[str]], ids: np.ndarray) -> None:
    from pipeline.training.encoders import load_encoder

    def on_texts(done: int, total: int) -> None:
        _report(context, 3, f"The guide has read {done:,} of {total:,} texts")

    _report(context, 3, "Loading the guide")
    texts = [text for side in sides for text in side]
    encoder = load_encoder(guide)
    vectors = corpus_vectors(texts, encoder, cache=context.vectors, on_texts=on_texts)
    premise, positive, hard_negative = sides
    near, far = triplet_cosines(premise, positive, hard_negative, vectors)
    closer = is_violated(near, far)
    _keep(context, "closer", pd.DataFrame({"triplet_id": ids[closer], "near": near[closer], "far": far[closer]}))
    _report(context, 4, "Comparing pairs that may meet in a batch")
    chosen = np.sort(np.random.default_rng(0).permutation(len(ids))[:MASK_SAMPLE])
    unit = [vectors([side[place] for place in chosen]) for side in sides]
    masked = masked_pairs(*unit)
    pairs = pd.DataFrame(
        {
            "premise_of": ids[chosen][masked.premise],
            "candidate_of": ids[chosen][masked.candidate],
            "is_hard_negative": masked.is_hard_negative,
            "cosine": masked.cosine,
        }
    )
    _keep(context, "masked", pairs)
    about = json.loads((context.out / "about.json").read_text(encoding="utf-8"))
    about |= {"sampled": len(chosen), "candidates": masked.candidates, "floor": masked.floor}
    write_json(context.out / "about.json", about)
    _keep_neighbours(context, vectors, sides[0], ids)


def _keep_neighbours(context: JobContext, vectors: CorpusVectors, premises: list[str], ids: np.ndarray) -> None:
    """Keep one vector per different premise, in half floats, and the triplets that have it."""
    first = pd.Series(premises).drop_duplicates().head(NEIGHBOUR_PREMISES).index.to_numpy()
    write_array(context.out / "premises.npy", vectors([premises[place] for place in first]).astype(np.float16))
    known = pd.DataFrame({"triplet_id": ids[first], "premise": [premises[place] for place in first]})
    _keep(context, "premises", known)


def _report(context: JobContext, stage: int, message: str) -> None:
    context.stop_if_asked()
    context.progress(stage, _STAGES, message=message)


def _keep(context: JobContext, name: str, table: pd.DataFrame) -> None:
    write_table(context.out / f"{name}.parquet", table)
