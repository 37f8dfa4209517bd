"""The contrast in three ways: one reply token by token, some at several omegas, and two of them without their names.

The blind test asks which of two replies is better, in an order drawn for each pair, and says afterwards what people
prefer, with an interval. It needs no LLM: the embedded sample was written at two omegas.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from pipeline.records import Outcome, Side, text_id
from workbench import state, theme
from workbench.actions.data import open_sample
from workbench.actions.generation import PREVIEW_PREMISES, retract_vote, start_grid, vote
from workbench.components.elements import count, counted, empty_state, errors_shown, plain, press, read_json
from workbench.components.generate.form import GenerationChoice
from workbench.components.generate.lens_view import lens_view
from workbench.components.generate.preview import chosen_job, grid_preview
from workbench.components.job_progress import follow, is_live, job_card
from workbench.jobs.kinds import GridSpec
from workbench.store.votes import Preference, Vote, Votes
from workbench.workspace import Workspace

CONTRAST: Final = "Contrast"
"""The view of the page."""
_LENS, _PREVIEW, BLIND = "Lens", "Preview", "Blind test"
_MOST_PREMISES: Final = 500
_ENOUGH: Final = 10
"""Votes before the result is shown: earlier it says little and could sway the next vote."""
_SKIPPED: Final = "blind_skipped"
_QUESTIONS: Final = {
    Side.POSITIVE: "Which one says the same as the premise, in other words?",
    Side.HARD_NEGATIVE: "Which one is about the same thing, and cannot be true when the premise is?",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two writers of replies to the same premises."""

    key: str
    title: str
    names: tuple[str, str]
    """What they are called once the votes are cast; an omega each, from the lower one."""
    previews: tuple[str, ...] = ()
    """Jobs with the replies; without any, the key names two runs."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to a premise, in the order of the writers."""

    premise: str
    side: Side
    replies: tuple[str, str]

    @property
    def pair_id(self) -> str:
        """A hash of all that a voter sees."""
        return text_id("\n".join((self.premise, self.side, *self.replies)))

    @property
    def order(self) -> tuple[int, int]:
        """Which writer is shown as 1 and which as 2: at random, and the same whenever the pair is drawn."""
        return (0, 1) if int(self.pair_id[-1], 16) % 2 else (1, 0)


def contrast_view(workspace: Workspace, choice: GenerationChoice) -> None:
    """Draw the lens, the preview or the blind test."""
    part = state.tabs([_LENS, _PREVIEW, BLIND], name=state.CONTRAST)
    if part == _LENS:
        lens_view(workspace, choice)
    elif part == _PREVIEW:
        grid_preview(workspace, choice)
    else:
        blind_test(workspace, choice)


def blind_test(workspace: Workspace, choice: GenerationChoice) -> None:
    """Draw the choice of what is compared, the next pair, and the result."""
    known = comparisons(workspace)
    if not known:
        empty_state(
            "Nothing to compare yet",
            hint="A blind test needs premises with replies at two values of ω: those of the sample, of two runs, or "
            "written here with the chosen LLM.",
            icon=":material/balance:",
        )
        if st.button("Open the sample corpus", type="primary", icon=":material/dataset:", key="blind_sample"):
            with errors_shown():
                open_sample(workspace)
                st.rerun()
    names = {key: one.title for key, one in known.items()}
    if key := state.pick("Compare", list(known), name=state.BLIND, names=names):
        _test(workspace, known[key])
    _write_more(workspace, choice)


def comparisons(workspace: Workspace) -> dict[str, Comparison]:
    """Return what can be compared: runs that share premises, then previews by LLM and omegas, newest first."""
    runs = workspace.store.triplets.attempts().set_index("attempt_id")
    found: dict[str, Comparison] = {}
    for pair in workspace.store.triplets.written_twice().itertuples():
        one, other = (runs.loc[attempt_id] for attempt_id in (pair.first, pair.second))
        title = f"{one['title']} · {other['title']} ({counted(pair.premises, 'premise')})"
        key = f"{pair.first} {pair.second}"
        found[key] = Comparison(key, title, (_omega(one["omega"]), _omega(other["omega"])))
    for job in workspace.jobs.of(GridSpec, lambda spec: len(spec.omegas) > 1):
        if job.state == "finished":
            names = (_omega(job.spec.omegas[0]), _omega(job.spec.omegas[-1]))
            key = f"{job.spec.llm.name}: {names[0]} · {names[1]}"
            earlier = found[key].previews if key in found else ()
            found[key] = Comparison(key, f"Written here, {key}", names, (*earlier, job.job_id))
    return found


def _write_more(workspace: Workspace, choice: GenerationChoice) -> None:
    """Offer replies of the chosen LLM at omega 0 and the chosen one, to premises that no preview has yet."""
    if not choice.has_contrast or not choice.config["omega"]:
        return
    jobs = workspace.jobs.of(GridSpec)
    used = {premise for job in jobs for premise in job.spec.premises}
    texts = workspace.store.premises.page(choice.corpus_id, limit=len(used) + PREVIEW_PREMISES)["text"]
    premises = [text for text in texts if text not in used][:PREVIEW_PREMISES]
    label = f"Write {counted(2 * len(premises), 'pair')} with {choice.config['llm']}"
    if st.button(label, icon=":material/edit_note:", key="blind_write", disabled=not premises):
        with errors_shown():
            omegas = [0.0, choice.config["omega"]]
            started = start_grid(workspace, premises=premises, omegas=omegas, config=choice.config)
            state.remember(state.GRID, started["job_id"])
    job = chosen_job(workspace, state.GRID, GridSpec)
    if job is not None and is_live(job):
        follow(lambda: workspace.jobs.get(job.job_id), lambda now: job_card(workspace, now, key="blind"))


def _omega(value: float) -> str:
    return f"ω {value:g}"


def pairs_of(workspace: Workspace, comparison: Comparison) -> Iterator[Pair]:
    """Yield the pairs whose replies differ, in an order that has nothing to do with what wrote them."""
    found: list[tuple[str, Side, tuple[str, str]]] = []
    if comparison.previews:
        for job_id in comparison.previews:
            found += _of_preview(read_json(workspace.jobs.output(job_id, "grid.json")) or [], comparison.names)
    else:
        first, second = comparison.key.split(" ")
        rows = workspace.store.triplets.side_by_side(first, second, limit=_MOST_PREMISES).to_dict("records")
        found = [(row["premise"], side, (row[f"{side}0"], row[f"{side}1"])) for row in rows for side in Side]
    for premise, side, (one, other) in found:
        if one.casefold() != other.casefold():
            yield Pair(premise, side, (one, other))


def _of_preview(cells: list[dict[str, Any]], names: tuple[str, str]) -> Iterator[tuple[str, Side, tuple[str, str]]]:
    by_name = {(cell["premise"], _omega(cell["omega"])): cell for cell in cells}
    for premise in dict.fromkeys(cell["premise"] for cell in cells):
        one, other = (by_name.get((premise, name)) for name in names)
        for side in Side:
            if one and other and one[side]["outcome"] == other[side]["outcome"] == Outcome.OK:
                yield premise, side, (one[side]["text"], other[side]["text"])


def _test(workspace: Workspace, comparison: Comparison) -> None:
    annotator, votes = state.annotator(), Votes(workspace.root).list(comparison.key)
    done = {one.pair_id for one in votes if one.annotator == annotator}
    done |= set(st.session_state.get(_SKIPPED, []))
    pairs = list(pairs_of(workspace, comparison))
    left = [pair for pair in pairs if pair.pair_id not in done]
    st.caption(
        f"{counted(len(votes), 'vote')}, {counted(len(left), 'pair')} left for {plain(annotator)}. "
        "Nobody sees what wrote a reply before the result."
    )
    if left:
        _pair(workspace, comparison, left[0])
    else:
        empty_state("No pair is left", hint="All pairs whose replies differ were seen.", icon=":material/done_all:")
    with st.container(horizontal=True):
        if left:
            _button("No preference", "0", ":material/drag_handle:", _voted, workspace, comparison, left[0], "")
            _button("Skip", "N", ":material/skip_next:", _skip, left[0])
        again = {"comparison": comparison.key, "annotator": annotator}
        _button("Undo", "Z", ":material/undo:", press, retract_vote, workspace, off=not votes, **again)
    _result(comparison, votes)


def _pair(workspace: Workspace, comparison: Comparison, pair: Pair) -> None:
    with st.container(border=True):
        st.caption("Premise")
        st.markdown(f"**{plain(pair.premise)}**")
        st.markdown(_QUESTIONS[pair.side])
        for column, number, writer in zip(st.columns(2), (1, 2), pair.order, strict=True):
            with column.container(border=True, height="stretch", vertical_alignment="distribute"):
                st.markdown(plain(pair.replies[writer]))
                name = comparison.names[writer]
                _button(f"Reply {number}", str(number), ":material/check:", _voted, workspace, comparison, pair, name)


def _button(label: str, key: str, icon: str, act: Any, *given: Any, off: bool = False, **named: Any) -> None:
    st.button(
        label,
        shortcut=key,
        icon=icon,
        key=f"blind_{key}",
        on_click=act,
        args=given,
        kwargs=named,
        disabled=off,
        width="stretch" if key in "12" else "content",
    )


def _voted(workspace: Workspace, comparison: Comparison, pair: Pair, preferred: str) -> None:
    press(
        vote,
        workspace,
        comparison=comparison.key,
        pair_id=pair.pair_id,
        side=pair.side,
        preferred=preferred,
        annotator=state.annotator(),
    )


def _skip(pair: Pair) -> None:
    st.session_state[_SKIPPED] = [*st.session_state.get(_SKIPPED, []), pair.pair_id]


def _result(comparison: Comparison, votes: list[Vote]) -> None:
    """Draw what people prefer, once there are enough votes to say anything."""
    if len(votes) < _ENOUGH:
        st.caption(f"The result appears after {_ENOUGH} votes.")
        return
    low, high = comparison.names
    kinds = {"Both sides": votes} | {
        theme.ROLE_NAMES[side]: [one for one in votes if one.side == side] for side in Side
    }
    counted_votes = {name: Preference.of(of, high) for name, of in kinds.items()}
    rows = [(name, found.lead) for name, found in counted_votes.items() if found.votes]
    if rows:
        figure = theme.interval_chart(f"Votes for {high} less votes for {low}", x="percentage points", rows=rows)
        figure.update_xaxes(range=[-105, 105])
        theme.draw(figure, key="blind_result", alt=f"How far votes favour {high}, with intervals")
    both = counted_votes["Both sides"]
    verdict = "no clear difference"
    if both.lead.is_settled:
        verdict = f"{high if both.lead.value > 0 else low} is preferred"
    people = counted(len({one.annotator for one in votes}), "person", "people")
    st.caption(
        f"{count(both.wins)} votes for {high}, {count(both.votes - both.wins)} for {low}, {count(both.ties)} without "
        f"a preference, of {people}: {verdict}. Intervals are Wilson's, 95 %, over the votes with a preference."
    )
