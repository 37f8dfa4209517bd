"""`serve`: the app in a browser."""

import argparse

from workbench.workspace import workspace_root


def run(options: argparse.Namespace) -> int | None:
    """Serve until stopped."""
    from workbench.server import serve

    return serve(workspace_root(options.workspace), port=options.port, address=options.address)
