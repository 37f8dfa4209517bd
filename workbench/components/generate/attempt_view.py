"""One generation attempt as it grows: progress and controls, outcome bars, rows by outcome, freshest rows."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pipeline.generation.outcomes import GUIDE_NEAR_COPY
from pipeline.records import Outcome, Side
from workbench import state, theme
from workbench.actions.generation import start_retry
from workbench.components import elements
from workbench.components.elements import ago, count, counted, empty_state, errors_shown, no_chart, percent, plain
from workbench.components.generate.generation_form import GenerationChoice
from workbench.components.job_progress import is_live, job_card, while_live
from workbench.components.triplet_card import WRAPPED_ROW, triplet_table
from workbench.jobs.folder import JobView
from workbench.jobs.kinds import GenerateSpec
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

ATTEMPTS: str = "Attempts"
"""The view of the page where this stands."""


def attempt_names(workspace: Workspace, attempts: pd.DataFrame) -> dict[str, str]:
    """Id -> title of every attempt, newest first; one that was just started has no rows yet but is there."""
    names = {job.job_id: job.title for job in workspace.jobs.of(GenerateSpec)}
    stored = attempts.sort_values("created_at", ascending=False)
    for attempt in stored.itertuples():
        names.setdefault(attempt.attempt_id, attempt.title or attempt.attempt_id)
    rows = dict(zip(stored["attempt_id"], stored["rows"], strict=True))
    return {key: f"{title} ({count(rows[key])} rows)" if key in rows else title for key, title in names.items()}


def attempt_table(workspace: Workspace, attempts: pd.DataFrame) -> None:
    """Draw the table."""
    if attempts.empty:
        empty_state(
            "No attempts yet",
            hint="Each run of generation, and each import of triplets, becomes a line here.",
            icon=":material/edit_note:",
        )
        return
    table = attempts.sort_values("created_at", ascending=False).copy()
    table["share"] = table["ok"] / table["rows"].where(table["rows"] > 0)
    table["when"] = table["created_at"].map(ago)
    st.dataframe(
        table[["title", "llm", "omega", "seed", "rows", "share", "when"]],
        hide_index=True,
        alt="Generation attempts",
        column_config={
            "title": st.column_config.TextColumn("Attempt", width="medium"),
            "llm": "LLM",
            "omega": st.column_config.NumberColumn("ω", format="%.2f", width="small"),
            "seed": st.column_config.NumberColumn("Seed", width="small"),
            "rows": st.column_config.NumberColumn("Rows", format="localized", width="small"),
            "share": st.column_config.ProgressColumn("Both sides ok", format="percent", min_value=0, max_value=1),
            "when": "Started",
        },
    )


_TITLE = "Outcomes per side"
_SIDES = (Side.HARD_NEGATIVE, Side.POSITIVE)  # Plotly draws the first bar at the bottom


def outcome_bars(counts: pd.DataFrame, *, key: str) -> None:
    """Draw counts (side, outcome, count); each premise has one outcome per side, so the bars are equally long."""
    if counts.empty or not counts["count"].sum():
        no_chart(_TITLE, "The first finished premises appear here.")
        return
    st.plotly_chart(outcome_figure(counts), key=key, config=theme.MODEBAR, alt=spoken(counts))


def outcome_figure(counts: pd.DataFrame) -> go.Figure:
    """Build the stacked bars."""
    table = counts.pivot_table(index="side", columns="outcome", values="count", aggfunc="sum", fill_value=0)
    table = table.reindex(index=[str(side) for side in _SIDES], columns=[str(o) for o in Outcome], fill_value=0)
    figure = theme.chart(_TITLE, x="premises", y="", height=230)
    for outcome in Outcome:
        values = table[str(outcome)]
        if not values.sum():
            continue
        is_ok = outcome is Outcome.OK
        figure.add_bar(
            x=values,
            y=[theme.ROLE_NAMES[side] for side in _SIDES],
            orientation="h",
            name=str(outcome).replace("_", " "),
            marker={"color": [theme.ROLE_COLOURS[s] for s in _SIDES] if is_ok else theme.OUTCOME_COLOURS[outcome]},
            showlegend=not is_ok,
            text=[f"ok {count(value)}" if is_ok and value else "" for value in values],
            textposition="inside",
            insidetextanchor="start",
            insidetextfont={"color": "white", "size": 14},
            hovertemplate=f"%{{y}}: %{{x}} {outcome}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.35)
    return figure


def spoken(counts: pd.DataFrame) -> str:
    """Say the shares of ok rows in words, for screen readers."""
    parts = []
    for side in reversed(_SIDES):
        of_side = counts[counts["side"] == str(side)]
        ok = of_side.loc[of_side["outcome"] == str(Outcome.OK), "count"].sum()
        parts.append(f"{theme.ROLE_NAMES[side]}: {percent(ok, of_side['count'].sum())} ok")
    return "; ".join(parts)


_EXAMPLES = 5
MEANINGS = {
    Outcome.OK: "usable",
    Outcome.COPY: "the premise again, or the positive again as hard negative, up to case and punctuation",
    Outcome.NEAR_COPY: "the premise again with almost the same words",
    Outcome.EMPTY: "no letters or digits",
    Outcome.TRUNCATED: "reached the longest reply",
    Outcome.MALFORMED: "an announcement, code or JSON without a sentence",
    Outcome.REFUSED: "talks about the task in place of doing it",
    Outcome.LOOP: "repeats itself",
    Outcome.WRONG_LANGUAGE: "another language or script than the premise",
    Outcome.TOO_LONG: "does not fit the LLM's window",
    Outcome.FAILED: "could not be written",
}


def outcome_examples(workspace: Workspace, attempt_id: str, counts: pd.DataFrame, choice: GenerationChoice) -> None:
    """Draw an outcome picker with counts, rows of the chosen one, and the retry of its premises."""
    totals = counts.groupby("outcome")["count"].sum()
    present = [str(outcome) for outcome in Outcome if totals.get(str(outcome), 0)]
    if not present:
        return
    wanted = state.recall(state.OUTCOME)
    failed = [name for name in present if name != Outcome.OK]
    key = f"outcome_{attempt_id}"
    if st.session_state.get(key) not in present:
        st.session_state[key] = wanted if wanted in present else (failed or present)[0]
    chosen = st.pills(
        "Rows by outcome",
        present,
        format_func=lambda name: f"{name.replace('_', ' ')} {count(totals[name])}",
        required=True,
        key=key,
    )
    outcome = Outcome(str(chosen))
    state.remember(state.OUTCOME, str(outcome))
    st.caption(f"{outcome.replace('_', ' ')}: {MEANINGS[outcome]}. A row is counted once per side.")
    rows = workspace.store.triplets.page(
        TripletFilter(attempt_ids=(attempt_id,), outcome=str(outcome)), limit=_EXAMPLES, newest_first=True
    )
    st.dataframe(
        examples(rows, outcome),
        hide_index=True,
        row_height=WRAPPED_ROW,
        key=f"examples_{outcome}",
        alt=f"Rows that are {outcome}",
        column_config={
            "Premise": st.column_config.TextColumn(width=250),
            "Side": st.column_config.TextColumn(width=105),
            "Written": st.column_config.TextColumn(width=250),
        },
    )
    if outcome is not Outcome.OK:
        _retry(workspace, attempt_id, outcome, choice)
    else:
        guide_near_copies(workspace, attempt_id)


def guide_near_copies(workspace: Workspace, attempt_id: str) -> None:
    """Draw the usable sentences that a guide's cosine calls near copies; nothing before a guide has judged."""
    found = workspace.store.judgements.near_copies(attempt_id, least_cosine=GUIDE_NEAR_COPY)
    if found.empty:
        return
    st.markdown(f"**{counted(len(found), 'near copy', 'near copies')} by the guide's cosine**")
    st.caption(f"Their words differ enough to be ok; their cosine with the premise is {GUIDE_NEAR_COPY:g} or more.")
    shown = found.head(4 * _EXAMPLES).assign(side=found["side"].map(theme.ROLE_NAMES))
    st.dataframe(
        shown.rename(columns={"premise": "Premise", "side": "Side", "written": "Written", "cosine": "Cosine"}),
        hide_index=True,
        key="guide_near_copies",
        alt="Near copies by the guide's cosine",
        column_config={"Cosine": st.column_config.NumberColumn(format="%.3f", width="small")},
    )


def examples(rows: pd.DataFrame, outcome: Outcome) -> pd.DataFrame:
    """One line per side that ended like this: premise, side, what was written."""
    found = [
        {"Premise": row["premise"], "Side": theme.ROLE_NAMES[side], "Written": row[side]}
        for row in rows.to_dict("records")
        for side in Side
        if row[f"{side}_outcome"] == outcome
    ]
    return pd.DataFrame(found, columns=["Premise", "Side", "Written"])


def _retry(workspace: Workspace, attempt_id: str, outcome: Outcome, choice: GenerationChoice) -> None:
    chosen = TripletFilter(attempt_ids=(attempt_id,), outcome=str(outcome))
    premises = workspace.store.triplets.count(chosen)
    with st.container(horizontal=True, vertical_alignment="center"):
        these = "this premise" if premises == 1 else f"these {counted(premises, 'premise')}"
        pressed = st.button(f"Retry only {these}", icon=":material/replay:", key=f"retry_{outcome}")
        st.caption(f"With the settings of the form ({plain(in_words(choice))}); this attempt stays as it is.")
    if pressed:
        with errors_shown():
            made = start_retry(workspace, attempt_id=attempt_id, outcome=str(outcome), config=choice.config)
            state.select(state.ATTEMPT, made["attempt_id"])
            st.rerun()


def in_words(choice: GenerationChoice) -> str:
    """The settings that matter most, in one line."""
    config = choice.config
    sampling = "greedy" if not config["temperature"] else f"temperature {config['temperature']:g}"
    return f"ω {config['omega']:g}, {choice.prompts.ref}, {sampling}, seed {config['seed']}"


_FRESH = 5


def attempt_view(workspace: Workspace, attempts: pd.DataFrame, choice: GenerationChoice) -> None:
    """Draw the attempt that the picker names; redraws itself while its job runs."""
    names = attempt_names(workspace, attempts)
    attempt_id = state.pick("Attempt", list(names), name=state.ATTEMPT, names=names)
    if attempt_id is None:
        empty_state(
            "No triplets yet",
            hint="Start with the settings of the form; 100 premises are enough for a first look.",
            icon=":material/edit_note:",
        )
        return
    _growing(workspace, attempt_id)
    chosen = TripletFilter(attempt_ids=(attempt_id,), outcome="ok")
    if usable := workspace.store.triplets.count(chosen):
        st.page_link(
            elements.CURATE, label=f"Curate {counted(usable, 'triplet')} with both sides ok", icon=":material/rule:"
        )
    outcome_examples(workspace, attempt_id, workspace.store.triplets.outcome_counts(attempt_id), choice)


def _growing(workspace: Workspace, attempt_id: str) -> None:
    chosen = TripletFilter(attempt_ids=(attempt_id,))
    job = _job(workspace, attempt_id)

    def draw() -> bool:
        job = _job(workspace, attempt_id)
        if job and job.state != "finished":
            job_card(workspace, job, key="attempt")
        if job:
            run_facts(job)
        outcome_bars(workspace.store.triplets.outcome_counts(attempt_id), key="outcomes")
        rows = workspace.store.triplets.page(chosen, limit=_FRESH, newest_first=True)
        if not rows.empty:
            st.markdown("**Freshest rows**")
            triplet_table(rows, key="fresh", wrapped=True)
        return bool(job and is_live(job))

    while_live(draw, live=bool(job and is_live(job)))


def run_facts(job: JobView) -> None:
    """Say what was charged, what computed, what was taken over, why rows failed; nothing where there is none."""
    usage, reused = job.details.get("usage"), job.details.get("reused")
    if usage:
        tokens = usage["prompt_tokens"] + usage["reply_tokens"]
        money = f", {usage['money']:.4f} money" if usage["money"] else ""
        st.caption(f"{counted(usage['calls'], 'call')}, {counted(tokens, 'token')}{money} charged by the server.")
    if engine := job.details.get("engine"):
        st.caption(plain(f"Computed by {engine}."))
    if reused:
        st.caption(f"{counted(reused, 'row')} taken over from an earlier run with the very same settings.")
    for reason, sides in (job.details.get("reasons") or {}).items():
        st.caption(plain(f"{counted(sides, 'side')} failed: {reason}"))


def _job(workspace: Workspace, attempt_id: str) -> JobView[GenerateSpec] | None:
    """Job of an attempt; imported triplets have none."""
    return next((job for job in workspace.jobs.of(GenerateSpec) if job.job_id == attempt_id), None)
