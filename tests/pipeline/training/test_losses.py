"""The loss against double loops in float64, gradients included, and its edges on purpose."""

import numpy as np
import pytest
import torch

from pipeline.train_config import TrainConfig
from pipeline.training.losses import (
    LossSettings,
    contrastive_loss,
    cosent_loss,
    false_negatives,
    mask_counts,
    released_loss,
)
from tests.references import losses as reference

RULES = ("none", "phi", "gist_absolute", "gist_relative", "released")
THRESHOLD = {"none": 0.0, "phi": 0.3, "gist_absolute": 0.1, "gist_relative": 0.2, "released": 0.3}


def batch(n, *, d=5, seed=0):
    generator = np.random.default_rng(seed)
    anchor, positive, negative = generator.normal(size=(3, n, d))
    guide = generator.uniform(-0.2, 1.0, size=(n, 2 * n))
    return anchor, positive, negative, guide


def reference_loss(vectors, guide, settings):
    arguments = {
        "temperature": settings.temperature,
        "threshold": settings.mask_threshold,
        "protect": settings.protect_own_hard_negative,
    }
    if settings.mask_rule == "released":
        return reference.released(*vectors, guide, **arguments)
    return reference.info_nce(*vectors, guide, rule=settings.mask_rule, **arguments)


def numeric_gradient(vectors, guide, settings, column, step=1e-5):
    gradient = np.zeros_like(vectors[column])
    for index in np.ndindex(gradient.shape):
        moved = []
        for sign in (1, -1):
            shifted = [v.copy() for v in vectors]
            shifted[column][index] += sign * step
            moved.append(reference_loss([v.tolist() for v in shifted], guide, settings))
        gradient[index] = (moved[0] - moved[1]) / (2 * step)
    return gradient


def torch_loss(vectors, guide, settings):
    tensors = [torch.tensor(v, dtype=torch.float32, requires_grad=True) for v in vectors]
    loss, mask, _ = contrastive_loss(*tensors, torch.tensor(guide, dtype=torch.float32), settings)
    loss.backward()
    return loss, mask, [t.grad.numpy() for t in tensors]


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("temperature", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("protect", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_equals_the_double_loop(rule, protect, temperature, n):
    *vectors, guide = batch(n, seed=n)
    settings = LossSettings(temperature, rule, THRESHOLD[rule], protect)
    expected = reference_loss([v.tolist() for v in vectors], guide.tolist(), settings)
    loss, mask, _ = torch_loss(vectors, guide, settings)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=2e-5, abs=1e-6)
    expected_mask = [
        [reference.is_masked(rule, THRESHOLD[rule], protect, guide.tolist(), i, k) for k in range(2 * n)]
        for i in range(n)
    ]
    assert mask.tolist() == expected_mask
    if n == 7 and rule != "none":
        assert 0 < mask.sum() < mask.numel() - n, "the case must mask some candidates and leave some"


@pytest.mark.parametrize("rule", RULES)
def test_gradients_equal_finite_differences_of_the_double_loop(rule):
    *vectors, guide = batch(4, d=3, seed=11)
    settings = LossSettings(0.1, rule, THRESHOLD[rule])
    _, _, gradients = torch_loss(vectors, guide, settings)
    for column, gradient in enumerate(gradients):
        expected = numeric_gradient(vectors, guide.tolist(), settings, column)
        assert np.abs(expected).max() > 1e-3, "an empty truth would prove nothing"
        np.testing.assert_allclose(gradient, expected, atol=2e-4, rtol=2e-3)


@pytest.mark.parametrize("rule", ["phi", "gist_absolute", "gist_relative"])
def test_everything_masked_leaves_the_own_positive_alone(rule):
    *vectors, guide = batch(3)
    guide[:] = 0.99
    guide[np.arange(3), np.arange(3)] = 0.5
    loss, mask, gradients = torch_loss(vectors, guide, LossSettings(0.05, rule, 0.1))
    assert mask.sum() == 3 * 6 - 3
    assert loss.item() == 0.0
    assert all(np.all(g == 0) for g in gradients)


def test_everything_masked_under_the_released_rule_counts_each_other_candidate_as_a_zero_logit():
    *vectors, guide = batch(3)
    guide[:] = 0.99
    settings = LossSettings(0.05, "released", 0.1)
    loss, mask, gradients = torch_loss(vectors, guide, settings)
    assert mask.sum() == 3 * 6 - 3
    assert loss.item() == pytest.approx(reference_loss([v.tolist() for v in vectors], guide.tolist(), settings))
    assert all(np.isfinite(g).all() for g in gradients) and np.abs(gradients[0]).max() > 0


@pytest.mark.parametrize("rule", RULES)
def test_one_premise_without_hard_negatives_has_nothing_to_learn_and_no_nan(rule):
    # A batch of one, positives from premises: the released form took the logarithm of an empty sum, whose gradient
    # is NaN, and one such step at the end of an epoch spoils every weight.
    a, p = (torch.randn(1, 4, generator=torch.Generator().manual_seed(k), requires_grad=True) for k in (0, 1))
    loss = contrastive_loss(a, p, None, torch.ones(1, 1), LossSettings(0.05, rule, THRESHOLD[rule])).loss
    loss.backward()
    assert loss.item() == 0
    assert all(torch.equal(x.grad, torch.zeros(1, 4)) for x in (a, p))


def test_own_hard_negative_is_masked_unless_protected():
    guide = torch.zeros(2, 4)
    guide[0, 2] = 0.9
    for protect, masked in ((False, 1), (True, 0)):
        settings = LossSettings(mask_rule="phi", mask_threshold=0.8, protect_own_hard_negative=protect)
        assert false_negatives(guide, settings, like=guide).sum() == masked


@pytest.mark.parametrize("temperature", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("n", [1, 2, 8, 64])
def test_released_form_survives_the_saturated_batches_that_gave_nan(n, temperature):
    # The published code computes 0 * log(1 - p): once p rounds to 1 in float32, loss and gradients become NaN.
    anchor = torch.nn.functional.one_hot(torch.arange(n), n + 1).float()
    vectors = [anchor.numpy(), anchor.numpy(), -anchor.numpy()]
    guide = np.zeros((n, 2 * n))
    settings = LossSettings(temperature, "released", 0.95)
    loss, _, gradients = torch_loss(vectors, guide, settings)
    expected = reference_loss([v.tolist() for v in vectors], guide.tolist(), settings)
    assert loss.item() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert all(np.isfinite(g).all() for g in gradients)
    p = torch.softmax(torch.cat([anchor @ anchor.T, -anchor @ anchor.T], dim=1) / temperature, dim=1)
    published = torch.nn.functional.one_hot(torch.arange(n), 2 * n)
    naive = published * p.log() + (1 - published) * torch.log(1 - p)
    if n == 2 and temperature == 0.05:
        assert naive.isnan().any(), "this batch must be one that breaks the published form"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_extreme_rows_stay_finite(rule, sign):
    anchor = torch.eye(4).numpy()
    guide = np.zeros((4, 8))
    loss, _, gradients = torch_loss([anchor, sign * anchor, anchor], guide, LossSettings(0.02, rule, 0.5))
    assert torch.isfinite(loss)
    assert all(np.isfinite(g).all() for g in gradients)


def test_zero_vector_of_an_empty_text_stays_finite():
    *vectors, guide = batch(3)
    vectors[1][0] = 0.0
    loss, _, gradients = torch_loss(vectors, guide, LossSettings(mask_rule="none"))
    assert torch.isfinite(loss)
    assert all(np.isfinite(g).all() for g in gradients)


def test_temperature_does_not_move_the_mask():
    # The published code compares cosine / temperature with phi * 20, so that at 0.1 it masked nothing.
    *_, guide = batch(7)
    masks = [
        false_negatives(torch.tensor(guide), LossSettings(t, "released", 0.5), like=torch.tensor(guide))
        for t in (0.02, 0.05, 0.1)
    ]
    assert masks[0].any()
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[0], masks[2])


def test_released_loss_equals_the_published_formula_where_that_is_finite():
    *vectors, guide = batch(6, seed=3)
    tensors = [torch.nn.functional.normalize(torch.tensor(v), dim=1) for v in vectors]
    logits = tensors[0] @ torch.cat(tensors[1:]).T / 0.1
    weight = (torch.tensor(guide) <= 0.5).double()
    weight[torch.arange(6), torch.arange(6)] = 1
    p = (logits * weight).softmax(dim=1)
    y = torch.nn.functional.one_hot(torch.arange(6), 12)
    published = -(y * p.log() + (1 - y) * (1 - p).log()).mean()
    assert released_loss(logits, weight == 0).item() == pytest.approx(published.item(), rel=1e-9)


def test_agrees_with_the_library_where_it_has_the_same_loss():
    from sentence_transformers.util import cos_sim

    *vectors, _ = batch(5, seed=5)
    a, p, n = (torch.tensor(v, dtype=torch.float32) for v in vectors)
    expected = torch.nn.functional.cross_entropy(cos_sim(a, torch.cat([p, n])) * 20, torch.arange(5))
    loss, _, info_nce = contrastive_loss(a, p, n, None, LossSettings(0.05, "none"))
    assert info_nce.item() == loss.item()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        (
            {"directions": "symmetric"},
            {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"},
        ),
        (
            {"directions": "all"},
            {"directions": ("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc")},
        ),
        ({"hardness": 5.0}, {"hardness_mode": "hard_negatives", "hardness_strength": 5.0}),
        ({"hard_negative_weight": 0.0}, {}),
    ],
)
def test_other_losses_are_the_librarys(fields, options):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    *vectors, _ = batch(6, seed=6)
    a, p, n = (torch.tensor(v, dtype=torch.float32, requires_grad=True) for v in vectors)
    library = MultipleNegativesRankingLoss(None, **options)
    texts = [a, p] if fields.get("hard_negative_weight") == 0 else [a, p, n]
    wanted = library.compute_loss_from_embeddings(texts, None)
    expected = torch.autograd.grad(wanted, texts)
    loss = contrastive_loss(a, p, n, None, LossSettings(0.05, "none", **fields)).loss
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    for found, gradient in zip(torch.autograd.grad(loss, texts), expected, strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        (
            {"directions": "all"},
            {"directions": ("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc")},
        ),
        ({"hardness": 5.0}, {"hardness_mode": "hard_negatives", "hardness_strength": 5.0}),
    ],
)
def test_three_hard_negatives_a_row_are_the_librarys(fields, options):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    generator = np.random.default_rng(9)
    texts = [torch.tensor(v, dtype=torch.float32, requires_grad=True) for v in generator.normal(size=(5, 6, 4))]
    wanted = MultipleNegativesRankingLoss(None, **options).compute_loss_from_embeddings(texts, None)
    expected = torch.autograd.grad(wanted, texts)
    owners = torch.arange(6).repeat(3)  # the library's order: the first of every row, then the second
    settings = LossSettings(0.05, "none", **fields)
    loss = contrastive_loss(texts[0], texts[1], torch.cat(texts[2:]), None, settings, owner_k=owners).loss
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    for found, gradient in zip(torch.autograd.grad(loss, texts), expected, strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("protect", [False, True])
@pytest.mark.parametrize("rule", RULES[:-1])
def test_rows_with_one_to_three_hard_negatives_equal_the_double_loop(rule, protect):
    owners = [0, 0, 0, 1, 2, 2, 3, 4, 4, 4]
    generator = np.random.default_rng(4)
    anchor, positive = generator.normal(size=(2, 5, 4))
    hard, guide = generator.normal(size=(10, 4)), generator.uniform(-0.2, 1.0, size=(5, 15))
    fields = {"temperature": 0.05, "threshold": THRESHOLD[rule], "protect": protect, "rule": rule, "owners": owners}
    expected = reference.info_nce(anchor.tolist(), positive.tolist(), hard.tolist(), guide.tolist(), **fields)
    settings = LossSettings(0.05, rule, THRESHOLD[rule], protect)
    tensors = [torch.tensor(v) for v in (anchor, positive, hard, guide)]
    loss, mask, _ = contrastive_loss(*tensors, settings, owner_k=torch.tensor(owners))
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    counts = mask_counts(mask, owner_k=torch.tensor(owners)).tolist()
    own = [mask[row, 5 + k].item() for k, row in enumerate(owners)]
    assert counts[2] == sum(own) and sum(counts) == mask.sum()
    if rule != "none":
        assert (counts[2] == 0) == protect, "the case must mask some own hard negatives where it may"


def test_cosent_equals_the_double_loop_with_ties():
    generator = np.random.default_rng(1)
    first, second = generator.normal(size=(2, 7, 3))
    scores = [4.0, 1.0, 1.0, 0.0, 5.0, 4.0, 2.5]
    expected = reference.cosent(first.tolist(), second.tolist(), scores, temperature=0.1)
    tensors = [torch.tensor(v, dtype=torch.float32) for v in (first, second, scores)]
    assert cosent_loss(*tensors, temperature=0.1).item() == pytest.approx(expected, rel=1e-5)
    alike = torch.full((7,), 3.0)
    assert cosent_loss(*tensors[:2], alike, temperature=0.1).item() == 0, "equal scores order nothing"
    assert cosent_loss(*(t[:0] for t in tensors), temperature=0.1).item() == 0


def test_a_hard_negative_that_weighs_two_counts_twice():
    *vectors, _ = batch(3, seed=6)
    a, p, n = (torch.tensor(v, dtype=torch.float32) for v in vectors)
    twice = contrastive_loss(a, p, torch.cat([n, n]), None, LossSettings(0.05, "none")).loss
    assert contrastive_loss(
        a, p, n, None, LossSettings(0.05, "none", hard_negative_weight=2.0)
    ).loss == pytest.approx(twice.item())


def test_the_students_own_scores_mask_what_it_puts_above_its_positive_by_a_margin():
    *vectors, _ = batch(7, seed=2)
    a, p, n = (torch.tensor(v, dtype=torch.float32, requires_grad=True) for v in vectors)
    found = contrastive_loss(a, p, n, None, LossSettings(0.05, "student", 0.1))
    candidates = [*vectors[1], *vectors[2]]
    cosines = [[reference.cosine(x, y) for y in candidates] for x in vectors[0]]
    expected = [[cosine > row[i] + 0.1 for cosine in row] for i, row in enumerate(cosines)]
    assert found.mask_nm.tolist() == expected and 0 < found.mask_nm.sum() < 70
    # Given in a guide's place, the same cosines mask the same and have the same gradient: none through the mask.
    same = contrastive_loss(a, p, n, torch.tensor(cosines), LossSettings(0.05, "gist_absolute", -0.1))
    assert found.loss.item() == pytest.approx(same.loss.item(), rel=1e-5)
    for one, other in zip(
        torch.autograd.grad(found.loss, [a, n]), torch.autograd.grad(same.loss, [a, n]), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_half_precision_vectors_give_a_float32_loss():
    *vectors, guide = batch(4)
    a, p, n = (torch.tensor(v, dtype=torch.bfloat16) for v in vectors)
    loss = contrastive_loss(a, p, n, torch.tensor(guide), LossSettings()).loss
    assert loss.dtype == torch.float32


def test_counts_by_kind_add_up():
    mask = torch.zeros(3, 6, dtype=torch.bool)
    mask[0, 1] = mask[0, 3] = mask[1, 3] = True  # another positive, the own hard negative, another hard negative
    mask[2, 4] = True  # the hard negative of the second row
    assert mask_counts(mask).tolist() == [1, 2, 1]
    # Two processes that share these rows count the same together.
    parts = [mask_counts(mask[rows], first_row=first) for rows, first in (([0, 1], 0), ([2], 2))]
    assert sum(parts).tolist() == [1, 2, 1]
    assert mask_counts(mask[:, :3], columns=1).tolist() == [1, 0, 0]


@pytest.mark.parametrize("temperature", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("rule", RULES)
def test_equals_the_double_loop_at_128_rows_with_its_slope_in_random_directions(rule, temperature):
    *vectors, guide = batch(128, d=6, seed=128)
    settings = LossSettings(temperature, rule, THRESHOLD[rule])
    loss, _, gradients = torch_loss(vectors, guide, settings)
    lists = guide.tolist()
    expected = reference_loss([v.tolist() for v in vectors], lists, settings)
    assert loss.item() == pytest.approx(expected, rel=2e-5)
    assert all(np.isfinite(g).all() for g in gradients)
    if temperature != 0.05:
        return  # the slopes take two more double loops
    generator = np.random.default_rng(5)
    directions = [generator.normal(size=v.shape) for v in vectors]
    step = 1e-5
    moved = [
        reference_loss(
            [(v + sign * step * d).tolist() for v, d in zip(vectors, directions, strict=True)], lists, settings
        )
        for sign in (1, -1)
    ]
    slope = (moved[0] - moved[1]) / (2 * step)
    assert abs(slope) > 1e-4, "an empty truth would prove nothing"
    assert sum((g * d).sum() for g, d in zip(gradients, directions, strict=True)) == pytest.approx(slope, rel=2e-3)


@pytest.mark.parametrize("rule", RULES)
def test_a_share_of_the_rows_has_its_own_rows_of_the_loss(rule):
    *vectors, guide = batch(6, seed=2)
    settings = LossSettings(0.05, rule, THRESHOLD[rule])
    a, p, n = (torch.tensor(v) for v in vectors)
    whole = contrastive_loss(a, p, n, torch.tensor(guide), settings)
    parts = [
        contrastive_loss(a[rows], p, n, torch.tensor(guide[rows]), settings, first_row=rows.start)
        for rows in (slice(0, 2), slice(2, 4), slice(4, 6))
    ]
    assert torch.stack([part.loss for part in parts]).mean().item() == pytest.approx(whole.loss.item(), rel=1e-5)
    assert torch.equal(torch.cat([part.mask_nm for part in parts]), whole.mask_nm)


def test_without_hard_negatives_it_is_simcse():
    a, p, *_ = (torch.tensor(v, dtype=torch.float32) for v in batch(5, seed=5))
    similarity = torch.nn.functional.cosine_similarity(a[:, None], p[None], dim=2) / 0.05
    expected = -(similarity.diagonal() - similarity.logsumexp(1)).mean()
    loss, mask, _ = contrastive_loss(a, p, None, None, LossSettings(0.05, "none"))
    assert mask.shape == (5, 5)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_info_nce_is_that_of_all_candidates_whatever_the_rule(rule):
    *vectors, guide = batch(4)
    settings = LossSettings(0.05, rule, THRESHOLD[rule])
    tensors = [torch.tensor(v) for v in vectors]
    expected = reference.info_nce(
        *(v.tolist() for v in vectors), guide.tolist(), temperature=0.05, rule="none", threshold=0
    )
    assert contrastive_loss(*tensors, torch.tensor(guide), settings).info_nce.item() == pytest.approx(
        expected, rel=1e-5
    )


def test_every_setting_of_the_loss_comes_from_the_config():
    config = TrainConfig(
        temperature=0.1, mask_rule="gist_relative", mask_threshold=0.2, protect_own_hard_negative=True
    )
    assert LossSettings.of(config) == LossSettings(0.1, "gist_relative", 0.2, True)
