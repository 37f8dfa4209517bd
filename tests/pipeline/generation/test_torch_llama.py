"""The engine in torch against llama.cpp on the same file, and against itself one row at a time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import GenerationConfig
from pipeline.generation.engines.engine import PREFIXES, CacheFullError, Piece
from pipeline.generation.engines.llama import LlamaLLM
from pipeline.generation.engines.torch_llama import TorchLlama
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.llms.protocol import log_softmax
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.triplets import generate
from pipeline.records import Premise, Side, WeightsError
from pipeline.weights import embedded_gguf

TEXTS = ["A dog runs.", "What time is it in Lima right now?", "Two women sit on a bench and read.", "Rain."]

FREE_ROW = 200


@pytest.fixture(scope="module")
def engine() -> Iterator[TorchLlama]:
    with TorchLlama(embedded_gguf(), name="smollm2-135m", threads=1) as loaded:
        yield loaded


def lone(engine: TorchLlama, tokens: list[int]) -> np.ndarray:
    row = engine.decode([Piece(FREE_ROW, 0, tokens)])[0]
    engine.forget(FREE_ROW)
    return row


def test_log_probabilities_are_llama_cpps_within_its_rounding(engine):
    """Tolerance: llama.cpp rounds what it multiplies to eight bits, torch does not; on these texts they differ by up
    to 0.5 nats over the top 100 tokens, while two different texts differ by more than 5."""
    tokens = engine.tokenize("Say the same thing in other words.\nSentence: Two kids are playing chess.\nSame:")
    with LlamaLLM(embedded_gguf(), name="reference", threads=1, cells=512) as llama:
        assert llama.tokenize(TEXTS[1]) == engine.tokenize(TEXTS[1])
        expected = log_softmax(llama.decode([Piece(PREFIXES, 0, tokens, outputs=6)]))
    found = log_softmax(engine.decode([Piece(PREFIXES, 0, tokens, outputs=6)]))
    engine.forget(PREFIXES)
    top = np.argsort(-expected, axis=1)[:, :100]
    apart = np.abs(np.take_along_axis(found - expected, top, axis=1))
    assert apart.max() < 0.8
    assert apart.mean() < 0.15
    assert np.abs(np.take_along_axis(found[::-1] - expected, top, axis=1)).max() > 5


def test_rows_behind_prefixes_give_the_logits_of_whole_texts(engine):
    """Two prefixes, prompts of several lengths, continued rows, copies, and a row taken away in between."""
    prefixes = [engine.tokenize("Sentences from a picture book.\n"), engine.tokenize("News:\n")]
    tails = [engine.tokenize(text) for text in TEXTS]
    texts: dict[int, list[int]] = {}
    pieces = []
    for number, tail in enumerate(tails):
        row, before = PREFIXES + 3 * number, prefixes[number % 2]
        engine.share(engine.prefix(before), row)
        pieces.append(Piece(row, len(before), tail))
        texts[row] = [*before, *tail]
    check(engine, pieces, texts)
    engine.share(PREFIXES, PREFIXES + 50)
    texts[PREFIXES + 50] = list(texts[PREFIXES])
    engine.forget(PREFIXES + 3)
    del texts[PREFIXES + 3]
    engine.share(engine.prefix(prefixes[1]), PREFIXES + 60)
    pieces = [Piece(row, len(known), [400 + row]) for row, known in texts.items()][::-1]
    pieces.append(Piece(PREFIXES + 60, len(prefixes[1]), tails[1]))
    texts = {row: [*known, 400 + row] for row, known in texts.items()} | {PREFIXES + 60: prefixes[1] + tails[1]}
    check(engine, pieces, texts)
    for row in texts:
        engine.forget(row)


def check(engine: TorchLlama, pieces: list[Piece], texts: dict[int, list[int]]) -> None:
    together = engine.decode(pieces)
    for piece, row in zip(pieces, together, strict=True):
        np.testing.assert_allclose(row, lone(engine, texts[piece.sequence]), atol=2e-3)
    assert np.abs(together[0] - together[1]).max() > 1, "different texts must give different logits"


def test_replies_are_those_of_whole_prompts_read_anew_for_every_token(engine):
    """Greedy contrast at omega 0.6, a batch of rows behind shared prompts against texts read alone from the start."""
    config = GenerationConfig(omega=0.6, batch_size=4, max_new_tokens=5)
    premises = [Premise.from_text(text) for text in ("The cat sleeps on the sofa.", "Who sold the car?")]
    prompts = prompt_set(config.prompt_set)
    for made in generate(premises, config, GgufLLM(engine)):
        for side in Side:
            own, opposite = (
                engine.tokenize(prompt.prefix()) + engine.tokenize(prompt.tail(made.premise.text))
                for prompt in (prompts.own(side), prompts.opposite(side))
            )
            tokens: list[int] = []
            for _ in range(config.max_new_tokens):
                own_log_p, opposite_log_p = (
                    log_softmax(lone(engine, [*p, *tokens])[None])[0] for p in (own, opposite)
                )
                z = own_log_p - config.omega * opposite_log_p
                z[own_log_p < own_log_p.max() + np.log(config.plausibility)] = -np.inf
                if engine.ends[z.argmax()]:
                    break
                tokens.append(int(z.argmax()))
            assert getattr(made, side.value).raw == engine.detokenize(tokens)


def test_a_full_cache_is_told_and_survived():
    with TorchLlama(embedded_gguf(), name="small", threads=1, cells=256) as small:
        with pytest.raises(CacheFullError):
            small.decode([Piece(PREFIXES + row, 0, [5] * 30) for row in range(10)])
        for row in range(10):
            small.forget(PREFIXES + row)
        assert small.decode([Piece(PREFIXES, 0, [5] * 200)]).shape == (1, small.vocabulary)


@pytest.mark.parametrize("size", [3, 2000, 1_800_000, 50_000_000])
def test_a_truncated_file_is_refused_in_one_sentence(tmp_path: Path, size: int):
    damaged = tmp_path / "damaged.gguf"
    with embedded_gguf().open("rb") as source:
        damaged.write_bytes(source.read(size))
    with pytest.raises(WeightsError, match=r"damaged\.gguf") as caught:
        TorchLlama(damaged, name="damaged")
    assert "\n" not in str(caught.value)
