"""Counts words for tokens, instantly."""

import json

from pipeline.records import InputError
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import TokensSpec


def run_tokens(context: JobContext[TokensSpec]) -> None:
    spec = context.spec
    if "unreadable" in spec.premise:
        raise InputError("The weights are damaged.")
    prompts = []
    for one in (spec.prompts.own(spec.side), spec.prompts.opposite(spec.side)):
        shared, own = one.prefix(), one.tail(spec.premise)
        prompts.append({"shared": shared, "own": own, "counts": [len(shared.split()), len(own.split())]})
    (context.out / "tokens.json").write_text(json.dumps({"prompts": prompts, "window": 100}))
    context.progress(1, 1)
