"""Where the shipped files lie."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
ASSETS = PROJECT / "assets"
SAMPLE_CORPUS = ASSETS / "sample_corpus.parquet"
SAMPLE_PREMISES = ASSETS / "premises.txt"
ENTRY_PAGE = PROJECT / "streamlit_app.py"
