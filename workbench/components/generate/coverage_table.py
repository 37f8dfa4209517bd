"""Coverage of a corpus written from scratch: topics down, genres across, premises had of those wanted."""

from typing import Any

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from pipeline.config import ScratchConfig
from pipeline.generation.premise_filing import chosen_genres, chosen_lengths
from pipeline.generation.premise_prompts import TOPICS
from workbench import theme
from workbench.components.wording import count

_ROW = 35
_ROWS_SHOWN = 14


def coverage_frame(counts: pd.DataFrame, config: ScratchConfig) -> pd.DataFrame:
    """Return premises by topic (rows) and genre (columns), zeros included, in the order of the config.

    counts: topic, genre, length, premises.
    """
    wide = counts.pivot_table(index="topic", columns="genre", values="premises", aggfunc="sum")
    genres = [genre.name for genre in chosen_genres(config)]
    frame = wide.reindex(index=list(config.topics or TOPICS), columns=genres).fillna(0).astype(int)
    frame.index.name = "Topic"
    return frame


def wanted_each(config: ScratchConfig) -> int:
    """Premises wanted of one topic and genre, over all lengths."""
    return config.per_cell * len(chosen_lengths(config))


def coverage_style(frame: pd.DataFrame, wanted: int, *, is_live: bool) -> Styler:
    """Say had and wanted in every cell; the fuller, the deeper its tint, and amber where a run left a gap."""

    def tint(had: int) -> str:
        share = min(1.0, had / wanted)
        if share < 1 and not is_live:
            return f"background-color: {theme.see_through(theme.WARNING, 0.15 + 0.45 * (1 - share))}"
        return f"background-color: {theme.see_through(theme.POSITIVE, 0.4 * share)}" if had else ""

    return frame.style.format(lambda had: f"{count(had)} / {count(wanted)}").map(tint)


def coverage_table(counts: pd.DataFrame, config: ScratchConfig, *, is_live: bool, key: str) -> tuple[str, str] | None:
    """Draw the table; returns topic and genre of the cell that is marked."""
    frame, wanted = coverage_frame(counts, config), wanted_each(config)
    columns: dict[str, Any] = {name: st.column_config.NumberColumn(name, width=73) for name in frame.columns}
    event = st.dataframe(
        coverage_style(frame, wanted, is_live=is_live),
        key=key,
        height=_ROW * (min(len(frame), _ROWS_SHOWN) + 1) + 2,
        row_height=_ROW,
        on_select="rerun",
        selection_mode="single-cell",
        column_config=columns | {"Topic": st.column_config.TextColumn("Topic", width=100, pinned=True)},
        alt="Premises had of those wanted, by topic and genre",
    )
    if not event.selection.cells:
        return None
    row, column = event.selection.cells[0]
    is_cell = column in frame.columns and row < len(frame)
    return (str(frame.index[row]), str(column)) if is_cell else None
