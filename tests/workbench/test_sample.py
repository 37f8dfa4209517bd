"""The shipped sample corpus: what the file holds, and that opening it needs no LLM and adds up."""

import pandas as pd

from pipeline.generation.outcomes import outcome_of
from pipeline.records import Side
from workbench.actions.data import JUDGE, open_sample
from workbench.paths import SAMPLE_CORPUS
from workbench.workspace import Workspace


def test_the_file_is_small_and_every_premise_has_a_triplet_at_each_omega():
    frame = pd.read_parquet(SAMPLE_CORPUS)
    assert SAMPLE_CORPUS.stat().st_size < 4_000_000
    counts = frame.groupby("omega")["premise"].nunique()
    assert counts.index.tolist() == [0.0, 0.6]
    assert counts.min() == counts.max() >= 3_000
    assert frame.groupby(["omega", "premise"]).size().max() == 1
    ok = frame[(frame["positive_outcome"] == "ok") & (frame["hard_negative_outcome"] == "ok")]
    assert (frame["a"].notna() & ~frame.index.isin(ok.index)).sum() == 0, "only ok triplets are judged"
    for row in ok.sample(20, random_state=0).itertuples():
        assert outcome_of(row.positive, row.premise, Side.POSITIVE) == "ok"


def test_opening_it_gives_corpus_attempts_and_scores_that_add_up_and_twice_is_once(own_workspace):
    frame = pd.read_parquet(SAMPLE_CORPUS)
    with Workspace(own_workspace) as workspace:
        made = open_sample(workspace)
        assert open_sample(workspace) == made
        overview = workspace.store.overview()
        attempts = workspace.store.triplets.attempts()
        assert overview["corpora"] == 1 and overview["premises"] == made["premises"] == frame["premise"].nunique()
        assert overview["triplets"] == len(frame)
        assert overview["judgements"] == frame["a"].notna().sum()
        assert set(attempts["attempt_id"]) == set(made["attempt_ids"])
        assert sorted(attempts["omega"]) == [0.0, 0.6]
        assert workspace.store.judgements.judges(made["attempt_ids"]) == [JUDGE]
        for omega, attempt_id in zip((0.0, 0.6), made["attempt_ids"], strict=True):
            counted = workspace.store.triplets.outcome_counts(attempt_id)
            part = frame[frame["omega"] == omega]
            for side in Side:
                expected = part[f"{side}_outcome"].value_counts().to_dict()
                assert counted[counted["side"] == side].set_index("outcome")["count"].to_dict() == expected
