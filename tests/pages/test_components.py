"""What components compute, against independent ways to compute it."""

import html
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.config import CurationRule
from workbench.components.curate.rule_view import at_border
from workbench.components.elements import ago, counted, duration, for_chart, percent, plain, spearman
from workbench.components.evaluate.leaderboard_view import COVERED, MEAN, marked, matrix_table
from workbench.components.generate.generation_runs import outcome_figure, shares_in_words


def test_border_lists_the_closest_and_what_binds_them() -> None:
    plane = pd.DataFrame({"triplet_id": list("wxyz"), "a": [3.1, 5.0, 2.8, 4.0], "b": [0.0, 0.0, 0.0, 3.05]})
    nearest = at_border(plane, CurationRule(3, 3, 0.1), 3)
    assert list(nearest["triplet_id"]) == ["z", "w", "y"]
    assert list(nearest["nearest"]) == ["β", "α", "α"]
    assert nearest["margin"].tolist() == pytest.approx([-0.05, 0.1, -0.2])


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "), min_size=1))
def test_escaped_text_is_one_paragraph_of_itself(text: str) -> None:
    words = " ".join(text.split())
    rendered = MarkdownIt("gfm-like", {"linkify": False}).render(plain(text))
    shown = rendered.replace("\u2060", "").strip()
    assert shown == (f"<p>{html.escape(words, quote=False)}</p>" if words else "").replace('"', "&quot;")


def test_words_that_streamlit_would_draw_are_split() -> None:
    assert ":material" not in plain(":material/home: :red[x]").replace("\\", "")
    assert "->" not in plain("a -> b").replace("\\", "")


def test_hover_text_is_escaped_and_broken() -> None:
    shown = for_chart("<a href='x'>click</a> " + "word " * 40)
    assert "<a" not in shown
    assert shown.count("<br>") >= 2


def scores() -> pd.DataFrame:
    rows = [("x", "STS12", 0.5), ("x", "STSB-test", 0.7), ("x", "own", 0.9), ("y", "STS12", 0.8), ("y", "own", 0.1)]
    return pd.DataFrame(rows, columns=["encoder_id", "task", "spearman"])


def test_matrix_keeps_missing_missing() -> None:
    table = matrix_table(scores())
    assert list(table.columns) == [MEAN, COVERED, "STS12", "STSB-test", "own"]
    assert table.loc["x", MEAN] == pytest.approx(60), "the own task is no part of the mean"
    assert np.isnan(table.loc["y", MEAN]), "a mean over other tasks is not comparable"
    assert table[COVERED].to_dict() == {"x": 3, "y": 2}
    assert np.isnan(table.loc["y", "STSB-test"])


def test_matrix_marks_the_best_of_each_column_only_where_there_is_a_choice() -> None:
    style = marked(matrix_table(scores()))
    style._compute()
    marks = {(row, column) for (row, column), css in style.ctx.items() if css}
    # (row, column): STS12 is led by y, own by x; STSB-test and the mean over two tasks have one candidate each.
    assert marks == {(1, 2), (0, 4)}


def test_outcome_bars_add_up() -> None:
    counts = pd.DataFrame(
        [("positive", "ok", 7), ("positive", "copy", 3), ("hard_negative", "ok", 4), ("hard_negative", "failed", 6)],
        columns=["side", "outcome", "count"],
    )
    bars = outcome_figure(counts).data
    assert [sum(bar.x[side] for bar in bars) for side in (0, 1)] == [10, 10]
    assert shares_in_words(counts) == "Positive: 70% ok; Hard negative: 40% ok"


def test_wording() -> None:
    assert duration(59.6) == "1 min"
    assert duration(7384) == "2 h 3 min"
    assert counted(1, "corpus", "corpora") == "1 corpus"
    assert counted(1234, "corpus", "corpora") == "1,234 corpora"
    assert percent(1, 0) == "–"
    assert spearman(0.82034) == "82.03"
    assert spearman(float("nan")) == "–"
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert ago(now - timedelta(minutes=3, seconds=20), now=now) == "3 min ago"
    assert ago("2026-01-01T00:00:00", now=now) == "1 day ago"
