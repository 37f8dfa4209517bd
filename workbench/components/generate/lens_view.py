"""The contrast lens: one reply token by token, with the candidates of each token under both prompts."""

from dataclasses import dataclass
from typing import Any, Final

import streamlit as st
from plotly.subplots import make_subplots

from pipeline.generation.lens import Candidate, LensRecord, LensStep
from pipeline.records import Side
from workbench import state, theme
from workbench.actions.generation import start_lens
from workbench.components.elements import errors_shown, for_chart, plain, read_json
from workbench.components.generate.form import GenerationChoice
from workbench.components.generate.preview import cancel_others, chosen_job, short_job, side_switch
from workbench.jobs.kinds import LensSpec
from workbench.paths import LENS_SAMPLE
from workbench.workspace import Workspace

SHOWN: Final = 10
_CUT_OPACITY: Final = 0.25
_TITLES: Final = ("own, l", "opposite, l̂", "z = l − {omega:g} l̂")
_LEAST_WIDTH: Final = 0.02
_COLOURS: Final = {Side.POSITIVE: theme.POSITIVE, Side.HARD_NEGATIVE: theme.HARD_NEGATIVE}
_MARKDOWN_COLOURS: Final = {Side.POSITIVE: "green", Side.HARD_NEGATIVE: "orange"}
_PREMISES: Final = 50


@dataclass(frozen=True, slots=True)
class _Picture:
    """One step at one omega, as it is drawn."""

    rows: list[Candidate]
    plain: Candidate
    refined: Candidate
    pushed: tuple[Candidate, ...]
    alive: tuple[Candidate, ...]
    """Candidates above the plausibility cut."""
    colour: str
    """Colour of the side."""

    def colour_of(self, one: Candidate, panel: int) -> str:
        """Return amber for a candidate pushed away, the side's colour for the refined one, else grey."""
        if one is self.refined and (panel == 2 or self.refined is self.plain):
            return self.colour
        return theme.WARNING if one in self.pushed else theme.INK


def shown_candidates(step: LensStep, omega: float, plausibility: float) -> list[Candidate]:
    """Return ten candidates, likeliest under the own prompt first; every choice is among them."""
    needed = dict.fromkeys(
        [step.candidates[step.chosen], step.candidates[0], step.choice(omega, plausibility), *step.candidates]
    )
    return sorted(list(needed)[:SHOWN], key=lambda one: -one.own)


def lens_figure(step: LensStep, *, omega: float, plausibility: float, colour: str, height: int = 430) -> theme.Figure:
    """Draw three aligned bar charts. Bars begin at the lowest value shown: in each, longer means likelier."""
    picture = _Picture(
        shown_candidates(step, omega, plausibility),
        step.candidates[0],
        step.choice(omega, plausibility),
        step.pushed_away(omega, plausibility),
        step.plausible(plausibility),
        colour,
    )
    titles = [title.format(omega=omega) for title in _TITLES]
    figure = make_subplots(cols=3, shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    rows = picture.rows
    values = ([one.own for one in rows], [one.opposite for one in rows], [one.z(omega) for one in rows])
    for panel, of_panel in enumerate(values):
        _bars(figure, picture, panel, of_panel)
    _mark(figure, picture)
    heads = {picture.plain, picture.refined}
    named = [(one, for_chart(token_name(one))) for one in rows]
    labels = [f"<b>{name}</b>" if one in heads else name for one, name in named]
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=labels, autorange="reversed", tickfont={"size": 15})
    return theme.bare(figure, height=height, top=76).update_layout(showlegend=False, bargap=0.25)


def token_name(candidate: Candidate) -> str:
    """Return a token as shown on screen: ## before the continuation of a word, ends and blanks in words."""
    text = candidate.text
    if "\n" in text or not text:
        return "end of reply"
    if not text.strip():
        return "blank"
    return text.strip() if text[0] == " " or not text[0].isalnum() else f"##{text}"


def _bars(figure: theme.Figure, picture: _Picture, panel: int, values: list[float]) -> None:
    rows = picture.rows
    floor, reach = _span(values, [value for value, one in zip(values, rows, strict=True) if one in picture.alive])
    notes = ["" if one in picture.alive else "<br>cut: too unlikely under the own prompt" for one in rows]
    figure.add_bar(
        x=[max(value - floor, _LEAST_WIDTH * reach) for value in values],
        base=floor,
        y=list(range(len(rows))),
        orientation="h",
        marker={
            "color": [picture.colour_of(one, panel) for one in rows],
            "opacity": [1.0 if one in picture.alive else _CUT_OPACITY for one in rows],
        },
        customdata=[
            [value, for_chart(token_name(one)), words] for value, one, words in zip(values, rows, notes, strict=True)
        ],
        hovertemplate="<b>%{customdata[1]}</b>: %{customdata[0]:.2f} nats%{customdata[2]}<extra></extra>",
        row=1,
        col=panel + 1,
    )
    title = {"text": "nats" if panel == 2 else "log p (nats)", "font": {"size": 13}}
    figure.update_xaxes(range=[floor, floor + 1.06 * reach], title=title, col=panel + 1)


def _span(values: list[float], plausible: list[float]) -> tuple[float, float]:
    """Return where the bars of a panel begin and how far they reach; implausible ones may be cut off at the left."""
    low, high = min(plausible), max(values)
    reach = max(high - low, 0.5)
    floor = max(min(values), low - reach) - 0.1 * reach
    return floor, high - floor


def _mark(figure: theme.Figure, picture: _Picture) -> None:
    """Label the bars of the plain choice, the refined choice, and the candidates pushed away."""
    marks = [(one, 1, "pushed away", theme.WARNING) for one in picture.pushed if one in picture.rows]
    if picture.plain is picture.refined:
        marks.append((picture.plain, 0, "plain and refined choice", picture.colour))
    else:
        marks.append((picture.plain, 0, "plain choice", theme.WARNING))
        marks.append((picture.refined, 2, "refined choice", picture.colour))
    for one, panel, text, colour in marks:
        figure.add_annotation(
            x=0.02,
            xref=f"x{panel + 1 if panel else ''} domain",
            y=picture.rows.index(one),
            yref="y",
            text=f"<b>{text}</b>",
            showarrow=False,
            xanchor="left",
            font={"size": 13, "color": "white"},
            bgcolor=colour,
            borderpad=2,
        )


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
        st.caption("The lens decodes greedily: it ignores the temperature.")
    job = chosen_job(workspace, state.LENS, LensSpec)
    if job is None:
        shown = read_json(LENS_SAMPLE)
        st.caption(plain(f"An example to begin with, written by {shown['llm']}; the button records your own."))
        _record(shown["replies"][side], f"sample_{side}", shown["premise"], side, shown["prompt_set"])
        return
    spec = job.spec

    def show(found: dict[str, Any], _live: bool) -> None:
        _record(found, job.job_id, spec.premise, spec.side, spec.config.prompt_set)

    short_job(workspace, job, file="lens.json", show=show)


def _choices(workspace: Workspace, choice: GenerationChoice) -> tuple[str, Side]:
    rows = workspace.store.premises.page(choice.corpus_id, limit=_PREMISES)
    premise = st.selectbox(
        "Premise",
        rows["text"].tolist(),
        accept_new_options=True,
        key=f"lens_premise_{choice.corpus_id}",
        help="One of the first 50 of the corpus, or type your own.",
    )
    return str(premise or ""), side_switch(key="lens_side")


def _record(found: dict[str, Any], key: str, premise: str, side: Side, prompts: str) -> None:
    record = LensRecord.from_json(found)
    with st.container(border=True):
        st.caption(f"{theme.ROLE_NAMES[side]} of the premise, recorded at ω {record.omega:g} with {plain(prompts)}")
        st.markdown(f"**{plain(premise)}**")
        colour = _MARKDOWN_COLOURS[side]
        st.markdown(f":{colour}[**{plain(found['text'])}**]" if found["text"] else ":gray[nothing was written]")
        if found["outcome"] != "ok":
            st.badge(found["outcome"].replace("_", " "), color="orange")
    omega = _omega(record, key)
    leaves = record.leaves_at(omega)
    place = _strip(record, omega, leaves, side, key)
    _where_it_leaves(record, omega, leaves)
    step = record.steps[place]
    theme.draw(
        lens_figure(step, omega=omega, plausibility=record.plausibility, colour=_COLOURS[side]),
        key=f"lens_chart_{key}",
        alt=step_in_words(step, omega, record.plausibility),
    )
    _in_words(step, omega, record.plausibility)


def _omega(record: LensRecord, key: str) -> float:
    """Draw the slider, which starts at the omega in the URL or of the record."""
    omega = st.slider(
        "Replay at ω",
        0.0,
        0.95,
        min(0.95, max(0.0, _number(state.recall(state.OMEGA), record.omega))),
        0.05,
        key=f"lens_omega_{key}",
        help="Repeats every choice from the recorded probabilities.",
    )
    if omega != record.omega or state.recall(state.OMEGA):
        state.remember(state.OMEGA, f"{omega:g}")
    return round(float(omega), 2)


def _strip(record: LensRecord, omega: float, leaves: int | None, side: Side, key: str) -> int:
    """Draw the tokens in a row; return the position of the chosen one."""
    key = f"lens_step_{key}"
    if key not in st.session_state:
        wanted = _number(state.recall(state.STEP), -1)
        known = 0 <= wanted < len(record.steps)
        st.session_state[key] = int(wanted) if known else _first_changed(record)

    def name(place: int) -> str:
        step = record.steps[place]
        taken = step.candidates[step.chosen]
        word = plain(token_name(taken))
        if leaves is not None and place > leaves:
            return f":gray[{word}]"
        winner = step.choice(omega, record.plausibility)
        if leaves == place:
            return f":gray[{word}] → **{plain(token_name(winner))}**"
        return word if winner is step.candidates[0] else f":{_MARKDOWN_COLOURS[side]}[**{word}**]"

    chosen = st.pills(
        "Tokens of the reply",
        list(range(len(record.steps))),
        format_func=name,
        key=key,
        required=True,
        wrap=True,
        help="Coloured: here the contrast took another token than plain decoding would.",
    )
    place = int(chosen if chosen is not None else 0)
    if place != _first_changed(record) or state.recall(state.STEP):
        state.remember(state.STEP, str(place))
    return place


def _first_changed(record: LensRecord) -> int:
    """Return the first step where plain decoding would have taken another token, or 0."""
    return next((place for place, step in enumerate(record.steps) if step.chosen != 0), 0)


def _where_it_leaves(record: LensRecord, omega: float, leaves: int | None) -> None:
    if leaves is None:
        if omega != record.omega:
            st.caption(f"At ω {omega:g} every choice is the same as in the record.")
        return
    step = record.steps[leaves]
    was, now = (
        plain(token_name(one)) for one in (step.candidates[step.chosen], step.choice(omega, record.plausibility))
    )
    st.warning(
        f"At ω {omega:g} the reply leaves the record at token {leaves + 1}: **{now}** instead of **{was}**. The "
        "grey tokens after it belong to the recorded reply; the new one would continue differently. "
        f"Set the contrast ω to {omega:g} and record again to see it.",
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
        f"(l̂ {plain_choice.opposite:.2f} against {refined.opposite:.2f} nats), so the contrast takes "
        f"**{plain(token_name(refined))}**; pushed away: {', '.join(lost)}."
    )


def step_in_words(step: LensStep, omega: float, plausibility: float) -> str:
    """Return the choices of a step in words, for screen readers."""
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
