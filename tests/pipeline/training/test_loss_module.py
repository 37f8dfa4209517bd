"""The loss around an encoder: cached gradients are those of the whole batch, dropout included."""

import pytest
import torch

from pipeline.encoders import load_encoder
from pipeline.train_config import TrainConfig
from pipeline.training.batches import ChunkCollator
from pipeline.training.guide import guide_table
from pipeline.training.loss_module import GuideMaskedLoss
from pipeline.training.losses import LossSettings
from pipeline.training.trainer import StageThreeTrainer

ROWS = 12


@pytest.fixture(scope="module")
def guide(triplets, tiny_static):
    return guide_table(triplets, load_encoder(tiny_static))


def step(folder, triplets, guide, *, size, cached, dropout, rule="phi", positives="written"):
    """One forward and backward pass: the loss, the report and every gradient."""
    encoder = load_encoder(folder, pooling="cls")
    encoder.train(dropout)
    config = TrainConfig(encoder="folder", mask_rule=rule, positives=positives, mini_batch_size=size)
    columns = 3 if positives == "written" else 2
    torch.manual_seed(3)
    loss = GuideMaskedLoss(
        encoder,
        LossSettings(mask_rule=rule, mask_threshold=0.5),
        guide if columns == 3 else None,
        columns=columns,
        head=True,
        cached=cached,
    )
    # A random encoder's vectors are nearly one vector: in float32 their gradients are mostly rounding.
    loss.double()
    batch = ChunkCollator.of(encoder, triplets, config)([{"label": row} for row in range(ROWS)])
    features, labels = StageThreeTrainer.collect_features(None, batch)
    torch.manual_seed(4)
    value = loss(features, labels)
    value.backward()
    gradients = {name: p.grad for name, p in loss.named_parameters() if p.grad is not None}
    assert len(gradients) > 20 and max(g.abs().max() for g in gradients.values()) > 1e-6
    return value.item(), loss.report(), gradients


@pytest.mark.parametrize(("rule", "size"), [("none", 1), ("phi", 5), ("gist_absolute", 36), ("released", 5)])
def test_cached_gradients_equal_those_of_the_batch_encoded_at_once(tiny_bert, triplets, guide, size, rule):
    whole = step(tiny_bert, triplets, guide, size=3 * ROWS, cached=False, dropout=False, rule=rule)
    cached = step(tiny_bert, triplets, guide, size=size, cached=True, dropout=False, rule=rule)
    assert cached[0] == pytest.approx(whole[0], rel=1e-12)
    assert cached[2].keys() == whole[2].keys()
    largest = max(gradient.abs().max().item() for gradient in whole[2].values())
    for name, gradient in whole[2].items():
        torch.testing.assert_close(cached[2][name], gradient, atol=1e-10 * largest, rtol=1e-9, msg=name)


def test_matryoshka_is_the_mean_over_shortened_vectors(tiny_static, triplets, guide):
    encoder = load_encoder(tiny_static)
    loss = GuideMaskedLoss(encoder, LossSettings(mask_threshold=0.5, matryoshka=True), guide)
    batch = ChunkCollator.of(encoder, triplets, TrainConfig())([{"label": row} for row in range(ROWS)])
    features, labels = StageThreeTrainer.collect_features(None, batch)
    value = loss(features, labels).item()
    parts = []
    for width in (16, 8, 4, 2):
        encoder.truncate_dim = width
        parts.append(GuideMaskedLoss(encoder, LossSettings(mask_threshold=0.5), guide)(features, labels).item())
    assert value == pytest.approx(sum(parts) / 4, rel=1e-5) != pytest.approx(parts[0], rel=1e-3)
    assert loss.report().loss == pytest.approx(value)


def test_cached_gradients_see_the_same_dropout_twice(tiny_bert, triplets, guide):
    plain = step(tiny_bert, triplets, guide, size=5, cached=False, dropout=True)
    cached = step(tiny_bert, triplets, guide, size=5, cached=True, dropout=True)
    other = step(tiny_bert, triplets, guide, size=5, cached=True, dropout=False)
    assert cached[0] == plain[0] != other[0]
    for name, gradient in plain[2].items():
        torch.testing.assert_close(cached[2][name], gradient, atol=1e-12, rtol=1e-9, msg=name)


def test_cached_batches_hold_one_chunk_of_activations(tiny_bert, triplets, guide):
    def saved(cached):
        """Bytes that autograd keeps for the backward pass."""
        encoder = load_encoder(tiny_bert).train()
        config = TrainConfig(encoder="folder", mask_rule="none", mini_batch_size=4)
        loss = GuideMaskedLoss(encoder, LossSettings(mask_rule="none"), None, cached=cached)
        batch = ChunkCollator.of(encoder, triplets, config)([{"label": row} for row in range(28)])
        features, labels = StageThreeTrainer.collect_features(None, batch)
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
            loss(features, labels)
        return sum(kept)

    assert saved(True) < 0.2 * saved(False)


def test_report_counts_shares_of_each_kind(tiny_bert, triplets, guide):
    _, report, _ = step(tiny_bert, triplets, guide, size=0, cached=False, dropout=False)
    cosines = guide.cosines(torch.arange(ROWS))
    masked = cosines > 0.5
    own = torch.eye(ROWS, dtype=torch.bool)
    assert report.masked_positives == pytest.approx(masked[:, :ROWS][~own].float().mean().item())
    assert report.masked_hard_negatives == pytest.approx(masked[:, ROWS:][~own].float().mean().item())
    assert report.masked_own == pytest.approx(masked[:, ROWS:][own].float().mean().item())
    total = masked.sum() - masked[:, :ROWS][own].sum()
    assert report.masked_share == pytest.approx(total.item() / (2 * ROWS * ROWS - ROWS))
    assert report.masked_own > 0 and report.masked_positives > 0


def test_two_views_differ_by_dropout_alone(tiny_bert, triplets, guide):
    quiet = step(tiny_bert, triplets, guide, size=0, cached=False, dropout=False, rule="none", positives="dropout")
    noisy = step(tiny_bert, triplets, guide, size=0, cached=False, dropout=True, rule="none", positives="dropout")
    assert quiet[0] != noisy[0]
    assert quiet[1].masked_own == quiet[1].masked_share == 0
