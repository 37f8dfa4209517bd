"""Explaining a pair: effects against an encoder whose answer is known, token cosines against the real encoders."""

import numpy as np
import pytest

from pipeline.analysis.explain import readable, strongest, token_alignment, word_effects
from pipeline.encoders import load_encoder


class BagOfWords:
    """One axis per word."""

    words = ("red", "blue", "car")

    def encode(self, sentences, **options):
        return np.array([[text.split().count(word) for word in self.words] for text in sentences], dtype=float)


def test_effect_of_a_word_is_the_cosine_lost_without_it():
    whole, effects = word_effects("red car", "blue car", BagOfWords())
    assert whole == pytest.approx(0.5)
    found = {(effect.side, effect.word): effect.effect for effect in effects}
    half, root = 0.5, 1 / np.sqrt(2)
    assert found == pytest.approx(
        {(0, "red"): half - root, (0, "car"): half - 0.0, (1, "blue"): half - root, (1, "car"): half - 0.0}
    )


def test_a_single_word_cannot_be_left_out():
    whole, effects = word_effects("car", "car", BagOfWords())
    assert whole == pytest.approx(1.0) and effects == []


def test_static_tokens_are_rows_of_the_table():
    encoder = load_encoder("static-minilm")
    aligned = token_alignment("A dog runs", "The dog sleeps", encoder)
    assert aligned.first == ["a", "dog", "runs"] and aligned.second == ["the", "dog", "sleeps"]
    assert aligned.cosine[1, 1] == pytest.approx(1.0, abs=1e-5)
    assert ("dog", "dog") == strongest(aligned)[1][:2]
    table = encoder[0].embedding.weight.detach().numpy()
    ids = [encoder.tokenizer.token_to_id(word) for word in ("runs", "sleeps")]
    by_hand = table[ids[0]] @ table[ids[1]] / np.linalg.norm(table[ids[0]]) / np.linalg.norm(table[ids[1]])
    assert aligned.cosine[2, 2] == pytest.approx(by_hand, abs=1e-5)


def test_transformer_tokens_leave_out_the_special_ones():
    aligned = token_alignment("A dog runs", "A dog", load_encoder("all-MiniLM-L6-v2"))
    assert aligned.first == ["a", "dog", "runs"] and aligned.second == ["a", "dog"]
    assert aligned.cosine.shape == (3, 2)
    assert (np.abs(aligned.cosine) <= 1 + 1e-6).all()
    assert strongest(aligned)[1][1] == "dog"


def test_marks_of_a_leading_space_are_dropped():
    assert [readable(token) for token in ("Ġdog", "▁cat", "##s", "Ġ")] == ["dog", "cat", "##s", "Ġ"]
