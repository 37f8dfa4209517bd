"""Encoder-decoders of transformers against a naive loop, `generate`, and one question at a time."""

import numpy as np
import pytest
import torch

from pipeline.config import GenerationConfig
from pipeline.curation.digit import Seq2SeqDigitJudge, digit_prompt
from pipeline.generation.llms.protocol import Ask
from pipeline.generation.llms.transformers_llm import EncoderDecoderLLM
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.prompts import FewShot
from pipeline.generation.triplets import generate
from pipeline.records import Contrast, Premise, Side
from pipeline.studies.run import tiny_t5

TEXTS = ["A dog runs along the beach.", "How far is it?", "The orchestra waits for the very last train of the day."]
PREMISES = [Premise.from_text(text) for text in TEXTS]


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    torch.manual_seed(3)
    found = EncoderDecoderLLM.load(tiny_t5(tmp_path_factory.mktemp("models") / "t5"), name="tiny", device="cpu")
    # Tied random weights say the last token again for ever; these say many words, and say them clearly.
    found.model.lm_head.weight = torch.nn.Parameter(torch.randn_like(found.model.lm_head.weight))
    return found


def asked(side, premise, *, opposite=False):
    prompts = prompt_set("default")
    prompt = prompts.opposite(side) if opposite else prompts.own(side)
    return prompt.prefix() + prompt.tail(premise.text)


def naive_reply(llm, premise, side, config):
    """One token at a time, both prompts decoded from the start at every step, no cache and no batch."""
    chosen = [llm.start]
    for _ in range(config.max_new_tokens):
        rows = []
        for opposite in (False, True):
            encoded = llm.tokenizer(asked(side, premise, opposite=opposite), return_tensors="pt")
            with torch.no_grad():
                out = llm.model(
                    input_ids=encoded["input_ids"],
                    attention_mask=encoded["attention_mask"],
                    decoder_input_ids=torch.tensor([chosen]),
                )
            rows.append(out.logits[0, -1].log_softmax(-1))
        own, other = rows
        z = own - config.omega * other
        z[own.exp() < config.plausibility * own.exp().max()] = -torch.inf
        token = int(z.argmax())
        if token == llm.model.config.eos_token_id:
            break
        chosen.append(token)
    return llm.tokenizer.decode(chosen[1:], skip_special_tokens=True)


@pytest.mark.parametrize("config", [
    GenerationConfig(omega=0.0, plausibility=0.0, max_new_tokens=6, batch_size=4),
    GenerationConfig(omega=0.6, plausibility=0.0, max_new_tokens=6, batch_size=4),
    GenerationConfig(omega=0.6, plausibility=0.1, max_new_tokens=6, batch_size=4),
])  # fmt: skip
def test_batched_generation_equals_a_naive_loop(llm, config):
    found = list(generate(PREMISES, config, llm))
    assert sorted(item.premise.text for item in found) == sorted(TEXTS)
    for item in found:
        for side, result in ((Side.POSITIVE, item.positive), (Side.HARD_NEGATIVE, item.hard_negative)):
            assert result.raw == naive_reply(llm, item.premise, side, config)
            assert result.raw
        assert item.contrast is (Contrast.TOKEN if config.omega else Contrast.NONE)


def test_plain_generation_equals_transformers_own(llm):
    config = GenerationConfig(omega=0.0, plausibility=0.0, max_new_tokens=6)
    for item in generate(PREMISES, config, llm):
        encoded = llm.tokenizer(asked(Side.POSITIVE, item.premise), return_tensors="pt")
        encoded.pop("token_type_ids", None)
        with torch.no_grad():
            tokens = llm.model.generate(
                **encoded, max_new_tokens=6, do_sample=False,
                decoder_start_token_id=llm.start, eos_token_id=llm.model.config.eos_token_id, pad_token_id=llm.start,
            )  # fmt: skip
        assert item.positive.raw == llm.tokenizer.decode(tokens[0, 1:], skip_special_tokens=True)


def test_sampling_follows_the_seed_and_not_the_place_in_the_batch(llm):
    config = GenerationConfig(omega=0.3, temperature=1.5, plausibility=0.0, max_new_tokens=5)
    texts = {item.premise: item.positive.raw for item in generate(PREMISES, config, llm)}
    again = {item.premise: item.positive.raw for item in generate(PREMISES[::-1], config, llm)}
    assert texts == again and len(set(texts.values())) == len(PREMISES)


def test_continuations_of_any_text_equal_a_naive_loop(llm):
    """What premises from scratch are written with: a shared beginning, a text after it, no opposite."""
    shared = "Each line tells a story.\n"
    asks = [Ask(number, text, seed=number) for number, text in enumerate(TEXTS)]
    config = GenerationConfig(omega=0.9, plausibility=0.0, max_new_tokens=6, batch_size=2)
    made = llm.continuations(FewShot(shared[:-1]), iter(asks), config, lambda: False)
    found = {reply.key: reply for reply in made}
    assert sorted(found) == list(range(len(asks)))
    for ask in asks:
        encoded = llm.tokenizer(shared + ask.premise, return_tensors="pt")
        chosen = [llm.start]
        with torch.no_grad():
            for _ in range(config.max_new_tokens):
                out = llm.model(input_ids=encoded["input_ids"], decoder_input_ids=torch.tensor([chosen]))
                token = int(out.logits[0, -1].argmax())
                if llm.is_end(token):
                    break
                chosen.append(token)
        assert found[ask.key].raw == llm.detokenize(chosen[1:]) and found[ask.key].problem is None


def test_the_digit_judge_is_the_expected_digit(llm):
    pairs = [(TEXTS[0], TEXTS[1]), (TEXTS[2], TEXTS[2]), (TEXTS[1], TEXTS[0])]
    judge = Seq2SeqDigitJudge(llm, judge_id="digit:x", batch_size=2)
    scores = judge.scores(pairs)
    for pair, score in zip(pairs, scores, strict=True):
        both = []
        for order in (pair, pair[::-1]):
            encoded = llm.tokenizer(digit_prompt(*order), return_tensors="pt")
            with torch.no_grad():
                logits = llm.model(
                    input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"],
                    decoder_input_ids=torch.tensor([[llm.start]]),
                ).logits[0, -1]  # fmt: skip
            share = logits.softmax(-1)[llm.tokenizer.convert_tokens_to_ids(list("012345"))].double()
            both.append(float((share * torch.arange(6)).sum() / share.sum()))
        assert score == pytest.approx(np.mean(both), abs=1e-5)
    assert np.ptp(scores) > 1e-6 and (scores >= 0).all() and (scores <= 5).all()
