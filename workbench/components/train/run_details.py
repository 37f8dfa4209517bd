"""What a run left beside its curve: first batch, worst validation rows, settings."""

import json
import re
from dataclasses import asdict
from math import sqrt
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pipeline.records import InputError
from workbench import theme
from workbench.components.elements import (
    count,
    counted,
    duration,
    for_chart,
    no_chart,
    percent,
    plain,
    shorten,
    spearman,
)
from workbench.components.encoder_comparison import comparison_of
from workbench.components.train.train_curves import legend_below
from workbench.components.train.train_settings import train_command
from workbench.jobs.folder import JobView
from workbench.jobs.kinds import TrainSpec
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


_HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def model_card_view(workspace: Workspace, run_id: str) -> None:
    """Draw the card as it reads on a hub, the files, and the command that pushes them."""
    try:
        folder = Path(workspace.store.encoders.get(run_id).folder)
    except InputError:
        no_chart("Model card", "It is written with the encoder, when the run ends.")
        return
    card = folder / "README.md"
    if not card.is_file():
        no_chart("Model card", "The folder of this encoder is no longer in the workspace.")
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
    st.code(f"hf upload YOUR-NAME/YOUR-MODEL {folder}", language="bash", wrap_lines=True)
    st.caption("SentenceTransformer and transformers load the folder as it is; pooling is stored in it.")


def card_body(card: str) -> str:
    """Return the card below its head, without its comments.

    Pictures are not loaded, as a name in it could ask for one from elsewhere.
    """
    return _COMMENT.sub("", _HEAD.sub("", card)).replace("![", "!\\[")


_MEASURES = {
    "Dev score": ("dev_score", 100.0, "dev score x 100"),
    "Loss": ("loss", 1.0, "mean over the batch, nats"),
    "InfoNCE": ("info_nce", 1.0, "nothing masked, nats"),
    "Masked": ("masked_share", 100.0, "% of the candidates"),
    "Learning rate": ("learning_rate", 1.0, "per step"),
    "Speed": ("triplets_per_s", 1.0, "triplets per second"),
}


def run_comparison(workspace: Workspace, runs: pd.DataFrame, chosen: list[str]) -> None:
    """Draw the comparison of the chosen runs; the first one is what the others are held against."""
    rows = runs.set_index("run_id").loc[chosen]
    names = dict(zip(chosen, _distinct(list(rows["title"])), strict=True))
    st.subheader(f"{len(chosen)} runs compared", anchor=False)
    _curves(workspace, names)
    st.markdown("**Settings that differ**")
    specs = {job.job_id: job.spec for job in workspace.jobs.of(TrainSpec)}
    different = differing({names[run_id]: _settings(specs[run_id]) for run_id in chosen if run_id in specs})
    if different.empty:
        st.caption("None: these runs have the same settings and data.")
    else:
        st.dataframe(different, alt="Settings that differ")
    st.markdown("**Scores**")
    _scores(workspace, names)


def differing(settings: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Return only the settings that are not the same in all runs, one row per setting, one column per run."""
    table = pd.DataFrame({name: {key: _text(value) for key, value in of.items()} for name, of in settings.items()})
    table = table.fillna("–")
    return table[table.nunique(axis=1) > 1].rename_axis("Setting")


def _settings(spec: TrainSpec) -> dict[str, Any]:
    return {**asdict(spec.config), "snapshot": spec.snapshot_id, "STS folder": spec.sts_dir}


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
        no_chart(str(measure), "None of these runs has recorded it.")
        return
    legend_below(figure)
    figure.update_layout(legend_orientation="v")
    st.plotly_chart(figure, key="compare_curves", config=theme.MODEBAR, alt=f"{measure} of the chosen runs")
    if without:
        st.caption(f"Not drawn, because nothing was recorded: {'; '.join(without)}.")


def line(figure: go.Figure, x: pd.Series, y: pd.Series, name: str, colour: str, smoothing: float) -> None:
    """Add one run; smoothed, the measured values stay visible behind the line."""
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
        name=for_chart(name, 90),
        line={"color": colour, "width": 2},
        hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
    )


def _scores(workspace: Workspace, names: dict[str, str]) -> None:
    matrix = workspace.store.scores.matrix()
    matrix = matrix[matrix["encoder_id"].isin(names)]
    held_out = workspace.store.scores.held_out()
    held_out = held_out[held_out["encoder_id"].isin(names)]
    if matrix.empty and held_out.empty:
        st.caption("None of these runs has been scored yet.")
        return
    first = next(iter(names))
    rows = {
        name: _row(workspace, matrix, run_id, None if run_id == first else first) for run_id, name in names.items()
    }
    table = pd.DataFrame(rows).T.fillna("–")
    for run in held_out.itertuples():
        low, high = wilson(run.accuracy, int(run.triplets))
        table.loc[names[run.encoder_id], "Held-out accuracy"] = f"{run.accuracy:.1%} ({low:.1%} to {high:.1%})"
    st.dataframe(table.fillna("–").rename_axis("Run"), alt="Scores of the chosen runs")
    st.caption(
        f"Spearman x 100; in brackets the difference to {plain(shorten(names[first]))} with its paired bootstrap "
        "interval (95 %, pairs of each task resampled). = marks an interval that covers zero. Held-out accuracy has "
        "Wilson's interval; two runs on different snapshots hold out different triplets."
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
            cells[task] += f" ({100 * change.value:+.2f}: {100 * change.low:+.2f} to {100 * change.high:+.2f}{mark})"
    return cells


def wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `count` yes-or-no results."""
    if not count:
        return 0.0, 1.0
    centre = share + z * z / (2 * count)
    spread = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (centre - spread) / (1 + z * z / count), (centre + spread) / (1 + z * z / count)


def _distinct(titles: list[str]) -> list[str]:
    """Number equal titles, so that they can be columns."""
    seen: dict[str, int] = {}
    names = []
    for title in titles:
        seen[title] = seen.get(title, 0) + 1
        names.append(title if seen[title] == 1 else f"{title} ({seen[title]})")
    return names
