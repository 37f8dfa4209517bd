"""`multicsr` or `python -m workbench`: the workbench without a browser."""

import sys


def run() -> int:
    """Run the command of sys.argv and return its exit status; without the packages one sentence says what to do."""
    try:
        from workbench.cli.main import main
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("workbench", "pipeline"):
            raise
        sys.stderr.write(
            f"{sys.executable} lacks the package {error.name}: run `make install`, then "
            "`source .venv/bin/activate` in the project's folder.\n"
        )
        return 2
    return main()


if __name__ == "__main__":
    sys.exit(run())
