"""The embedding map as a job: encode the sentences of a triplet set, project them, keep the points."""

import hashlib

import pandas as pd

from pipeline.analysis.projection import project, quality
from pipeline.training.encoders import load_encoder
from workbench.jobs.context import JobContext

ROLES = ("premise", "positive", "hard_negative")


def run(context: JobContext) -> None:
    """Write out/points.parquet (triplet_id, role, text, x, y) and one projections row."""
    spec = context.spec
    points = long_form(context.input())
    context.progress(0, 3, message="Encoding")
    encoder = load_encoder(spec["encoder"])
    vectors = encoder.encode(points["text"].tolist(), batch_size=128, convert_to_numpy=True, show_progress_bar=False)
    if context.stop_requested():
        return
    context.progress(1, 3, message=f"Projecting with {spec['method']}")
    points[["x", "y"]] = project(vectors, method=spec["method"], seed=spec.get("seed", 0))
    context.progress(2, 3, message="Measuring the map")
    measured = quality(vectors, points[["x", "y"]].to_numpy())
    target = context.out / "points.parquet"
    points.to_parquet(target, index=False)
    context.write(
        [
            {
                "table": "projections",
                "projection_id": context.job_id,
                "encoder_id": spec["encoder_id"],
                "corpus": spec["corpus"],
                "method": spec["method"],
                "path": str(target),
                "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
                "trustworthiness": measured.trustworthiness,
                "neighbour_recall": measured.neighbour_recall,
                "points": len(points),
            }
        ]
    )
    context.progress(3, 3, message="Done")


def long_form(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per sentence: triplet_id, role, text."""
    parts = [pd.DataFrame({"triplet_id": frame["triplet_id"], "role": role, "text": frame[role]}) for role in ROLES]
    return pd.concat(parts, ignore_index=True)
