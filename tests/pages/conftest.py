"""Pages on a workspace of their own, drawn without a browser."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from tests.pages.filled import fill
from workbench.paths import PROJECT
from workbench.workspace import Workspace, close_current_workspace, current_workspace

PAGES = {
    "home": "Home",
    "generate": "Generate",
    "curate": "Curate",
    "train": "Train",
    "evaluate": "Evaluate",
    "embedding_map": "Embedding map",
    "error_analysis": "Errors",
}
"""File name -> title, written down here a second time on purpose."""

Draw = Callable[..., AppTest]

# Every run of an AppTest looks through all installed packages for components: more than half of its processor time.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


@pytest.fixture
def workspace(own_workspace: Path) -> Iterator[Workspace]:
    yield current_workspace()
    close_current_workspace()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from tests.pages.browsing import launched

    with launched() as found:
        yield found


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    from tests.pages.browsing import tab

    with tab(browser) as opened:
        yield opened


@pytest.fixture
def filled(workspace: Workspace) -> dict[str, str]:
    return fill(workspace)


@pytest.fixture
def draw(workspace: Workspace) -> Draw:
    """Run one page file alone, as a deep link does; query parameters as keywords."""

    def run(page: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(PROJECT / "pages" / f"{page}.py"), default_timeout=30)
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return run


def texts(app: AppTest) -> str:
    """Everything that a page says in words, for a search."""
    parts = [*app.markdown, *app.caption, *app.title, *app.subheader, *app.text]
    return "\n".join(str(part.value) for part in parts)
