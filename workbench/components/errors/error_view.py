"""Worst pairs of a task: slices, residuals and one pair explained; and two encoders on the same slices."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.analysis.selection import lengths, set_apart, word_features
from workbench import state, theme
from workbench.actions.analysis import start_explain
from workbench.components import elements
from workbench.components.elements import (
    EVALUATE,
    changes_marked,
    count,
    empty_state,
    errors_shown,
    for_chart,
    plain,
    words,
)
from workbench.components.encoder_comparison import GONE, add_pairs, encoder_change, load_pairs, pairs_path
from workbench.components.errors.slice_actions import slice_actions
from workbench.components.job_progress import is_live
from workbench.components.selection_view import what_sets_apart
from workbench.components.slice_view import ALL, chosen_score, slice_picker, slice_summary, task_slices
from workbench.components.triplet_card import WRAPPED_ROW
from workbench.results import TaskSlices, linked_pairs
from workbench.store.files import PairSlices
from workbench.workspace import Workspace

_POLL_S = 0.5
_MOST_LABELS = 40
_WORST = 100
_LIST_PX, _SENTENCE_PX = 440, 330
_DIRECTIONS = {"both": "Both directions", "high": "Rated too close", "low": "Rated too far"}


def pairs_view(workspace: Workspace, scores: pd.DataFrame, encoder_id: str, task: str, name: str) -> None:
    """Draw slices, the residuals of the chosen one, a pair of it, and the actions on the slice."""
    job_id = job_of(scores, encoder_id, task)
    pairs = load_pairs(workspace, job_id, task)
    if pairs is None:
        st.warning(GONE)
        return
    path = pairs_path(workspace, job_id, task)
    found = task_slices(str(path), path.stat().st_mtime, pairs, tuple(PairSlices(workspace.root).list(task)))
    left, right = st.columns([3, 2], gap="large")
    with left:
        chosen = slice_picker(found)
    inside = pairs_of(found, chosen, pairs)
    with right:
        slice_summary(chosen_score(found, chosen), len(pairs))
        marked = residual_picture(inside, name=f"{job_id}_{task}_{chosen}")
    if len(marked) < len(pairs):
        if st.toggle("What sets this selection apart", key="errors_apart", persist_state="session"):
            features = text_features(str(path), path.stat().st_mtime, pairs)
            features |= {title: members for title, members in found.members.items() if title != chosen}
            selected = pairs.index.isin(marked.index)
            what_sets_apart(set_apart(selected, features, groups=linked_pairs(pairs)), key="errors")
    bar = st.container(key="action_bar")  # app.css keeps it in sight
    listed, row = worst_list(marked, is_area=len(marked) < len(inside))
    with bar:
        if len(listed):
            slice_actions(workspace, listed, origin=f"Errors: {task}, {chosen}, {name}", title=chosen, task=task)
    if row is not None:
        pair_view(workspace, row, encoder_id=encoder_id, pairs_path=str(path))


@st.cache_data(max_entries=4, show_spinner="Comparing words …")
def text_features(path: str, modified: float, _pairs: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return what a pair may be told apart by: its words, its lengths, gold score and cosine."""
    del path, modified
    texts = (_pairs["sentence1"] + " " + _pairs["sentence2"]).tolist()
    first, second = (lengths(_pairs[name].tolist()) for name in ("sentence1", "sentence2"))
    numbers = {"number of words": first + second, "difference in length": np.abs(first - second)}
    numbers |= {"gold score": _pairs["gold"].to_numpy(), "cosine": _pairs["predicted"].to_numpy()}
    return numbers | word_features(texts)


def change_view(
    workspace: Workspace, scores: pd.DataFrame, encoder_id: str, task: str, titles: dict[str, str]
) -> None:
    """Draw what changes from a second encoder to the chosen one, on the task and on a slice."""
    others = [key for key in scores[scores["task"] == task]["encoder_id"].unique() if key != encoder_id]
    if not others:
        empty_state(
            "Only one encoder has scores on this task",
            hint="With a second one, this view shows what changes between the two, slice by slice and pair by pair.",
            icon=":material/compare_arrows:",
            page=EVALUATE,
            action="Evaluate another encoder",
        )
        return
    left, right = st.columns(2)
    with left:
        other = str(state.pick("Compared with", others, name=state.BASELINE, names=titles))
    jobs = [job_of(scores, key, task) for key in (other, encoder_id)]
    before, after = (load_pairs(workspace, job, task) for job in jobs)
    if before is None or after is None:
        st.warning(GONE)
        return
    paths = [pairs_path(workspace, job, task) for job in jobs]
    stamps = [path.stat().st_mtime for path in paths]
    saved = tuple(PairSlices(workspace.root).list(task))
    found = task_slices(str(paths[1]), stamps[1], after, saved)
    with right:
        chosen = state.pick("Slice", [ALL, *found.members], name=state.SLICE)
    st.caption(plain(f"From {titles[other]} to {titles[encoder_id]}"))
    encoder_change(
        before,
        after,
        key=(str(paths[0]), stamps[0], str(paths[1]), stamps[1]),
        names=(titles[other], titles[encoder_id]),
        chosen=str(chosen),
        saved=saved,
    )


def job_of(scores: pd.DataFrame, encoder_id: str, task: str) -> str:
    """Return the job that made a score."""
    cell = scores[(scores["encoder_id"] == encoder_id) & (scores["task"] == task)]
    return str(cell["job_id"].iloc[0])


def pairs_of(found: TaskSlices, title: str, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of a slice by its title; all pairs for ALL."""
    return pairs[found.members[title]] if title in found.members else pairs


def pair_view(workspace: Workspace, row: pd.Series, *, encoder_id: str, pairs_path: str) -> None:
    """Draw both sentences, their numbers, and the explanation once requested."""
    first, second = str(row["sentence1"]), str(row["sentence2"])
    way = "closer" if row["error"] > 0 else "farther apart"
    with st.container(border=True):
        st.caption(
            f"Gold {row['gold']:.2f}, cosine {row['predicted']:.3f}: "
            f"the encoder ranks this pair {way} than people do."
        )
        left, right = st.columns(2)
        left.markdown(changes_marked(first, shared=words(second)))
        right.markdown(changes_marked(second, shared=words(first)))
        key = f"explained_{encoder_id}_{hash((first, second, pairs_path))}"
        if st.button("Explain this pair", icon=":material/account_tree:", key="explain_pair"):
            with errors_shown():
                started = start_explain(workspace, encoder=encoder_id, first=first, second=second, pairs=pairs_path)
                st.session_state[key] = started["job_id"]
        if key in st.session_state:
            _explanation(workspace, st.session_state[key])


def _explanation(workspace: Workspace, job_id: str) -> None:
    """Wait for the job without blocking the page, then draw its result."""
    path = workspace.jobs.output(job_id, "explained.json")
    if path.exists():
        _draw(elements.read_json(path))
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
    left, right = st.columns(2)
    with left:
        theme.draw(effect_figure(record), key="word_effects", alt="Effect of leaving out a word")
    with right:
        theme.draw(alignment_figure(record), key="alignment", alt="Cosine of each token pair")
    for side, (column, sentence) in enumerate(zip((left, right), ("first", "second"), strict=True)):
        with column:
            st.caption(f"Nearest to the {sentence} sentence in this task, by cosine")
            for item in record["neighbours"][side]:
                st.markdown(f"{item['cosine']:.3f} · {plain(item['text'])}")


def effect_figure(record: dict[str, Any]) -> theme.Figure:
    """Draw the cosine lost without each word; above zero, the word brings the sentences closer."""
    effects = record["effects"]
    figure = theme.chart(
        "What each word adds to the cosine",
        x="cosine with all words minus cosine without this one",
        y="",
        height=110 + 20 * len(effects),
    )
    labels = [f"{effect['side'] + 1}. {for_chart(effect['word'][:24])}" for effect in effects]
    values = [effect["effect"] for effect in effects]
    figure.add_bar(
        x=values,
        y=list(range(len(values))),
        orientation="h",
        marker={"color": [theme.HUMAN if value > 0 else theme.WARNING for value in values]},
        hovertemplate="%{x:+.3f}<extra></extra>",
    )
    figure.update_yaxes(tickvals=list(range(len(values))), ticktext=labels, autorange="reversed")
    return figure


def alignment_figure(record: dict[str, Any]) -> theme.Figure:
    """Draw the cosines of token pairs, first sentence down, second across."""
    down, across = record["tokens"]
    figure = theme.chart(
        "Tokens against tokens, stronger is closer",
        x="second sentence",
        y="first sentence",
        height=140 + 24 * len(down),
    )
    figure.add_heatmap(
        z=record["alignment"],
        colorscale=[[0, "rgba(10,127,194,0)"], [1, theme.HUMAN]],
        zmin=0,
        zmax=1,
        showscale=False,  # a scale would take a third of the column; the number is in the hover
        hovertemplate="cosine %{z:.3f}<extra></extra>",
    )
    for axis, tokens in ((figure.update_xaxes, across), (figure.update_yaxes, down)):
        shown = [for_chart(token) for token in tokens[:_MOST_LABELS]]
        axis(tickvals=list(range(len(shown))), ticktext=shown)
    figure.update_xaxes(tickangle=-60)
    figure.update_yaxes(autorange="reversed")
    return figure


def residual_figure(pairs: pd.DataFrame) -> theme.Figure:
    """Draw the signed rank error over the gold score; above zero, the encoder ranks the pair too close."""
    figure = theme.chart(
        "Rank error over gold score",
        x="gold score given by people",
        y="predicted minus gold rank, share of all pairs",
        height=420,
    )
    figure.add_hline(y=0, line={"color": theme.INK, "width": 1})
    add_pairs(figure, pairs, "error")
    figure.update_yaxes(range=[-1.02, 1.02])
    return figure


def worst(pairs: pd.DataFrame, direction: str, text: str) -> pd.DataFrame:
    """Return pairs by rank error in a direction (both, high, low), only those with the text in a sentence."""
    chosen = pairs
    if direction != "both":
        chosen = chosen[chosen["error"] > 0] if direction == "high" else chosen[chosen["error"] < 0]
    if text:
        found = [chosen[name].str.contains(text, case=False, regex=False) for name in ("sentence1", "sentence2")]
        chosen = chosen[found[0] | found[1]]
    return chosen.loc[chosen["error"].abs().sort_values(ascending=False, kind="stable").index]


def residual_picture(pairs: pd.DataFrame, *, name: str) -> pd.DataFrame:
    """Draw the residuals; return the pairs of the selected area, all without one.

    name: identifies the set of pairs, as a selection in one set means nothing in another.
    """
    drawn = theme.draw(
        residual_figure(pairs),
        key=f"residuals_{name}",
        on_select="rerun",
        selection_mode=("points", "box", "lasso"),
        alt="Rank error of every pair",
    )
    marked = [place for place in drawn.selection.point_indices if place < len(pairs)]
    return pairs.iloc[marked] if marked else pairs


def worst_list(pairs: pd.DataFrame, *, is_area: bool) -> tuple[pd.DataFrame, pd.Series | None]:
    """Draw the worst of these pairs; return all that match, worst first, and the chosen one."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        direction = st.segmented_control(
            "Direction",
            list(_DIRECTIONS),
            default="both",
            required=True,
            format_func=_DIRECTIONS.__getitem__,
            key="error_direction",
            wrap=True,
        )
        text = st.text_input("Text", key="error_text", placeholder="in either sentence", icon=":material/search:")
    rows = worst(pairs, str(direction), text.strip())
    where = "selected above" if is_area else "here; select an area above to see only its pairs"
    st.caption(f"The {count(min(_WORST, len(rows)))} largest errors of {count(len(rows))} pairs {where}.")
    shown = rows.head(_WORST)
    sentences: dict[str, Any] = {
        f"sentence{number}": st.column_config.TextColumn(f"Sentence {number}", width=_SENTENCE_PX)
        for number in (1, 2)
    }
    event = st.dataframe(
        shown[["error", "sentence1", "sentence2", "gold", "predicted", "subset"]],
        hide_index=True,
        key="worst_pairs",
        on_select="rerun",
        selection_mode="single-row",
        row_height=WRAPPED_ROW,
        height=_LIST_PX,
        alt="Pairs with the largest rank error",
        column_config={
            "error": st.column_config.NumberColumn("Rank error", format="%+.2f", width="small"),
            "gold": st.column_config.NumberColumn("Gold", format="%.2f", width="small"),
            "predicted": st.column_config.NumberColumn("Cosine", format="%.3f", width="small"),
            "subset": "Subset",
        }
        | sentences,
    )
    if shown.empty:
        return rows, None
    selected = event.selection.rows
    return rows, shown.iloc[selected[0] if selected and selected[0] < len(shown) else 0]
