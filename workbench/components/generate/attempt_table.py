"""Past generation attempts side by side."""

import pandas as pd
import streamlit as st

from workbench.components.notice import empty_state
from workbench.components.wording import ago, count
from workbench.jobs.kinds import GenerateSpec
from workbench.workspace import Workspace

ATTEMPTS: str = "Attempts"
"""The view of the page where this stands."""


def attempt_names(workspace: Workspace, attempts: pd.DataFrame) -> dict[str, str]:
    """Id -> title of every attempt, newest first; one that was just started has no rows yet but is there."""
    names = {job.job_id: job.title for job in workspace.jobs.of(GenerateSpec)}
    stored = attempts.sort_values("created_at", ascending=False)
    for attempt in stored.itertuples():
        names.setdefault(attempt.attempt_id, attempt.title or attempt.attempt_id)
    rows = dict(zip(stored["attempt_id"], stored["rows"], strict=True))
    return {key: f"{title} ({count(rows[key])} rows)" if key in rows else title for key, title in names.items()}


def attempt_table(workspace: Workspace, attempts: pd.DataFrame) -> None:
    """Draw the table."""
    if attempts.empty:
        empty_state(
            "No attempts yet",
            hint="Each run of generation, and each import of triplets, becomes a line here.",
            icon=":material/edit_note:",
        )
        return
    table = attempts.sort_values("created_at", ascending=False).copy()
    table["share"] = table["ok"] / table["rows"].where(table["rows"] > 0)
    table["when"] = table["created_at"].map(ago)
    st.dataframe(
        table[["title", "llm", "omega", "seed", "rows", "share", "when"]],
        hide_index=True,
        alt="Generation attempts",
        column_config={
            "title": st.column_config.TextColumn("Attempt", width="medium"),
            "llm": "LLM",
            "omega": st.column_config.NumberColumn("ω", format="%.2f", width="small"),
            "seed": st.column_config.NumberColumn("Seed", width="small"),
            "rows": st.column_config.NumberColumn("Rows", format="localized", width="small"),
            "share": st.column_config.ProgressColumn("Both sides ok", format="percent", min_value=0, max_value=1),
            "when": "Started",
        },
    )
