"""The behavioural suite: passed tests by capability and encoder, failing tests, and user-defined tests."""

import pandas as pd
import streamlit as st

from pipeline.evaluation.behaviour import CAPABILITIES, KIND_WORDS, Case, Kind
from workbench import state, theme
from workbench.actions.analysis import add_behaviour_test, retract_behaviour_test, start_behaviour
from workbench.components.elements import count, counted, empty_state, errors_shown, plain, read_table, text_columns
from workbench.components.encoder_comparison import encoder_names, scored_name
from workbench.components.errors.slice_actions import slice_actions
from workbench.components.job_progress import job_strip
from workbench.jobs.kinds import BehaviourSpec
from workbench.results import latest_runs
from workbench.store.files import OwnTests
from workbench.workspace import Workspace

_FAILING = 50
_THIRD: dict[Kind, str] = {
    "invariance": "The first sentence with the change",
    "directional": "The sentence that is farther",
}
"""Label of the third sentence, for kinds that have one."""


def behaviour_view(workspace: Workspace) -> None:
    """Draw start, grid and the failing tests of one capability."""
    names = encoder_names(workspace)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        encoder = state.pick("Encoder to test", list(names), name=state.CANDIDATE, names=names)
        if st.button("Run the tests", type="primary", icon=":material/play_arrow:", key="run_behaviour"):
            with errors_shown():
                start_behaviour(workspace, encoder=str(encoder))
                st.rerun()
        own_tests(workspace)
    job_strip(workspace, BehaviourSpec, key="behaving")
    runs = latest_runs(workspace)
    if not runs:
        empty_state(
            "No behavioural results yet",
            hint="Run the suite to see how an encoder handles negation, swapped roles, typos and more.",
            icon=":material/fact_check:",
        )
        return
    tables = {key: read_table(run.path) for key, run in runs.items()}
    grid = passed_grid({scored_name(key, names): table for key, table in tables.items()})
    st.dataframe(
        grid.rename(index=_sizes(tables)).style.format("{:.0%}", na_rep="–").map(_tint),
        height=38 * (len(grid) + 1),
        row_height=38,
        alt="Share of passed tests by capability and encoder",
    )
    _failing(workspace, tables, names)


def passed_grid(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the share of passed tests, capability x encoder; NaN where a capability was not tested."""
    shares = {name: table.groupby("capability", sort=False)["passed"].mean() for name, table in tables.items()}
    return pd.DataFrame(shares).reindex(list(dict.fromkeys(c for s in shares.values() for c in s.index)))


def _sizes(tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Return capability -> its name with the number of tests, the largest of the encoders' runs."""
    counts = pd.DataFrame([table["capability"].value_counts() for table in tables.values()]).max()
    return {name: f"{name} ({count(size)})" for name, size in counts.items()}


def _tint(share: float) -> str:
    if pd.isna(share):
        return ""
    return f"background-color: {theme.see_through(theme.WARNING, 0.45 * (1 - share))}"


def _failing(workspace: Workspace, tables: dict[str, pd.DataFrame], names: dict[str, str]) -> None:
    left, right = st.columns(2)
    with left:
        encoder_id = state.pick(
            "Encoder", list(tables), name=state.ENCODER, names={key: scored_name(key, names) for key in tables}
        )
    table = tables[str(encoder_id)]
    counts = table.groupby("capability", sort=False)["passed"].agg(["size", "sum"])
    worst_first = counts.loc[(counts["sum"] / counts["size"]).sort_values(kind="stable").index]
    titles = {name: f"{name}: {row['sum']} of {row['size']} pass" for name, row in worst_first.iterrows()}
    with right:
        capability = state.pick("Capability", list(titles), name=state.CAPABILITY, names=titles)
    own = table[table["capability"] == capability]
    st.caption(f"Expected: {KIND_WORDS[own['kind'].iloc[0]]}.")
    failing = own[~own["passed"]].sort_values("margin")
    if failing.empty:
        st.success("Every test of this capability passes.", icon=":material/check_circle:")
        return
    st.dataframe(
        failing[["margin", "similarity", "third_similarity", "sentence", "other", "third"]].head(_FAILING),
        hide_index=True,
        row_height=38,
        alt="Failing tests",
        column_config={
            "margin": st.column_config.NumberColumn("Misses by", format="%+.2f", width="small"),
            "similarity": st.column_config.NumberColumn("Similarity", format="%.2f", width="small"),
            "third_similarity": st.column_config.NumberColumn("Third", format="%.2f", width="small"),
        }
        | text_columns({"sentence": "Sentence", "other": "Other", "third": "Third sentence"}),
    )
    st.caption(f"{counted(len(failing), 'failing test')}. Similarity: 0 for unrelated pairs, 1 for equal ones.")
    pairs = failing.rename(columns={"sentence": "sentence1", "other": "sentence2"})
    origin = f"Behaviour: {capability}, {scored_name(str(encoder_id), names)}"
    slice_actions(workspace, pairs, origin=origin, title=str(capability))


def own_tests(workspace: Workspace) -> None:
    """Draw the popovers that add and list user-defined tests."""
    with st.popover("Add a test", icon=":material/add:"):
        _form(workspace)
    tests = OwnTests(workspace.root).list()
    if tests:
        with st.popover(f"Your tests ({count(len(tests))})", icon=":material/checklist:"):
            for case in tests:
                _listed(workspace, case)


def _form(workspace: Workspace) -> None:
    kind: Kind = st.selectbox("Expectation", list(KIND_WORDS), key="own_test_kind")
    st.caption(KIND_WORDS[kind].capitalize() + ".")
    with st.form("own_test", border=False, clear_on_submit=True):
        capability = st.selectbox(
            "Capability",
            CAPABILITIES,
            index=None,
            accept_new_options=True,
            placeholder="Choose one or name a new one",
        )
        sentence = st.text_input("Sentence")
        other = st.text_input("Other sentence")
        third = st.text_input(_THIRD[kind]) if kind in _THIRD else ""
        if st.form_submit_button("Add the test", icon=":material/add:"):
            with errors_shown():
                fields = {"kind": kind, "sentence": sentence, "other": other, "third": third}
                added = add_behaviour_test(workspace, capability=capability or "", **fields)["added"]
                st.toast("Added; it is part of the next run." if added else "This test exists already.")


def _listed(workspace: Workspace, case: Case) -> None:
    with st.container(border=True):
        st.caption(plain(f"{case.capability}, {case.kind}"))
        for text in (case.sentence, case.other, case.third):
            if text:
                st.markdown(plain(text))
        if st.button("Remove", icon=":material/delete:", type="tertiary", key=f"retract_{case.case_id}"):
            with errors_shown():
                retract_behaviour_test(workspace, case_id=case.case_id)
                st.rerun()
