"""Alerts of a run: each kind from a planted curve, and on every page while the run is new."""

import numpy as np
import pandas as pd
import pytest

from pipeline.durable import write_json
from tests.pages.conftest import Draw
from workbench.components.train.run_alerts import alerts
from workbench.components.train.train_curves import dev_figure
from workbench.workspace import Workspace


def curve(**columns: list[float]) -> pd.DataFrame:
    sound = {"step": [1, 2, 3, 4], "loss": [1.0] * 4, "masked_share": [0.1] * 4, "dev_score": [0.5, 0.6, 0.7, 0.8]}
    return pd.DataFrame(sound | columns)


@pytest.mark.parametrize(
    ("columns", "baseline", "title"),
    [
        ({"loss": [1.0, np.nan, np.inf, 1.0]}, None, "Loss NaN at step 2"),
        ({"masked_share": [0.1, 0.995, 0.2, 0.99]}, None, "100% masked"),
        ({}, 0.8, "No progress"),
    ],
)
def test_each_kind_is_found_by_itself(columns, baseline, title):
    assert [alert.title for alert in alerts(curve(**columns), baseline)] == [title]
    assert alerts(curve(), 0.79) == [], "a run above the untrained encoder is sound"


def test_a_run_is_shown_beside_the_untrained_encoder(draw: Draw, workspace: Workspace, filled) -> None:
    write_json(workspace.jobs.output(filled["run"], "baseline.json"), {"name": "dev", "score": 0.65})
    app = draw("train", training="Runs")
    assert not app.exception
    [best] = [metric for metric in app.metric if metric.label == "Best dev score x 100"]
    assert best.delta == "+5.00 over the untrained encoder"
    figure = dev_figure(pd.DataFrame({"step": [10, 20], "dev_score": [0.6, 0.7]}), "dev", baseline=0.65)
    assert any(list(trace.x) == [0, 10, 20] and trace.y[0] == pytest.approx(65) for trace in figure.data)
