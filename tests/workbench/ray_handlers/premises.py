"""Premises from scratch as they are, on the nodes of a cluster, by an LLM whose every row takes the same time."""

from tests.ray_cluster import SleepingWriteMaker
from workbench.jobs import row_makers
from workbench.jobs.handlers.premises import run_write_premises

__all__ = ["run_write_premises"]

row_makers.WriteMaker = SleepingWriteMaker
