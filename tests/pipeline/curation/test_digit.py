"""The digit judge against the same question put to transformers, one pair and one order at a time."""

import numpy as np
import pytest
import torch

from pipeline.curation.digit import DigitJudge, digit_tokens, expected_digit
from pipeline.curation.judges import load_judge
from pipeline.curation.likelihood import DIGIT_PROMPT
from pipeline.generation.engines.fastest import ENGINES
from pipeline.generation.llms.registry import EMBEDDED
from pipeline.records import InputError
from pipeline.weights import smollm2_safetensors_folder

PAIRS = [
    ("A man is playing a guitar.", "A man plays the guitar."),
    ("A man is playing a guitar.", "The stock market fell sharply on Monday."),
    ("Two dogs run through the snow.", "Two dogs are running in snow."),
]


@pytest.fixture(scope="module", params=list(ENGINES))
def llm(request):
    loaded = ENGINES[request.param](EMBEDDED, 1)
    yield loaded
    loaded.close()


@torch.inference_mode()
def asked_one_by_one(pairs: list[tuple[str, str]]) -> list[float]:
    """Return the expected digit of each pair, from the whole prompt as one text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(smollm2_safetensors_folder())
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    digits = [tokenizer(str(digit)).input_ids[-1] for digit in range(6)]
    values = []
    for pair in pairs:
        both = 0.0
        for a, b in (pair, pair[::-1]):
            question = f"{DIGIT_PROMPT.prefix()}First: {a}\nSecond: {b}\nSimilarity: 0"
            logits = model(torch.tensor([tokenizer(question).input_ids[:-1]])).logits[0, -1]
            shares = logits[digits].double().softmax(0).tolist()
            both += sum(digit * share for digit, share in enumerate(shares))
        values.append(both / 2)
    return values


def test_the_value_is_the_expected_digit_of_both_orders(llm):
    """Tolerance: llama.cpp's 8-bit weights move single log-probabilities by up to 0.3, the digit by a few tenths."""
    np.testing.assert_allclose(DigitJudge(llm).scores(PAIRS), asked_one_by_one(PAIRS), atol=0.25)


def test_expected_digit_by_hand():
    logits = np.array(
        [[0, 0, 0, 0, 0, 0], [-90, -90, -90, -90, 0, 0], [np.log(3), 0, -90, -90, -90, -90]], np.float32
    )
    np.testing.assert_allclose(expected_digit(logits), [2.5, 4.5, 0.25], atol=1e-6)


def test_digits_are_the_last_token_of_a_written_answer(llm):
    tokens = digit_tokens(llm, DIGIT_PROMPT)
    assert [llm.detokenize([token]).strip() for token in tokens] == list("012345")


def test_a_vocabulary_without_single_digits_is_refused():
    class Pairwise:
        name = "odd"

        def tokenize(self, text: str) -> list[int]:
            return list(text.encode()) if not text.endswith("5") else [*text.encode()[:-2], 300, 301]

    with pytest.raises(InputError, match="odd does not write the digits"):
        digit_tokens(Pairwise(), DIGIT_PROMPT)  # type: ignore[arg-type]


def test_order_company_and_odd_texts_do_not_matter(llm):
    judge = DigitJudge(llm)
    together = judge.scores(PAIRS)
    np.testing.assert_allclose(judge.scores([(b, a) for a, b in PAIRS]), together, atol=0.05)
    np.testing.assert_allclose([judge.scores([pair])[0] for pair in PAIRS], together, atol=0.05)
    odd = judge.scores([("", ""), ("word " * 2000, "😀"), ("line\nbreak", "\ud800")])
    assert np.isfinite(odd).all() and (0 <= odd).all() and (odd <= 5).all()


def test_load_judge_knows_digit():
    judge = load_judge("digit:smollm2-135m")
    assert judge.judge_id == "digit:smollm2-135m"
    with pytest.raises(InputError, match="digit:LLM"):
        load_judge("digits:smollm2-135m")
