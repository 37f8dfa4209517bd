"""Analysis as jobs: pairs explained, behavioural tests, hygiene, margins, the search in a map."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analysis import explain, masks, neighbours, worst_pairs
from pipeline.curation.hygiene import copies, duplicate_groups, leaks
from pipeline.durable import write_array, write_json, write_table
from pipeline.encoders import load_encoder
from pipeline.evaluation import behaviour, metrics, sts
from pipeline.records import Triplet
from pipeline.vectors import CachedEncoder, CorpusVectors, corpus_vectors
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import BehaviourSpec, ExplainSpec, HygieneSpec, MarginsSpec, SearchSpec
from workbench.jobs.on_cluster import embedding


def run_explain(context: JobContext[ExplainSpec]) -> None:
    """Write out/explained.json: token alignment, effect of each word, neighbours of both sentences in the task."""
    spec = context.spec
    context.progress(0, 2, message="Loading the encoder")
    encoder = load_encoder(spec.encoder)
    first, second = spec.first, spec.second
    cosine, effects = explain.word_effects(first, second, CachedEncoder(encoder, context.vectors))
    aligned = explain.token_alignment(first, second, encoder)
    context.progress(1, 2, message="Looking for neighbours")
    record: dict[str, Any] = {
        "first": first,
        "second": second,
        "cosine": cosine,
        "effects": [asdict(effect) for effect in effects],
        "tokens": [aligned.first, aligned.second],
        "alignment": aligned.cosine.round(4).tolist(),
        "neighbours": task_neighbours(context, encoder, [first, second]),
    }
    write_json(context.out / "explained.json", record)
    context.progress(2, 2, message="Explained")


def task_neighbours(
    context: JobContext[ExplainSpec], encoder: Any, sentences: list[str]
) -> list[list[dict[str, Any]]]:
    """Return the nearest other sentences of the task for each sentence, nearest first."""
    task = pd.read_parquet(context.spec.pairs, columns=["sentence1", "sentence2"])
    texts = [*task["sentence1"], *task["sentence2"], *sentences]
    vectors = corpus_vectors(texts, encoder, cache=context.vectors)
    count = context.spec.count
    found = []
    for sentence in sentences:
        rows, cosines = neighbours.nearest(vectors.unit_ud, np.asarray(vectors([sentence])[0]), count=count + 1)
        others = [(vectors.texts[row], float(c)) for row, c in zip(rows, cosines, strict=True)]
        found.append([{"text": text, "cosine": c} for text, c in others if text != sentence][:count])
    return found


def run_behaviour(context: JobContext[BehaviourSpec]) -> None:
    """Write out/cases.parquet: every case with its verdict, built-in ones first, then those of this workspace."""
    spec = context.spec
    cases = [*behaviour.built_in_cases(), *spec.own_tests]
    context.progress(0, len(cases), message="Loading the encoder")
    results = behaviour.run_cases(cases, CachedEncoder(load_encoder(spec.encoder), context.vectors))
    write_table(context.out / "cases.parquet", pd.DataFrame([row(result) for result in results]))
    scores = behaviour.by_capability(results)
    passed = sum(score.passed for score in scores)
    context.progress(len(cases), len(cases), message=f"{passed} of {len(cases)} tests pass", passed=passed)


def row(result: behaviour.CaseResult) -> dict[str, object]:
    """Return the table row of one result."""
    measured = {name: getattr(result, name) for name in ("similarity", "passed", "margin")}
    return asdict(result.case) | {"third_similarity": result.third} | measured


MASK_SAMPLE = 6_000
"""Triplets whose pairs are compared with each other; larger sets are sampled, with a fixed seed."""
NEIGHBOUR_PREMISES = 200_000
"""Premises whose vectors are kept for the neighbours in the queue: 150 MB at most."""
_STAGES = 5


def run_hygiene(context: JobContext[HygieneSpec]) -> None:
    """Write duplicates, leaks, copies and, with a guide, closer hard negatives, masked pairs and vectors."""
    frame = context.input()
    sides = [frame[name].tolist() for name in ("premise", "positive", "hard_negative")]
    triplets = [Triplet(*texts) for texts in zip(*sides, strict=True)]
    ids = frame["triplet_id"].to_numpy()
    _lexical(context, triplets, ids)
    if context.spec.guide:
        _semantic(context, context.spec.guide, sides, ids)
    context.progress(_STAGES, _STAGES, message="Checked", triplets=len(frame))


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
    tasks = [sts.read_task(name, path) for name, path in sts.find_tasks(Path(sts_dir)).items()] if sts_dir else []
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
    def on_texts(done: int, total: int) -> None:
        _report(context, 3, f"Guide: {done:,} of {total:,} texts embedded")

    _report(context, 3, "Loading the guide")
    texts = [text for side in sides for text in side]
    vectors = _vectors(context, guide, texts, on_texts)
    premise, positive, hard_negative = sides
    near, far = metrics.triplet_cosines(premise, positive, hard_negative, vectors)
    closer = worst_pairs.is_violated(near, far)
    _keep(context, "closer", pd.DataFrame({"triplet_id": ids[closer], "near": near[closer], "far": far[closer]}))
    _report(context, 4, "Comparing pairs that may meet in a batch")
    chosen = np.sort(np.random.default_rng(0).permutation(len(ids))[:MASK_SAMPLE])
    unit = [vectors([side[place] for place in chosen]) for side in sides]
    masked = masks.masked_pairs(*unit)
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
    """Write one half-precision vector per distinct premise, and the first triplet that has it."""
    first = pd.Series(premises).drop_duplicates().head(NEIGHBOUR_PREMISES).index.to_numpy()
    write_array(context.out / "premises.npy", vectors([premises[place] for place in first]).astype(np.float16))
    known = pd.DataFrame({"triplet_id": ids[first], "premise": [premises[place] for place in first]})
    _keep(context, "premises", known)


def _report(context: JobContext, stage: int, message: str) -> None:
    context.stop_if_asked()
    context.progress(stage, _STAGES, message=message)


def _keep(context: JobContext, name: str, table: pd.DataFrame) -> None:
    write_table(context.out / f"{name}.parquet", table)


def run_margins(context: JobContext[MarginsSpec]) -> None:
    """Write out/margins.parquet: the triplets of the input with near and far, the cosines to both sides."""
    frame = context.input()
    context.progress(0, len(frame), message="Loading the encoder")
    sides = [frame[name].tolist() for name in ("premise", "positive", "hard_negative")]

    def encoded(done: int, total: int) -> None:
        context.progress(len(frame) * done // (total + 1), len(frame), message=f"Encoded {done:,} of {total:,} texts")

    vectors = _vectors(context, context.spec.encoder, [text for side in sides for text in side], encoded)
    premise, positive, hard_negative = sides
    near, far = metrics.triplet_cosines(premise, positive, hard_negative, vectors)
    write_table(context.out / "margins.parquet", frame.assign(near=near, far=far))
    violated = int(worst_pairs.is_violated(near, far).sum())
    context.progress(len(frame), len(frame), message=f"{violated:,} of {len(frame):,} violated", violated=violated)


def _vectors(
    context: JobContext[Any], folder: str, texts: list[str], on_texts: Callable[[int, int], None]
) -> CorpusVectors:
    encoder = load_encoder(folder)
    with embedding(context, folder, encoder) as elsewhere:
        return corpus_vectors(texts, encoder, cache=context.vectors, on_texts=on_texts, elsewhere=elsewhere)


def run_search(context: JobContext[SearchSpec]) -> None:
    """Write out/found.parquet: point number and cosine of the sentences nearest to the typed one."""
    spec = context.spec
    context.progress(0, 1, message="Encoding the sentence")
    [query] = CachedEncoder(load_encoder(spec.encoder), context.vectors).encode([spec.text])
    rows, cosines = neighbours.nearest(
        np.load(spec.vectors, mmap_mode="r", allow_pickle=False), query, count=spec.count
    )
    write_table(context.out / "found.parquet", pd.DataFrame({"point": rows, "cosine": cosines}))
    context.progress(1, 1, message="Found")
