"""The judges view: curves by version, a judge worse than chance says so, and a fit starts from the form."""

import numpy as np
from streamlit.testing.v1 import AppTest

from pipeline.curation.calibration import Calibration, fit_calibration
from tests.pages.conftest import Draw, texts
from tests.pages.filled import JUDGE
from workbench.actions.curation import save_guidelines
from workbench.actions.decisions import decide
from workbench.components.curate.judges_view import curve_figure
from workbench.components.curate.rule_view import judge_options
from workbench.jobs.kinds import CalibrateSpec
from workbench.workspace import Workspace

DIGIT = "digit:smollm2-135m"


def planted(workspace: Workspace, attempt: str, judge_id: str, sign: float) -> Calibration:
    """A calibration on made-up pairs, and scores made with it."""
    random = np.random.default_rng(0)
    gold = random.uniform(0, 5, 200)
    raw = sign * gold + random.normal(0, 1, 200)
    made = fit_calibration(judge_id, raw, gold, fitted_on="made up", seed=0)
    rows = [{"triplet_id": f"{attempt}-{n:02d}", "judge_id": judge_id, "calibration": made.version, "source": "z",
             "a_raw": 3.0, "b_raw": 1.0, "a": 4.0, "b": 1.0} for n in range(10)]  # fmt: skip
    line = {
        "table": "calibrations",
        "calibration": made.to_json(),
        "points": [[1.0, 2.0]],
        "created_at": "2026-01-01",
    }
    with workspace.store.database.write() as cursor:
        workspace.store.judgements.insert(cursor, rows)
        workspace.store.calibrations.insert(cursor, [line])
    return made


def warnings(app: AppTest) -> str:
    assert [error.message for error in app.exception] == []
    return " ".join(warning.value for warning in app.warning)


def test_a_judge_worse_than_chance_says_so_where_it_is_used(
    draw: Draw, workspace: Workspace, filled: dict[str, str]
) -> None:
    planted(workspace, filled["attempt"], JUDGE, 1.0)
    planted(workspace, filled["attempt"], DIGIT, -1.0)
    assert "worse than chance" in warnings(draw("curate", view="Judges"))
    assert "worse than chance" in warnings(draw("curate", view="Rule", judge=DIGIT))
    assert "worse than chance" not in warnings(draw("curate", view="Rule", judge=JUDGE))


def test_curve_versions_and_form(draw: Draw, workspace: Workspace, filled: dict[str, str]) -> None:
    made = planted(workspace, filled["attempt"], JUDGE, 1.0)
    app = draw("curate", view="Judges", judge=JUDGE)
    assert warnings(app) == ""
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures["Spearman x 100"] == f"{made.spearman * 100:.2f}"
    assert figures["Mean absolute error"] == f"{made.mean_absolute_error:.2f}"
    assert made.version in app.selectbox(key=f"calibration_{JUDGE}").value
    assert app.button(key="calibrate_start").disabled, "without a folder there is nothing to fit on"
    [source] = [control for control in app.segmented_control if control.key == "calibrate_on"]
    app = source.set_value("People's decisions").run()
    assert "Swapped: the reverse" in texts(app)
    app.button(key="calibrate_start").click().run()
    assert [job.spec.judges for job in workspace.jobs.of(CalibrateSpec)] == [(JUDGE,)]


def test_the_curve_is_the_calibration() -> None:
    made = Calibration(JUDGE, "v", (0.0, 1.0), (1.0, 4.0), 0.5, 0.6, "made up", 80, 20)
    figure = curve_figure(made, [(0.5, 3.0)], "Guide")
    assert list(figure.data[0].x) == [0.5] and list(figure.data[1].y) == [1.0, 4.0]
    assert len(curve_figure(made, [], "Guide").data) == 1


def test_every_judge_that_can_be_asked_is_offered(workspace: Workspace) -> None:
    options = judge_options(workspace)
    assert {JUDGE, DIGIT, "entailment:smollm2-135m", "likelihood:smollm2-135m"} <= set(options)
    assert len(options) == len(set(options))


def test_people_get_the_uncertain_triplet_and_the_rest_goes_on(
    draw: Draw, workspace: Workspace, filled: dict[str, str]
) -> None:
    """By a >= 3, b <= 3 and a >= b + 0.1 number 6 of the ok ones lies on the border (a = 3), and 7 to 9 inside it."""
    app = draw("curate", view="Rule", rule="3,3,0.1")
    assert app.button(key="gate_review").label == "Review 1 uncertain triplet"
    app.button(key="freeze_approved").click().run()
    frozen = workspace.store.snapshots.list()[0]
    assert [one[-2:] for one in workspace.store.snapshots.rows(frozen.snapshot_id)["triplet_id"]] == [
        "07",
        "08",
        "09",
    ]
    assert frozen.details["reasons"]["not reviewed"] == 1
    app.button(key="gate_review").click().run()
    assert "Premise number 6 waits" in plain_texts(app)
    app.button(key="queue_accept").click().run()
    assert [error.message for error in app.exception] == []
    assert "All decided" in texts(app)


def test_a_judge_is_set_against_people_and_becomes_the_default(
    draw: Draw, workspace: Workspace, filled: dict[str, str]
) -> None:
    planted(workspace, filled["attempt"], DIGIT, 1.0)  # the rule keeps all ten by it
    ids = [f"{filled['attempt']}-{n:02d}" for n in range(6)]
    decide(workspace, triplet_ids=ids[:2], action="accept", annotator="me")
    decide(workspace, triplet_ids=ids[2:], action="reject", annotator="me")
    app = draw("curate", view="Judges")
    [table] = [frame.value for frame in app.dataframe if "Tau" in frame.value]
    rows = table.set_index("Judge")
    assert rows["Decided"].tolist() == [6, 6]
    assert rows.loc["Digit (smollm2-135m)", "Error"].startswith("67%"), "four rejected ones are kept by the rule"
    save_guidelines(workspace, judge=JUDGE)
    assert app.run().selectbox(key="pick_judge").value == DIGIT, "what is shown stays"
    assert draw("curate").selectbox(key="pick_judge").value == JUDGE


def plain_texts(app: AppTest) -> str:
    return texts(app).replace("\\", "")
