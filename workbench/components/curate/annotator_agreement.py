"""How far annotators agree on what several of them decided. It alone of the views compares people with people."""

from itertools import combinations

import pandas as pd
import streamlit as st

from pipeline.curation.agreement import cohen_kappa, krippendorff_alpha
from workbench.components.elements import count, counted, empty_state
from workbench.components.triplet_card import Scope
from workbench.workspace import Workspace


def annotator_agreement(workspace: Workspace, scope: Scope) -> None:
    """Draw kappa for each pair of annotators, alpha over all, and the number of disputed triplets."""
    opinions = workspace.store.annotations.of(list(scope.attempt_ids))
    table = opinions.pivot(index="triplet_id", columns="annotator", values="action")
    shared = table[table.notna().sum(axis=1) > 1]
    if shared.empty:
        empty_state(
            "No triplet has several annotators yet",
            hint="Set a share under Queue, Guidelines and sharing: every annotator then decides those triplets.",
            icon=":material/group:",
        )
        return
    alpha = krippendorff_alpha([row.dropna().tolist() for _, row in shared.iterrows()])
    disputed = len(workspace.store.annotations.disputed(list(scope.attempt_ids)))
    first, second, third, fourth = st.columns(4)
    first.metric("Decided by several", count(len(shared)))
    between = pairs(shared)
    kappa = between["Cohen's kappa"].iat[0] if len(between) == 1 else "see below"
    second.metric("Cohen's kappa", kappa, help="For two annotators: 1 is full agreement, 0 is chance.")
    third.metric("Krippendorff's alpha", three_decimals(alpha), help="1 is full agreement, 0 is chance.")
    fourth.metric("Disputed", count(disputed), help="Settle them in the queue under Disputed.")
    st.dataframe(between, hide_index=True, alt="Agreement of annotators", placeholder="–")
    st.caption(f"Over {counted(len(table.columns), 'annotator')}; labels are accept, reject, swap and edit.")


def pairs(shared: pd.DataFrame) -> pd.DataFrame:
    """Return for each pair of annotators the triplets both decided, the share they agree on, and Cohen's kappa."""
    rows = []
    for first, second in combinations(shared.columns, 2):
        both = shared[[first, second]].dropna()
        if not both.empty:
            kappa = cohen_kappa(both[first].tolist(), both[second].tolist())
            same = float((both[first] == both[second]).mean())
            rows.append(
                {
                    "Annotators": f"{first} and {second}",
                    "Triplets": len(both),
                    "Agree on": f"{same:.0%}",
                    "Cohen's kappa": three_decimals(kappa),
                }
            )
    return pd.DataFrame(rows)


def three_decimals(value: float) -> str:
    """Return a dash for NaN."""
    return "–" if value != value else f"{value:.3f}"
