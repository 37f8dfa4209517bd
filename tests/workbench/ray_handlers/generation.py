"""Generation as it is, on the nodes of a cluster, by an LLM whose every row takes the same time."""

from tests.ray_cluster import SleepingMaker
from workbench.jobs import row_makers
from workbench.jobs.handlers.generation import run_generate

__all__ = ["run_generate"]

row_makers.GenerateMaker = SleepingMaker
