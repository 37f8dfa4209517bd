"""Cosines of triplets under an encoder as a job: the server itself never loads one."""

from pipeline.analysis.margins import is_violated, triplet_cosines
from pipeline.durable import write_table
from pipeline.training.encoders import load_encoder
from pipeline.vectors import corpus_vectors
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import MarginsSpec


def run(context: JobContext[MarginsSpec]) -> None:
    """Write out/margins.parquet: the triplets of the input with near and far, the cosines to both sides."""
    frame = context.input()
    context.progress(0, len(frame), message="Loading the encoder")
    sides = [frame[name].tolist() for name in ("premise", "positive", "hard_negative")]

    def encoded(done: int, total: int) -> None:
        context.progress(len(frame) * done // (total + 1), len(frame), message=f"Encoded {done:,} of {total:,} texts")

    vectors = corpus_vectors(
        [text for side in sides for text in side],
        load_encoder(context.spec.encoder),
        cache=context.vectors,
        on_texts=encoded,
    )
    premise, positive, hard_negative = sides
    near, far = triplet_cosines(premise, positive, hard_negative, vectors)
    write_table(context.out / "margins.parquet", frame.assign(near=near, far=far))
    violated = int(is_violated(near, far).sum())
    context.progress(len(frame), len(frame), message=f"{violated:,} of {len(frame):,} violated", violated=violated)
