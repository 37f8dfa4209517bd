"""The contrast against transformers' classifier-free guidance, on a copy of the same weights.

z = l - omega * l^ has the same best token as guidance with gamma = 1 / (1 - omega), so greedy output at omega 0.5
without a plausibility cut must equal `guidance_scale=2` with `negative_prompt_ids`, token for token: both sides run
the same float32 model, and only the combination of the two prompts is under test.
"""

import pytest
import torch

from pipeline.generation.contrast import TokenChoice
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.token_choice import choose
from pipeline.records import Side
from pipeline.weights import smollm2_safetensors_folder
from tests.conftest import DRILL

HOW = TokenChoice(omega=0.5, plausibility=0.0)
PREMISES = ("Two dogs chase a ball across the beach.", "How tall is the new bridge?")[: 2 if DRILL else 1]
TOKENS = 12 if DRILL else 6


@pytest.fixture(scope="module")
def model_and_tokenizer():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(smollm2_safetensors_folder())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)


def contrasted(model, own: torch.Tensor, opposite: torch.Tensor) -> list[int]:
    """Our combination in the plainest loop: two prompts, each with its own cache, one token appended to both."""
    states = [model(own, use_cache=True), model(opposite, use_cache=True)]
    tokens: list[int] = []
    while len(tokens) < TOKENS:
        rows = [state.logits[:, -1].numpy() for state in states]
        token = int(choose(rows[0], rows[1], HOW)[0])
        tokens.append(token)
        if token == model.generation_config.eos_token_id:
            break
        step = torch.tensor([[token]])
        states = [model(step, past_key_values=state.past_key_values, use_cache=True) for state in states]
    return tokens


@pytest.mark.drill
@torch.inference_mode()
def test_greedy_contrast_equals_guidance(model_and_tokenizer):
    changed = 0
    for premise in PREMISES:
        for side in Side:
            ours, guided, plain = continuations(*model_and_tokenizer, premise, side)
            assert ours == guided
            assert len(ours) >= 4
            changed += guided != plain
    assert changed >= len(PREMISES), "guidance must have had something to change"


def continuations(model, tokenizer, premise: str, side: Side) -> tuple[list[int], list[int], list[int]]:
    prompts = prompt_set("default")
    own, opposite = (
        tokenizer(prompt.prefix() + prompt.tail(premise), return_tensors="pt").input_ids
        for prompt in (prompts.own(side), prompts.opposite(side))
    )
    settings = {"max_new_tokens": TOKENS, "do_sample": False, "pad_token_id": 0}
    guided = model.generate(own, guidance_scale=2.0, negative_prompt_ids=opposite, **settings)
    plain = model.generate(own, **settings)
    length = own.shape[1]
    return contrasted(model, own, opposite), guided[0, length:].tolist(), plain[0, length:].tolist()
