"""The Train page: the form against the command line it prints, the outlook, the queue, the comparison."""

import json
import math
import shlex
from dataclasses import asdict, replace

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pipeline.records import InputError
from pipeline.settings import from_fields
from pipeline.train_config import TRAIN_PRESETS, TrainConfig
from tests.pages.conftest import Draw, texts
from tests.pages.filled import finished_job
from workbench.cli.main import settings
from workbench.cli.parser import build_parser
from workbench.components.train.run_details import card_body, differing
from workbench.components.train.run_list import masked_words, unique_titles
from workbench.components.train.train_curves import dev_figure, not_finite
from workbench.components.train.train_settings import read_settings, settings_file, train_command
from workbench.jobs.folder import JobFolder, Status
from workbench.jobs.kinds import TrainSpec
from workbench.workspace import Workspace


def healthy(app: AppTest) -> AppTest:
    assert [error.message for error in app.exception] == []
    return app


def parsed(command: str) -> tuple[TrainConfig, dict]:
    """What the command line makes of a printed command."""
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:4] == ["python", "-m", "workbench", "train"]
    options = build_parser().parse_args(words[3:])
    return from_fields(TrainConfig, settings(options)), vars(options)


@pytest.mark.parametrize("preset", TRAIN_PRESETS)
def test_the_printed_command_gives_the_settings_of_the_form(preset: str) -> None:
    config = TRAIN_PRESETS[preset]
    fields = {name: getattr(config, name) for name in TrainConfig.__dataclass_fields__}
    fields |= {"steps": 77, "learning_rate": 3e-5, "protect_own_hard_negative": True}
    wanted = from_fields(TrainConfig, fields)
    command = train_command(fields, snapshot="it's mine; $HOME", sts_dir="/a b", hold_out=True)
    made, options = parsed(command)
    assert made == wanted
    assert options["snapshot"] == "it's mine; $HOME"
    assert str(options["sts_dir"]) == "/a b"
    assert options["hold_out"] is True


def test_the_form_says_what_a_start_leads_to(draw: Draw, filled: dict[str, str]) -> None:
    app = healthy(draw("train"))
    app.number_input(key="train_0_steps").set_value(30)
    app.number_input(key="train_0_batch_size").set_value(4).run()
    facts = healthy(app).table[0].value.iloc[:, 0]
    assert facts["Steps"].startswith("30 of 4 triplets, 15.0 passes")  # 8 rows in the snapshot
    assert facts["Negatives"].startswith("up to 7 per premise, 4 of them")
    assert facts["Dev score"].startswith("not available")
    command = app.code[0].value
    made, _ = parsed(command)
    assert (made.steps, made.batch_size, made.mask_rule, made.mask_threshold) == (30, 4, "phi", 0.9)
    assert json.loads(app.code[1].value)["steps"] == 30


def test_a_preset_decides_its_fields_and_leaves_the_others(draw: Draw, filled: dict[str, str]) -> None:
    app = healthy(draw("train"))
    app.number_input(key="train_0_steps").set_value(31).run()
    pills = next(group for group in app.get("button_group") if group.label == "Preset")
    pills.set_value("no mask").run()
    made, _ = parsed(healthy(app).code[0].value)
    assert (made.mask_rule, made.steps) == ("none", 31)
    assert not any("φ" in slider.label for slider in app.slider)


def test_a_finished_run_says_where_its_time_went(draw: Draw, workspace: Workspace, filled: dict[str, str]) -> None:
    run_id = "20260105-000000-000-train-aaaa"
    step = {"table": "train_steps", "run_id": run_id, "step": 1, "steps": 1, "loss": 1.0, "triplets_per_s": 10.0}
    finished_job(workspace, run_id, "train", [step], total=1, settings={"config": {"batch_size": 4}})
    workspace.wait(run_id, timeout_s=20)
    cost = {"prepare_s": 6.0, "steps_s": 1.0, "dev_s": 8.0, "dev_scores": 4, "evaluate_s": 3.0}
    out = workspace.root / "jobs" / run_id / "out"
    out.mkdir(exist_ok=True)
    (out / "cost.json").write_text(json.dumps(cost))
    app = draw("train", training="Runs", run=run_id)
    assert "8.0 s for 4 dev scores (89% of steps and dev scores)" in texts(healthy(app))


def test_settings_copied_from_a_run_fill_the_form(draw: Draw, filled: dict[str, str]) -> None:
    app = healthy(draw("train"))
    wanted = TrainConfig(steps=37, batch_size=9000, temperature=0.0005, mask_threshold=0.975, learning_rate=3.0)
    app.text_area(key="train_paste").set_value(settings_file(asdict(wanted)))
    app.button(key="train_paste_use").click().run()
    made, _ = parsed(healthy(app).code[0].value)
    assert made == wanted
    app.text_area(key="train_paste").set_value("stepps: 3")
    app.button(key="train_paste_use").click().run()
    told = healthy(app).error[0].value.replace("\\", "")
    assert "has no setting stepps; it has encoder" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "are empty"),
        ("{", "neither JSON nor YAML"),
        ("steps: 1\nsteps: 2", "written twice"),
        ("- steps", "must be a block of settings"),
        ("steps: many", "steps must be a whole number, got 'many'"),
        ("steps: true", "steps must be a whole number"),
        ("temperature: 0", "temperature must be above 0"),
        ("mask_rule: all", "must be one of none, phi"),
        ("x" * 30_000, "longer than 20,000"),
        ("[" * 9_000, "neither JSON nor YAML"),
    ],
)
def test_pasted_text_that_is_no_settings_is_one_sentence(text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read_settings(text)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_pasted_yaml_and_the_train_block_of_a_study_are_settings_too() -> None:
    for text in ("temperature: 1\nsteps: 4", "train: {temperature: 1, steps: 4}", '{"temperature": 1, "steps": 4}'):
        assert read_settings(text) == asdict(TrainConfig(temperature=1.0, steps=4))


def test_a_run_opens_by_address_and_shows_where_its_loss_broke(
    draw: Draw, workspace: Workspace, filled: dict[str, str]
) -> None:
    run_id = "20260102-000000-000-train-ffff"
    rows = [
        {
            "table": "train_steps",
            "run_id": run_id,
            "step": step,
            "steps": 6,
            "loss": math.nan if step >= 4 else 1.0 / step,
            "masked_share": 0.0,
            "triplets_per_s": 10.0,
            "learning_rate": 1.0,
        }
        for step in range(1, 7)
    ]
    finished_job(workspace, run_id, "train", rows, total=6, settings={"config": {"encoder": "x", "steps": 6}})
    workspace.wait(run_id, timeout_s=20)
    app = healthy(draw("train", training="Runs", run=run_id))
    assert "NaN or infinite in 3 recorded steps, first in step 4" in app.error[0].value
    assert "Start the run again" in app.error[0].value, "a run that is over cannot be cancelled"
    assert {metric.label: metric.value for metric in app.metric}["Final loss"] == "not a number"
    compared = healthy(draw("train", training="Compare"))
    listed = next(frame.value for frame in compared.dataframe if "state" in frame.value)
    assert list(listed["state"]) == ["finished, loss NaN", "finished"]
    assert list(not_finite(workspace.store.runs.curve(run_id))["step"]) == [4, 5, 6]


def test_a_run_that_failed_before_its_first_step_says_so_and_can_be_set_up_again(
    draw: Draw, workspace: Workspace, filled: dict[str, str]
) -> None:
    run_id = "20260102-000000-000-train-dddd"
    folder = finished_job(workspace, run_id, "train", [], total=6, settings={"config": {"encoder": "x", "steps": 6}})
    folder.write_status(Status("failed", 0, 6, message="There is no encoder 'x'."))
    app = healthy(draw("train", training="Runs", run=run_id))
    assert "The run ended before its first step." in texts(app)
    app.button(key="run_again").click().run()
    assert json.loads(healthy(app).code[1].value)["encoder"] == "x"


def test_runs_of_one_title_are_told_apart_by_the_time_they_began_and_by_a_number() -> None:
    moments = pd.to_datetime(["2026-11-25 09:08:21", "2026-11-25 09:08:50", "2026-11-25 09:08:50", None])
    first, second, third, alone = unique_titles(pd.DataFrame({"title": ["a", "a", "a", "b"], "created_at": moments}))
    assert first.startswith("a · ") and first.endswith(":21") and second.endswith(":50") and alone == "b"
    assert third == f"{second} (2)"


def test_of_two_snapshots_of_one_name_the_chosen_one_is_taken(
    draw: Draw, workspace: Workspace, filled: dict[str, str]
) -> None:
    rows = workspace.store.snapshots.rows(filled["snapshot"])
    workspace.store.snapshots.create("first", ["x"], None, None, rows)
    app = healthy(draw("train"))
    for snapshot in workspace.store.snapshots.list():
        app.selectbox(key="pick_snapshot").set_value(snapshot.snapshot_id).run()
        assert healthy(app).selectbox(key="pick_snapshot").value == snapshot.snapshot_id


def test_a_finished_run_says_what_it_masked_by_kind_of_candidate() -> None:
    curve = pd.DataFrame({"masked_share": [0.1, 0.3], "masked_own": [0.4, 0.2], "masked_positives": 0.0})
    told = masked_words(curve.assign(masked_hard_negatives=0.001))
    assert told == (
        "Masked: 30.00% of the premises' own hard negatives, 0.00% of the other positives, 0.10% of the other hard "
        "negatives."
    )
    assert masked_words(curve.assign(masked_share=0.0, masked_hard_negatives=0.0)) == ""


def test_a_run_shows_the_warnings_of_its_log(draw: Draw, workspace: Workspace, filled: dict[str, str]) -> None:
    run_id = "20260102-000000-000-train-cccc"
    step = {"table": "train_steps", "run_id": run_id, "steps": 3, "loss": 1.0, "triplets_per_s": 10.0}
    rows = [step | {"step": number, "masked_share": share} for number, share in ((1, 0.2), (2, 0.95), (3, 0.9))]
    settings = {"config": {"encoder": "x", "steps": 3, "batch_size": 64}}
    folder = finished_job(workspace, run_id, "train", rows, total=3, settings=settings)
    workspace.wait(run_id, timeout_s=20)
    folder.write_status(replace(folder.status(), details={"smaller_batches": 2}))
    app = healthy(draw("train", training="Runs", run=run_id))
    assert (
        "90% or more of the candidates were masked in 2 steps, first in step 2, at most 95.0%" in app.warning[0].value
    )
    assert "2 of 3 batches had fewer than 64 triplets" in texts(app)
    assert not healthy(draw("train", training="Runs", run=filled["run"])).warning


def test_a_flat_dev_score_is_drawn_within_what_a_share_can_be() -> None:
    figure = dev_figure(pd.DataFrame({"step": [1, 2], "dev_score": [0.0, 0.0]}), "held-out triplets")
    assert tuple(figure.layout.yaxis.range) == (0.0, 1.0)


def test_a_long_curve_is_thinned_but_keeps_what_matters(workspace: Workspace) -> None:
    run_id = "20260102-000000-000-train-eeee"
    rows = [
        {
            "table": "train_steps",
            "run_id": run_id,
            "step": step,
            "steps": 1000,
            "loss": math.inf if step == 777 else 1.0,
            "dev_score": 0.5 if step == 501 else None,
        }
        for step in range(1, 1001)
    ]
    finished_job(workspace, run_id, "train", rows, total=1000)
    workspace.wait(run_id, timeout_s=20)
    curve = workspace.store.runs.curve(run_id, most=100)
    assert 90 <= len(curve) <= 103
    assert {501, 777, 1000} <= set(curve["step"])
    assert len(workspace.store.runs.curve(run_id)) == 1000


def test_waiting_runs_are_moved_on_the_page(draw: Draw, workspace: Workspace, filled: dict[str, str]) -> None:
    running = "20260103-000000-000-train-0000"
    folder = finished_job(workspace, running, "train", [], total=10)
    with JobFolder(folder.path).held() as is_mine:  # as a live worker would: the two below must wait
        assert is_mine
        folder.write_status(Status("running", 1, 10))
        first, second = (
            workspace.jobs.submit(TrainSpec(TrainConfig(steps=5), name, "snapshot"), title=f"run {name}")
            for name in "ab"
        )
        app = healthy(draw("train", training="Runs"))
        assert workspace.jobs.waiting(TrainSpec(TrainConfig(), "", "")) == [first, second]
        app.button(key=f"queue_Up_{second}").click().run()
        assert workspace.jobs.waiting(TrainSpec(TrainConfig(), "", "")) == [second, first]
        app.button(key=f"queue_Remove_{first}").click().run()
        assert workspace.jobs.get(first).state == "cancelled"
        workspace.jobs.cancel(second)
        folder.write_status(Status("finished", 10, 10))


def test_the_comparison_shows_only_what_differs() -> None:
    table = differing({"a": {"steps": 5, "seed": 0, "phi": 0.8}, "b": {"steps": 5, "seed": 1, "phi": 0.8, "new": 1}})
    assert table.to_dict("index") == {"seed": {"a": "0", "b": "1"}, "new": {"a": "–", "b": "1"}}


def test_two_runs_are_compared_from_the_list(draw: Draw, workspace: Workspace, filled: dict[str, str]) -> None:
    run_id = "20260102-000000-000-train-dddd"
    rows = [{"table": "train_steps", "run_id": run_id, "step": 1, "steps": 1, "loss": 1.0, "dev_score": 0.4}]
    finished_job(workspace, run_id, "train", rows, total=1, settings={"config": {"seed": 7}})
    workspace.wait(run_id, timeout_s=20)
    app = healthy(draw("train", training="Compare", runs=f"{run_id},{filled['run']},gone"))
    assert "2 runs compared" in texts(app)
    tables = [frame.value for frame in app.dataframe]
    assert any(isinstance(t, pd.DataFrame) and "seed" in t.index for t in tables)


def test_a_model_card_is_shown_without_head_comments_and_pictures() -> None:
    card = "---\ntags: [a]\n---\n# Title\n<!-- scores -->\nnone\n<!-- scores -->\n![x](http://127.0.0.1/x.png)\n"
    assert card_body(card) == "# Title\nnone\n!\\[x](http://127.0.0.1/x.png)\n"
