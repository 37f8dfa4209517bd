"""Fails in the way its settings ask for."""

import json
import os
import sys

from pipeline.records import InputError
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import JudgeSpec


def run_judge(context: JobContext[JudgeSpec]) -> None:
    match context.spec.judges[0]:
        case "input":
            raise InputError("The folder /nowhere holds no STS files; name another one.")
        case "crash":
            raise RuntimeError("tensor went missing")
        case "exit":
            os._exit(9)
        case "rows":
            context.write(json.loads(context.spec.attempt_ids[0]))
        case "print":
            sys.stdout.write(os.environ.get("MULTICSR_TEST_KEY", "") + "\n")
