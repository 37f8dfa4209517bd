import numpy as np
import pytest
import torch

from pipeline.encoders import load_encoder
from pipeline.records import Triplet
from pipeline.training.guide import guide_table, phi_for_share
from pipeline.vectors import corpus_vectors


@pytest.fixture(scope="module")
def minilm():
    return load_encoder("all-MiniLM-L6-v2")


@pytest.fixture
def encode_calls(minilm, monkeypatch):
    """Texts the guide was asked to encode."""
    seen = []
    encode = minilm.encode
    monkeypatch.setattr(minilm, "encode", lambda texts, **options: seen.extend(texts) or encode(texts, **options))
    return seen


def test_cosines_equal_scikit_learn(minilm, triplets):
    from sklearn.metrics.pairwise import cosine_similarity

    table = guide_table(triplets, minilm)
    rows = [4, 0, 11]
    picked = [triplets[row] for row in rows]
    expected = cosine_similarity(
        minilm.encode([t.premise for t in picked]),
        minilm.encode([t.positive for t in picked] + [t.hard_negative for t in picked]),
    )
    np.testing.assert_allclose(table.cosines(torch.tensor(rows)).numpy(), expected, atol=1e-5)


def test_each_text_is_embedded_once_and_then_read_from_the_cache(minilm, encode_calls, tmp_path):
    twice = [Triplet("One text.", "Another text.", "One text."), Triplet("One text.", "Third.", "Another text.")]
    first = guide_table(twice, minilm, cache=tmp_path)
    assert sorted(encode_calls) == ["Another text.", "One text.", "Third."]
    encode_calls.clear()
    second = guide_table(twice, minilm, cache=tmp_path)
    assert encode_calls == []
    assert torch.equal(first.unit_ud, second.unit_ud)
    assert first.rows_nc.tolist() == [[0, 1, 0], [0, 2, 1]]


def test_vectors_keep_the_order_of_texts_of_any_length(minilm):
    texts = ["A much longer sentence about nothing in particular at all.", "Short.", "A middling sentence."]
    together = corpus_vectors(texts, minilm, cache=None)(texts)
    one_by_one = np.stack([minilm.encode(text) for text in texts])
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)


def test_phi_as_a_share_of_random_pairs():
    unit = np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    every = (unit @ unit.T)[~np.eye(400, dtype=bool)]
    phi = phi_for_share(unit, 0.01, seed=1)
    assert phi == pytest.approx(np.quantile(every, 0.99), abs=0.02)
    with pytest.raises(ValueError, match="between 0 and 1"):
        phi_for_share(unit, 0, seed=1)
