"""The pictures of the README, one of each page in light and dark, from a workspace after `make demo`.

python -m tests.pages.readme_pictures --workspace FOLDER [--out docs/pictures]
"""

import argparse
import io
from pathlib import Path
from typing import Any

from PIL import Image

from tests.pages.browsing import JOB_MS, expect, launched, served
from tests.pages.gallery import drawn

PAGES = {
    "home": "",
    "generate": "generate?generation=Run",
    "curate": "curate?view=Rule",
    "train": "train?training=Studies",
    "evaluate": "evaluate?evaluation=Leaderboard",
    "map": "embedding_map",
    "errors": "error_analysis?errors=Pairs+and+slices",
}
"""Name of the picture -> address of the page."""
SCROLLED_TO = {"train": "Arms x seeds", "evaluate": "With published results"}
"""Name of the picture -> the words at its top, where that is not the page's own."""
_BELOW_THE_HEADER = "e => { e.style.scrollMarginTop = '80px'; e.scrollIntoView(); }"
SIZE = {"width": 1440, "height": 900}
SHOWN_WIDTH = 960
COLOURS = 128


def pictures(browser: Any, address: str, out: Path) -> None:
    """Take every page in both themes, scaled down and with few colours: they are read in a README, not measured."""
    for theme in ("light", "dark"):
        context = browser.new_context(viewport=SIZE, color_scheme=theme)
        page = context.new_page()
        page.goto(address)
        drawn(page)
        # The demo ends while its map is still drawn.
        expect(page.get_by_test_id("stSidebar").get_by_role("progressbar")).to_have_count(0, timeout=JOB_MS)
        for name, where in PAGES.items():
            page.goto(f"{address}/{where}")
            drawn(page)
            if name in SCROLLED_TO:
                page.get_by_text(SCROLLED_TO[name], exact=True).first.evaluate(_BELOW_THE_HEADER)
            taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            small = taken.resize((SHOWN_WIDTH, taken.height * SHOWN_WIDTH // taken.width), Image.Resampling.LANCZOS)
            small.quantize(COLOURS, dither=Image.Dither.NONE).save(out / f"{name}-{theme}.png", optimize=True)
        context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with launched() as browser, served(options.workspace) as address:
        pictures(browser, address, options.out)


if __name__ == "__main__":
    main()
