"""One sentence pair explained as a job: the server itself never loads an encoder."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analysis.explain import token_alignment, word_effects
from pipeline.analysis.neighbours import nearest
from pipeline.durable import write_json
from pipeline.training.encoders import load_encoder
from pipeline.vectors import CachedEncoder, corpus_vectors
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import ExplainSpec


def run(context: JobContext[ExplainSpec]) -> None:
    """Write out/explained.json: token alignment, effect of each word, neighbours of both sentences in the task."""
    spec = context.spec
    context.progress(0, 2, message="Loading the encoder")
    encoder = load_encoder(spec.encoder)
    first, second = spec.first, spec.second
    cosine, effects = word_effects(first, second, CachedEncoder(encoder, context.vectors))
    aligned = token_alignment(first, second, encoder)
    context.progress(1, 2, message="Looking for neighbours")
    record: dict[str, Any] = {
        "first": first,
        "second": second,
        "cosine": cosine,
        "effects": [asdict(effect) for effect in effects],
        "tokens": [aligned.first, aligned.second],
        "alignment": aligned.cosine.round(4).tolist(),
        "neighbours": neighbours(context, encoder, [first, second]),
    }
    write_json(context.out / "explained.json", record)
    context.progress(2, 2, message="Explained")


def neighbours(context: JobContext[ExplainSpec], encoder: Any, sentences: list[str]) -> list[list[dict[str, Any]]]:
    """For each sentence its nearest other sentences of the task, nearest first."""
    task = pd.read_parquet(context.spec.pairs, columns=["sentence1", "sentence2"])
    texts = [*task["sentence1"], *task["sentence2"], *sentences]
    vectors = corpus_vectors(texts, encoder, cache=context.vectors)
    count = context.spec.count
    found = []
    for sentence in sentences:
        rows, cosines = nearest(vectors.unit_ud, np.asarray(vectors([sentence])[0]), count=count + 1)
        others = [(vectors.texts[row], float(c)) for row, c in zip(rows, cosines, strict=True)]
        found.append([{"text": text, "cosine": c} for text, c in others if text != sentence][:count])
    return found
