"""Rows with several hard negatives, and with a judge's scores: what is read and learned, with nothing filled up."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.encoders import load_encoder
from pipeline.exchange import read_triplets
from pipeline.records import InputError, ScoredTriplet, Triplet
from pipeline.train_config import TrainConfig
from pipeline.training.batches import ChunkCollator, StepSampler, first_batch
from pipeline.training.guide import guide_table, unique_texts
from pipeline.training.loss_module import GuideMaskedLoss
from pipeline.training.losses import LossSettings
from pipeline.training.order import in_rows, judge_scores
from pipeline.training.run import train
from pipeline.training.trainer import StageThreeTrainer, check_machine, run_fingerprint
from tests.references import losses as reference

CONFIG = TrainConfig(encoder="folder", mask_rule="none", hard_negatives_per_row=3)


@pytest.fixture(scope="module")
def several(triplets):
    """The 28 triplets, every second of them with one more hard negative, and every fourth with two."""
    found = []
    for number, triplet in enumerate(triplets):
        found.append(triplet)
        more = [f"Nobody is there, {number}.", f"It was number {number}."][: 2 * (number % 4 == 0) or number % 2]
        found += [replace(triplet, hard_negative=text) for text in more]
    return found


@pytest.fixture(scope="module")
def tiny(tiny_static):
    return TrainConfig(encoder=str(tiny_static), steps=3, batch_size=8, mask_rule="none", learning_rate=0.02)


def test_columns_and_lists_of_a_file_become_rows(tmp_path):
    (tmp_path / "columns.csv").write_text(
        "anchor,positive,negative_1,negative_2,negative_3\nA,B,c1,c2,c3\nD,E,f1,f2,f3\n"
    )
    lines = [{"query": "A", "pos": ["B"], "neg": ["c1", "c2", "c3"]}, {"query": "D", "pos": ["E"], "neg": ["f1"]}]
    (tmp_path / "lists.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    read = {
        name: [[t.hard_negative for t in row] for row in in_rows(read_triplets(tmp_path / name).triplets, 3)]
        for name in ("columns.csv", "lists.jsonl")
    }
    assert read == {
        "columns.csv": [["c1", "c2", "c3"], ["f1", "f2", "f3"]],
        "lists.jsonl": [["c1", "c2", "c3"], ["f1"]],
    }


def test_a_row_is_full_at_its_number_and_another_positive_opens_another():
    data = [Triplet("a", "b", f"c{n}") for n in range(5)] + [Triplet("a", "d", "e")]
    assert [len(row) for row in in_rows(data, 2)] == [2, 2, 1, 1]
    assert [len(row) for row in in_rows(data, 1)] == [1] * 6
    texts, rows_nc = unique_texts(data, per_row=4)
    assert [[texts[n] if n >= 0 else None for n in row] for row in rows_nc.tolist()] == [
        ["a", "b", "c0", "c1", "c2", "c3"],
        ["a", "b", "c4", None, None, None],
        ["a", "d", "e", None, None, None],
    ]


def test_what_a_row_lacks_is_no_text_of_the_batch(several, tiny_bert):
    encoder = load_encoder(tiny_bert).eval()
    rows = in_rows(several, 3)
    sampler = StepSampler.of(several, CONFIG)
    assert sampler.rows == len(rows) == 28 < len(several)
    batch = ChunkCollator.of(encoder, several, CONFIG)([{"label": row} for row in (1, 0, 2)])
    features, labels = StageThreeTrainer.collect_features(None, batch)
    loss = GuideMaskedLoss(encoder, LossSettings(mask_rule="none"), None)
    picked = [rows[row] for row in labels.tolist()]
    texts = [row[0].premise for row in picked] + [row[0].positive for row in picked]
    texts += [triplet.hard_negative for row in picked for triplet in row]
    assert len(texts) == 3 + 3 + 2 + 3 + 1
    torch.testing.assert_close(
        loss.vectors(features).detach(), torch.tensor(encoder.encode(texts)), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("protect", [False, True])
def test_the_loss_of_a_batch_equals_the_double_loop_over_its_texts(several, tiny_bert, tiny_static, protect):
    encoder, static = load_encoder(tiny_bert).eval(), load_encoder(tiny_static)
    rows, picked = in_rows(several, 3), [0, 3, 4, 7, 8, 10]
    table = guide_table(several, static, per_row=3)
    settings = LossSettings(0.05, "phi", 0.8, protect)
    counts = torch.tensor([len(row) for row in rows])
    loss = GuideMaskedLoss(encoder, settings, table, hard_per_row=counts)
    batch = ChunkCollator.of(encoder, several, CONFIG)([{"label": row} for row in picked])
    value = loss(*StageThreeTrainer.collect_features(None, batch)).item()

    hard = [t.hard_negative for row in picked for t in rows[row]]
    owners = [place for place, row in enumerate(picked) for _ in rows[row]]
    anchors, positives = ([getattr(rows[row][0], side) for row in picked] for side in ("premise", "positive"))
    guide = np.array(static.similarity(static.encode(anchors), static.encode(positives + hard)))
    np.testing.assert_allclose(table.cosines(torch.tensor(picked)).numpy(), guide, atol=1e-5)
    fields = {"temperature": 0.05, "rule": "phi", "threshold": 0.8, "protect": protect, "owners": owners}
    vectors = [encoder.encode(texts).tolist() for texts in (anchors, positives, hard)]
    assert value == pytest.approx(reference.info_nce(*vectors, guide.tolist(), **fields), rel=1e-3)
    masked = [
        (k >= 6 and owners[k - 6] == i, reference.is_masked("phi", 0.8, protect, guide.tolist(), i, k, owners))
        for i in range(6)
        for k in range(6 + len(hard))
    ]
    report = loss.report()
    assert report.masked_own == pytest.approx(sum(m for own, m in masked if own) / len(hard))
    assert report.masked_share == pytest.approx(sum(m for _, m in masked) / (len(masked) - 6))
    assert protect or report.masked_own > 0, "the case must mask some own hard negatives where it may"


def test_the_first_batch_shows_all_hard_negatives_of_a_row(several, tiny_static):
    config = replace(CONFIG, mask_rule="phi", mask_threshold=0.8)
    table = guide_table(several, load_encoder(tiny_static), per_row=3)
    picked = [0, 1, 2]
    cosines = table.cosines(torch.tensor(picked)).numpy()
    described = first_batch(several, picked, config, cosines)
    assert [item["hard_negative"].count("\n") for item in described] == [2, 1, 0]
    owners = [0, 0, 0, 1, 1, 2]
    for place, item in enumerate(described):
        own = [cosines[place, 3 + k] for k, owner in enumerate(owners) if owner == place]
        assert item["cos_hard_negative"] == pytest.approx(max(own))
        assert item["own_masked"] == (max(own) > 0.8)
        assert item["nearest"] not in item["hard_negative"].split("\n") and item["nearest"] != item["positive"]


def test_rows_change_what_is_learned_and_one_hard_negative_each_does_not(several, triplets, tiny, tmp_path):
    def losses(data, per_row, name):
        events = []
        train(data, replace(tiny, hard_negatives_per_row=per_row), output_dir=tmp_path / name, on_event=events.append)
        return [event.loss for event in events]

    assert losses(triplets, 1, "one") == losses(triplets, 4, "up to four")
    assert losses(several, 1, "apart")[0] != losses(several, 3, "together")[0]
    with pytest.raises(InputError, match="for one process"):
        check_machine(replace(tiny, hard_negatives_per_row=2), "cpu", rows=28, processes=2)


def scored(triplets, *, lacking=()):
    return [
        ScoredTriplet(t.premise, t.positive, t.hard_negative, math.nan if n in lacking else n % 5, (n + 2) % 4)
        for n, t in enumerate(triplets)
    ]


def test_scores_stand_beside_their_texts(several):
    found = judge_scores(scored(several), 3)
    numbers = iter(range(len(several)))
    for row, texts in zip(found.tolist(), in_rows(several, 3), strict=True):
        own = [next(numbers) for _ in texts]
        assert row[: 1 + len(texts)] == [own[0] % 5, *((n + 2) % 4 for n in own)]
        assert all(map(math.isnan, row[1 + len(texts) :]))
    with pytest.raises(InputError, match="judge them, or"):
        judge_scores(several, 3)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_cosent_takes_its_share_over_the_pairs_that_a_judge_has_scored(several, tiny_bert, share):
    data = scored(several, lacking=(0, 5))
    encoder, rows, picked = load_encoder(tiny_bert).eval(), in_rows(data, 3), [0, 1, 2, 3, 4]
    batch = ChunkCollator.of(encoder, data, CONFIG)([{"label": row} for row in picked])
    features, labels = StageThreeTrainer.collect_features(None, batch)
    counts = torch.tensor([len(row) for row in rows])
    scores = torch.from_numpy(judge_scores(data, 3))
    values = {}
    for weight in (0.0, share):
        settings = LossSettings(0.05, "none", cosent_weight=weight)
        loss = GuideMaskedLoss(encoder, settings, None, hard_per_row=counts, scores_rc=scores)
        values[weight] = loss(features, labels).item()
    pairs = [(rows[row][0].premise, rows[row][0].positive, rows[row][0].positive_score) for row in picked]
    pairs += [(t.premise, t.hard_negative, t.hard_negative_score) for row in picked for t in rows[row]]
    pairs = [pair for pair in pairs if not math.isnan(pair[2])]
    assert len(pairs) < 5 + sum(len(rows[row]) for row in picked)
    vectors = [encoder.encode([pair[side] for pair in pairs]).tolist() for side in (0, 1)]
    expected = reference.cosent(*vectors, [pair[2] for pair in pairs], temperature=0.05)
    assert values[share] == pytest.approx((1 - share) * values[0.0] + share * expected, rel=1e-3)


def test_cosent_learns_the_judges_order(triplets, tiny, tmp_path):
    """A judge that finds the hard negatives nearer makes them nearer, whatever the sides are called."""
    swapped = [ScoredTriplet(t.premise, t.positive, t.hard_negative, 1.0, 4.0) for t in triplets]
    config = replace(tiny, steps=30, cosent_weight=1.0)
    encoder = load_encoder(train(swapped, config, output_dir=tmp_path).encoder_folder)
    premise, near, far = (
        encoder.encode([getattr(t, side) for t in triplets], normalize_embeddings=True)
        for side in ("premise", "hard_negative", "positive")
    )
    assert ((premise * near).sum(axis=1) > (premise * far).sum(axis=1)).mean() > 0.9


def test_scores_are_part_of_a_run_with_cosent_alone_and_are_asked_for(triplets, tiny, tmp_path):
    one, other = scored(triplets), scored(triplets, lacking=(3,))
    assert run_fingerprint(one, tiny) == run_fingerprint(other, tiny) == run_fingerprint(triplets, tiny)
    both = replace(tiny, cosent_weight=0.5)
    assert len({run_fingerprint(data, config) for data in (one, other) for config in (tiny, both)}) == 3
    with pytest.raises(InputError, match="these triplets have none"):
        train(triplets, both, output_dir=tmp_path)
    with pytest.raises(InputError, match="positives written"):
        TrainConfig(cosent_weight=0.5, positives="word_deletion")
