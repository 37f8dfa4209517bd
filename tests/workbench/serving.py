"""Serve a workspace without the command line: `python -m tests.workbench.serving FOLDER PORT`."""

import sys
from pathlib import Path

from workbench.server import serve

if __name__ == "__main__":
    serve(Path(sys.argv[1]), port=int(sys.argv[2]))
