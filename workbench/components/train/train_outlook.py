"""The form of a run, and what starting it means in numbers: steps, negatives, time, memory; and the same command."""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import streamlit as st

from pipeline.config import from_fields
from pipeline.records import InputError
from pipeline.train_config import TrainConfig
from pipeline.training import estimate
from workbench import state
from workbench.actions.training import preview_key, start_train
from workbench.components.elements import count, duration, errors_shown
from workbench.components.train import train_settings
from workbench.components.train.run_details import read_detail
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


_MEASURED = ("triplets_per_s", "batch", "prepare_s", "guide_s", "embedded_texts", "dev_s", "dev_scores", "evaluate_s")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run as set in the form."""

    snapshot_id: str
    snapshot: str
    rows: int
    config: dict[str, Any]
    sts_dir: str
    hold_out: bool


def train_form(workspace: Workspace) -> Wanted | None:
    """Draw the form; a start opens the new run."""
    snapshots = {snapshot.snapshot_id: snapshot for snapshot in workspace.store.snapshots.list()}
    names = {key: f"{snapshot.name} ({count(snapshot.rows)} triplets)" for key, snapshot in snapshots.items()}
    snapshot_id = state.pick("Snapshot", list(names), name=state.SNAPSHOT, names=names)
    if snapshot_id is None:
        return None
    train_settings.paste_settings()
    config = train_settings.train_settings()
    sts_dir = state.folder_input("STS folder (optional)", name=state.STS_FOLDER, help=_STS_HELP)
    snapshot = snapshots[snapshot_id]
    hold_out = st.toggle(
        "Hold out a fifth of the premises",
        not sts_dir and snapshot.rows >= _ENOUGH_TO_HOLD_OUT,
        key=f"train_hold_out_{bool(sts_dir)}",
        persist_state="session",
        help=_HOLD_OUT_HELP,
    )
    wanted = Wanted(snapshot_id, snapshot.name, snapshot.rows, config, sts_dir, hold_out)
    problem = ""
    try:
        from_fields(TrainConfig, config)
    except InputError as error:
        problem = str(error)
        st.error(problem, icon=":material/error:")
    if st.button("Train", type="primary", icon=":material/play_arrow:", width="stretch", disabled=bool(problem)):
        with errors_shown():
            made = start_train(
                workspace,
                snapshot_id=snapshot_id,
                config=config,
                sts_dir=sts_dir or None,
                held_out=snapshot_id if hold_out else None,
            )
            state.select(state.RUN, made["run_id"])
            state.select(state.TRAIN_VIEW, "Runs")
            st.rerun()
    return wanted


def train_outlook(workspace: Workspace, wanted: Wanted) -> None:
    """Draw the table of what starting the run means, and the command and settings to copy."""
    with st.container(border=True):
        st.subheader("What will happen", anchor=False)
        measured = _measured(workspace, wanted)
        facts = outlook(wanted, measured, has_vectors=has_vectors(workspace, wanted))
        st.table(pd.Series(facts, name=""), border="horizontal", hide_header=True)
        with st.expander("The same without a browser", icon=":material/terminal:"):
            command = train_settings.train_command(
                wanted.config, snapshot=wanted.snapshot, sts_dir=wanted.sts_dir, hold_out=wanted.hold_out
            )
            st.code(command, language="bash", wrap_lines=True)
            st.caption("All settings, as saved with the trained encoder:")
            st.code(train_settings.settings_file(wanted.config), language="json")


def outlook(wanted: Wanted, measured: pd.Series | None, *, has_vectors: bool = False) -> dict[str, str]:
    """Return a line each on triplets, steps, negatives, time, memory and dev score.

    measured: triplets_per_s, memory_mb and gpu_memory_mb of the last run like this one; None without one.
    has_vectors: whether the guide's vectors of these triplets are on disk.
    """
    config = wanted.config
    rows = max(1, round(wanted.rows * 0.8)) if wanted.hold_out else wanted.rows
    batch = min(config["batch_size"], rows)
    triplets = f"about {count(rows)}, {count(wanted.rows - rows)} held out" if wanted.hold_out else count(rows)
    return {
        "Triplets": triplets,
        "Steps": f"{count(config['steps'])} of {count(batch)} triplets, "
        f"{config['steps'] * batch / rows:.1f} passes over the data",
        "Negatives": _negatives(config, batch),
        "Time": _time(wanted, rows, batch, measured, has_vectors=has_vectors),
        "Memory": _memory(config, rows, measured),
        "Dev score": _dev(wanted),
    }


def _negatives(config: dict[str, Any], batch: int) -> str:
    if config.get("positives", "written") != "written":
        return f"{count(batch - 1)} per premise: the other premises of the batch"
    up_to = "" if config["mask_rule"] == "none" else "up to "
    return f"{up_to}{count(2 * batch - 1)} per premise, {count(batch)} of them hard negatives"


def _time(wanted: Wanted, rows: int, batch: int, measured: pd.Series | None, *, has_vectors: bool) -> str:
    config = wanted.config
    guide_texts = 0 if has_vectors or config["mask_rule"] == "none" else 3 * rows
    is_scored = bool(wanted.sts_dir or wanted.hold_out)
    scores = estimate.dev_scores(config["steps"], config["eval_every"]) if is_scored else 0
    if measured is not None:
        known = {name: float(value) for name, value in measured.items() if name in _MEASURED and pd.notna(value)}
        found = estimate.outlook_like(
            known,
            encoder=config["encoder"],
            batch=batch,
            steps=config["steps"],
            scores=scores,
            guide_texts=guide_texts,
        )
        basis = f"at {count(known['triplets_per_s'])} triplets per second as last measured"
    else:
        first = None
        if config["device"] in ("auto", "cpu") and not train_settings.gpu_names():
            dev_texts = estimate.STSB_DEV_TEXTS if wanted.sts_dir else 3 * (wanted.rows - rows)
            scored = scores * dev_texts + (estimate.STS_TEXTS if wanted.sts_dir else dev_texts)
            first = estimate.first_outlook(
                config["encoder"], batch=batch, steps=config["steps"], guide_texts=guide_texts, scored_texts=scored
            )
        if first is None:
            return "not measured on this machine with this encoder yet"
        found, basis = first, "a rough estimate for two CPU cores until a run measures it"
    beside = f", {duration(found.beside_s)} of it for loading, guide and scores" if found.beside_s >= 1 else ""
    return f"about {duration(found.total_s)}{beside}; {basis}"


def _memory(config: dict[str, Any], rows: int, measured: pd.Series | None) -> str:
    if measured is not None:
        on_gpu = measured["gpu_memory_mb"] == measured["gpu_memory_mb"]
        peak = measured["gpu_memory_mb"] if on_gpu else measured["memory_mb"]
        if peak == peak:
            where = "of the GPU" if on_gpu else "of main memory"
            return f"{peak / 1024:.1f} GB {where} in the last run like this, with {count(measured['batch'])} per step"
    parameters = estimate.parameter_count(config["encoder"])
    if parameters is None:
        return "unknown: the files of this encoder could not be read"
    least = estimate.fixed_memory_bytes(parameters, rows=rows, guided=config["mask_rule"] != "none")
    return (
        f"at least {least / 1e9:.1f} GB for {parameters / 1e6:,.1f} million parameters and the guide's vectors, "
        "plus the batch"
    )


def _dev(wanted: Wanted) -> str:
    every = wanted.config["eval_every"]
    when = f"every {count(every)} steps and at the end" if every else "at the end"
    if wanted.sts_dir:
        return f"STSB-dev if the folder has it{', else held-out triplets' if wanted.hold_out else ''}, {when}"
    return f"held-out triplets, {when}" if wanted.hold_out else "none: name an STS folder, or hold premises out"


def _measured(workspace: Workspace, wanted: Wanted) -> pd.Series | None:
    """Return the rates of the most similar earlier run with this encoder, device and precision, the newest of equals.

    In order of weight: it has finished (only then are the times of its parts known), it was scored on the same
    folder, it had the same batch size, and it did or did not use a guide as this one.
    """
    own = wanted.config
    runs = {job.job_id: job for job in workspace.jobs.of(TrainSpec)}
    found, best = None, -1
    rates = workspace.store.runs.rates()
    for _, run in rates[rates["run_id"].isin(list(runs))].iterrows():
        job = runs[run["run_id"]]
        config = asdict(job.spec.config)
        if any(config[name] != own[name] for name in ("encoder", "device", "precision")):
            continue
        is_guided = config["mask_rule"] != "none"
        is_scored_alike = (job.spec.sts_dir or "") == wanted.sts_dir
        alike = 8 * (job.state == "finished") + 4 * is_scored_alike + 2 * (config["batch_size"] == own["batch_size"])
        alike += is_guided == (own["mask_rule"] != "none")
        if alike > best:
            found, best = pd.concat([run, pd.Series({"batch": config["batch_size"]}, dtype=object)]), alike
    if found is None:
        return None
    cost = read_detail(workspace, str(found["run_id"]), "cost.json") or {}
    return pd.concat([found, pd.Series({name: cost[name] for name in cost if name in _MEASURED}, dtype=object)])


def has_vectors(workspace: Workspace, wanted: Wanted) -> bool:
    """Whether an earlier run or preview embedded the texts of this snapshot with this guide."""
    guide = wanted.config["guide"]
    key = preview_key(wanted.snapshot_id, guide, wanted.hold_out)
    if workspace.jobs.latest(PreviewSpec, lambda spec: spec.key == key, states=("finished",)):
        return True

    def embeds(spec: TrainSpec) -> bool:
        config = spec.config
        same = (config.guide, config.positives) == (guide, wanted.config["positives"])
        here = spec.snapshot_id == wanted.snapshot_id and bool(spec.held_out) == wanted.hold_out
        return same and here and config.mask_rule != "none"

    return any(job.done for job in workspace.jobs.of(TrainSpec, embeds))
