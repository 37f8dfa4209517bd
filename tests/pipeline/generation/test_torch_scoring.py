"""Probabilities of given replies, many rows at once, against one forward pass per pair."""

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from pipeline import weights
from pipeline.generation.llms.protocol import log_probabilities_of
from pipeline.generation.llms.torch_llm import TorchLLM
from pipeline.generation.llms.torch_scoring import reply_log_probabilities
from pipeline.generation.llms.transformers_llm import DecoderLLM, EncoderDecoderLLM
from pipeline.generation.prompts import FewShot

ASKED = FewShot("say it again: a cat sleeps, a cat is asleep")
RESTS = ["a man plays", "it rains on the old stone bridge in the morning", "go"]
REPLIES = ["somebody plays the piano", "rain", "they leave the house before the others wake up"]


@pytest.fixture(scope="module", params=["decoder", "encoder-decoder"])
def llm(request: pytest.FixtureRequest) -> TorchLLM:
    torch.manual_seed(5)
    tokenizer = AutoTokenizer.from_pretrained(weights.minilm_folder(), local_files_only=True)
    ends = {"eos_token_id": tokenizer.sep_token_id, "pad_token_id": tokenizer.pad_token_id}
    if request.param == "decoder":
        config = LlamaConfig(
            vocab_size=30522, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=512, bos_token_id=None, initializer_range=0.3, **ends,
        )  # fmt: skip
        return DecoderLLM(LlamaForCausalLM(config).eval(), tokenizer, name="tiny")
    config = T5Config(
        vocab_size=30522, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, decoder_start_token_id=0,
        initializer_factor=3.0, **ends,
    )  # fmt: skip
    return EncoderDecoderLLM(T5ForConditionalGeneration(config).eval(), tokenizer, name="tiny")


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_batches_give_what_single_passes_give(llm: TorchLLM, batch_size: int) -> None:
    expected = log_probabilities_of(llm, ASKED, RESTS, REPLIES)
    prompts = [llm.prompt(ASKED, rest) for rest in RESTS]
    replies = [llm.tokenize(reply) for reply in REPLIES]
    found = reply_log_probabilities(llm, prompts, replies, batch_size=batch_size)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.ptp(found) > 1


def test_a_batch_that_does_not_fit_is_halved(llm: TorchLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, sizes = llm.begin, []

    def narrow(prompts):
        sizes.append(len(prompts))
        if len(prompts) > 1:
            raise RuntimeError("not enough memory: you tried to allocate 1 byte")
        return begin(prompts)

    prompts, replies = [llm.prompt(ASKED, rest) for rest in RESTS], [llm.tokenize(reply) for reply in REPLIES]
    expected = reply_log_probabilities(llm, prompts, replies)
    monkeypatch.setattr(llm, "begin", narrow)
    np.testing.assert_allclose(reply_log_probabilities(llm, prompts, replies), expected, rtol=1e-4)
    assert sizes[0] == 3 and sizes[-1] == 1


def test_a_pair_that_never_fits_is_unknown_and_spoils_no_other(
    llm: TorchLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = llm.begin
    prompts, replies = [llm.prompt(ASKED, rest) for rest in RESTS], [llm.tokenize(reply) for reply in REPLIES]
    expected = reply_log_probabilities(llm, prompts, replies)

    def full(asked):
        if prompts[1] in asked:
            raise RuntimeError("not enough memory: you tried to allocate 1 byte")
        return begin(asked)

    monkeypatch.setattr(llm, "begin", full)
    found = reply_log_probabilities(llm, prompts, replies)
    assert np.isnan(found).tolist() == [False, True, False]
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], rtol=1e-4)
