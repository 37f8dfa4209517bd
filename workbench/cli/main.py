"""Entry of the command line: parse, run, say what went wrong in one sentence, answer with an exit status."""

import os
import sys
from collections.abc import Sequence

from rich.console import Console

from pipeline.durable import os_error_sentence
from pipeline.errors import InputError, StorageError, TrainingError
from workbench.cli.output import check_target
from workbench.cli.parser import build_parser, with_freeze
from workbench.cli.watch import JobFailedError
from workbench.client import RemoteFailure

OK, BAD_INPUT, JOB_FAILED, INTERRUPTED = 0, 2, 3, 130
"""Exit statuses: done; something given cannot be used; a job ended without its result; stopped by the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    errors = Console(stderr=True, highlight=False)
    try:
        _require_text(given)
        options = build_parser().parse_args(with_freeze(given))
        check_target(options.json)
        return options.run(options) or OK
    except (JobFailedError, RemoteFailure, TrainingError) as error:
        return _refused(errors, str(error), JOB_FAILED)
    except (InputError, StorageError) as error:
        return _refused(errors, str(error), BAD_INPUT)
    except BrokenPipeError:  # `| head` has read enough; what else is printed, at exit too, goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        return _refused(errors, os_error_sentence(error), BAD_INPUT)
    except KeyboardInterrupt:
        return _refused(errors, "Stopped.", INTERRUPTED)


def _require_text(arguments: Sequence[str]) -> None:
    """Raise InputError for a name in another encoding: it could be kept neither in JSON nor in the database."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            shown = argument.encode(errors="backslashreplace").decode()
            raise InputError(f"{shown} is not valid UTF-8: rename the file, or type the text anew.") from error


def _refused(errors: Console, sentence: str, status: int) -> int:
    errors.print(sentence, markup=False, soft_wrap=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
