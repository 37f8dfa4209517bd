"""What a run produces besides its curves: first batch, worst validation rows, model card; and runs compared."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from pipeline.records import InputError
from pipeline.statistics import share
from workbench import state, theme
from workbench.actions.models import delete_weights, weight_files
from workbench.components import elements
from workbench.components.elements import count, counted, no_chart, percent, plain, shorten, spearman, text_columns
from workbench.components.encoder_comparison import comparison_of
from workbench.components.train.train_curves import legend_below
from workbench.components.train.train_settings import train_command
from workbench.components.triplet_card import WRAPPED_ROW
from workbench.jobs.folder import JobView
from workbench.jobs.kinds import TrainSpec
from workbench.workspace import Workspace

_HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_MEASURES = {
    "Dev score": ("dev_score", 100.0, "dev score x 100"),
    "Loss": ("loss", 1.0, "mean over the batch, nats"),
    "InfoNCE": ("info_nce", 1.0, "nothing masked, nats"),
    "Masked": ("masked_share", 100.0, "% of the candidates"),
    "Learning rate": ("learning_rate", 1.0, "per step"),
    "Speed": ("triplets_per_s", 1.0, "triplets per second"),
}


def read_detail(workspace: Workspace, run_id: str, name: str) -> dict[str, Any] | None:
    """Return a JSON file of the run's folder, or None while there is none."""
    found: dict[str, Any] | None = elements.read_json(workspace.jobs.output(run_id, name))
    return found


def cost_words(cost: dict[str, Any] | None) -> str:
    """Return how long each part of a run took; empty for a run that did not record it."""
    if not cost:
        return ""
    steps, dev = cost.get("steps_s", 0.0), cost.get("dev_s", 0.0)
    parts = [f"{_spent(cost.get('prepare_s', 0.0))} for loading and guide vectors", f"{_spent(steps)} for steps"]
    if cost.get("dev_scores"):
        share = percent(dev, steps + dev)
        parts.append(
            f"{_spent(dev)} for {counted(cost['dev_scores'], 'dev score')} ({share} of steps and dev scores)"
        )
    if cost.get("evaluate_s"):
        parts.append(f"{_spent(cost['evaluate_s'])} for the evaluation at the end")
    return f"Time: {', '.join(parts)}."


def _spent(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else elements.duration(seconds)


def first_batch_view(workspace: Workspace, run_id: str) -> None:
    """Draw the first rows of the first batch with the guide's cosines."""
    batch = read_detail(workspace, run_id, "first_batch.json")
    if batch is None:
        no_chart("First batch", "Appears when the run begins.")
        return
    rows = pd.DataFrame(batch["rows"])
    guided = "masked" in rows
    masked = f" {count((rows['masked'] > 0).sum())} of them have a masked candidate." if guided else ""
    st.caption(f"The first {count(len(rows))} of {count(batch['batch_size'])} triplets of step 1, in order.{masked}")
    columns = ["premise", "positive", "hard_negative"]
    if guided:
        columns += ["cos_positive", "cos_hard_negative", "own_masked", "masked", "nearest", "cos_nearest"]
    st.dataframe(
        rows[columns],
        hide_index=True,
        alt="First batch",
        row_height=WRAPPED_ROW,
        column_config=text_columns(theme.ROLE_NAMES)
        | {
            "cos_positive": _cosine("Guide: positive"),
            "cos_hard_negative": _cosine("Guide: hard negative"),
            "own_masked": st.column_config.CheckboxColumn("Own hard negative masked"),
            "masked": st.column_config.NumberColumn("Masked candidates"),
            "nearest": st.column_config.TextColumn("Nearest other candidate", width="medium"),
            "cos_nearest": _cosine("Guide: nearest"),
        },
    )


def dev_rows(workspace: Workspace, run_id: str) -> None:
    """Draw the validation rows with the largest errors, as of the last dev score."""
    found = read_detail(workspace, run_id, "dev_rows.json")
    if found is None or not found["rows"]:
        no_chart("Worst validation rows", "Appear with the first dev score; a run without dev data has none.")
        return
    rows = pd.DataFrame(found["rows"])
    if "gold" in rows:
        st.caption(
            f"Pairs of {found['name']} with the largest rank error; above zero, the encoder rates the pair too high."
        )
        texts = text_columns({"sentence1": "Sentence 1", "sentence2": "Sentence 2"})
        numbers = {"gold": st.column_config.NumberColumn("Gold", format="%.2f"), "cosine": _cosine("Cosine")}
        error = "Rank error"
    else:
        st.caption("Held-out triplets with the lowest margin; below zero, the hard negative is the nearer one.")
        texts = text_columns(theme.ROLE_NAMES)
        numbers = {"cos_positive": _cosine("Positive"), "cos_hard_negative": _cosine("Hard negative")}
        error = "Margin"
    columns = texts | numbers | {"error": _cosine(error)}
    st.dataframe(rows, hide_index=True, alt="Worst validation rows", row_height=WRAPPED_ROW, column_config=columns)


def settings_view(workspace: Workspace, job: JobView[TrainSpec]) -> None:
    """Draw the command of the run and all its settings."""
    config = asdict(job.spec.config)
    snapshot, sts_dir = (
        snapshot_names(workspace).get(job.spec.snapshot_id, job.spec.snapshot_id),
        job.spec.sts_dir or "",
    )
    command = train_command(
        config, snapshot=snapshot, sts_dir=sts_dir, hold_out=bool(job.spec.held_out), on=job.spec.on
    )
    st.code(command, language="bash", wrap_lines=True)
    if config["learning_rate"] is None:
        peak = workspace.store.runs.curve(job.job_id)["learning_rate"].max()
        if peak == peak:
            st.caption(f"The learning rate was left to the encoder, and was {peak:g} at its highest.")
    st.code(json.dumps(config, indent=2), language="json")


def _cosine(label: str) -> Any:
    return st.column_config.NumberColumn(label, format="%.3f")


def model_card_view(workspace: Workspace, run_id: str) -> None:
    """Draw the card as the Hub would show it, the files, and the command that uploads them."""
    try:
        folder = Path(workspace.store.encoders.get(run_id).folder)
    except InputError:
        no_chart("Model card", "Written with the encoder at the end of the run.")
        return
    card = folder / "README.md"
    if not card.is_file():
        no_chart("Model card", "The folder of this encoder no longer exists.")
        return
    with st.container(border=True):
        st.markdown(card_body(card.read_text(encoding="utf-8")))
    st.markdown("**The folder, ready to push**")
    st.code(str(folder), language=None, wrap_lines=True)
    files = [
        (str(path.relative_to(folder)), path.stat().st_size) for path in sorted(folder.rglob("*")) if path.is_file()
    ]
    st.dataframe(
        pd.DataFrame(files, columns=["File", "Size"]),
        hide_index=True,
        alt="Files of the encoder",
        column_config={"Size": st.column_config.NumberColumn(format="bytes")},
    )
    if not (weights := weight_files(workspace.jobs.output(run_id, ""))):
        st.caption("The weights of this run were deleted; its figures are kept.")
        return
    st.code(f"hf upload YOUR-NAME/YOUR-MODEL {folder}", language="bash", wrap_lines=True)
    st.caption("SentenceTransformer and transformers load this folder as it is; it includes the pooling.")
    size = sum(path.stat().st_size for path in weights) / 1e6
    with st.popover("Delete the weights", icon=":material/delete:", type="tertiary"):
        st.markdown(
            f"This frees {size:,.0f} MB and cannot be taken back. Curve, scores, predictions and settings stay; for "
            "a map, another evaluation or a download the run has to be trained again."
        )
        st.button(
            f"Delete {size:,.0f} MB for good",
            key="delete_weights",
            on_click=elements.press,
            args=(delete_weights, workspace),
            kwargs={"run_id": run_id},
        )


def card_body(card: str) -> str:
    """Return the card without its YAML head and comments; images, which could be remote, become plain text."""
    return _COMMENT.sub("", _HEAD.sub("", card)).replace("![", "!\\[")


def run_comparison(workspace: Workspace, runs: pd.DataFrame, chosen: list[str]) -> None:
    """Draw the comparison of the chosen runs with the first of them."""
    rows = runs.set_index("run_id").loc[chosen]
    names = dict(zip(chosen, state.numbered(list(rows["title"])), strict=True))
    st.subheader(f"{len(chosen)} runs compared", anchor=False)
    _curves(workspace, names)
    st.markdown("**Settings that differ**")
    specs = {job.job_id: job.spec for job in workspace.jobs.of(TrainSpec)}
    snapshots = snapshot_names(workspace)
    different = differing(
        {names[run_id]: _settings(specs[run_id], snapshots) for run_id in chosen if run_id in specs}
    )
    if different.empty:
        st.caption("These runs have the same settings and data.")
    else:
        st.dataframe(different, alt="Settings that differ")
    st.markdown("**Scores**")
    _scores(workspace, names)


def snapshot_names(workspace: Workspace) -> dict[str, str]:
    """Return id -> name of every snapshot."""
    return {snapshot.snapshot_id: snapshot.name for snapshot in workspace.store.snapshots.list()}


def differing(settings: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Return the settings that differ between runs: a row per setting, a column per run."""
    table = pd.DataFrame({name: {key: _text(value) for key, value in of.items()} for name, of in settings.items()})
    table = table.fillna("–")
    return table[table.nunique(axis=1) > 1].rename_axis("Setting")


def _settings(spec: TrainSpec, snapshots: dict[str, str]) -> dict[str, Any]:
    snapshot = snapshots.get(spec.snapshot_id, spec.snapshot_id)
    return {**asdict(spec.config), "snapshot": snapshot, "STS folder": spec.sts_dir}


def _text(value: Any) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _curves(workspace: Workspace, names: dict[str, str]) -> None:
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    measure = left.segmented_control(
        "Curve", list(_MEASURES), default="Dev score", required=True, key="compare_measure", wrap=True
    )
    smoothing = right.slider("Smoothing", 0.0, 0.98, 0.0, 0.02, key="compare_smoothing")
    column, scale, unit = _MEASURES[str(measure)]
    figure = theme.chart(str(measure), x="optimizer step", y=unit, height=380)
    without = []
    for place, (run_id, name) in enumerate(names.items()):
        curve = workspace.store.runs.curve(run_id).dropna(subset=[column])
        if curve.empty:
            without.append(plain(shorten(name, 90)))
            continue
        line(figure, curve["step"], curve[column] * scale, name, theme.SERIES[place % len(theme.SERIES)], smoothing)
    if not figure.data:
        no_chart(str(measure), "These runs did not record it.")
        return
    legend_below(figure)
    figure.update_layout(legend_orientation="v")
    theme.draw(figure, key="compare_curves", alt=f"{measure} of the chosen runs")
    if without:
        st.caption(f"Not recorded by {'; '.join(without)}.")


def line(figure: theme.Figure, x: pd.Series, y: pd.Series, name: str, colour: str, smoothing: float) -> None:
    """Add one run; behind a smoothed line the measured values stay visible."""
    if smoothing:
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            line={"color": theme.see_through(colour, 0.25), "width": 1},
            showlegend=False,
            hoverinfo="skip",
        )
        y = y.ewm(alpha=1 - smoothing).mean()
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+markers" if len(x) < 30 else "lines",
        name=elements.for_chart(name, 90),
        line={"color": colour, "width": 2},
        hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
    )


def _scores(workspace: Workspace, names: dict[str, str]) -> None:
    matrix = workspace.store.scores.matrix()
    matrix = matrix[matrix["encoder_id"].isin(names)]
    held_out = workspace.store.scores.held_out()
    held_out = held_out[held_out["encoder_id"].isin(names)]
    if matrix.empty and held_out.empty:
        st.caption("These runs have no scores yet.")
        return
    first = next(iter(names))
    rows = {
        name: _row(workspace, matrix, run_id, None if run_id == first else first) for run_id, name in names.items()
    }
    table = pd.DataFrame(rows).T.fillna("–")
    for run in held_out.itertuples():
        found = share(round(run.accuracy * run.triplets), int(run.triplets))
        table.loc[names[run.encoder_id], "Held-out accuracy"] = found.words(".1%")
    st.dataframe(table.fillna("–").rename_axis("Run"), alt="Scores of the chosen runs")
    st.caption(
        f"Spearman x 100; in brackets the difference to {plain(shorten(names[first]))} with its 95 % bootstrap "
        "interval over the pairs of each task; = marks no clear difference. Held-out accuracy with Wilson's "
        "95 % interval; runs on different snapshots hold out different triplets."
    )


def _row(workspace: Workspace, matrix: pd.DataFrame, run_id: str, against: str | None) -> dict[str, str]:
    own = matrix[matrix["encoder_id"] == run_id].set_index("task")["spearman"]
    cells = {task: spearman(value) for task, value in own.items()}
    if own.empty:
        return {}
    cells = {f"Mean of {len(own)}": spearman(own.mean()), **cells}
    if against is None or not (matrix["encoder_id"] == against).any():
        return cells
    found, _ = comparison_of(workspace, matrix, against, run_id)
    changes = dict(found.tasks) | ({f"Mean of {len(own)}": found.average} if found.average else {})
    for task, change in changes.items():
        if change is not None and task in cells:
            mark = "" if change.is_settled else " ="
            gain = change.times(100)
            cells[task] += f" ({gain.value:+.2f}: {gain.range()}{mark})"
    return cells
