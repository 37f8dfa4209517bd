"""Fails in the way its settings ask for."""

import os
import sys

from pipeline.errors import InputError
from workbench.jobs.context import JobContext


def run(context: JobContext) -> None:
    match context.spec["how"]:
        case "input":
            raise InputError("The folder /nowhere holds no STS files; name another one.")
        case "crash":
            raise RuntimeError("tensor went missing")
        case "exit":
            os._exit(9)
        case "rows":
            context.write(context.spec["rows"])
        case "print":
            sys.stdout.write(os.environ.get("MULTICSR_TEST_KEY", "") + "\n")
