"""One sentence pair: what the encoder says, which words hold it together, which tokens match, what lies near."""

import json
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench import theme
from workbench.actions.errors import start_explain
from workbench.components.job_progress import is_live
from workbench.components.notice import errors_shown
from workbench.components.text import changes_marked, for_chart, plain, words
from workbench.workspace import Workspace

_POLL_S = 0.5
_MOST_LABELS = 40


def pair_view(workspace: Workspace, row: pd.Series, *, encoder_id: str, pairs_path: str) -> None:
    """Draw both sentences, the numbers, and the explanation once it was asked for."""
    first, second = str(row["sentence1"]), str(row["sentence2"])
    way = "closer" if row["error"] > 0 else "farther apart"
    with st.container(border=True):
        st.caption(
            f"Gold {row['gold']:.2f}, cosine {row['predicted']:.3f}: "
            f"the encoder ranks this pair {way} than people do."
        )
        st.markdown(changes_marked(first, shared=words(second)))
        st.markdown(changes_marked(second, shared=words(first)))
        key = f"explained_{encoder_id}_{hash((first, second, pairs_path))}"
        if st.button("Explain this pair", icon=":material/account_tree:", key="explain_pair", width="stretch"):
            with errors_shown():
                started = start_explain(workspace, encoder=encoder_id, first=first, second=second, pairs=pairs_path)
                st.session_state[key] = started["job_id"]
        if key in st.session_state:
            _explanation(workspace, st.session_state[key])


def _explanation(workspace: Workspace, job_id: str) -> None:
    """Look after the job without holding up the page, then draw what it found."""
    path = workspace.jobs.output(job_id, "explained.json")
    if path.exists():
        _draw(json.loads(path.read_bytes()))
        return

    def look() -> None:
        job = workspace.jobs.get(job_id)
        if is_live(job):
            st.caption("Encoding the pair and its parts …")
        elif path.exists():
            st.rerun()
        else:
            st.error(plain(job.message or "The explanation was stopped."), icon=":material/error:")

    st.fragment(look, run_every=_POLL_S)()


def _draw(record: dict[str, Any]) -> None:
    st.plotly_chart(
        effect_figure(record), key="word_effects", config=theme.MODEBAR, alt="Effect of leaving out a word"
    )
    st.plotly_chart(alignment_figure(record), key="alignment", config=theme.MODEBAR, alt="Cosine of each token pair")
    for side, sentence in enumerate(("first", "second")):
        near = record["neighbours"][side]
        st.caption(f"Nearest to the {sentence} sentence in this task, by cosine")
        for item in near:
            st.markdown(f"{item['cosine']:.3f} · {plain(item['text'])}")


def effect_figure(record: dict[str, Any]) -> go.Figure:
    """Cosine lost without each word: above zero the word holds the pair together."""
    effects = record["effects"]
    figure = theme.chart(
        "What each word adds to the cosine",
        x="cosine with all words less cosine without this one",
        y="",
        height=110 + 20 * len(effects),
    )
    labels = [f"{effect['side'] + 1}. {for_chart(effect['word'][:24])}" for effect in effects]
    values = [effect["effect"] for effect in effects]
    figure.add_trace(
        go.Bar(
            x=values,
            y=list(range(len(values))),
            orientation="h",
            marker={"color": [theme.HUMAN if value > 0 else theme.WARNING for value in values]},
            hovertemplate="%{x:+.3f}<extra></extra>",
        )
    )
    figure.update_yaxes(tickvals=list(range(len(values))), ticktext=labels, autorange="reversed")
    return figure


def alignment_figure(record: dict[str, Any]) -> go.Figure:
    """Heat map of token cosines, first sentence downwards, second across."""
    down, across = record["tokens"]
    figure = theme.chart(
        "Tokens against tokens, stronger is closer",
        x="second sentence",
        y="first sentence",
        height=140 + 24 * len(down),
    )
    figure.add_trace(
        go.Heatmap(
            z=record["alignment"],
            colorscale=[[0, "rgba(10,127,194,0)"], [1, theme.HUMAN]],
            zmin=0,
            zmax=1,
            showscale=False,  # a scale would take a third of the column; the number is in the hover
            hovertemplate="cosine %{z:.3f}<extra></extra>",
        )
    )
    for axis, tokens in ((figure.update_xaxes, across), (figure.update_yaxes, down)):
        shown = [for_chart(token) for token in tokens[:_MOST_LABELS]]
        axis(tickvals=list(range(len(shown))), ticktext=shown)
    figure.update_xaxes(tickangle=-60)
    figure.update_yaxes(autorange="reversed")
    return figure
