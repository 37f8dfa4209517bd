"""What a shell script or a client starts in place of `python -m MODULE ...`: a program by fork, see warm.py."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import warm


def main() -> int:
    """Run what the arguments say with this process's files, folder and environment; return its exit status."""
    process = warm.start([sys.executable, *sys.argv[1:]], stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr)

    def pass_on(number: int, _: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)
    status: int = process.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
