"""What the sample corpus brings along: a study on it loads no LLM, and a setting of one's own is still worked on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.config import GenerationConfig
from pipeline.curation.calibration import read_calibrations
from pipeline.records import InputError
from pipeline.studies import data as study_data
from pipeline.studies.cache import StudyCache
from pipeline.studies.data import DataSource
from pipeline.studies.sample_results import JUDGE, RECIPE, SampleResults, read_sample
from pipeline.studies.spec_file import read_study

ASSETS = Path(__file__).parents[3] / "assets"
CORPUS = ASSETS / "sample_corpus.parquet"


@pytest.fixture
def no_model(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(study_data, "generated", refuse)
    monkeypatch.setattr(study_data, "judge_named", refuse)


@pytest.fixture(scope="module")
def frame():
    return pd.read_parquet(CORPUS)


def source(tmp_path, name):
    study = read_study(ASSETS / "studies" / f"{name}.yaml", sample=CORPUS)
    return study, DataSource(study, StudyCache(tmp_path / "cache", tmp_path / "vectors"), read_calibrations(ASSETS))


def test_the_stage_ablation_is_all_there_without_a_model(tmp_path, no_model, frame):
    study, data = source(tmp_path, "stages")
    whole = frame.dropna(subset=["a", "b"])
    for arm in study.arms:
        triplets = data.of(arm).triplets
        rows = whole[whole["omega"] == arm.generation.omega]
        if arm.curation is not None:
            rule = arm.curation.rule
            rows = rows[(rows["a"] >= rule.alpha) & (rows["b"] <= rule.beta) & (rows["a"] - rows["b"] >= rule.gamma)]
        found = {(t.premise, t.positive, t.hard_negative) for t in triplets}
        expected = set(rows[["premise", "positive", "hard_negative"]].itertuples(index=False, name=None))
        # A pair that both attempts wrote was judged twice, and the last digit may differ where a equals b.
        assert len(found ^ expected) <= 2 and len(found) == len(triplets) > 50, arm.name
    assert not (tmp_path / "cache").exists(), "nothing was made, so nothing is kept"


def test_the_scores_beside_the_triplets_are_those_of_the_shipped_calibration(frame):
    curve = next(curve for curve in read_calibrations(ASSETS) if curve.judge_id == JUDGE)
    rows = frame.dropna(subset=["a_raw", "b_raw"])
    assert set(rows["calibration"]) == {curve.version}
    for raw, score in (("a_raw", "a"), ("b_raw", "b")):
        np.testing.assert_allclose(curve.apply(rows[raw].to_numpy()), rows[score], atol=1e-6)


def test_only_settings_that_change_no_word_take_what_is_ready():
    sample = read_sample(CORPUS)
    assert len(sample.generated(RECIPE)) == len(sample.generated(replace(RECIPE, omega=0.0))) == 3147
    assert len(sample.generated(replace(RECIPE, batch_size=96, seed=5, token_budget=9))) == 3147
    for changed in (
        {"omega": 0.3},
        {"plausibility": 0.0},
        {"max_new_tokens": 20},
        {"prompt_set": "other"},
        {"llm": "other"},
        {"temperature": 0.7},
    ):
        assert sample.generated(replace(RECIPE, **changed)) == {}, changed
    assert sample.judged(JUDGE) and not sample.judged("guide:all-MiniLM-L6-v2")


def test_what_the_corpus_lacks_is_written(tmp_path, monkeypatch):
    asked = []

    def stop(premises, config, hub):
        asked.append((len(premises), config.omega))
        raise InputError("no LLM here")

    monkeypatch.setattr(study_data, "generated", stop)
    study, data = source(tmp_path, "stages")
    arm = replace(study.arms[0], generation=GenerationConfig(omega=0.3))
    with pytest.raises(InputError, match="no LLM here"):
        data.of(arm)
    assert asked == [(3147, 0.3)]


def test_a_list_of_premises_brings_nothing_along(tmp_path):
    study = read_study(ASSETS / "studies" / "stages.yaml", sample=ASSETS / "premises.txt")
    data = DataSource(study, StudyCache(tmp_path, tmp_path / "vectors"))
    assert data.premises() and data.sample() == SampleResults()
