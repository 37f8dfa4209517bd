"""The behavioural suite on one encoder as a job."""

from dataclasses import asdict

import pandas as pd

from pipeline.durable import write_table
from pipeline.evaluation.behaviour import CaseResult, built_in_cases, by_capability, run_cases
from pipeline.training.encoders import load_encoder
from pipeline.vectors import CachedEncoder
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import BehaviourSpec


def run(context: JobContext[BehaviourSpec]) -> None:
    """Write out/cases.parquet: every case with its verdict, built-in ones first, then those of this workspace."""
    spec = context.spec
    cases = [*built_in_cases(), *spec.own_tests]
    context.progress(0, len(cases), message="Loading the encoder")
    results = run_cases(cases, CachedEncoder(load_encoder(spec.encoder), context.vectors))
    write_table(context.out / "cases.parquet", pd.DataFrame([row(result) for result in results]))
    scores = by_capability(results)
    passed = sum(score.passed for score in scores)
    context.progress(len(cases), len(cases), message=f"{passed} of {len(cases)} tests pass", passed=passed)


def row(result: CaseResult) -> dict[str, object]:
    """Return the table row of one result."""
    measured = {name: getattr(result, name) for name in ("similarity", "passed", "margin")}
    return asdict(result.case) | {"third_similarity": result.third} | measured
