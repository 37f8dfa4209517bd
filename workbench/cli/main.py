"""Entry of the command line: parse, run, say what went wrong in one sentence, answer with an exit status."""

import sys
from collections.abc import Sequence

from rich.console import Console

from pipeline.errors import InputError, StorageError, TrainingError
from workbench.cli.parser import build_parser
from workbench.cli.watch import JobFailedError

OK, BAD_INPUT, JOB_FAILED, INTERRUPTED = 0, 2, 3, 130
"""Exit statuses: done; something given cannot be used; a job ended without its result; stopped by the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = build_parser().parse_args(arguments)
    errors = Console(stderr=True, highlight=False)
    try:
        return options.run(options) or OK
    except (JobFailedError, TrainingError) as error:
        errors.print(str(error), markup=False)
        return JOB_FAILED
    except (InputError, StorageError) as error:
        errors.print(str(error), markup=False)
        return BAD_INPUT
    except KeyboardInterrupt:
        errors.print("Stopped.")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
