"""What a start of training leads to, in numbers, and the command that does the same."""

from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st

from pipeline.config import TrainConfig
from pipeline.training.estimate import dev_scores, first_outlook, fixed_memory_bytes, outlook_like, parameter_count
from workbench.components.train.run_details import read_detail
from workbench.components.train.train_form import Wanted
from workbench.components.wording import count, duration
from workbench.gpus import gpu_names
from workbench.train_command import settings_file, train_command
from workbench.workspace import Workspace

_MEASURED = ("triplets_per_s", "prepare_s", "dev_s", "dev_scores", "evaluate_s")


def train_outlook(workspace: Workspace, wanted: Wanted) -> None:
    """Draw the table of what will happen, and the command and settings to copy."""
    with st.container(border=True):
        st.subheader("What will happen", anchor=False)
        facts = outlook(wanted, _measured(workspace, wanted))
        st.table(pd.Series(facts, name=""), border="horizontal", hide_header=True)
        with st.expander("The same without a browser", icon=":material/terminal:"):
            command = train_command(
                wanted.config, snapshot=wanted.snapshot, sts_dir=wanted.sts_dir, hold_out=wanted.hold_out
            )
            st.code(command, language="bash", wrap_lines=True)
            st.caption("All settings, as they are kept beside the trained encoder:")
            st.code(settings_file(wanted.config), language="json")


def outlook(wanted: Wanted, measured: pd.Series | None) -> dict[str, str]:
    """Return what a start does, a line per question.

    measured: triplets_per_s, memory_mb and gpu_memory_mb of the last run like this one; None without one.
    """
    config = wanted.config
    rows = max(1, round(wanted.rows * 0.8)) if wanted.hold_out else wanted.rows
    batch = min(config["batch_size"], rows)
    about = "about " if wanted.hold_out else ""
    facts = {
        "Triplets": f"{about}{count(rows)}" + (f", {count(wanted.rows - rows)} held out" if wanted.hold_out else ""),
        "Steps": f"{count(config['steps'])} of {count(batch)} triplets, "
        f"{config['steps'] * batch / rows:.1f} passes over the data",
        "Negatives": _negatives(config, batch),
        "Time": _time(wanted, rows, batch, measured),
        "Memory": _memory(config, rows, measured),
        "Dev score": _dev(wanted),
    }
    return facts


def _negatives(config: dict[str, Any], batch: int) -> str:
    if config.get("positives", "written") != "written":
        return f"{count(batch - 1)} per premise, the other premises of the batch"
    up_to = "" if config["mask_rule"] == "none" else "up to "
    return f"{up_to}{count(2 * batch - 1)} per premise, {count(batch)} of them hard negatives"


def _time(wanted: Wanted, rows: int, batch: int, measured: pd.Series | None) -> str:
    config = wanted.config
    is_scored = bool(wanted.sts_dir or wanted.hold_out)
    scores = dev_scores(config["steps"], config["eval_every"]) if is_scored else 0
    if measured is not None:
        known = {name: float(value) for name, value in measured.items() if name in _MEASURED and value == value}
        found = outlook_like(known, batch=batch, steps=config["steps"], scores=scores)
        basis = f"at {count(known['triplets_per_s'])} triplets per second as last measured"
    else:
        guided = config["mask_rule"] != "none"
        first = None
        if config["device"] in ("auto", "cpu") and not gpu_names():
            first = first_outlook(
                config["encoder"], rows=rows, batch=batch, steps=config["steps"], guided=guided, scores=scores
            )
        if first is None:
            return "not measured yet on this machine with this encoder"
        found, basis = first, "a rough figure for two CPU cores; the first run measures it"
    beside = f", {duration(found.beside_s)} of it loading, guide and scores" if found.beside_s >= 1 else ""
    return f"about {duration(found.total_s)}{beside}; {basis}"


def _memory(config: dict[str, Any], rows: int, measured: pd.Series | None) -> str:
    if measured is not None:
        on_gpu = measured["gpu_memory_mb"] == measured["gpu_memory_mb"]
        peak = measured["gpu_memory_mb"] if on_gpu else measured["memory_mb"]
        if peak == peak:
            where = "of the GPU" if on_gpu else "of main memory"
            return f"{peak / 1024:.1f} GB {where} in the last run like this, with {count(measured['batch'])} per step"
    parameters = parameter_count(config["encoder"])
    if parameters is None:
        return "unknown: this encoder's files could not be read"
    least = fixed_memory_bytes(parameters, rows=rows, guided=config["mask_rule"] != "none")
    return (
        f"at least {least / 1e9:.1f} GB for {parameters / 1e6:,.1f} million parameters and the guide's vectors; "
        "a batch comes on top"
    )


def _dev(wanted: Wanted) -> str:
    every = wanted.config["eval_every"]
    when = f"every {count(every)} steps and at the end" if every else "at the end"
    if wanted.sts_dir:
        return f"STSB-dev if the folder has it{', else held-out triplets' if wanted.hold_out else ''}, {when}"
    return f"held-out triplets, {when}" if wanted.hold_out else "none: name an STS folder, or hold premises out"


def _measured(workspace: Workspace, wanted: Wanted) -> pd.Series | None:
    """Return the rates of an earlier run with the same encoder and device: the most alike, and of these the newest.

    The rate depends on the batch size (a static encoder's step costs the same for any), the time before the first
    step on whether there is a guide.
    """
    # A run of an earlier version lacks settings that are newer than it: it ran with what is the default now.
    defaults = asdict(TrainConfig())
    own = wanted.config
    found, likeness = None, -1
    for _, run in workspace.store.runs.rates().iterrows():
        config = defaults | run["config"]
        if any(config[name] != own[name] for name in ("encoder", "device", "precision")):
            continue
        is_guided = config["mask_rule"] != "none"
        alike = 2 * (config["batch_size"] == own["batch_size"]) + (is_guided == (own["mask_rule"] != "none"))
        if alike > likeness:
            found, likeness = run, alike
    if found is None:
        return None
    cost = read_detail(workspace, str(found["run_id"]), "cost.json") or {}
    return pd.concat([found, pd.Series({name: cost[name] for name in cost if name in _MEASURED}, dtype=object)])
