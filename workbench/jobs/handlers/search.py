"""The search for a typed sentence as a job: the server itself never loads an encoder."""

import numpy as np
import pandas as pd

from pipeline.analysis.neighbours import nearest
from pipeline.durable import write_table
from pipeline.training.encoders import load_encoder
from pipeline.vectors import CachedEncoder
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import SearchSpec


def run(context: JobContext[SearchSpec]) -> None:
    """Write out/found.parquet: point number and cosine of the sentences nearest to the typed one."""
    spec = context.spec
    context.progress(0, 1, message="Encoding the sentence")
    [query] = CachedEncoder(load_encoder(spec.encoder), context.vectors).encode([spec.text])
    rows, cosines = nearest(np.load(spec.vectors, mmap_mode="r", allow_pickle=False), query, count=spec.count)
    write_table(context.out / "found.parquet", pd.DataFrame({"point": rows, "cosine": cosines}))
    context.progress(1, 1, message="Found")
