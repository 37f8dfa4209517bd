import numpy as np
import pytest

from pipeline.curation import judges
from pipeline.curation.calibration import default_calibration
from pipeline.curation.judges import GuideJudge
from pipeline.encoders import load_encoder
from pipeline.evaluation.sts import read_task
from pipeline.statistics import spearman
from tests.pipeline.curation.test_calibration import ASSETS

PAIRS = [("A dog runs.", "A dog is running."), ("A dog runs.", "Tax law is dull."), ("A dog runs.", "A dog runs.")]


@pytest.fixture(scope="module")
def judge():
    return GuideJudge(load_encoder("all-MiniLM-L6-v2"))


def test_scores_are_cosines_in_the_order_of_the_pairs(judge):
    scores = judge.scores(PAIRS)
    expected = [float(judge.encoder.similarity(*judge.encoder.encode(list(pair))[:, None])) for pair in PAIRS]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert scores.dtype == np.float64
    assert judge.judge_id == "guide:all-MiniLM-L6-v2"


def test_chunks_change_no_score(judge, monkeypatch):
    whole = judge.scores(PAIRS)
    monkeypatch.setattr(judges, "_CHUNK_PAIRS", 2)
    np.testing.assert_allclose(judge.scores(PAIRS), whole, atol=1e-6)


def test_no_pairs(judge):
    assert judge.scores([]).shape == (0,)


def test_shipped_calibration_brings_real_pairs_near_gold(judge, shared_data):
    # Fitted on the dev pairs; these are training pairs of the same benchmark, unseen by the fit.
    task = read_task("STSB-train", shared_data / "sts" / "STSB-train.tsv")
    rows = np.random.default_rng(0).permutation(len(task))[:400]
    raw = judge.scores([(task.sentence1[row], task.sentence2[row]) for row in rows])
    calibration = default_calibration(judge.judge_id, ASSETS)
    scores = calibration.apply(raw)
    assert np.mean(np.abs(scores - task.gold[rows])) < 0.85
    assert spearman(scores, task.gold[rows]) > 0.75
