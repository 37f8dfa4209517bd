"""What must be true before anything is installed; run by the system's Python, hence the standard library only."""

import shutil
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
DISK_GB = 6
"""Room for the environment (about 3 GB with a CPU build of torch) and the build of llama.cpp."""


def problems(folder: Path, *, python: tuple[int, int], which=shutil.which, disk=shutil.disk_usage) -> list[str]:  # noqa: ANN001
    """Return one sentence for each thing that would make the installation fail."""
    found = []
    if not OLDEST <= python <= NEWEST:
        found.append(
            f"Python {python[0]}.{python[1]} is not supported: run make with PYTHON=python3.11, 3.12 or 3.13."
        )
    compilers = {"C": ("cc", "gcc", "clang"), "C++": ("c++", "g++", "clang++")}
    for language, names in compilers.items():
        if not any(which(name) for name in names):
            found.append(f"No {language} compiler was found: install one (Debian: apt-get install build-essential).")
    free_gb = disk(folder).free / 1e9
    if free_gb < DISK_GB:
        found.append(
            f"{folder} has {free_gb:.1f} GB free, {DISK_GB} GB are needed: free some space or move the project."
        )
    return found


def main() -> int:
    """Print the problems; exit status 1 when there is one."""
    found = problems(Path(sys.argv[1] if len(sys.argv) > 1 else "."), python=sys.version_info[:2])
    for sentence in found:
        sys.stderr.write(f"Cannot install: {sentence}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
