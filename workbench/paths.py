"""Where the shipped files lie: beside the packages in a checkout, inside this one when a wheel was installed."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
IS_CHECKOUT = not (_HERE / "shipped").is_dir()
PROJECT = _HERE.parent if IS_CHECKOUT else _HERE / "shipped"
REQUIREMENTS = PROJECT / "requirements.txt"
"""Exact pins of the direct dependencies."""
ASSETS = PROJECT / "assets"
SAMPLE_CORPUS = ASSETS / "sample_corpus.parquet"
SAMPLE_PREMISES = ASSETS / "premises.txt"
LENS_SAMPLE = ASSETS / "lens_sample.json"
"""A reply of each side with the candidates of its tokens; made by benchmarks/sample_lens.py."""
SKILL = ASSETS / "skill" / "SKILL.md"
"""What agents are taught."""
ENTRY_PAGE = PROJECT / "streamlit_app.py"


def install_advice(*packages: str) -> str:
    """Return how to bring these packages, or all of them, to the pinned versions, as an order to the reader."""
    if not packages:
        return "Run `make install`" if IS_CHECKOUT else f"Run `pip install -r {REQUIREMENTS}`"
    pip = ".venv/bin/pip" if IS_CHECKOUT else "pip"
    return f"Run `{pip} install --force-reinstall --no-deps {' '.join(packages)}`"
