"""Addresses of the pages, absolute because Streamlit resolves relative ones against whichever script runs."""

from typing import Final

from workbench.paths import PROJECT

HOME: Final = str(PROJECT / "pages" / "home.py")
GENERATE: Final = str(PROJECT / "pages" / "generate.py")
CURATE: Final = str(PROJECT / "pages" / "curate.py")
TRAIN: Final = str(PROJECT / "pages" / "train.py")
EVALUATE: Final = str(PROJECT / "pages" / "evaluate.py")
EMBEDDING_MAP: Final = str(PROJECT / "pages" / "embedding_map.py")
ERRORS: Final = str(PROJECT / "pages" / "error_analysis.py")
