"""The mask preview against a loop over all pairs and against the loss's own mask."""

import numpy as np
import pytest
import torch

from pipeline.analysis.masks import KINDS, bin_of, phi_of_share, preview_mask, shares_above
from pipeline.training.losses import LossSettings, false_negatives

N, D = 40, 6


def unit(generator, n):
    vectors = generator.normal(size=(n, D)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def vectors():
    generator = np.random.default_rng(0)
    premise = unit(generator, N)
    positive = premise + 0.4 * unit(generator, N)
    positive /= np.linalg.norm(positive, axis=1, keepdims=True)
    return premise, positive, unit(generator, N)


@pytest.mark.parametrize("phi", [-0.2, 0.1, 0.5, 0.8])
def test_shares_are_those_the_loss_would_mask(vectors, phi):
    premise, positive, hard = vectors
    cosines = torch.from_numpy(np.concatenate([premise @ positive.T, premise @ hard.T], axis=1))
    mask = false_negatives(cosines, LossSettings(mask_threshold=phi), like=cosines).numpy()
    own = np.arange(N)
    loss_counts = (mask[:, :N].sum(), mask[:, N:].sum() - mask[own, N + own].sum(), mask[own, N + own].sum())
    found = preview_mask(premise, positive, hard, np.zeros(5), seed=0)
    pairs = (N * (N - 1), N * (N - 1), N)
    for kind, wanted, total in zip(KINDS, loss_counts, pairs, strict=True):
        assert found.counts[kind].sum() == total
        assert shares_above(found.counts[kind])[bin_of(phi)] * total == pytest.approx(wanted, abs=1e-9)


def test_a_sample_of_premises_is_near_the_whole(vectors):
    whole = preview_mask(*vectors, np.zeros(5), seed=0)
    part = preview_mask(*vectors, np.zeros(5), seed=0, most_premises=25)
    assert part.premises == 25
    assert part.counts[KINDS[0]].sum() == 25 * (N - 1)
    for kind in KINDS[:2]:
        assert np.abs(shares_above(part.counts[kind]) - shares_above(whole.counts[kind])).max() < 0.1


def test_examples_are_true_pairs_of_their_kind(vectors):
    premise, positive, hard = vectors
    found = preview_mask(*vectors, np.zeros(5), seed=0)
    assert {item["kind"] for item in found.examples} == set(KINDS)
    for item in found.examples:
        side = positive if item["kind"] == KINDS[0] else hard
        assert item["cosine"] == pytest.approx(float(premise[item["premise"]] @ side[item["candidate"]]), abs=1e-5)
        assert (item["premise"] == item["candidate"]) == (item["kind"] == KINDS[2])
    assert [item["cosine"] for item in found.examples] == sorted((i["cosine"] for i in found.examples), reverse=True)


def test_a_share_of_random_pairs_is_turned_into_phi(vectors):
    cosines = np.random.default_rng(1).uniform(-1, 1, 10_000)
    found = preview_mask(*vectors, cosines, seed=0)
    for share in (0.001, 0.01, 0.2):
        phi = phi_of_share(found.random_pairs, share)
        assert np.mean(cosines >= phi) <= share
        assert np.quantile(cosines, 1 - share) == pytest.approx(phi, abs=0.0011)
