"""What a start of training leads to, in numbers, and the command that does the same."""

from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st

from pipeline.config import TrainConfig
from pipeline.training.estimate import fixed_memory_bytes, parameter_count
from workbench.components.train.train_form import Wanted
from workbench.components.wording import count, duration
from workbench.train_command import settings_file, train_command
from workbench.workspace import Workspace


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
        "Time": _time(config, batch, measured),
        "Memory": _memory(config, rows, measured),
        "Dev score": _dev(wanted),
    }
    return facts


def _negatives(config: dict[str, Any], batch: int) -> str:
    if config.get("positives", "written") != "written":
        return f"{count(batch - 1)} per premise, the other premises of the batch"
    up_to = "" if config["mask_rule"] == "none" else "up to "
    return f"{up_to}{count(2 * batch - 1)} per premise, {count(batch)} of them hard negatives"


def _time(config: dict[str, Any], batch: int, measured: pd.Series | None) -> str:
    if measured is None:
        return "not measured yet on this machine with this encoder"
    rate = float(measured["triplets_per_s"])
    return f"about {duration(config['steps'] * batch / rate)}, at {count(rate)} triplets per second as last measured"


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
    """Return the rates of the newest run with the same encoder and device."""
    rates = workspace.store.runs.rates()
    # A run of an earlier version lacks settings that are newer than it: it ran with what is the default now.
    defaults = asdict(TrainConfig())
    for _, run in rates.iterrows():
        config = defaults | run["config"]
        if all(config.get(name) == wanted.config.get(name) for name in ("encoder", "device", "precision")):
            return run
    return None
