"""The workspace: its folder, its owner, its database, its jobs."""

import os
import re
from pathlib import Path

from workbench.doctor.finding import Finding
from workbench.doctor.probe import ProbeResult, run_probe
from workbench.jobs.folder import JobFolder, read_jobs


def examine_workspace(root: Path) -> list[Finding]:
    """Look at the folder without becoming its owner."""
    if not root.exists():
        return [Finding("Workspace", "ok", f"{root} does not exist yet; the first command creates it")]
    findings = [folder(root)]
    database_file = root / "state.duckdb"
    if database_file.exists():
        findings.append(database(root, run_probe("database", str(database_file))))
    return [*findings, jobs(root)]


def folder(root: Path) -> Finding:
    """Whether the folder can be used."""
    if not root.is_dir():
        return Finding("Workspace", "error", f"{root} is not a folder", "Choose a folder with --workspace.")
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        return Finding(
            "Workspace",
            "error",
            f"{root} cannot be written",
            "Change its permissions, or choose another --workspace.",
        )
    return Finding("Workspace", "ok", str(root))


def database(root: Path, result: ProbeResult) -> Finding:
    """Whether the database opens, or which process has it open."""
    error = str(result.answer.get("error", "")) or result.failure
    if not error:
        return Finding("Database", "ok", f"opens; tables: {result.answer['tables']}")
    if holder := re.search(r"lock.*\(PID (\d+)\)", error, re.DOTALL):
        return Finding("Database", "ok", f"in use by process {holder[1]}; commands go through it")
    return Finding(
        "Database",
        "error",
        error.splitlines()[0],
        f"Run `python -m workbench rebuild --workspace {root}`: it builds the database anew from the journals.",
    )


def jobs(root: Path) -> Finding:
    """How many jobs run, and which were interrupted: said to run while nobody holds their lock."""
    records, set_aside = read_jobs(root / "jobs") if (root / "jobs").is_dir() else ({}, {})
    states = {job_id: _job_state(JobFolder(root / "jobs" / job_id)) for job_id in records}
    interrupted = [name for name, state in states.items() if state == "interrupted"]
    unreadable = [name for name, state in states.items() if state == "unreadable"]
    running = sum(state == "running" for state in states.values())
    detail = f"{len(states)} in all, {running} running"
    if set_aside:
        advice = "The other jobs go on; restore these files from a backup, or move them out of the folder jobs."
        return Finding("Jobs", "warning", f"{detail}; set aside: {' '.join(set_aside.values())}", advice)
    if unreadable:
        advice = "Their journals are whole; resume them, or restore status.json from a backup."
        return Finding("Jobs", "warning", f"{detail}; status unreadable: {', '.join(unreadable)}", advice)
    if interrupted:
        advice = "Resume them on the Home page or with `python -m workbench jobs`; nothing acknowledged was lost."
        return Finding("Jobs", "warning", f"{detail}; interrupted: {', '.join(interrupted)}", advice)
    return Finding("Jobs", "ok", detail)


def _job_state(folder: JobFolder) -> str:
    try:
        state = folder.status().state
    except (OSError, ValueError, TypeError):  # no file, no JSON, other fields
        return "unreadable"
    return "interrupted" if state == "running" and not folder.is_alive() else state
