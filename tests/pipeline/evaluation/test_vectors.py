"""Vectors kept from job to job: found again, told apart by encoder and by text, made anew when damaged."""

import numpy as np
import pytest

from pipeline.evaluation.benchmark import evaluate
from pipeline.evaluation.sts import StsTask
from pipeline.evaluation.vectors import corpus_vectors
from pipeline.training.encoders import load_encoder

TEXTS = ["A dog runs.", "Two boats.", "A dog runs.", "Rain falls on the roof of the old house."]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("static-minilm")


def test_second_time_is_read_and_equal(encoder, tmp_path):
    first = corpus_vectors(TEXTS, encoder, cache=tmp_path)
    second = corpus_vectors(TEXTS[::-1], encoder, cache=tmp_path)
    assert first.computed and not second.computed
    np.testing.assert_array_equal(first(TEXTS), second(TEXTS))
    plain = encoder.encode(TEXTS)
    np.testing.assert_allclose(first(TEXTS), plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-6)


def test_other_texts_and_other_weights_are_other_files(encoder, tmp_path):
    corpus_vectors(TEXTS, encoder, cache=tmp_path)
    assert corpus_vectors([*TEXTS, "One more."], encoder, cache=tmp_path).computed
    assert corpus_vectors(["Two boats.A dog runs."], encoder, cache=tmp_path).computed
    other = load_encoder("static-minilm")
    other[0].embedding.weight.data[0, 0] += 1
    assert corpus_vectors(TEXTS, other, cache=tmp_path).computed
    assert len(list(tmp_path.glob("*.npy"))) == 4


def test_a_file_cut_short_is_made_anew(encoder, tmp_path):
    corpus_vectors(TEXTS, encoder, cache=tmp_path)
    [path] = tmp_path.glob("*.npy")
    path.write_bytes(path.read_bytes()[:200])
    assert corpus_vectors(TEXTS, encoder, cache=tmp_path).computed
    assert not corpus_vectors(TEXTS, encoder, cache=tmp_path).computed


def test_scores_from_kept_vectors_are_the_scores(encoder, tmp_path):
    task = StsTask("t", TEXTS[:3], [TEXTS[3], TEXTS[0], TEXTS[1]], np.array([1.0, 3.0, 2.0]), [""] * 3)
    vectors = corpus_vectors(task.sentence1 + task.sentence2, encoder, cache=tmp_path)
    [kept], [plain] = evaluate(encoder, [task], vectors=vectors), evaluate(encoder, [task])
    assert kept.score == plain.score
    np.testing.assert_allclose(kept.predicted, plain.predicted, atol=1e-6)
