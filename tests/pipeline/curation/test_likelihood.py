"""The likelihood judges against log-probabilities computed by transformers from the same weights."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pipeline.curation.likelihood import (
    JUDGE_PROMPTS,
    Costs,
    EngineCosts,
    EntailmentJudge,
    FolderCosts,
    LikelihoodJudge,
)
from pipeline.generation.engines.fastest import ENGINES
from pipeline.generation.llms.registry import EMBEDDED
from pipeline.generation.llms.transformers_llm import DecoderLLM
from pipeline.weights import smollm2_safetensors_folder

PAIRS = [
    ("A man is playing a guitar.", "A man plays the guitar."),
    ("A man is playing a guitar.", "The stock market fell sharply on Monday."),
    ("Two dogs run through the snow.", "Two dogs are running in snow."),
]


FOLDER = "transformers"


@pytest.fixture(scope="module", params=[*ENGINES, FOLDER])
def costs(request) -> Iterator[Costs]:
    if request.param == FOLDER:
        with DecoderLLM.load(smollm2_safetensors_folder(), name=EMBEDDED, device="cpu") as folder:
            yield FolderCosts(folder)
        return
    engine = ENGINES[request.param](EMBEDDED, 1)
    yield EngineCosts(engine)
    engine.close()


class Reference:
    """Mean log-probabilities one text at a time, through transformers."""

    def __init__(self) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = str(smollm2_safetensors_folder())
        self._model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    @torch.inference_mode()
    def nats_per_token(self, context: str, reply: str) -> float:
        before = self._tokenizer(context).input_ids
        words = self._tokenizer(f" {reply}").input_ids
        logits = self._model(torch.tensor([before + words])).logits[0, len(before) - 1 : -1]
        return -float(logits.log_softmax(-1)[torch.arange(len(words)), torch.tensor(words)].mean())


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference()


def test_likelihood_is_the_log_of_how_much_cheaper_each_text_makes_the_other(costs, reference):
    """Tolerance: llama.cpp computes with 8-bit weights and a 16-bit cache; single log-probabilities differ by up to
    0.3, their means over a sentence by a few hundredths. The scores themselves are more than 0.5 apart."""
    prompt = JUDGE_PROMPTS.positive
    expected = []
    for pair in PAIRS:
        gains = []
        for a, b in (pair, pair[::-1]):
            given = reference.nats_per_token(prompt.prefix() + prompt.tail(a), b)
            alone = reference.nats_per_token(prompt.prefix() + prompt.tail(""), b)
            gains.append(np.log(alone / given))
        expected.append(sum(gains) / 2)
    np.testing.assert_allclose(LikelihoodJudge(costs, name=EMBEDDED).scores(PAIRS), expected, atol=0.1)
    assert expected[0] - expected[1] > 0.5


def test_entailment_prefers_a_paraphrase_to_a_contradiction(costs):
    judge = EntailmentJudge(costs, name=EMBEDDED)
    premise = "A woman is slicing a tomato."
    scores = judge.scores(
        [(premise, "A woman is cutting up a tomato."), (premise, "A woman is not slicing a tomato.")]
    )
    assert scores[0] > scores[1]


def test_scores_are_symmetric_and_do_not_depend_on_company(costs):
    judge = LikelihoodJudge(costs, name=EMBEDDED)
    together = judge.scores(PAIRS)
    turned = judge.scores([(b, a) for a, b in PAIRS])
    alone = np.concatenate([LikelihoodJudge(costs, name=EMBEDDED).scores([pair]) for pair in PAIRS])
    np.testing.assert_allclose(turned, together, atol=0.05)
    np.testing.assert_allclose(alone, together, atol=0.05)


def test_odd_texts_get_finite_scores(costs):
    long = "word " * (300 if isinstance(costs, FolderCosts) else 2000)  # engines have a window of 1,024 tokens
    odd = ["", "  ", "😀", long, "line\nbreak", "\ud800", "?"]
    scores = LikelihoodJudge(costs, name=EMBEDDED).scores(
        [(text, "A man rides a horse.") for text in odd] + [("", "")]
    )
    assert scores.shape == (len(odd) + 1,)
    assert np.isfinite(scores).all()


def test_no_pairs_have_no_scores(costs):
    assert LikelihoodJudge(costs, name=EMBEDDED).scores([]).shape == (0,)


def test_no_pairs_repeat_no_work(costs):
    judge = LikelihoodJudge(costs, name=EMBEDDED)
    first = judge.scores(PAIRS)
    again = judge.scores([*PAIRS, *PAIRS])
    np.testing.assert_allclose(again, np.concatenate([first, first]), atol=0.05)
    assert judge.judge_id == "likelihood:smollm2-135m"
