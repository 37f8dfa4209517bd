"""What a run left beside its curve: first batch, worst validation rows, settings."""

import json
from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st

from workbench.components.notice import no_chart
from workbench.components.wording import count, counted, duration, percent
from workbench.jobs.kinds import TrainSpec
from workbench.jobs.views import JobView
from workbench.train_command import train_command
from workbench.workspace import Workspace


def read_detail(workspace: Workspace, run_id: str, name: str) -> dict[str, Any] | None:
    """Return a JSON file of the run's folder, or None while there is none."""
    path = workspace.jobs.output(run_id, name)
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found


def cost_words(cost: dict[str, Any] | None) -> str:
    """Say where a run's time went; empty for a run that has not kept it."""
    if not cost:
        return ""
    steps, dev = cost.get("steps_s", 0.0), cost.get("dev_s", 0.0)
    parts = [f"{_spent(steps)} of steps"]
    if cost.get("dev_scores"):
        parts.append(
            f"{_spent(dev)} for {counted(cost['dev_scores'], 'dev score')} ({percent(dev, steps + dev)} of both)"
        )
    parts.append(f"{_spent(cost.get('prepare_s', 0.0))} of loading and guide vectors")
    if cost.get("evaluate_s"):
        parts.append(f"{_spent(cost['evaluate_s'])} of evaluation at the end")
    return "Time: " + ", ".join(parts) + "."


def _spent(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def first_batch_view(workspace: Workspace, run_id: str) -> None:
    """Draw the first rows of the first batch with the guide's cosines."""
    batch = read_detail(workspace, run_id, "first_batch.json")
    if batch is None:
        no_chart("First batch", "Written when the run begins.")
        return
    rows = pd.DataFrame(batch["rows"])
    guided = "masked" in rows
    text = f"The first {count(len(rows))} of {count(batch['batch_size'])} triplets of step 1, in their order."
    if guided:
        text += f" {count(int((rows['masked'] > 0).sum()))} of them have a masked candidate."
    st.caption(text)
    columns = ["premise", "positive", "hard_negative"]
    if guided:
        columns += ["cos_positive", "cos_hard_negative", "own_masked", "masked", "nearest", "cos_nearest"]
    st.dataframe(
        rows[columns],
        hide_index=True,
        alt="First batch",
        column_config={
            "premise": st.column_config.TextColumn("Premise", width="medium"),
            "positive": st.column_config.TextColumn("Positive", width="medium"),
            "hard_negative": st.column_config.TextColumn("Hard negative", width="medium"),
            "cos_positive": _cosine("Guide: positive"),
            "cos_hard_negative": _cosine("Guide: hard negative"),
            "own_masked": st.column_config.CheckboxColumn("Own hard negative masked"),
            "masked": st.column_config.NumberColumn("Masked candidates"),
            "nearest": st.column_config.TextColumn("Nearest other candidate", width="medium"),
            "cos_nearest": _cosine("Guide: nearest"),
        },
    )


def dev_rows(workspace: Workspace, run_id: str) -> None:
    """Draw the validation rows that the encoder gets most wrong, as of the last dev score."""
    found = read_detail(workspace, run_id, "dev_rows.json")
    if found is None or not found["rows"]:
        no_chart("Worst validation rows", "They come with the first dev score; a run without dev data has none.")
        return
    rows = pd.DataFrame(found["rows"])
    if "gold" in rows:
        st.caption(
            f"Pairs of {found['name']} furthest from their place in the order of the gold scores; above zero the "
            "encoder finds the pair too similar."
        )
        labels = {"sentence1": "Sentence 1", "sentence2": "Sentence 2"}
        numbers = {"gold": st.column_config.NumberColumn("Gold", format="%.2f"), "cosine": _cosine("Cosine")}
        error = "Rank error"
    else:
        st.caption(
            "Held-out triplets with the lowest margin: the hard negative is nearest, or nearer than the positive."
        )
        labels = {"premise": "Premise", "positive": "Positive", "hard_negative": "Hard negative"}
        numbers = {"cos_positive": _cosine("Positive"), "cos_hard_negative": _cosine("Hard negative")}
        error = "Margin"
    texts = {name: st.column_config.TextColumn(label, width="medium") for name, label in labels.items()}
    st.dataframe(
        rows, hide_index=True, alt="Worst validation rows", column_config=texts | numbers | {"error": _cosine(error)}
    )


def settings_view(workspace: Workspace, job: JobView[TrainSpec]) -> None:
    """Draw the command of the run and all its settings."""
    config = asdict(job.spec.config)
    names = {snapshot.snapshot_id: snapshot.name for snapshot in workspace.store.snapshots.list()}
    snapshot, sts_dir = names.get(job.spec.snapshot_id, job.spec.snapshot_id), job.spec.sts_dir or ""
    command = train_command(config, snapshot=snapshot, sts_dir=sts_dir, hold_out=bool(job.spec.held_out))
    st.code(command, language="bash", wrap_lines=True)
    st.code(json.dumps(config, indent=2), language="json")


def _cosine(label: str) -> Any:
    return st.column_config.NumberColumn(label, format="%.3f")
