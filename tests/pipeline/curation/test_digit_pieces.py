"""The digit judge of an encoder-decoder with tokenizers of several families, against whole digits one by one."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from pipeline.curation.digit import Seq2SeqDigitJudge, digit_pieces, digit_prompt
from pipeline.generation.llms.transformers_llm import EncoderDecoderLLM
from pipeline.records import InputError

PAIRS = [("A dog runs.", "It is raining."), ("Why?", "Why?"), ("It is raining.", "A dog runs.")]
SPECIAL = ["<pad>", "</s>", "<unk>"]
TEXTS = (digit_prompt("", ""), *(text for pair in PAIRS for text in pair))
LETTERS = sorted({sign for text in TEXTS for sign in text} - set(" 012345"))


def sentencepiece(pieces):
    """Unigram with a blank in front of every text, as T5 and Flan-T5 have it."""
    vocabulary = [(piece, 0.0) for piece in SPECIAL]
    vocabulary += [(piece, -1.0) for piece in pieces] + [
        (sign, -9.0) for sign in LETTERS if sign not in (*pieces, " ")
    ]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def byte_level(joined):
    """Byte pairs, where a blank and a digit are one piece for some digits, or for none."""
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: place for place, piece in enumerate([*SPECIAL, *signs, *(f"Ġ{digit}" for digit in joined)])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("Ġ", digit) for digit in joined], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


FAMILIES = {
    "T5: no piece for a blank and 0": lambda: sentencepiece(["▁", *"012345", *(f"▁{digit}" for digit in "12345")]),
    "Gemma, Llama 2: a blank and a digit": lambda: sentencepiece(["▁", *"012345"]),
    "SentencePiece with all": lambda: sentencepiece(["▁", *"012345", *(f"▁{digit}" for digit in "012345")]),
    "byte pairs, Llama 3 and Qwen": lambda: byte_level(""),
    "byte pairs, GPT-2 and BART": lambda: byte_level("012345"),
    "byte pairs, some joined": lambda: byte_level("245"),
}


def tiny(tokenizer):
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )
    torch.manual_seed(1)
    config = T5Config(
        vocab_size=tokenizer.get_vocab_size(), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config).eval()
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    return EncoderDecoderLLM(model, wrapped, name="tiny")


@torch.no_grad()
def whole(llm, prompt, text):
    """Return p(text) at the beginning of a reply, piece by piece, the decoder run anew at each."""
    ids = llm.tokenizer(prompt, return_tensors="pt")["input_ids"]
    p, said = 1.0, [llm.start]
    for token in llm.tokenizer(text, add_special_tokens=False)["input_ids"]:
        logits = llm.model(input_ids=ids, decoder_input_ids=torch.tensor([said])).logits[0, -1]
        p *= float(logits.double().softmax(-1)[token])
        said.append(token)
    return p


@pytest.mark.parametrize("family", FAMILIES)
def test_a_digit_is_as_likely_as_all_of_its_pieces(family):
    llm = tiny(FAMILIES[family]())
    found = Seq2SeqDigitJudge(llm, judge_id="digit:x", batch_size=2).scores(PAIRS)

    def expected(prompt):
        shares = []
        for digit in "012345":
            spellings = {tuple(llm.tokenize(text)): text for text in (digit, f" {digit}")}
            shares.append(sum(whole(llm, prompt, text) for text in spellings.values()))
        return sum(digit * share for digit, share in enumerate(shares)) / sum(shares)

    for (a, b), value in zip(PAIRS, found, strict=True):
        both = (expected(digit_prompt(a, b)) + expected(digit_prompt(b, a))) / 2
        assert value == pytest.approx(both, abs=1e-5)
    assert found[0] == found[2], "the order of a pair does not matter"
    assert np.ptp(found) > 1e-6


def test_t5_can_say_zero():
    """Its first piece is the blank; a model that then says 0 means 0, whatever digits it might have said at once."""
    llm = tiny(FAMILIES["T5: no piece for a blank and 0"]())
    ids = llm.tokenizer.convert_tokens_to_ids
    zero = [tuple(pieces) for pieces in digit_pieces(llm)[0]]
    assert zero == [(ids("▁"), ids("0"))]
    sure = {(): ids("▁"), (ids("▁"),): ids("0")}

    def beginning_log_p(prompts, beginnings):
        row = [
            sum(-0.01 if sure.get(tokens[:place]) == token else -9.0 for place, token in enumerate(tokens))
            for tokens in beginnings
        ]
        return np.array([row] * len(prompts))

    llm.beginning_log_p = beginning_log_p
    assert Seq2SeqDigitJudge(llm, judge_id="digit:x").scores(PAIRS).max() < 0.01


def test_a_vocabulary_that_lacks_a_digit_is_refused():
    llm = tiny(sentencepiece(["▁", *"01234"]))
    with pytest.raises(InputError, match="cannot write the digits"):
        Seq2SeqDigitJudge(llm, judge_id="digit:x")
