"""The contrast lens: one reply token by token, and for each token what both prompts made of its candidates."""

from typing import Any, Final

import streamlit as st

from pipeline.generation.lens import LensRecord, LensStep
from pipeline.records import Side
from workbench import state, theme
from workbench.actions.previews import start_lens
from workbench.components.generate.generation_form import GenerationChoice
from workbench.components.generate.lens_chart import lens_figure, token_name
from workbench.components.generate.short_job import cancel_others, chosen_job, short_job
from workbench.components.notice import empty_state, errors_shown
from workbench.components.text import plain
from workbench.jobs.kinds import LensSpec
from workbench.jobs.views import JobView
from workbench.workspace import Workspace

_COLOURS: Final = {Side.POSITIVE: theme.POSITIVE, Side.HARD_NEGATIVE: theme.HARD_NEGATIVE}
_WORDS: Final = {Side.POSITIVE: "green", Side.HARD_NEGATIVE: "orange"}
_PREMISES: Final = 50


def lens_view(workspace: Workspace, choice: GenerationChoice) -> None:
    """Draw the choice of premise and side, the start, and the record that URL or session names."""
    premise, side = _choices(workspace, choice)
    if st.button("Record this reply", type="primary", icon=":material/center_focus_strong:", disabled=not premise):
        with errors_shown():
            started = start_lens(workspace, premise=premise, side=side, config=choice.config)
            cancel_others(workspace, LensSpec, started["job_id"])
            state.remember(state.LENS, started["job_id"])
            state.remember(state.STEP, None)
            state.remember(state.OMEGA, None)
    if choice.config["temperature"]:
        st.caption("The lens always takes the best token; the temperature of the form plays no part in it.")
    job = chosen_job(workspace, state.LENS, LensSpec)
    if job is None:
        empty_state(
            "Nothing recorded yet",
            hint="One reply, token by token: what each prompt expects next, and what their difference chooses.",
            icon=":material/center_focus_strong:",
        )
        return
    short_job(workspace, job, file="lens.json", show=lambda found, _live: _record(found, job))


def _choices(workspace: Workspace, choice: GenerationChoice) -> tuple[str, Side]:
    rows = workspace.store.premises.page(choice.corpus_id, limit=_PREMISES)
    premise = st.selectbox(
        "Premise",
        rows["text"].tolist(),
        accept_new_options=True,
        key=f"lens_premise_{choice.corpus_id}",
        help="One of the first of the corpus, or type your own.",
    )
    side = st.segmented_control(
        "Side",
        list(Side),
        default=Side.POSITIVE,
        required=True,
        format_func=lambda side: theme.ROLE_NAMES[side],
        key="lens_side",
        label_visibility="collapsed",
    )
    return str(premise or ""), Side(str(side))


def _record(found: dict[str, Any], job: JobView[LensSpec]) -> None:
    record, side = LensRecord.from_json(found), job.spec.side
    with st.container(border=True):
        prompts = plain(job.spec.config.prompt_set)
        st.caption(f"{theme.ROLE_NAMES[side]} of the premise, recorded at ω {record.omega:g} with {prompts}")
        st.markdown(f"**{plain(job.spec.premise)}**")
        st.markdown(f":{_WORDS[side]}[**{plain(found['text'])}**]" if found["text"] else ":gray[nothing was written]")
        if found["outcome"] != "ok":
            st.badge(found["outcome"].replace("_", " "), color="orange")
    omega = _omega(record, job.job_id)
    leaves = record.leaves_at(omega)
    place = _strip(record, omega, leaves, side, job.job_id)
    _where_it_leaves(record, omega, leaves)
    step = record.steps[place]
    st.plotly_chart(
        lens_figure(step, omega=omega, plausibility=record.plausibility, colour=_COLOURS[side]),
        key=f"lens_chart_{job.job_id}",
        config=theme.MODEBAR,
        alt=spoken(step, omega, record.plausibility),
    )
    _in_words(step, omega, record.plausibility)


def _omega(record: LensRecord, job_id: str) -> float:
    """The slider begins at the recorded omega, or where the address says."""
    omega = st.slider(
        "Replay at ω",
        0.0,
        0.95,
        min(0.95, max(0.0, _number(state.recall(state.OMEGA), record.omega))),
        0.05,
        key=f"lens_omega_{job_id}",
        help="Makes every choice again from the record.",
    )
    state.remember(state.OMEGA, f"{omega:g}")
    return round(float(omega), 2)


def _strip(record: LensRecord, omega: float, leaves: int | None, side: Side, job_id: str) -> int:
    """The tokens in a row; returns the place of the chosen one."""
    key = f"lens_step_{job_id}"
    if key not in st.session_state:
        wanted = _number(state.recall(state.STEP), -1)
        known = 0 <= wanted < len(record.steps)
        st.session_state[key] = int(wanted) if known else _telling(record)

    def name(place: int) -> str:
        step = record.steps[place]
        taken = step.candidates[step.chosen]
        word = plain(token_name(taken))
        if leaves is not None and place > leaves:
            return f":gray[{word}]"
        winner = step.choice(omega, record.plausibility)
        if leaves == place:
            return f":gray[{word}] → **{plain(token_name(winner))}**"
        return word if winner is step.candidates[0] else f":{_WORDS[side]}[**{word}**]"

    chosen = st.pills(
        "Tokens of the reply",
        list(range(len(record.steps))),
        format_func=name,
        key=key,
        required=True,
        help="In colour: the contrast took another token than plain decoding would have.",
    )
    place = int(chosen if chosen is not None else 0)
    state.remember(state.STEP, str(place))
    return place


def _telling(record: LensRecord) -> int:
    """The first step where plain decoding would have taken another token: the one to look at first."""
    changed = (place for place, step in enumerate(record.steps) if step.chosen != 0)
    return next(changed, 0)


def _where_it_leaves(record: LensRecord, omega: float, leaves: int | None) -> None:
    if leaves is None:
        if omega != record.omega:
            st.caption(f"At ω {omega:g} every token of the record is chosen again: the reply would be the same.")
        return
    step = record.steps[leaves]
    was, now = (
        plain(token_name(one)) for one in (step.candidates[step.chosen], step.choice(omega, record.plausibility))
    )
    st.warning(
        f"At ω {omega:g} the reply leaves the record at token {leaves + 1}: **{now}** in place of **{was}**. The "
        "grey tokens behind it follow the recorded text; after another token the LLM would have gone on differently. "
        f"Set the contrast of the form to {omega:g} and record again to see how.",
        icon=":material/alt_route:",
    )


def _in_words(step: LensStep, omega: float, plausibility: float) -> None:
    plain_choice, refined = step.candidates[0], step.choice(omega, plausibility)
    if refined is plain_choice:
        st.markdown(f"Plain decoding and the contrast agree on **{plain(token_name(refined))}** here.")
        return
    lost = [plain(token_name(one)) for one in step.pushed_away(omega, plausibility)]
    st.markdown(
        f"Plain decoding takes **{plain(token_name(plain_choice))}**. The opposite prompt expects it too "
        f"(l̂ {plain_choice.opposite:.2f} against {refined.opposite:.2f} nats), so the difference takes "
        f"**{plain(token_name(refined))}**; pushed away: {', '.join(lost)}."
    )


def spoken(step: LensStep, omega: float, plausibility: float) -> str:
    """Say the picture in words, for screen readers."""
    refined = step.choice(omega, plausibility)
    return (
        f"Candidates for one token. Plain choice {token_name(step.candidates[0])}, "
        f"refined choice {token_name(refined)} at omega {omega:g}"
    )


def _number(text: str | None, otherwise: float) -> float:
    try:
        return float(text) if text else otherwise
    except ValueError:
        return otherwise
