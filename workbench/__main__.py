"""`python -m workbench`: the workbench without a browser."""

import sys

if __name__ == "__main__":
    try:
        from workbench.cli.main import main
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("workbench", "pipeline"):
            raise
        sys.stderr.write(
            f"{sys.executable} lacks the package {error.name}: run `make install`, then "
            "`source .venv/bin/activate` in the project's folder.\n"
        )
        sys.exit(2)
    sys.exit(main())
