"""The logbook: a cell per training run and study, with what was changed, what came of it, and notes."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from html import escape
from typing import Any, Final

import streamlit as st

from pipeline.records import InputError
from pipeline.statistics import AVERAGE, Interval
from pipeline.train_config import TrainConfig
from workbench import state
from workbench.actions.analysis import add_note
from workbench.actions.evaluation import score_intervals
from workbench.components import elements
from workbench.components.elements import ago, clock, count, counted, plain, press, read_json
from workbench.components.job_progress import is_live
from workbench.components.train.run_details import differing, snapshot_names
from workbench.components.train.study_view import effect_of, shown_tasks, task_words
from workbench.jobs.kinds import TrainSpec
from workbench.store.files import Note, Notes
from workbench.workspace import Workspace

_log = logging.getLogger(__name__)
LOGBOOK: Final = "Logbook"
"""The view of the page."""
_SHOWN: Final = 10
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "section{border-top:1px solid #8888;padding:.5rem 0}h2{font-size:1.1rem}small{opacity:.75}"
    "blockquote{margin:.5rem 0;padding-left:1rem;border-left:3px solid #0072b2;white-space:pre-wrap}"
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One run or study that has ended."""

    about: str
    """What its notes are about."""
    title: str
    ended: str
    state: str
    changed: tuple[str, ...]
    """Settings that differ from the run before it, or what a study compares."""
    query: dict[str, str] = field(default_factory=dict)
    """What opens it on this page."""
    figures: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


def cells(workspace: Workspace) -> list[Cell]:
    """Return the cells, newest first; scores of runs are left out, as they take a moment (`with_scores`)."""
    ended = sorted(
        [*_runs(workspace), *_studies(workspace)], key=lambda cell: (cell.ended, cell.query.get(state.RUN, ""))
    )
    about: dict[str, list[Note]] = {}
    for note in reversed(Notes(workspace.root).list()):
        about.setdefault(note.about, []).append(note)
    return [replace(cell, notes=tuple(about.get(cell.about, ()))) for cell in reversed(ended)]


def _runs(workspace: Workspace) -> Iterator[Cell]:
    snapshots = snapshot_names(workspace)
    before: dict[str, Any] = asdict(TrainConfig())
    for job in sorted(workspace.jobs.of(TrainSpec), key=lambda job: job.job_id):
        if is_live(job):
            continue
        now = {**asdict(job.spec.config), "snapshot": snapshots.get(job.spec.snapshot_id, job.spec.snapshot_id)}
        table = differing({"before": before, "now": now})
        changed = tuple(f"{name} {row['now']}" for name, row in table.to_dict("index").items() if row["now"] != "–")
        before = now
        yield Cell(
            f"Run {job.title}, {job.job_id}",
            job.title,
            job.finished_at or job.created_at,
            job.state,
            changed or ("the settings of the run before",),
            {state.TRAIN_VIEW: "Runs", state.RUN: job.job_id},
        )


def _studies(workspace: Workspace) -> Iterator[Cell]:
    for path in sorted((workspace.root / "studies").glob("*/report.json")):
        report = read_json(path)
        if report is None:
            continue
        try:
            yield _of_study(path.parent.name, report, elements.moment(path.stat().st_mtime))
        except (KeyError, IndexError, TypeError) as error:
            _log.warning("%s is no report of this version and stays out of the logbook: %r", path, error)


def _of_study(name: str, report: dict[str, Any], ended: str) -> Cell:
    last = shown_tasks(report)[-1]
    effects = [*report["contrasts"], *report["against_baseline"]]
    figures = [f"{one['name']}: {(found := effect_of(one, last)).words()}, {found.verdict}" for one in effects]
    runs = f"{counted(len(report['rows']), 'arm')} x {counted(len(report['seeds']), 'seed')}"
    return Cell(
        f"Study {name}",
        str(report["title"]),
        ended,
        "finished",
        (f"{runs}, against {report['baseline']}, on {task_words(last)} x 100",),
        {state.TRAIN_VIEW: "Studies", state.STUDY: name},
        tuple(figures),
    )


def with_scores(workspace: Workspace, cell: Cell) -> Cell:
    """Return the cell of a run with its scores; a cell that has figures stays as it is."""
    run_id = cell.query.get(state.RUN)
    if cell.figures or not run_id:
        return cell
    curve = workspace.store.runs.curve(run_id)["dev_score"].dropna()
    figures = [f"Best dev score x 100: {curve.max() * 100:.2f}"] if len(curve) else []
    bases = {one.encoder_id: one.base or "" for one in workspace.store.encoders.list()}
    scored = int((workspace.store.scores.matrix()["encoder_id"] == run_id).sum())
    figures += _scores(str(workspace.root), run_id, bases.get(run_id, ""), scored, workspace)
    return replace(cell, figures=tuple(figures) or ("no score yet",))


@st.cache_data(max_entries=256, show_spinner="Resampling the pairs …")
def _scores(root: str, run_id: str, base: str, scored: int, _workspace: Workspace) -> list[str]:
    """Return the mean over the tasks, the gain over the base encoder and the held-out accuracy, with intervals."""
    del root, scored  # parts of the cache key
    try:
        found = score_intervals(_workspace, encoder=run_id)
    except InputError:
        return []
    lines = []
    if AVERAGE in found["tasks"]:
        tasks = counted(len(found["tasks"]) - 1, "task")
        lines.append(
            f"Spearman x 100, mean of {tasks}: {Interval(**found['tasks'][AVERAGE]).times(100).words('.2f')}"
        )
        try:
            gain = score_intervals(_workspace, encoder=run_id, against=base)["gains"] if base else {}
        except InputError:
            gain = {}
        if AVERAGE in gain:
            values = gain[AVERAGE]
            change = Interval(*(values[name] for name in ("value", "low", "high", "p"))).times(100)
            lines.append(f"Gain over {base}: {change.words()}, {change.verdict}")
    if held := found.get("held_out"):
        accuracy = Interval(held["value"], held["low"], held["high"])
        lines.append(f"Accuracy on {count(held['triplets'])} held-out triplets: {accuracy.words('.1%')}")
    return lines


def logbook(workspace: Workspace) -> None:
    """Draw the cells with their notes, and the export of all of them."""
    found = cells(workspace)
    if not found:
        elements.empty_state(
            "The logbook is empty",
            hint="Every run and every study writes a cell here when it ends: what was changed, and what came of it.",
            icon=":material/menu_book:",
        )
        if st.button("Set up a run", type="primary", icon=":material/arrow_forward:", key="logbook_first"):
            state.select(state.TRAIN_VIEW, "New run")
            st.rerun()
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{counted(len(found), 'run or study', 'runs and studies')} that ended, newest first.")
        with st.container(horizontal=True, width="content"):
            for name, ending, write in (("Markdown", "md", as_markdown), ("HTML", "html", as_page)):
                st.download_button(
                    name,
                    partial(_export, workspace, write, found),
                    f"logbook.{ending}",
                    f"text/{'markdown' if ending == 'md' else 'html'}",
                    icon=":material/download:",
                    key=f"logbook_{ending}",
                    on_click="ignore",
                )
    shown = st.session_state.get("logbook_shown", _SHOWN)
    for cell in found[:shown]:
        _draw(workspace, with_scores(workspace, cell))
    if len(found) > shown and st.button(f"Show {min(_SHOWN, len(found) - shown)} more", key="logbook_more"):
        st.session_state["logbook_shown"] = shown + _SHOWN
        st.rerun()


def _export(workspace: Workspace, write: Callable[[str, Sequence[Cell]], str], found: Sequence[Cell]) -> str:
    """Write all cells with their scores; called when somebody presses the download."""
    return write(f"Logbook of {workspace.root.name}", [with_scores(workspace, cell) for cell in found])


def _draw(workspace: Workspace, cell: Cell) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{plain(cell.title)}** :gray[{cell.state}, {ago(cell.ended)}]", width="stretch")
            with st.container(horizontal=True, width="content"):
                key = f"logbook_open_{cell.about}"
                if st.button("Open", icon=":material/open_in_new:", type="tertiary", key=key):
                    for name, value in cell.query.items():
                        state.select(name, value)
                    st.rerun()
                with st.popover("Note", icon=":material/sticky_note_2:", type="tertiary"):
                    key = f"logbook_note_{cell.about}"
                    st.text_area("Your note", key=key, height=120)
                    st.button("Save note", key=f"{key}_save", on_click=_noted, args=(workspace, cell.about, key))
        st.caption(
            plain("Changed: " + ", ".join(cell.changed)) if cell.query.get(state.RUN) else plain(cell.changed[0])
        )
        st.markdown("  \n".join(plain(figure) for figure in cell.figures))
        for note in cell.notes:
            st.markdown(f":blue-badge[{clock(note.created_at)}] {plain(note.text)}")


def _noted(workspace: Workspace, about: str, key: str) -> None:
    press(add_note, workspace, text=st.session_state[key], about=about)
    st.session_state[key] = ""


def as_markdown(title: str, found: Sequence[Cell]) -> str:
    """Return the logbook as Markdown; texts of people are escaped."""
    parts = [f"# {plain(title)}"]
    for cell in found:
        parts.append(f"## {plain(cell.title)}\n\n{cell.state}, {clock(cell.ended)}")
        parts.append(plain("Changed: " + ", ".join(cell.changed)))
        parts.append("\n".join(f"- {plain(figure)}" for figure in cell.figures))
        parts += [f"> {clock(note.created_at)}: {plain(note.text)}" for note in cell.notes]
    return "\n\n".join(parts) + "\n"


def as_page(title: str, found: Sequence[Cell]) -> str:
    """Return the logbook as one HTML file: no script, no network, in light and dark."""
    parts = []
    for cell in found:
        figures = "".join(f"<li>{escape(figure)}</li>" for figure in cell.figures)
        notes = "".join(
            f"<blockquote><small>{clock(note.created_at)}</small>\n{escape(note.text)}</blockquote>"
            for note in cell.notes
        )
        parts.append(
            f"<section><h2>{escape(cell.title)}</h2><small>{cell.state}, {clock(cell.ended)}</small>"
            f"<p>Changed: {escape(', '.join(cell.changed))}</p><ul>{figures}</ul>{notes}</section>"
        )
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f'<!doctype html><html lang="en">{head}<style>{_STYLE}</style><h1>{escape(title)}</h1>{"".join(parts)}'
