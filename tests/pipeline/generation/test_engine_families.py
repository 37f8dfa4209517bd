"""The engine over transformers folders of each family, against transformers' own code with the same weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoTokenizer

from pipeline import weights
from pipeline.config import GenerationConfig
from pipeline.generation.contrast import TokenChoice, pick
from pipeline.generation.engines.engine import PREFIXES, Piece
from pipeline.generation.engines.folder_weights import FAMILIES, computes, slides
from pipeline.generation.engines.torch_llama import TorchLlama
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.llms.loading import open_llm
from pipeline.generation.llms.protocol import Ask
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.transformers_llm import DecoderLLM
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.token_choice import contrast
from pipeline.generation.triplets import _seed, generate
from pipeline.records import Premise, Side, WeightsError
from pipeline.weights import embedded_gguf, smollm2_safetensors_folder
from tests.conftest import DRILL

SIZES = {
    "vocab_size": 30522, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "head_dim": 12,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.3,
    "bos_token_id": None, "eos_token_id": 102, "pad_token_id": 0,
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
TURNS = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
    "full_attention": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 8.0},
}
OWN = {
    "llama": {"attention_bias": True, "mlp_bias": True, "rope_parameters": LLAMA3},
    "mistral": {"sliding_window": 16},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"use_sliding_window": True, "sliding_window": 20, "max_window_layers": 1},
    "gemma": {},
    "gemma2": {"sliding_window": 16, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 8.0},
    "gemma3_text": {"sliding_window": 24, "sliding_window_pattern": 2, "rope_parameters": TURNS,
                    "query_pre_attn_scalar": 20},
}  # fmt: skip
TEXTS = ["A dog runs along the beach.", "How far is it?", "She laughed."]
PREMISES = [Premise.from_text(text) for text in TEXTS]
MANY = [Premise.from_text(f"{text} {number}.") for number in range(17) for text in TEXTS] if DRILL else PREMISES
GREEDY = GenerationConfig(omega=0.6, max_new_tokens=4)
SAMPLED = GenerationConfig(omega=0.3, temperature=1.0, plausibility=0.2, top_p=0.9, max_new_tokens=4)


def folder_of(family: str, folder: Path) -> Path:
    """Save a random model in several files; biases and norms are random too, which they are not by themselves."""
    torch.manual_seed(5)
    config = transformers.AutoConfig.for_model(family, **SIZES | OWN[family])
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    model.save_pretrained(folder, max_shard_size="1MB")
    AutoTokenizer.from_pretrained(weights.minilm_folder(), local_files_only=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    folder = folder_of(request.param, tmp_path_factory.mktemp("family") / request.param)
    with open_llm(LLMEntry("tiny", "decoder", str(folder)), device="cpu", threads=1) as llm:
        yield llm, DecoderLLM.load(folder, name="tiny", device="cpu")


def texts(llm, config, premises=PREMISES):
    made = generate(premises, config, llm)
    return {item.premise.text: (item.positive.raw, item.hard_negative.raw) for item in made}


def test_logits_are_those_of_transformers_after_a_shared_prefix_and_token_by_token(pair):
    llm, reference = pair
    assert isinstance(llm, GgufLLM), "the engine has taken over"
    engine: TorchLlama = llm.llama
    tokens = np.random.default_rng(1).integers(1000, 30_000, (3, 70)).tolist()
    rows = [tokens[0][:40] + row[40:] for row in tokens]
    pieces = []
    for number, row in enumerate(rows):
        engine.share(engine.prefix(rows[0][:40]), PREFIXES + number)
        pieces.append(Piece(PREFIXES + number, 40, row[40 : 60 + number]))
    engine.decode(pieces)
    found = engine.decode([Piece(PREFIXES + n, 60 + n, [row[60 + n]]) for n, row in enumerate(rows)])
    with torch.no_grad():
        for number, row in enumerate(rows):
            wanted = reference.model(torch.tensor([row[: 61 + number]])).logits[0, -1].numpy()
            np.testing.assert_allclose(found[number], wanted, atol=1e-4)
            engine.forget(PREFIXES + number)
    assert np.abs(found[0] - found[1]).max() > 0.1


def naive_reply(reference: DecoderLLM, premise: Premise, side: Side, config: GenerationConfig) -> str:
    """One token at a time from whole texts: no cache, no batch, no padding."""
    prompts, how = prompt_set(config.prompt_set), TokenChoice.of(config)
    draws = np.random.default_rng([_seed(config.seed, premise, 0), int(side is Side.POSITIVE)])
    chosen: list[int] = []
    while len(chosen) < config.max_new_tokens:
        rows = []
        for prompt in (prompts.own(side), prompts.opposite(side)):
            ids = reference.prompt_tokens(prompt.few_shot, premise.text) + chosen
            rows.append(reference.model(torch.tensor([ids])).logits[0, -1:].numpy())
        z = contrast(*rows, omega=config.omega, plausibility=config.plausibility)[0].numpy()
        token = pick(z, how, draws.random() if how.temperature else None)
        if reference.is_end(token):
            break
        chosen.append(token)
    return reference.detokenize(chosen)


@pytest.mark.drill
@pytest.mark.parametrize("config", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_texts_are_those_of_transformers_with_the_same_seeds(pair, config):
    """Batches of transformers; one reply at a time from whole texts where layers slide, as in its padded batches with
    a shared prefix the padding counts towards a window that is shorter than the prompt."""
    llm, reference = pair
    found = texts(llm, config, MANY)
    if any(layer.sliding for layer in llm.llama._weights.layers):
        with torch.no_grad():
            wanted = {p.text: tuple(naive_reply(reference, p, side, config) for side in Side) for p in MANY}
    else:
        wanted = texts(reference, config, MANY)
    assert found == wanted
    assert len({text for both in found.values() for text in both}) > len(TEXTS), "different prompts, different texts"


def test_a_folder_tells_whether_its_layers_slide(pair):
    llm, reference = pair
    folder, layers = Path(reference.model.config.name_or_path), llm.llama._weights.layers
    assert slides(folder) == any(layer.sliding for layer in layers)


def test_candidates_are_measured_while_they_are_written(pair):
    llm, reference = pair
    config = GenerationConfig(omega=0.5, plausibility=0.5, temperature=0.7, candidates=2, max_new_tokens=3)
    prompts = prompt_set("default")
    ask = [Ask(0, "She laughed.", 7)]
    found, wanted = (
        {
            reply.side: (reply.own_log_p, reply.opposite_log_p)
            for reply in one.replies(iter(ask), prompts, config, lambda: False)
        }
        for one in (llm, reference)
    )
    assert len(found) == len(Side)
    if not any(layer.sliding for layer in llm.llama._weights.layers):
        for side, values in found.items():
            np.testing.assert_allclose(values, wanted[side], atol=1e-3)
            assert values[0] < 0 and values[1] < 0


def test_a_gguf_file_and_a_folder_of_the_same_weights_give_the_same_texts():
    entry = LLMEntry("copy", "decoder", str(smollm2_safetensors_folder()), form="completion")
    with TorchLlama(embedded_gguf(), name="file", threads=1) as file:
        wanted = texts(GgufLLM(file), GREEDY, PREMISES[:2])
    with open_llm(entry, device="cpu", threads=1) as folder:
        assert texts(folder, GREEDY, PREMISES[:2]) == wanted


def test_what_the_engine_does_not_compute_is_left_to_transformers(tmp_path):
    changes = ({"model_type": "gpt_neox"}, {"hidden_act": "relu"}, {"quantization_config": {"quant_method": "gptq"}})
    for number, change in enumerate(changes):
        settings = SIZES | {"model_type": "llama"} | change
        config = transformers.AutoConfig.for_model(settings.pop("model_type"), **settings)
        config.save_pretrained(tmp_path / str(number))
        assert not computes(tmp_path / str(number))
    assert not computes(tmp_path / "nowhere")


def test_weights_that_the_configuration_does_not_name_are_refused(tmp_path):
    """A folder whose file holds more than its config.json says would otherwise be computed without it."""
    from safetensors.torch import load_file, save_file

    folder = folder_of("qwen3", tmp_path / "more")
    shards = {path: load_file(path) for path in folder.glob("*.safetensors")}
    path, name = next((path, name) for path, found in shards.items() for name in found if "layers.0" in name)
    index = folder / "model.safetensors.index.json"
    more = name.replace("layers.0", "layers.9")
    index.write_text(index.read_text().replace(f'"{name}"', f'"{more}": "{path.name}", "{name}"'))
    save_file(shards[path] | {more: shards[path][name].clone()}, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError):
        open_llm(LLMEntry("tiny", "decoder", str(folder)), device="cpu")
