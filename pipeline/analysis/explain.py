"""Explain one pair: which tokens match, and how each word changes the score."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from pipeline.evaluation.metrics import row_cosine, unit_rows

_MOST_TOKENS = 96


@dataclass(frozen=True, slots=True)
class TokenAlignment:
    """Tokens of two sentences and all cosines between them."""

    first: list[str]
    second: list[str]
    cosine: np.ndarray
    """float32 (tokens of the first, tokens of the second): late interaction, as in ColBERT (arXiv 2004.12832)."""


@dataclass(frozen=True, slots=True)
class WordEffect:
    """The effect of leaving out one word."""

    side: int
    """0 for the first sentence, 1 for the second."""
    position: int
    word: str
    effect: float
    """Cosine of the whole pair minus the cosine without the word: positive if the word adds to the similarity."""


def word_effects(first: str, second: str, encoder: Any) -> tuple[float, list[WordEffect]]:
    """Return the cosine of a pair and the effect of every word on it.

    Words are split at white space. A sentence of one word has no effects.
    `encoder` has encode(sentences, batch_size=, show_progress_bar=) -> (n, d).
    """
    variants = [
        (side, place, word, rest) for side, text in enumerate((first, second)) for place, word, rest in _without(text)
    ]
    texts = [first, second, *(rest for *_, rest in variants)]
    vectors = np.asarray(encoder.encode(texts, batch_size=64, show_progress_bar=False))
    whole = float(row_cosine(vectors[:1], vectors[1:2])[0])
    partners = [1 - side for side, *_ in variants]
    without = row_cosine(vectors[2:], vectors[partners]) if variants else np.zeros(0)
    effects = [
        WordEffect(side, place, word, whole - float(cosine))
        for (side, place, word, _), cosine in zip(variants, without, strict=True)
    ]
    return whole, effects


def token_alignment(first: str, second: str, encoder: SentenceTransformer) -> TokenAlignment:
    """Return the cosines of all tokens of one sentence with all tokens of the other, before pooling.

    Special tokens such as [CLS] are left out, as are tokens after the first 96 of a sentence.
    """
    (tokens_a, vectors_a), (tokens_b, vectors_b) = (_tokens(text, encoder) for text in (first, second))
    cosine = (unit_rows(vectors_a) @ unit_rows(vectors_b).T).astype(np.float32)
    return TokenAlignment(tokens_a, tokens_b, cosine)


def _without(text: str) -> list[tuple[int, str, str]]:
    words = text.split()
    if len(words) < 2:
        return []
    return [(place, word, " ".join(words[:place] + words[place + 1 :])) for place, word in enumerate(words)]


def _tokens(text: str, encoder: SentenceTransformer) -> tuple[list[str], np.ndarray]:
    table = getattr(encoder[0], "embedding", None)
    if table is not None:  # a static encoder: a token's vector is its row of the table
        encoded = encoder.tokenizer.encode(text, add_special_tokens=False)
        rows = encoded.ids[:_MOST_TOKENS]
        return encoded.tokens[:_MOST_TOKENS], table.weight.detach().cpu().float().numpy()[rows]
    ids = encoder.tokenizer(text, truncation=True, max_length=encoder.max_seq_length)["input_ids"]
    states = encoder.encode(text, output_value="token_embeddings", show_progress_bar=False)
    vectors = states.detach().cpu().float().numpy()
    special = set(encoder.tokenizer.all_special_ids)
    kept = [place for place, token in enumerate(ids[: len(vectors)]) if token not in special][:_MOST_TOKENS]
    words = encoder.tokenizer.convert_ids_to_tokens([ids[place] for place in kept])
    return [readable(word) for word in words], vectors[kept]


def readable(token: str) -> str:
    """Return a token without the byte-level mark of a leading space."""
    return re.sub(r"^[ĠĊ▁]+", "", token) or token


def strongest(alignment: TokenAlignment) -> list[tuple[str, str, float]]:
    """Return for each token of the first sentence its best match in the second, with the cosine."""
    if not alignment.second:
        return []
    best: Sequence[int] = alignment.cosine.argmax(axis=1)
    return [
        (token, alignment.second[partner], float(alignment.cosine[row, partner]))
        for row, (token, partner) in enumerate(zip(alignment.first, best, strict=True))
    ]
