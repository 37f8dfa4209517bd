"""The preview of a few premises at several values of omega, and the free prompt.

Both are short jobs whose result only the page shows, as is the contrast lens, which shares what stands at the end.
"""

from collections.abc import Callable
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any, Final

import pandas as pd
import streamlit as st

from pipeline.records import Outcome, Side
from workbench import state, theme
from workbench.actions.generation import PREVIEW_OMEGAS, PREVIEW_PREMISES, start_ask, start_grid
from workbench.actions.jobs import cancel
from workbench.components.elements import counted, empty_state, errors_shown, plain, press, read_json
from workbench.components.generate.form import GenerationChoice
from workbench.components.job_progress import follow, is_live, job_card, show_engine
from workbench.jobs.folder import JobView, S
from workbench.jobs.kinds import AskSpec, GridSpec, JobSpec
from workbench.workspace import Workspace

_OMEGAS: Final = tuple(round(0.05 * step, 2) for step in range(20))
_EXAMPLE: Final = "Sentence: Two kids are playing chess in the park.\nThe same in other words:"
_COLOURS: Final = {Side.POSITIVE: "green", Side.HARD_NEGATIVE: "orange"}


def side_switch(*, key: str) -> Side:
    """Draw the choice between positive and hard negative."""
    chosen = st.segmented_control(
        "Side",
        list(Side),
        default=Side.POSITIVE,
        required=True,
        format_func=theme.ROLE_NAMES.__getitem__,
        key=key,
        label_visibility="collapsed",
        wrap=True,
    )
    return Side(str(chosen))


def grid_preview(workspace: Workspace, choice: GenerationChoice) -> None:
    """Draw the choices, the start, and the grid of the latest preview."""
    premises, omegas = _choices(workspace, choice)
    side = side_switch(key="preview_side")
    asked: dict[str, Any] = {"premises": premises, "omegas": omegas, "config": choice.config}
    label = f"Preview {counted(len(premises), 'premise')}"
    if st.button(label, type="primary", icon=":material/visibility:", disabled=not premises):
        with errors_shown():
            started = start_grid(workspace, **asked)
            cancel_others(workspace, GridSpec, started["job_id"])
            state.remember(state.GRID, started["job_id"])
    job = chosen_job(workspace, state.GRID, GridSpec)
    if job is None:
        empty_state(
            "No preview yet",
            hint="Five premises at four values of ω, side by side. Takes seconds and stores no triplets.",
            icon=":material/grid_on:",
        )
        return
    if is_other(job.spec, asked):
        cancel_others(workspace, GridSpec, None)
        st.caption(":material/info: The settings have changed since this preview; run it again to see the effect.")
    spec = job.spec
    short_job(workspace, job, file="grid.json", show=lambda cells, live: grid(cells, spec, side, live=live))


def grid(cells: list[dict[str, Any]], spec: GridSpec, side: Side, *, live: bool) -> None:
    """Draw a row per premise and a column per omega; words that the lowest omega lacks are highlighted."""
    omegas, base = spec.omegas, spec.omegas[0]
    found = {(cell["premise"], cell["omega"]): cell[side] for cell in cells}
    for premise in spec.premises:
        with st.container(border=True, gap="xsmall"):
            st.markdown(f":gray[Premise] **{plain(premise)}**")
            plain_text = found.get((premise, base), {}).get("text", "")
            for column, omega in zip(st.columns(len(omegas)), omegas, strict=True):
                with column:
                    _cell(found.get((premise, omega)), plain_text, side, omega=omega, base=base, live=live)


def _cell(
    result: dict[str, Any] | None, plain_text: str, side: Side, *, omega: float, base: float, live: bool
) -> None:
    st.caption("ω 0, plain" if omega == 0 else f"ω {omega:g}")
    if result is None:
        st.markdown(":gray[writing …]" if live else ":gray[not written]")
        return
    text = result["text"] or result["raw"].strip()
    st.markdown(plain(text) if omega == base else marked(text, plain_text, colour=_COLOURS[side]))
    if result["outcome"] != Outcome.OK:
        st.badge(result["outcome"].replace("_", " "), color="orange")


def is_other(spec: GridSpec, asked: dict[str, Any]) -> bool:
    """Whether a preview was made with other settings than the page shows; the omega of the form does not matter."""
    same = all(getattr(spec.config, name) == value for name, value in asked["config"].items() if name != "omega")
    texts, omegas = list(spec.premises), list(spec.omegas)
    return not (same and texts == asked["premises"] and omegas == sorted(asked["omegas"]))


def _choices(workspace: Workspace, choice: GenerationChoice) -> tuple[list[str], list[float]]:
    left, right = st.columns(2, vertical_alignment="bottom")
    total = workspace.store.premises.corpus(choice.corpus_id).premises
    label, key = f"First premise (of {total:,})", f"preview_from_{choice.corpus_id}"
    first = left.number_input(label, 1, max(1, total), 1, PREVIEW_PREMISES, key=key)
    rows: pd.DataFrame = workspace.store.premises.page(choice.corpus_id, int(first) - 2, PREVIEW_PREMISES)
    if not choice.has_contrast:
        right.caption("One column: this LLM allows no contrast.")
        return rows["text"].tolist(), [0.0]
    omega = choice.config["omega"]
    start = sorted({0.0, omega, *(value for value in (0.3, 0.6, 0.9) if value != omega)})[:PREVIEW_OMEGAS]
    omegas = right.multiselect(
        "Values of ω", _OMEGAS, start, max_selections=PREVIEW_OMEGAS, key="preview_omegas", format_func="{:g}".format
    )
    return rows["text"].tolist(), sorted(omegas) or [0.0]


def changed_words(text: str, base: str) -> list[tuple[str, bool]]:
    """Return the words of a sentence, each with whether it lies outside the longest blocks shared with `base`.

    Words are compared without case and surrounding punctuation.
    """
    words = text.split()
    matcher = SequenceMatcher(None, [_bare(w) for w in words], [_bare(w) for w in base.split()], autojunk=False)
    shared = {start + offset for start, _, size in matcher.get_matching_blocks() for offset in range(size)}
    return [(word, place not in shared) for place, word in enumerate(words)]


def marked(text: str, base: str, *, colour: str) -> str:
    """Return a sentence as Markdown with its differing words highlighted, adjacent ones together."""
    parts = []
    for changed, group in groupby(changed_words(text, base), key=lambda pair: pair[1]):
        words = plain(" ".join(word for word, _ in group))
        parts.append(f":{colour}-background[{words}]" if changed else words)
    return " ".join(parts)


def _bare(word: str) -> str:
    return word.casefold().strip(".,;:!?\"'“”‘’()[]") or word


def free_prompt(workspace: Workspace, choice: GenerationChoice) -> None:
    """Draw the box, the start and the answer as it grows."""
    prompt = st.text_area(
        "Prompt",
        _EXAMPLE,
        height=180,
        key="free_prompt",
        help="Sent to the LLM without examples or clean-up: as the text to go on from, or in chat form as one turn.",
    )
    left, right = st.columns(2, vertical_alignment="bottom")
    limit = left.number_input("Longest answer (tokens)", 1, 512, 64, key="free_prompt_tokens")
    config = choice.config
    if right.button("Ask", type="primary", icon=":material/send:", width="stretch", key="free_prompt_ask"):
        with errors_shown():
            started = start_ask(workspace, prompt=prompt, config=config | {"max_new_tokens": int(limit)})
            cancel_others(workspace, AskSpec, started["job_id"])
            state.remember(state.ASKED, started["job_id"])
    st.caption(f"Uses this view's LLM and sampling settings (temperature {config['temperature']:g}).")
    job = chosen_job(workspace, state.ASKED, AskSpec)
    if job is None:
        empty_state(
            "Nothing asked yet",
            hint="Try how an LLM continues a text before you design a prompt set for it.",
            icon=":material/forum:",
        )
        return
    spec = job.spec

    def show(answer: dict[str, Any], live: bool) -> None:
        with st.container(border=True):
            st.caption(plain(f"{spec.llm.name} continues: … {spec.prompt[-80:]}"))
            st.code(answer["text"] or " ", language=None, wrap_lines=True)
            st.caption(_answer_words(answer, live=live))

    short_job(workspace, job, file="answer.json", show=show)


def _answer_words(answer: dict[str, Any], *, live: bool) -> str:
    ended = "writing …" if live else "ended by the LLM" if answer["ended"] else "cut at the limit"
    asked = f"Prompt {counted(answer['prompt_tokens'], 'token')} · answer" if answer["prompt_tokens"] else "Answer"
    return f"{asked} {counted(answer['tokens'], 'token')} in {answer['seconds']:.1f} s · {ended}"


def chosen_job(workspace: Workspace, name: str, kind: type[S]) -> JobView[S] | None:
    """Return the job that URL or session names under `name`; None if it is gone or of another kind."""
    job_id = state.recall(name)
    return next((job for job in workspace.jobs.of(kind) if job.job_id == job_id), None)


def short_job(workspace: Workspace, job: JobView[JobSpec], *, file: str, show: Callable[[Any, bool], None]) -> None:
    """Draw a job's card until it has finished, and what it has written so far; redraws itself until it ends.

    show: draws the content of the job's JSON file; its second argument is whether more is to come.
    """

    def draw(now: JobView) -> None:
        if now.state != "finished":
            job_card(workspace, now, key="short")
        result = read_json(workspace.jobs.output(now.job_id, file))
        if result is not None:
            show(result, is_live(now))
            show_engine(now)

    follow(lambda: workspace.jobs.get(job.job_id), draw)


def cancel_others(workspace: Workspace, kind: type[JobSpec], keep: str | None) -> None:
    """Cancel live jobs of this kind whose settings the page no longer shows."""
    for job in workspace.jobs.of(kind):
        if is_live(job) and job.job_id != keep:
            press(cancel, workspace, job_id=job.job_id)
