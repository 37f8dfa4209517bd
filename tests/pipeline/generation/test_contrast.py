"""The contrast against its formula written out, against classifier-free guidance, and as properties."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.generation.contrast import TokenChoice, pick
from pipeline.generation.token_choice import choose, contrast

ROWS, WORDS = 4, 17
logits = arrays(np.float32, (ROWS, WORDS), elements=st.floats(-20, 20, width=32))
omegas = st.floats(0, 0.95)


def log_softmax(row: list[float]) -> np.ndarray:
    values = np.array(row, dtype=np.float64)
    return values - values.max() - np.log(np.exp(values - values.max()).sum())


def formula(own: np.ndarray, opposite: np.ndarray, omega: float, plausibility: float) -> np.ndarray:
    """z = l - omega * l^ one row and one token at a time, as it is written in the paper."""
    z = np.full(own.shape, -np.inf)
    for row in range(len(own)):
        l_own, l_opposite = log_softmax(own[row]), log_softmax(opposite[row])
        for token in range(own.shape[1]):
            if np.exp(l_own[token]) >= plausibility * np.exp(l_own).max():
                z[row, token] = l_own[token] - omega * l_opposite[token]
    return z


def test_contrast_equals_the_formula_up_to_a_constant_per_row():
    rng = np.random.default_rng(0)
    own, opposite = rng.normal(0, 3, (2, 6, 40)).astype(np.float32)
    ours = contrast(own, opposite, omega=0.6, plausibility=0.1)
    expected = formula(own, opposite, 0.6, 0.1)
    assert 6 < np.isfinite(expected).sum() < expected.size, "the cut must leave some tokens and take some"
    np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(expected))
    for row, reference in zip(ours, expected, strict=True):
        kept = np.isfinite(reference)
        shift = row[kept] - reference[kept]
        np.testing.assert_allclose(shift, shift[0], atol=1e-4)


@given(own=logits, opposite=logits, omega=omegas)
def test_greedy_choice_scores_as_well_as_classifier_free_guidance(own, opposite, omega):
    """CFG with gamma = 1 / (1 - omega) has the same best token; near-ties are compared by score, not by index."""
    gamma = 1 / (1 - omega)
    chosen = choose(own, opposite, TokenChoice(omega=omega, plausibility=0.0))
    for row, token in enumerate(chosen):
        l_own, l_opposite = log_softmax(own[row]), log_softmax(opposite[row])
        guided = gamma * (l_own - l_opposite) + l_opposite
        assert guided[token] >= guided.max() - 1e-3 * gamma


@given(
    own=logits,
    opposite=logits,
    how=st.builds(
        TokenChoice,
        omega=omegas,
        plausibility=st.sampled_from([0.0, 0.01, 0.3]),
        temperature=st.sampled_from([0.0, 0.5, 1.3]),
        top_p=st.sampled_from([0.3, 0.9, 1.0]),
        min_p=st.sampled_from([0.0, 0.05]),
    ),
    draws=arrays(np.float64, ROWS, elements=st.floats(0, 1, exclude_max=True, width=32)),
)
def test_a_batch_chooses_what_each_row_alone_would_by_another_way(own, opposite, how, draws):
    """Rows sorted and cut one by one in numpy, which wrote the texts of earlier versions. A draw within rounding of
    the border of two tokens may fall on either."""
    z = contrast(own, opposite, omega=how.omega, plausibility=how.plausibility).numpy()
    for row, token in enumerate(choose(own, opposite, how, draws).tolist()):
        near = (draws[row] + np.array([0, -1e-12, 1e-12])).clip(0, 1 - 1e-16)
        assert token in {pick(z[row], how, draw) for draw in near}


@given(own=logits, opposite=logits, omega=omegas, plausibility=st.floats(0.001, 1))
def test_the_best_own_token_always_survives_the_cut(own, opposite, omega, plausibility):
    z = contrast(own, opposite, omega=omega, plausibility=plausibility)
    assert np.isfinite(z[np.arange(ROWS), own.argmax(axis=1)]).all()


@given(own=logits, opposite=logits)
def test_without_omega_the_opposite_prompt_has_no_say(own, opposite):
    plain = choose(own, None, TokenChoice(omega=0, plausibility=0))
    np.testing.assert_array_equal(plain, own.argmax(axis=1))
    np.testing.assert_array_equal(plain, choose(own, opposite, TokenChoice(omega=0, plausibility=0.1)))


def test_a_larger_omega_moves_away_from_what_the_opposite_prompt_likes():
    own = np.array([[2.0, 1.5, -9.0]], dtype=np.float32)
    opposite = np.array([[3.0, 0.0, -9.0]], dtype=np.float32)
    assert choose(own, opposite, TokenChoice(omega=0.0)).tolist() == [0]
    assert choose(own, opposite, TokenChoice(omega=0.6)).tolist() == [1]


def test_samples_follow_the_softmax_of_z_at_the_given_temperature():
    rng = np.random.default_rng(3)
    own, opposite = rng.normal(0, 1, (2, 1, 5)).astype(np.float32)
    how = TokenChoice(omega=0.5, plausibility=0.0, temperature=0.7)
    z = formula(own, opposite, 0.5, 0.0)[0] / 0.7
    expected = np.exp(z) / np.exp(z).sum()
    # Draws on an even grid make the counts exact up to the grid, whatever the order of the tokens.
    draws = (np.arange(4000) + 0.5) / 4000
    tokens = choose(np.repeat(own, 4000, 0), np.repeat(opposite, 4000, 0), how, draws)
    np.testing.assert_allclose(np.bincount(tokens, minlength=5) / 4000, expected, atol=1 / 1000)


@pytest.mark.parametrize(("top_p", "kept"), [(0.4, {0}), (0.5, {0}), (0.6, {0, 1}), (0.8, {0, 1}), (1.0, {0, 1, 2})])
def test_top_p_keeps_the_smallest_set_of_best_tokens_that_reaches_it(top_p, kept):
    z = np.log(np.array([0.5, 0.3, 0.2], dtype=np.float64)).astype(np.float32)
    how = TokenChoice(temperature=1.0, top_p=top_p)
    assert {pick(z, how, draw) for draw in np.linspace(0, 0.999, 200)} == kept


@pytest.mark.parametrize(("min_p", "kept"), [(0, {0, 1, 2}), (0.3, {0, 1, 2}), (0.5, {0, 1}), (0.7, {0}), (1, {0})])
def test_min_p_keeps_the_tokens_with_this_share_of_the_best_ones_mass(min_p, kept):
    z = np.log(np.array([0.5, 0.3, 0.2], dtype=np.float64)).astype(np.float32)  # shares 1, 0.6 and 0.4
    how = TokenChoice(temperature=1.0, min_p=min_p)
    assert {pick(z, how, draw) for draw in np.linspace(0, 0.999, 200)} == kept
    flat = TokenChoice(temperature=3.0, min_p=0.7)  # measured after the temperature: 0.4 ** (1/3) = 0.74
    assert {pick(z, flat, draw) for draw in np.linspace(0, 0.999, 200)} == {0, 1, 2}


def test_what_cannot_be_chosen_is_refused():
    row = np.zeros((1, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="opposite"):
        contrast(row, None, omega=0.5)
    with pytest.raises(ValueError, match="below 1"):
        choose(row, row, TokenChoice(omega=1.0))
    with pytest.raises(ValueError, match="draw"):
        choose(row, row, TokenChoice(temperature=1.0))


@pytest.mark.parametrize("plausibility", [0.0, 0.1])
def test_damping_is_what_dino_does(plausibility: float) -> None:
    """Self-debiasing: probabilities times max(exp(-decay * max(0, p^ - p)), 0.01), written as its authors do."""
    rng = np.random.default_rng(0)
    own, opposite = (rng.normal(0, 3, (40, 50)).astype(np.float32) for _ in range(2))
    p, q = (np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True) for rows in (own, opposite))
    masked = p * np.maximum(np.exp(-100 * np.maximum(q - p, 0)), 0.01)
    masked[p < plausibility * p.max(axis=1, keepdims=True)] = 0
    how = TokenChoice(omega=0.5, plausibility=plausibility, damping=100)
    wanted = masked.argmax(axis=1)
    np.testing.assert_array_equal(choose(own, opposite, how), wanted)
    assert (wanted != p.argmax(axis=1)).any() and (
        wanted != choose(own, opposite, replace(how, damping=0)).numpy()
    ).any()
    drawn = choose(
        own[:1].repeat(4000, 0), opposite[:1].repeat(4000, 0), replace(how, temperature=1.0), np.arange(4000) / 4000
    )
    np.testing.assert_allclose(np.bincount(drawn, minlength=50) / 4000, masked[0] / masked[0].sum(), atol=1e-3)
