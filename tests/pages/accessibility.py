"""What axe-core says of a drawn page."""

from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe

GRAVE: Final = ("serious", "critical")


def grave_findings(page: Any) -> list[str]:
    """Return the serious and critical findings on this page, one line per element."""
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:160]} | {[one['message'] for one in node['any']]}"
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]
