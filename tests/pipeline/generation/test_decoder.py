"""Decoder-only models of transformers against a naive loop, `generate` with guidance, and llama.cpp."""

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from pipeline import weights
from pipeline.config import GenerationConfig
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.llms.protocol import Ask
from pipeline.generation.llms.torch_llm import BatchLimits
from pipeline.generation.llms.transformers_llm import DecoderLLM
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.prompts import FewShot
from pipeline.generation.triplets import generate
from pipeline.records import Outcome, Premise, Side
from pipeline.weights import smollm2_safetensors_folder

TEXTS = [
    "A dog runs along the beach.",
    "How far is it?",
    "The orchestra waits for the very last train of the day, which is late.",
    "Water the plants before the sun gets too hot.",
    "She laughed.",
]
PREMISES = [Premise.from_text(text) for text in TEXTS]
TOKENS = 6


@pytest.fixture(scope="module")
def tiny() -> DecoderLLM:
    """A random decoder small enough for a loop without any cache; [SEP] ends a reply."""
    torch.manual_seed(5)
    tokenizer = AutoTokenizer.from_pretrained(weights.minilm_folder(), local_files_only=True)
    config = LlamaConfig(
        vocab_size=30522, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=256, eos_token_id=tokenizer.sep_token_id,
        bos_token_id=None, initializer_range=0.3,
    )  # fmt: skip
    return DecoderLLM(LlamaForCausalLM(config).eval(), tokenizer, name="tiny")


def asked(llm, side, text, *, opposite=False):
    prompts = prompt_set("default")
    prompt = prompts.opposite(side) if opposite else prompts.own(side)
    return [*llm.tokenize(prompt.prefix()), *llm.tokenize(prompt.tail(text))]


def naive_reply(llm, text, side, config):
    """One token at a time, both prompts read from the start at every step: no cache, no batch, no padding."""
    chosen = []
    for _ in range(config.max_new_tokens):
        own, other = (
            llm.model(input_ids=torch.tensor([asked(llm, side, text, opposite=opposite) + chosen]))
            .logits[0, -1]
            .log_softmax(-1)
            for opposite in (False, True)
        )
        z = own - config.omega * other
        if config.plausibility:
            z[own.exp() < config.plausibility * own.exp().max()] = -torch.inf
        token = int(z.argmax())
        if token == llm.model.config.eos_token_id:
            break
        chosen.append(token)
    return llm.tokenizer.decode(chosen, skip_special_tokens=True)


def replies(llm, config, premises=PREMISES):
    return {item.premise.text: item for item in generate(premises, config, llm)}


@pytest.mark.parametrize(
    ("omega", "plausibility", "batch_size"), [(0.0, 0.0, 4), (0.6, 0.0, 3), (0.6, 0.1, 64), (0.3, 0.0, 0)]
)
def test_a_padded_batch_equals_a_naive_loop(tiny, omega, plausibility, batch_size):
    config = GenerationConfig(omega=omega, plausibility=plausibility, max_new_tokens=TOKENS, batch_size=batch_size)
    found = replies(tiny, config)
    assert sorted(found) == sorted(TEXTS)
    with torch.no_grad():
        for text, item in found.items():
            assert item.positive.raw == naive_reply(tiny, text, Side.POSITIVE, config)
            assert item.hard_negative.raw == naive_reply(tiny, text, Side.HARD_NEGATIVE, config)
            assert item.positive.raw and item.positive.raw != item.hard_negative.raw


def test_continuations_of_any_text_equal_a_naive_loop_and_one_too_long_spoils_none(tiny):
    """What premises from scratch are written with: a shared beginning, a tail per text, no opposite."""
    shared = "Each line tells a story.\n"
    asks = [Ask(number, text, seed=number) for number, text in enumerate([*TEXTS, "word " * 400])]
    config = GenerationConfig(omega=0.9, plausibility=0.0, max_new_tokens=TOKENS, batch_size=2, candidates=1)
    made = tiny.continuations(FewShot(shared[:-1]), iter(asks), config, lambda: False)
    found = {reply.key: reply for reply in made}
    assert sorted(found) == list(range(len(asks)))
    assert found[len(TEXTS)].problem is Outcome.TOO_LONG
    for ask in asks[:-1]:
        tokens = []
        with torch.no_grad():
            while len(tokens) < TOKENS:
                given = [*tiny.tokenize(shared), *tiny.tokenize(ask.premise), *tokens]
                token = int(tiny.model(input_ids=torch.tensor([given])).logits[0, -1].argmax())
                if token == tiny.model.config.eos_token_id:
                    break
                tokens.append(token)
        assert found[ask.key].raw == tiny.detokenize(tokens) and found[ask.key].problem is None


@pytest.mark.parametrize("omega", [0.3, 0.6])
def test_greedy_contrast_equals_transformers_own_guidance(tiny, omega):
    """Classifier-free guidance at gamma = 1 / (1 - omega) chooses the same tokens; an oracle with its own code."""
    config = GenerationConfig(omega=omega, plausibility=0.0, max_new_tokens=TOKENS)
    for text, item in replies(tiny, config).items():
        own, opposite = (torch.tensor([asked(tiny, Side.POSITIVE, text, opposite=flag)]) for flag in (False, True))
        with torch.no_grad():
            made = tiny.model.generate(
                own, attention_mask=torch.ones_like(own), negative_prompt_ids=opposite,
                negative_prompt_attention_mask=torch.ones_like(opposite), guidance_scale=1 / (1 - omega),
                do_sample=False, max_new_tokens=TOKENS, pad_token_id=0,
            )  # fmt: skip
        assert item.positive.raw == tiny.tokenizer.decode(made[0, own.shape[1] :], skip_special_tokens=True)


def test_sampling_follows_the_seed_and_not_the_place_in_the_batch(tiny):
    config = GenerationConfig(omega=0.3, temperature=1.2, plausibility=0.0, max_new_tokens=5, batch_size=4)
    first, again = replies(tiny, config), replies(tiny, config, PREMISES[::-1])
    assert {text: item.positive.raw for text, item in first.items()} == {
        text: item.positive.raw for text, item in again.items()
    }
    other = replies(tiny, GenerationConfig(omega=0.3, temperature=1.2, plausibility=0.0, max_new_tokens=5, seed=1))
    assert sum(other[text].positive.raw != first[text].positive.raw for text in TEXTS) >= 4


def test_next_log_probabilities_are_those_of_one_plain_pass(tiny):
    prompt, reply = "A dog runs", tiny.tokenize("along the beach")
    found = tiny.next_log_probabilities(prompt, reply)
    with torch.no_grad():
        ids = torch.tensor([[*tiny.tokenize(prompt), *reply]])
        wanted = tiny.model(input_ids=ids).logits[0, -len(reply) - 1 :].log_softmax(-1)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)
    [total] = tiny.log_probabilities(FewShot(""), [prompt], ["along the beach"])
    assert total == pytest.approx(sum(float(wanted[i, token]) for i, token in enumerate(reply)), abs=1e-3)


def test_candidates_are_measured_while_they_are_written(tiny):
    """log p of a reply, added up token by token in the batch, is what one pass over the whole text gives."""
    from pipeline.generation.llms.protocol import Ask

    config = GenerationConfig(omega=0.5, temperature=1.0, plausibility=0.0, candidates=2, max_new_tokens=5)
    prompts = prompt_set("default")
    for reply in tiny.replies(iter([Ask(0, TEXTS[0], 7)]), prompts, config, lambda: False):
        own = prompts.own(reply.side)
        rows = tiny.next_log_probabilities(own.prefix() + own.tail(TEXTS[0]), [])
        assert np.isfinite(rows).all()
        assert reply.own_log_p < 0 and reply.opposite_log_p < 0
        [whole] = tiny.log_probabilities(own.few_shot, [TEXTS[0]], [reply.raw])
        if tiny.tokenize(reply.raw) and len(tiny.tokenize(reply.raw)) == reply.tokens:
            assert whole == pytest.approx(reply.own_log_p, abs=2e-2)


class Cramped:
    """A model that runs out of memory above some rows, as a small card would."""

    def __init__(self, model, rows):
        self._model, self._rows, self.refused = model, rows, 0

    def __getattr__(self, name):
        return getattr(self._model, name)

    def __call__(self, **inputs):
        if len(inputs["input_ids"]) > self._rows:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self._model(**inputs)


def test_out_of_memory_shrinks_the_batch_loses_nothing_and_is_remembered(tiny, tmp_path):
    config = GenerationConfig(omega=0.6, max_new_tokens=TOKENS, batch_size=10)
    wanted = replies(tiny, config)
    cramped = Cramped(tiny.model, rows=6)
    small = DecoderLLM(tiny.model, tiny.tokenizer, name="small", limits=BatchLimits(tmp_path, "small|cpu"))
    small.model = cramped
    found = replies(small, config)
    assert cramped.refused > 0
    assert {text: (item.positive.raw, item.hard_negative.raw) for text, item in found.items()} == {
        text: (item.positive.raw, item.hard_negative.raw) for text, item in wanted.items()
    }
    before = cramped.refused
    later = DecoderLLM(tiny.model, tiny.tokenizer, name="later", limits=BatchLimits(tmp_path, "small|cpu"))
    later.model = cramped
    assert len(replies(later, config)) == len(TEXTS)
    assert cramped.refused == before, "the learned size holds in the next run"
    assert BatchLimits(tmp_path, "other|cpu").at_most(10) == 10


def test_a_reply_that_does_not_fit_alone_is_told_as_failed(tiny):
    none = DecoderLLM(tiny.model, tiny.tokenizer, name="none")
    none.model = Cramped(tiny.model, rows=0)
    found = replies(none, GenerationConfig(omega=0.0, max_new_tokens=2))
    assert len(found) == len(TEXTS)
    assert {item.positive.outcome for item in found.values()} == {Outcome.FAILED}


def test_too_long_and_empty_premises_have_their_outcome(tiny):
    texts = ["", "word " * 400, "x" * 300_000, TEXTS[0]]
    found = list(generate([Premise(str(i), text) for i, text in enumerate(texts)], GenerationConfig(
        omega=0.0, max_new_tokens=4), tiny))  # fmt: skip
    outcomes = {int(item.premise.premise_id): item.positive.outcome for item in found}
    assert [outcomes[place] for place in range(3)] == [Outcome.FAILED, Outcome.TOO_LONG, Outcome.TOO_LONG]
    assert outcomes[3] in (Outcome.TRUNCATED, Outcome.OK)


QUANTISATION_TOLERANCE = {"all of the best 100": 1.0, "mean of the best 100": 0.16, "mean of the best three": 0.1}
"""Nats between llama.cpp's 8-bit products and float32 products of the same values; 0.72, 0.11, 0.06 were seen."""


def test_llama_cpp_and_transformers_agree_within_quantisation(llm):
    """The same weights, dequantised: next-token log-probabilities of both prompts of both sides, token by token."""
    gguf = GgufLLM(llm)
    torch.set_num_threads(2)
    decoder = DecoderLLM.load(smollm2_safetensors_folder(), name="copy", device="cpu")
    prompts = prompt_set("default")
    reply = " The dog is walking by the sea."
    gaps, best = [], []
    for side in Side:
        prompt = prompts.own(side).prefix() + prompts.own(side).tail(TEXTS[0])
        tokens = gguf.tokenize(reply)
        assert tokens == decoder.tokenize(reply)
        ours, theirs = gguf.next_log_probabilities(prompt, tokens), decoder.next_log_probabilities(prompt, tokens)
        assert ours.shape == theirs.shape == (len(tokens) + 1, llm.vocabulary)
        for mine, other in zip(ours, theirs, strict=True):
            order = np.argsort(-other)
            gaps.append(np.abs(mine - other)[order[:100]])
            best.append(np.abs(mine - other)[order[:3]])
    measured = {
        "all of the best 100": float(np.max(gaps)),
        "mean of the best 100": float(np.mean(gaps)),
        "mean of the best three": float(np.mean(best)),
    }
    assert all(measured[name] < QUANTISATION_TOLERANCE[name] for name in measured), measured
    assert measured["all of the best 100"] > 1e-4, "the same numbers twice would compare a model with itself"
