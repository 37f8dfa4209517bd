"""Generation runs: one as it grows, its outcomes with rows and a retry, and the table of all of them."""

import pandas as pd
import streamlit as st

from pipeline.generation.outcomes import GUIDE_NEAR_COPY
from pipeline.records import Outcome, Side
from workbench import state, theme
from workbench.actions.generation import start_retry
from workbench.components import elements
from workbench.components.elements import count, counted, empty_state, errors_shown, no_chart, percent, plain
from workbench.components.generate.form import GenerationChoice
from workbench.components.job_progress import follow, job_card, show_charges, show_engine
from workbench.components.triplet_card import WRAPPED_ROW, triplet_table
from workbench.jobs.folder import JobView
from workbench.jobs.kinds import GenerateSpec
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

ALL_RUNS = "All runs"
"""The view of the page that holds `runs_table`."""
MEANINGS = {
    Outcome.OK: "usable",
    Outcome.COPY: "repeats the premise, or the positive repeats as hard negative, up to case and punctuation",
    Outcome.NEAR_COPY: "repeats the premise in almost the same words",
    Outcome.EMPTY: "no letters or digits",
    Outcome.TRUNCATED: "cut off at the maximum length",
    Outcome.MALFORMED: "an announcement, code or JSON without a sentence",
    Outcome.REFUSED: "talks about the task instead of doing it",
    Outcome.LOOP: "repeats itself",
    Outcome.WRONG_LANGUAGE: "another language or script than the premise",
    Outcome.TOO_LONG: "does not fit the LLM's context window",
    Outcome.FAILED: "could not be written",
}
_TITLE = "Outcomes per side"
_SIDES = (Side.HARD_NEGATIVE, Side.POSITIVE)  # Plotly draws the first bar at the bottom
_EXAMPLES = 5
_NEWEST = 5


def run_view(workspace: Workspace, runs: pd.DataFrame, choice: GenerationChoice) -> None:
    """Draw the run that the picker names; redraws itself while its job runs."""
    names = run_names(workspace, runs)
    attempt_id = state.pick("Generation run", list(names), name=state.ATTEMPT, names=names)
    if attempt_id is None:
        empty_state(
            "No triplets yet",
            hint="Start with the settings of this view; 100 premises are enough for a first look.",
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


def run_names(workspace: Workspace, runs: pd.DataFrame) -> dict[str, str]:
    """Return id -> title of every run, newest first; one that has just started has no stored rows yet."""
    names = {job.job_id: job.title for job in workspace.jobs.of(GenerateSpec)}
    stored = runs.sort_values("created_at", ascending=False)
    for run in stored.itertuples():
        names.setdefault(run.attempt_id, run.title or run.attempt_id)
    rows = dict(zip(stored["attempt_id"], stored["rows"], strict=True))
    return {key: f"{title} ({count(rows[key])} rows)" if key in rows else title for key, title in names.items()}


def _growing(workspace: Workspace, attempt_id: str) -> None:
    def job() -> JobView[GenerateSpec] | None:  # imported triplets have none
        return next((job for job in workspace.jobs.of(GenerateSpec) if job.job_id == attempt_id), None)

    def draw(now: JobView | None) -> None:
        if now and now.state != "finished":
            job_card(workspace, now, key="attempt")
        if now:
            _facts(now)
        outcome_bars(workspace.store.triplets.outcome_counts(attempt_id), key="outcomes")
        chosen = TripletFilter(attempt_ids=(attempt_id,))
        rows = workspace.store.triplets.page(chosen, limit=_NEWEST, newest_first=True)
        if not rows.empty:
            st.markdown("**Newest rows**")
            triplet_table(rows, key="fresh", wrapped=True)

    follow(job, draw)


def _facts(job: JobView) -> None:
    """Say what the server charged and refused, which engine wrote, how many rows were reused, why sides failed."""
    show_charges(job)
    show_engine(job)
    if reused := job.details.get("reused"):
        st.caption(f"{counted(reused, 'row')} reused from an earlier run with the same settings.")
    if lists := job.details.get("token_lists"):
        share = f"{lists['short'] / lists['steps']:.1%}"
        st.caption(f"The server's best 20 tokens did not suffice in {share} of {counted(lists['steps'], 'step')}.")
    if left_out := job.details.get("left_out"):
        st.caption(f"The server rejects {', '.join(left_out)}; its own defaults were used.")
    for reason, sides in (job.details.get("reasons") or {}).items():
        st.caption(plain(f"{counted(sides, 'side')} failed: {reason}"))


def outcome_bars(counts: pd.DataFrame, *, key: str) -> None:
    """Draw counts (side, outcome, count); each premise has one outcome per side, hence bars of equal length."""
    if counts.empty or not counts["count"].sum():
        no_chart(_TITLE, "Appears with the first finished premises.")
        return
    theme.draw(outcome_figure(counts), key=key, alt=shares_in_words(counts))


def outcome_figure(counts: pd.DataFrame) -> theme.Figure:
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


def shares_in_words(counts: pd.DataFrame) -> str:
    """Return the share of ok rows per side in words, for screen readers."""
    parts = []
    for side in reversed(_SIDES):
        of_side = counts[counts["side"] == str(side)]
        ok = of_side.loc[of_side["outcome"] == str(Outcome.OK), "count"].sum()
        parts.append(f"{theme.ROLE_NAMES[side]}: {percent(ok, of_side['count'].sum())} ok")
    return "; ".join(parts)


def outcome_examples(workspace: Workspace, attempt_id: str, counts: pd.DataFrame, choice: GenerationChoice) -> None:
    """Draw an outcome picker with counts, rows of the chosen outcome, and the retry of its premises."""
    totals = counts.groupby("outcome")["count"].sum()
    present = [str(outcome) for outcome in Outcome if totals.get(str(outcome), 0)]
    if not present:
        return
    wanted = state.recall(state.OUTCOME)
    failed = [name for name in present if name != Outcome.OK]
    key = f"outcome_{attempt_id}"
    if st.session_state.get(key) not in present:
        st.session_state[key] = wanted if wanted in present else (failed or present)[0]
    outcome = Outcome(outcome_pills("Rows by outcome", totals.loc[present].to_dict(), key=key))
    state.remember(state.OUTCOME, str(outcome))
    st.caption(f"{outcome.replace('_', ' ')}: {MEANINGS[outcome]}. Each row counts once per side.")
    chosen = TripletFilter(attempt_ids=(attempt_id,), outcome=str(outcome))
    st.dataframe(
        _examples(workspace.store.triplets.page(chosen, limit=_EXAMPLES, newest_first=True), outcome),
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
    if outcome is Outcome.OK:
        _guide_near_copies(workspace, attempt_id)
    else:
        _retry(workspace, chosen, choice)


def outcome_pills(label: str, counts: dict[str, int], *, key: str) -> str:
    """Draw outcomes with their counts; return the chosen one."""
    return str(
        st.pills(
            label,
            list(counts),
            format_func=lambda name: f"{name.replace('_', ' ')} {count(counts[name])}",
            required=True,
            key=key,
            wrap=True,
        )
    )


def _examples(rows: pd.DataFrame, outcome: Outcome) -> pd.DataFrame:
    """One line per side with this outcome: premise, side, and what was written."""
    found = [
        {"Premise": row["premise"], "Side": theme.ROLE_NAMES[side], "Written": row[side]}
        for row in rows.to_dict("records")
        for side in Side
        if row[f"{side}_outcome"] == outcome
    ]
    return pd.DataFrame(found, columns=["Premise", "Side", "Written"])


def _guide_near_copies(workspace: Workspace, attempt_id: str) -> None:
    """List usable sentences that are near copies by a guide's cosine; nothing before a guide has judged."""
    found = workspace.store.judgements.near_copies(attempt_id, least_cosine=GUIDE_NEAR_COPY)
    if found.empty:
        return
    st.markdown(f"**{counted(len(found), 'near copy', 'near copies')} by the guide's cosine**")
    st.caption(f"Their wording passes, but their cosine with the premise is {GUIDE_NEAR_COPY:g} or more.")
    shown = found.head(4 * _EXAMPLES).assign(side=found["side"].map(theme.ROLE_NAMES))
    st.dataframe(
        shown.rename(columns={"premise": "Premise", "side": "Side", "written": "Written", "cosine": "Cosine"}),
        hide_index=True,
        key="guide_near_copies",
        alt="Near copies by the guide's cosine",
        column_config={"Cosine": st.column_config.NumberColumn(format="%.3f", width="small")},
    )


def _retry(workspace: Workspace, chosen: TripletFilter, choice: GenerationChoice) -> None:
    premises = workspace.store.triplets.count(chosen)
    with st.container(horizontal=True, vertical_alignment="center"):
        these = "this premise" if premises == 1 else f"these {counted(premises, 'premise')}"
        pressed = st.button(f"Retry only {these}", icon=":material/replay:", key=f"retry_{chosen.outcome}")
        st.caption(plain(f"Uses the settings of this view ({_settings_in_words(choice)}); this run stays as it is."))
    if pressed:
        with errors_shown():
            [attempt_id] = chosen.attempt_ids
            made = start_retry(workspace, attempt_id=attempt_id, outcome=chosen.outcome, config=choice.config)
            state.select(state.ATTEMPT, made["attempt_id"])
            st.rerun()


def _settings_in_words(choice: GenerationChoice) -> str:
    config = choice.config
    sampling = "greedy" if not config["temperature"] else f"temperature {config['temperature']:g}"
    return f"ω {config['omega']:g}, {choice.prompts.ref}, {sampling}, seed {config['seed']}"


def runs_table(runs: pd.DataFrame) -> None:
    """Draw all runs, newest first."""
    if runs.empty:
        empty_state(
            "No generation runs yet",
            hint="Every generation run and every import of triplets is listed here.",
            icon=":material/edit_note:",
        )
        return
    table = runs.sort_values("created_at", ascending=False).copy()
    table["share"] = table["ok"] / table["rows"].where(table["rows"] > 0)
    table["when"] = table["created_at"].map(elements.ago)
    st.dataframe(
        table[["title", "llm", "omega", "seed", "rows", "share", "when"]],
        hide_index=True,
        alt="Generation runs",
        column_config={
            "title": st.column_config.TextColumn("Generation run", width="medium"),
            "llm": "LLM",
            "omega": st.column_config.NumberColumn("ω", format="%.2f", width="small"),
            "seed": st.column_config.NumberColumn("Seed", width="small"),
            "rows": st.column_config.NumberColumn("Rows", format="localized", width="small"),
            "share": st.column_config.ProgressColumn("Both sides ok", format="percent", min_value=0, max_value=1),
            "when": "Started",
        },
    )
