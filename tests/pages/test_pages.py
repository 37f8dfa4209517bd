"""Every page by itself: on an empty workspace, on a filled one, by the entry script."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import PAGES, Draw, texts
from tests.pages.filled import JUDGE, TASKS, TRICKY, TRIPLETS
from workbench.paths import ENTRY_PAGE
from workbench.workspace import Workspace


def assert_healthy(app: AppTest) -> None:
    assert [error.message for error in app.exception] == []
    assert [error.value for error in app.error] == []


@pytest.mark.parametrize("page", PAGES)
def test_page_alone_on_an_empty_workspace(draw: Draw, page: str) -> None:
    app = draw(page)
    assert_healthy(app)
    assert [title.value for title in app.title] == [PAGES[page]]
    offers = len(app.main.button) + len(app.main.get("page_link"))
    assert offers >= 1, "an empty page offers the next step"


@pytest.mark.parametrize("page", PAGES)
def test_page_alone_on_a_filled_workspace(draw: Draw, filled: dict[str, str], page: str) -> None:
    app = draw(page, **({"training": "Runs"} if page == "train" else {}))
    assert_healthy(app)
    assert [title.value for title in app.title] == [PAGES[page]]
    assert len(app.get("plotly_chart")) + len(app.dataframe) >= 1, "a filled page shows data"


@pytest.mark.parametrize("page", list(PAGES)[1:])
def test_page_through_the_entry_script(workspace: Workspace, filled: dict[str, str], page: str) -> None:
    app = AppTest.from_file(str(ENTRY_PAGE), default_timeout=30).run()
    assert app.title[0].value == "Home"
    app.switch_page(f"pages/{page}.py").run()
    assert_healthy(app)
    assert app.title[0].value == PAGES[page]


@pytest.mark.parametrize("view", ["Queue", "List", "Snapshots"])
def test_views_of_curate_open_by_address(draw: Draw, filled: dict[str, str], view: str) -> None:
    app = draw("curate", view=view)
    assert_healthy(app)
    assert app.segmented_control[0].value == view


def test_unknown_ids_in_the_address_fall_back(draw: Draw, filled: dict[str, str]) -> None:
    for page in PAGES:
        app = draw(
            page, attempt="gone", judge="gone", run="gone", encoder="gone", task="gone", map="gone", triplet="x"
        )
        assert_healthy(app)


def test_home_counts_what_the_workspace_holds(draw: Draw, filled: dict[str, str]) -> None:
    figures = {metric.label: metric.value for metric in draw("home").metric}
    assert figures["Premises"] == str(TRIPLETS)
    assert figures["Triplets"] == str(TRIPLETS)
    assert figures["Curated"] == "8"
    assert figures["Runs"] == "1"
    best = sum(TASKS.values()) / len(TASKS) * 100
    assert figures["Best encoder"] == f"{best:.2f}"


def test_sample_premises_are_one_click(draw: Draw, workspace: Workspace) -> None:
    app = draw("home")
    app.button[0].click().run()
    assert_healthy(app)
    assert workspace.store.overview()["premises"] >= 300
    assert "Premises" in {metric.label for metric in app.metric}


def test_rule_view_counts_as_the_rule_says(draw: Draw, filled: dict[str, str]) -> None:
    app = draw("curate", judge=JUDGE)
    pairs = [(min(5.0, 0.5 * i), max(0.0, 5 - 0.5 * i)) for i in range(TRIPLETS)]

    def expected(alpha: float, beta: float, gamma: float) -> str:
        return str(sum(a >= alpha and b <= beta and a >= b + gamma for a, b in pairs))

    assert app.metric[0].value == expected(0, 4.5, -1)
    app.slider(key="rule_alpha").set_value(4.5).run()
    assert_healthy(app)
    assert app.metric[0].value == expected(4.5, 4.5, -1) != expected(0, 4.5, -1)


def test_a_moved_rule_outlives_the_view_with_its_sliders(draw: Draw, filled: dict[str, str]) -> None:
    app = draw("curate", judge=JUDGE)
    app.slider(key="rule_alpha").set_value(4.5).run()
    kept = app.metric[0].value
    for view in ("Queue", "Rule"):
        app.segmented_control(key="tabs_view").set_value(view).run()
        assert_healthy(app)
        assert app.session_state["rule_alpha"] == 4.5
    assert app.slider(key="rule_alpha").value == 4.5 and app.metric[0].value == kept


def test_a_premise_with_markup_is_shown_as_text(draw: Draw, filled: dict[str, str]) -> None:
    app = draw("curate", view="Queue")
    shown = texts(app)
    assert TRICKY not in shown, "raw text would be parsed as Markdown"
    assert r"\<b\>bold\<\/b\>" in shown


def test_generation_estimate_names_the_measured_rate(draw: Draw, filled: dict[str, str]) -> None:
    assert "2.0 premises per second" in texts(draw("generate"))


def test_missing_score_is_a_dash_and_no_zero(draw: Draw, filled: dict[str, str]) -> None:
    table = draw("evaluate").dataframe[0].value
    untrained = table.loc["static-minilm"]
    assert untrained["STSB-test"] == pytest.approx(60.0)
    assert untrained[["SICKR-test", "Mean"]].isna().all(), "a mean over fewer tasks is not comparable"
    assert untrained["Tasks"] == 1
