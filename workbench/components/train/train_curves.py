"""The curves of a training run: dev score, then loss, masked shares, learning rate, speed, memory, GPU use."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from workbench import theme
from workbench.components.elements import count, counted, for_chart, no_chart, plain, spearman
from workbench.components.job_progress import LIVE_STATES

_LEGEND_LINE, _AXIS_ROOM = 22, 52
"""Height in pixels of a line of the legend, and of an axis with its title."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart: a column of the curve, and how it is drawn."""

    column: str
    name: str
    colour: str
    scale: float = 1.0
    dash: str = "solid"


@dataclass(frozen=True, slots=True)
class Panel:
    """One small chart."""

    title: str
    unit: str
    series: tuple[Series, ...]
    from_zero: bool = False


PANELS = (
    Panel(
        "Loss",
        "mean over the batch, nats",
        (Series("loss", "loss", theme.INK), Series("info_nce", "InfoNCE, nothing masked", theme.HUMAN, dash="dot")),
    ),
    Panel(
        "Masked candidates",
        "% of their kind",
        (
            Series("masked_positives", "in-batch positives", theme.POSITIVE, 100),
            Series("masked_hard_negatives", "in-batch hard negatives", theme.HARD_NEGATIVE, 100),
            Series("masked_own", "own hard negative", theme.MASKED, 100, "dash"),
            Series("masked_share", "all", theme.INK, 100),
        ),
        from_zero=True,
    ),
    Panel("Learning rate", "per step", (Series("learning_rate", "rate", theme.INK),), from_zero=True),
    Panel("Speed", "triplets per second", (Series("triplets_per_s", "triplets/s", theme.INK),), from_zero=True),
    Panel(
        "Memory",
        "GB",
        (
            Series("memory_mb", "main memory", theme.INK, 1 / 1024),
            Series("gpu_memory_mb", "GPU, peak so far", theme.HUMAN, 1 / 1024),
        ),
        from_zero=True,
    ),
    Panel("GPU utilization", "% of the time", (Series("gpu_use", "use", theme.INK, 100),), from_zero=True),
)


def train_curves(
    curve: pd.DataFrame,
    *,
    key: str,
    dev_name: str = "dev",
    state: str = "finished",
    earlier: Mapping[str, pd.DataFrame] | None = None,
    baseline: float | None = None,
) -> None:
    """Draw what a run in this state has recorded so far; panels without measurements are left out.

    earlier: title -> curve of runs whose dev scores are drawn behind its own.
    baseline: dev score of the untrained encoder.
    """
    if curve.empty:
        hints = {"paused": "Paused before its first step."} | dict.fromkeys(
            LIVE_STATES, "The first recorded step appears here."
        )
        no_chart("Training curves", hints.get(state, "The run ended before its first step."))
        return
    _warn_of_not_finite(curve, live=state in LIVE_STATES)
    scored = curve.dropna(subset=["dev_score"])
    behind = {title: of.dropna(subset=["dev_score"]) for title, of in (earlier or {}).items()}
    behind = {title: of for title, of in behind.items() if len(of)}
    if len(scored) > 1 or (len(scored) and (behind or baseline is not None)):
        theme.draw(dev_figure(scored, dev_name, behind, baseline), key=f"{key}_dev", alt="Dev score by step")
    elif len(scored):
        step, score = int(scored["step"].iloc[0]), float(scored["dev_score"].iloc[0])
        st.caption(f"One dev score ({plain(dev_name)}), at step {count(step)}: {spearman(score)}.")
    shown = [panel for panel in PANELS if any(curve[line.column].notna().any() for line in panel.series)]
    for start in range(0, len(shown), 2):
        for column, panel in zip(st.columns(2), shown[start : start + 2], strict=False):
            with column:
                theme.draw(panel_figure(curve, panel), key=f"{key}_{panel.title}", alt=f"{panel.title} by step")


def not_finite(curve: pd.DataFrame) -> pd.DataFrame:
    """Return the steps whose loss was NaN or infinite."""
    return curve[~np.isfinite(curve["loss"].astype(float))]


def dev_figure(
    scored: pd.DataFrame,
    name: str,
    earlier: Mapping[str, pd.DataFrame] | None = None,
    baseline: float | None = None,
) -> theme.Figure:
    """Dev score by step, the best one marked, from the untrained encoder's on, over those of earlier runs in grey."""
    figure = theme.chart(f"Dev score: {plain(name)}", x="optimizer step", y=dev_unit(name), height=320)
    for title, of in (earlier or {}).items():
        figure.add_scatter(
            x=of["step"],
            y=of["dev_score"] * 100,
            mode="lines+markers" if len(of) < 30 else "lines",
            line={"color": theme.see_through(theme.INK, 0.45), "width": 1},
            marker={"size": 4},
            hovertemplate=f"step %{{x}}: %{{y:.4g}} {for_chart(title)}<extra></extra>",
        )
    if baseline is not None:
        figure.add_hline(y=100 * baseline, line={"color": theme.INK, "width": 1, "dash": "dash"})
        figure.add_annotation(
            text=f"untrained {spearman(baseline)}", x=1, xref="paper", xanchor="right", y=100 * baseline,
            yanchor="top", showarrow=False, font={"size": 13, "color": theme.text_colour()},
        )  # fmt: skip
        start = pd.DataFrame({"step": [0], "dev_score": [baseline]})
        drawn = pd.concat([start, scored[["step", "dev_score"]]], ignore_index=True)
    else:
        drawn = scored
    _add(figure, drawn, Series("dev_score", "dev score", theme.HUMAN, 100))
    best = scored.loc[scored["dev_score"].idxmax()]
    figure.add_scatter(
        x=[best["step"]],
        y=[best["dev_score"] * 100],
        mode="markers+text",
        text=[f"best {spearman(best['dev_score'])}"],
        textposition="top center",
        marker={"size": 12, "color": theme.HUMAN, "symbol": "star"},
        hoverinfo="skip",
        cliponaxis=False,
    )
    figure.update_layout(showlegend=False)
    if (
        scored["dev_score"].nunique() == 1 and not earlier and baseline is None
    ):  # Plotly would put a flat line into the middle of -1 to 1
        level = 100 * float(best["dev_score"])
        figure.update_yaxes(range=[max(0.0, level - 1), level + 1])
    return figure


def dev_unit(name: str) -> str:
    """Axis title of a dev score."""
    return "held-out triplets in order, %" if "held" in name else "Spearman x 100"


def panel_figure(curve: pd.DataFrame, panel: Panel) -> theme.Figure:
    """One small chart; steps without a finite loss get a cross on the axis."""
    figure = theme.chart(panel.title, x="optimizer step", y=panel.unit, height=280)
    drawn = [line for line in panel.series if curve[line.column].notna().any()]
    for line in drawn:
        _add(figure, curve, line)
    broken = not_finite(curve) if panel.title == "Loss" else curve.iloc[:0]
    if len(broken):
        figure.add_scatter(
            x=broken["step"],
            y=np.zeros(len(broken)),
            mode="markers",
            name="not a number",
            marker={"symbol": "x", "size": 9, "color": theme.WARNING},
            hovertemplate="step %{x}: no finite loss<extra></extra>",
        )
    figure.update_layout(showlegend=False)
    if len(figure.data) > 1:
        legend_below(figure)
    if panel.from_zero:
        figure.update_yaxes(rangemode="tozero")
    return figure


def legend_below(figure: theme.Figure) -> None:
    """Put the legend below the chart with a line per name, as on a narrow screen each name takes one."""
    room = _LEGEND_LINE * len(figure.data)
    figure.update_layout(
        showlegend=True,
        legend={"yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        margin_b=_AXIS_ROOM + room,
        height=figure.layout.height + room,
    )


def _add(figure: theme.Figure, curve: pd.DataFrame, line: Series) -> None:
    # A single point draws no line, so a short curve shows its points too.
    figure.add_scatter(
        x=curve["step"],
        y=curve[line.column] * line.scale,
        name=line.name,
        mode="lines+markers" if len(curve) < 30 else "lines",
        line={"color": line.colour, "width": 2, "dash": line.dash},
        hovertemplate=f"step %{{x}}: %{{y:.4g}} {line.name}<extra></extra>",
    )


def _warn_of_not_finite(curve: pd.DataFrame, *, live: bool) -> None:
    broken = not_finite(curve)
    if broken.empty:
        return
    what = "Cancel the run and start it" if live else "Start the run"
    st.error(
        f"The loss was NaN or infinite in {counted(len(broken), 'recorded step')}, first in step "
        f"{count(broken['step'].iloc[0])}; weights after it are unusable. {what} again with a lower "
        "learning rate, a higher temperature or fp32.",
        icon=":material/warning:",
    )
