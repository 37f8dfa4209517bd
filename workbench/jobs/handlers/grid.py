"""The grid preview as a job: a few premises at several values of omega, kept as they come."""

from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

from pipeline.durable import write_json
from pipeline.generation.generate import generate
from pipeline.generation.llms.opening import open_llm
from pipeline.generation.prompt_sets import prompt_set
from pipeline.records import GeneratedTriplet, Premise
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import GridSpec


def run(context: JobContext[GridSpec]) -> None:
    """Write out/grid.json again and again: a cell per premise and omega, both sides with their outcomes."""
    config = context.spec.config
    prompts = context.spec.prompts or prompt_set(config.prompt_set)
    premises = [Premise.from_text(text) for text in context.spec.premises]
    total = len(premises) * len(context.spec.omegas)
    context.progress(0, total, message=f"Loading {config.llm}")
    cells: list[dict[str, Any]] = []
    with closing(open_llm(context.spec.llm, for_many=True)) as llm:
        context.progress(0, total, message="Writing")
        for omega in context.spec.omegas:
            settings = replace(config, omega=omega)
            stream = generate(
                premises, settings, llm, prompts=prompts, should_stop=lambda: context.stop_requested() is not None
            )
            for item in stream:
                cells.append(cell(omega, item))
                write_json(context.out / "grid.json", cells, sync=False)
                context.progress(len(cells), total, message=f"omega {omega:g}")
            if context.stop_requested():
                return


def cell(omega: float, item: GeneratedTriplet) -> dict[str, Any]:
    """Return what one premise gave at one omega."""
    return {
        "omega": omega,
        "premise": item.premise.text,
        "positive": asdict(item.positive),
        "hard_negative": asdict(item.hard_negative),
    }
