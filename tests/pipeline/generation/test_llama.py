"""The batched context: rows beside each other against rows alone, and files that are no models."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.generation.engines.engine import PREFIXES, CacheFullError, Piece
from pipeline.generation.engines.llama import LlamaLLM
from pipeline.records import WeightsError
from pipeline.weights import embedded_gguf

TEXTS = ["A dog runs.", "What time is it in Lima right now?", "Two women sit on a bench and read.", "Rain."]


def test_rows_beside_each_other_give_the_logits_of_rows_alone(llm):
    """Tolerance: kernels add in another order for another batch shape, so logits differ by rounding (about 0.02 of a
    range of 40), never by more than a tenth."""
    prefix = llm.tokenize("Sentences from a picture book.\n")
    sequence = llm.prefix(prefix)
    tails = [llm.tokenize(text) for text in TEXTS]
    rows = range(PREFIXES, PREFIXES + len(tails))
    for row in rows:
        llm.share(sequence, row)
    together = llm.decode([Piece(row, len(prefix), tail) for row, tail in zip(rows, tails, strict=True)]).copy()
    for row in rows:
        llm.forget(row)
    for expected, tail in zip(together, tails, strict=True):
        alone = llm.decode([Piece(PREFIXES, 0, [*prefix, *tail])])[0]
        np.testing.assert_allclose(alone, expected, atol=0.1)
        llm.forget(PREFIXES)
    assert np.abs(together[0] - together[1]).max() > 1, "different texts must give different logits"


def test_every_output_row_belongs_to_its_token(llm):
    tokens = llm.tokenize(TEXTS[2])
    several = llm.decode([Piece(PREFIXES, 0, tokens, outputs=3)]).copy()
    llm.forget(PREFIXES)
    for back, expected in enumerate(several[::-1]):
        alone = llm.decode([Piece(PREFIXES, 0, tokens[: len(tokens) - back])])[0]
        np.testing.assert_allclose(alone, expected, atol=0.1)
        llm.forget(PREFIXES)


def test_a_full_cache_is_told_and_survived():
    with LlamaLLM(embedded_gguf(), name="small", cells=256, threads=1) as small:
        with pytest.raises(CacheFullError):
            small.decode([Piece(PREFIXES + row, 0, [5] * 30) for row in range(10)])
        small.decode([Piece(PREFIXES, 0, [5] * 200)])
        with pytest.raises(CacheFullError):
            small.decode([Piece(PREFIXES + 1, 0, [5] * 100)])
        small.forget(PREFIXES)
        assert small.decode([Piece(PREFIXES, 0, [5] * 30)]).shape == (1, small.vocabulary)


@pytest.mark.parametrize("text", [*TEXTS, "naïve café 😀 \t tab", "<|im_end|> is text here", "nul\x00inside"])
def test_text_survives_tokens(llm, text):
    assert llm.detokenize(llm.tokenize(text)) == text


def test_control_tokens_written_in_a_text_stay_text(llm):
    assert not any(llm.ends[token] for token in llm.tokenize("<|im_end|><|endoftext|>"))


def test_line_breaks_and_end_tokens_end_a_reply(llm):
    assert all(llm.ends[token] for token in llm.tokenize("\n"))
    assert not any(llm.ends[token] for token in llm.tokenize("A plain sentence."))


@pytest.mark.parametrize("size", [0, 3, 2000, 1_800_000, 50_000_000])
def test_a_truncated_file_is_refused_in_one_sentence(tmp_path: Path, size: int):
    damaged = tmp_path / "damaged.gguf"
    with embedded_gguf().open("rb") as source:
        damaged.write_bytes(source.read(size))
    with pytest.raises(WeightsError, match=r"damaged\.gguf") as caught:
        LlamaLLM(damaged, name="damaged")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path):
    picture = tmp_path / "picture.gguf"
    picture.write_bytes(b"\x89PNG\r\n" + bytes(range(256)) * 20)
    with pytest.raises(WeightsError, match="not a GGUF file"):
        LlamaLLM(picture, name="picture")
    with pytest.raises(WeightsError, match="Cannot read"):
        LlamaLLM(tmp_path / "absent.gguf", name="absent")


def test_closing_twice_is_harmless():
    model = LlamaLLM(embedded_gguf(), name="twice", cells=256)
    model.close()
    model.close()
