"""A run before it starts: its form, what starting it means in numbers, the same command, and what φ would mask."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.analysis.masks import BINS, KINDS, bin_of, phi_of_share, shares_above
from pipeline.records import InputError
from pipeline.settings import from_fields
from pipeline.train_config import TrainConfig
from workbench import state, theme
from workbench.actions.training import preview_key, start_preview, start_train
from workbench.components.elements import count, errors_shown, read_json, text_columns
from workbench.components.job_progress import follow, is_live, job_card
from workbench.components.place_picker import place_picker
from workbench.components.train import train_settings
from workbench.components.train.train_curves import legend_below
from workbench.jobs.folder import JobView
from workbench.jobs.kinds import PreviewSpec, TrainSpec
from workbench.workspace import Workspace

_ENOUGH_TO_HOLD_OUT = 50
_STS_HELP = (
    "Folder with STS tasks (files such as STSB-test.tsv, or SentEval's layout). The encoder is scored on them after "
    "training, and on STSB-dev, if it is there, during training."
)
_HOLD_OUT_HELP = (
    "A fifth of the premises, chosen by their text, is kept out of training. Without STSB-dev, the dev score is the "
    "share of their triplets whose positive is nearer than the hard negative."
)
_COLOURS = {KINDS[0]: theme.POSITIVE, KINDS[1]: theme.HARD_NEGATIVE, KINDS[2]: theme.MASKED}
_LOWEST_SHOWN = 0.2
_EXAMPLES = 6
_USUAL_PASSES = 20
_MOST_PASSES, _MOST_MARKS, _CURVE_POINTS = 30, 60, 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run as set in the form."""

    snapshot_id: str
    snapshot: str
    rows: int
    config: dict[str, Any]
    sts_dir: str
    hold_out: bool
    on: str


def train_form(workspace: Workspace) -> Wanted | None:
    """Draw the form; `train_outlook` has the start."""
    snapshots = {snapshot.snapshot_id: snapshot for snapshot in workspace.store.snapshots.list()}
    names = {key: f"{snapshot.name} ({count(snapshot.rows)} triplets)" for key, snapshot in snapshots.items()}
    with st.container(border=True):
        st.subheader("Data", icon=":material/dataset:", anchor=False)
        snapshot_id = state.pick("Snapshot", list(names), name=state.SNAPSHOT, names=names)
        if snapshot_id is None:
            return None
        snapshot = snapshots[snapshot_id]
        sts_dir = state.folder_input("STS folder (optional)", name=state.STS_FOLDER, help=_STS_HELP)
        hold_out = st.toggle(
            "Hold out a fifth of the premises",
            not sts_dir and snapshot.rows >= _ENOUGH_TO_HOLD_OUT,
            key=f"train_hold_out_{bool(sts_dir)}",
            persist_state="session",
            help=_HOLD_OUT_HELP,
        )
    config = train_settings.train_settings()
    on = place_picker(workspace, TrainSpec)
    return Wanted(snapshot_id, snapshot.name, snapshot.rows, config, sts_dir, hold_out, on)


def train_outlook(workspace: Workspace, wanted: Wanted) -> None:
    """Draw the start, what starting the run means, and the command and settings to copy."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.subheader("What will happen", anchor=False, width="content")
            _start(workspace, wanted)
        theme.draw(schedule_figure(wanted), key="schedule", alt="Learning rate, dev scores and passes by step")
        st.table(pd.Series(outlook(wanted), name=""), border="horizontal", hide_header=True)
        if (passes := _passes(wanted)) > _USUAL_PASSES:
            st.warning(
                f"Every triplet is seen {passes:.0f} times: watch whether the dev score still rises, or take fewer "
                "steps or more triplets.",
                icon=":material/repeat:",
            )
        with st.expander("The same without a browser", icon=":material/terminal:"):
            command = train_settings.train_command(
                wanted.config,
                snapshot=wanted.snapshot,
                sts_dir=wanted.sts_dir,
                hold_out=wanted.hold_out,
                on=wanted.on,
            )
            st.code(command, language="bash", wrap_lines=True)
            st.caption("All settings, as saved with the trained encoder:")
            st.code(train_settings.settings_file(wanted.config), language="json")


def _start(workspace: Workspace, wanted: Wanted) -> None:
    """Draw the button that starts the run and opens it, or what is wrong with the settings."""
    try:
        from_fields(TrainConfig, wanted.config)
    except InputError as error:
        st.error(str(error), icon=":material/error:")
        return
    if st.button("Train", type="primary", icon=":material/play_arrow:", width=160):
        with errors_shown():
            made = start_train(
                workspace,
                snapshot_id=wanted.snapshot_id,
                config=wanted.config,
                sts_dir=wanted.sts_dir or None,
                held_out=wanted.snapshot_id if wanted.hold_out else None,
                on=wanted.on,
            )
            state.select(state.RUN, made["run_id"])
            state.select(state.TRAIN_VIEW, "Runs")
            st.rerun()


def schedule_figure(wanted: Wanted) -> theme.Figure:
    """Draw the learning rate over the steps, the steps with a dev score, and where a pass over the data ends."""
    steps, warmup = int(wanted.config["steps"]), int(wanted.config["warmup_steps"])
    every, rows = int(wanted.config["eval_every"]), _trained_rows(wanted)
    figure = theme.chart("", x="optimizer step", y="% of the peak learning rate", height=250)
    drawn = np.unique(np.linspace(0, steps, _CURVE_POINTS).round().astype(int))
    share = (drawn - warmup) / max(1, steps - warmup)
    after = {"linear": 1 - share, "cosine": (1 + np.cos(np.pi * share)) / 2, "constant": np.ones(len(drawn))}
    rate = np.where(drawn < warmup, drawn / max(1, warmup), after[wanted.config["scheduler"]])
    figure.add_scatter(
        x=drawn,
        y=100 * rate,
        mode="lines",
        name="learning rate",
        line={"color": theme.INK, "width": 2},
        hoverinfo="skip",
    )
    in_a_pass = rows / min(wanted.config["batch_size"], rows)
    ends = np.arange(1, int(steps / in_a_pass) + 1) * in_a_pass
    if 0 < len(ends) <= _MOST_PASSES:
        figure.add_scatter(
            x=np.repeat(ends, 3),
            y=np.tile([0.0, 100.0, np.nan], len(ends)),
            mode="lines",
            name="end of a pass over the data",
            line={"color": theme.see_through(theme.INK, 0.35), "width": 1, "dash": "dot"},
            hoverinfo="skip",
        )
    if wanted.sts_dir or wanted.hold_out:
        scored = np.unique([0, *(range(every, steps, every) if every else ()), steps])
        figure.add_scatter(
            x=scored[:: max(1, len(scored) // _MOST_MARKS)],
            y=np.zeros(len(scored[:: max(1, len(scored) // _MOST_MARKS)])),
            mode="markers",
            name="dev score",
            marker={"size": 9, "color": theme.HUMAN, "symbol": "star"},
            hovertemplate="dev score at step %{x}<extra></extra>",
            cliponaxis=False,
        )
    legend_below(figure)
    return figure


def _trained_rows(wanted: Wanted) -> int:
    return max(1, round(wanted.rows * 0.8)) if wanted.hold_out else wanted.rows


def outlook(wanted: Wanted) -> dict[str, str]:
    """Return a line each on triplets, what comes before the first step, steps, negatives and dev score."""
    config = wanted.config
    rows = _trained_rows(wanted)
    batch = min(config["batch_size"], rows)
    triplets = f"about {count(rows)}, {count(wanted.rows - rows)} held out" if wanted.hold_out else count(rows)
    guided = (
        {} if config["mask_rule"] == "none" else {"First": f"{config['guide']} embeds every text it has not seen"}
    )
    return {
        "Triplets": triplets,
        **guided,
        "Steps": f"{count(config['steps'])} of {count(batch)} triplets, {_passes(wanted):.1f} passes over the data",
        "Negatives": _negatives(config, batch),
        "Dev score": _dev(wanted),
    }


def _passes(wanted: Wanted) -> float:
    rows = _trained_rows(wanted)
    return float(wanted.config["steps"] * min(wanted.config["batch_size"], rows) / rows)


def _negatives(config: dict[str, Any], batch: int) -> str:
    if config.get("positives", "written") != "written":
        return f"{count(batch - 1)} per premise: the other premises of the batch"
    up_to = "" if config["mask_rule"] == "none" else "up to "
    return f"{up_to}{count(2 * batch - 1)} per premise, {count(batch)} of them hard negatives"


def _dev(wanted: Wanted) -> str:
    every = wanted.config["eval_every"]
    when = f"every {count(every)} steps and at the end" if every else "at the end"
    if wanted.sts_dir:
        return f"STSB-dev if the folder has it{', else held-out triplets' if wanted.hold_out else ''}, {when}"
    return (
        f"held-out triplets, {when}"
        if wanted.hold_out
        else "not available: choose an STS folder or hold out premises"
    )


def phi_preview(workspace: Workspace, wanted: Wanted) -> None:
    """Draw the preview for this snapshot and guide, or offer to compute it; nothing for a mask rule without phi."""
    config = wanted.config
    if config["mask_rule"] not in ("phi", "released") or config.get("positives", "written") != "written":
        return
    key = preview_key(wanted.snapshot_id, config["guide"], wanted.hold_out)

    def draw(job: JobView[PreviewSpec] | None) -> None:
        with st.container(border=True):
            st.subheader("What φ would mask", anchor=False)
            found = None
            if job and job.state == "finished":
                found = read_json(workspace.jobs.output(job.job_id, "preview.json"))
            if found:
                _picture(found, wanted)
            elif job and job.state != "cancelled":
                job_card(workspace, job, key="preview")
            if not found and not is_live(job):
                _offer(workspace, wanted)

    follow(lambda: workspace.jobs.latest(PreviewSpec, lambda spec: spec.key == key), draw)


def _offer(workspace: Workspace, wanted: Wanted) -> None:
    st.caption(
        "A short job embeds the snapshot's texts with the guide; any φ can then be tried here. The training run "
        "reuses the vectors."
    )
    if st.button("Preview the mask", icon=":material/visibility:", key="preview_mask"):
        with errors_shown():
            start_preview(
                workspace,
                snapshot_id=wanted.snapshot_id,
                guide=wanted.config["guide"],
                held_out=wanted.snapshot_id if wanted.hold_out else None,
            )
            st.rerun(scope="app")


def _picture(found: dict[str, Any], wanted: Wanted) -> None:
    phi, share = chosen_phi(found, wanted.config)
    batch = min(wanted.config["batch_size"], found["triplets"])
    masked = expected(found, phi, batch)
    with st.grid(4, min_column_width=110):
        st.metric("φ", f"{phi:.3f}", help=f"{1000 * share:.3g} of 1,000 random pairs exceed it.")
        for kind, label in zip(KINDS, ("Positives", "Hard negatives", "Own"), strict=True):
            st.metric(label, f"{masked[kind]['share']:.3%}", help=f"Masked share of these candidates: {kind}.")
    mean = sum(item["candidates"] for item in masked.values())
    st.caption(
        f"In a batch of {count(batch)}, a premise loses {mean:.2f} of its {count(2 * batch - 1)} negatives on "
        f"average. {share:.4%} of random pairs exceed φ = {phi:.3f}. "
        f"Counted over {count(found['premises'])} premises with all their candidates."
    )
    theme.draw(phi_figure(found, phi), key="phi_figure", alt="Masked share by phi")
    _examples(found, phi)


def chosen_phi(found: dict[str, Any], config: dict[str, Any]) -> tuple[float, float]:
    """Return phi as a cosine, and the share of random pairs above it."""
    random_pairs = np.array(found["random_pairs"])
    if config.get("threshold_unit", "cosine") == "random_pairs":
        return phi_of_share(random_pairs, config["mask_threshold"]), config["mask_threshold"]
    phi = float(config["mask_threshold"])
    return phi, float(shares_above(random_pairs)[bin_of(phi)])


def expected(found: dict[str, Any], phi: float, batch: int) -> dict[str, dict[str, float]]:
    """Return per kind the masked share, and the expected number of masked candidates of a premise in a batch."""
    many = dict(zip(KINDS, (batch - 1, batch - 1, 1), strict=True))
    shares = {kind: float(shares_above(np.array(found["counts"][kind]))[bin_of(phi)]) for kind in KINDS}
    return {kind: {"share": shares[kind], "candidates": shares[kind] * many[kind]} for kind in KINDS}


def phi_figure(found: dict[str, Any], phi: float) -> theme.Figure:
    """Draw the masked share over phi: a line per kind of candidate, and random pairs for comparison."""
    figure = theme.chart(
        "Masked share over φ", x="φ, guide cosine", y="masked, % of the kind (log scale)", height=340
    )
    edges = np.arange(BINS) * 2 / BINS - 1
    shown = slice(bin_of(_LOWEST_SHOWN), BINS, 4)
    lines = {kind: (found["counts"][kind], _COLOURS[kind], "solid") for kind in KINDS}
    lines["random pairs"] = (found["random_pairs"], theme.INK, "dot")
    for name, (counts, colour, dash) in lines.items():
        shares = 100 * shares_above(np.array(counts))[shown]
        figure.add_scatter(
            x=edges[shown],
            y=np.where(shares > 0, shares, np.nan),
            mode="lines",
            name=name,
            line={"color": colour, "width": 2, "dash": dash},
            hovertemplate="φ %{x:.3f}: %{y:.3g} %<extra></extra>",
        )
    figure.add_vline(x=phi, line={"color": theme.HUMAN, "width": 2}, annotation_text=f"φ {phi:.3f}")
    figure.update_yaxes(type="log", dtick=1, exponentformat="none")  # otherwise Plotly writes 0.0001 as 100µ
    legend_below(figure)
    return figure


def _examples(found: dict[str, Any], phi: float) -> None:
    st.markdown("**Examples nearest to φ**")
    st.caption("φ suits this guide if the masked examples are false negatives and the others are not.")
    kind = st.segmented_control(
        "Kind", KINDS, default=KINDS[0], required=True, key="preview_kind", label_visibility="collapsed", wrap=True
    )
    of_kind = [item for item in found["examples"] if item["kind"] == kind]
    above = [item for item in of_kind if item["cosine"] > phi][-_EXAMPLES:]
    below = [item for item in of_kind if item["cosine"] <= phi][: _EXAMPLES // 2]
    rows = [{"masked": True} | item for item in above] + [{"masked": False} | item for item in below]
    if not rows:
        st.caption("No candidate of this kind comes near φ.")
        return
    st.dataframe(
        pd.DataFrame(rows)[["cosine", "masked", "premise", "candidate"]],
        hide_index=True,
        alt="Examples nearest to phi",
        column_config={
            "cosine": st.column_config.NumberColumn("Cosine", format="%.3f", width="small"),
            "masked": st.column_config.CheckboxColumn("Masked", width="small"),
        }
        | text_columns({"premise": "Premise", "candidate": "Candidate"}),
    )
