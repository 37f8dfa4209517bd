"""Folders as people have them: what is good loads in float32, anything else is one sentence and nothing is loaded."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.encoders import load_encoder
from pipeline.generation.llms.loading import open_llm
from pipeline.generation.llms.registry import architecture, entry_for
from pipeline.records import InputError
from pipeline.training.trainer import check_encoder
from tests.pipeline.training.test_batches import config_of

TEXTS = ["A dog runs.", "The old teacher opens the heavy door."]


@pytest.fixture
def folder(tiny_bert, tmp_path):
    """A copy of the tiny BERT as transformers saves it."""
    return shutil.copytree(tiny_bert, tmp_path / "copy")


@pytest.fixture
def saved(tiny_bert, tmp_path):
    """The tiny BERT as sentence-transformers saves it."""
    load_encoder(tiny_bert).save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    return tmp_path / "saved"


def configure(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def reweigh(folder, change):
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def without_tokenizer(folder):
    for path in [*folder.glob("*token*"), *folder.glob("vocab*")]:
        path.unlink()


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def poisoned(weights):
    weights["embeddings.word_embeddings.weight"][1000, 3] = float("nan")
    return weights


def halved(weights):
    return {name: tensor for name, tensor in weights.items() if "layer.1." not in name}


def only_gguf(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "model.gguf").write_bytes(b"GGUF")


def adapter_only(folder):
    only_gguf(folder)
    (folder / "model.gguf").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))


def one_part_missing(folder):
    parts = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    (folder / "model.safetensors").rename(folder / parts[0])
    index = {"weight_map": dict(zip("ab", parts, strict=True))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


BROKEN = {
    "no tokenizer": (without_tokenizer, "no tokenizer"),
    "more layers than weights": (lambda folder: reweigh(folder, halved), r"lack encoder\.layer\.1\."),
    "fewer layers than weights": (lambda folder: configure(folder, num_hidden_layers=1), r"beyond .*layer\.1\."),
    "one weight is NaN": (lambda folder: reweigh(folder, poisoned), r"word_embeddings\.weight holds values"),
    "cut short": (truncate, "copy it again"),
    "an empty file": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "cut short"),
    "LFS pointer": (
        lambda folder: (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
        "git lfs pull",
    ),
    "no config.json": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "config.json of something else": (lambda folder: (folder / "config.json").write_text('{"a": 1}'), "model_type"),
    "config.json is a list": (lambda folder: (folder / "config.json").write_text("[1]"), "model_type"),
    "brackets": (lambda folder: (folder / "config.json").write_text("[" * 20000), "not readable JSON"),
    "unknown architecture": (lambda folder: configure(folder, model_type="robot"), "robot"),
    "another width": (lambda folder: configure(folder, hidden_size=64), "cannot be loaded as an encoder"),
    "a width of 10^9": (lambda folder: configure(folder, hidden_size=10**9), "hidden_size 1,000,000,000"),
    "10^9 layers": (lambda folder: configure(folder, num_hidden_layers=10**9), "num_hidden_layers 1,000,000,000"),
    "negative width": (lambda folder: configure(folder, hidden_size=-32), "cannot be loaded as an encoder"),
    "a GGUF file": (only_gguf, "GGUF"),
    "adapter": (adapter_only, "PEFT adapter"),
    "adapter beside weights": (lambda folder: (folder / "adapter_config.json").write_text("{}"), "PEFT adapter"),
    "a missing part": (one_part_missing, "lacks model-00002-of-00002"),
}


@pytest.mark.parametrize("kind", ["folder", "saved"])
@pytest.mark.parametrize("fault", BROKEN)
def test_a_faulty_folder_is_one_sentence(fault, kind, request):
    path = request.getfixturevalue(kind)
    load_encoder(path)  # it is the fault alone that is refused
    change, message = BROKEN[fault]
    change(path)
    with pytest.raises(InputError, match=message) as error:
        load_encoder(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_an_adapter_with_modules_json(saved):
    (saved / "model.safetensors").rename(saved / "adapter_model.safetensors")
    (saved / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "x"}))
    with pytest.raises(InputError, match="merge_and_unload"):
        load_encoder(saved)


def test_a_pooling_of_another_width(saved):
    path = saved / "1_Pooling" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({name: 99 if value == 32 else value for name, value in config.items()}))
    with pytest.raises(InputError, match="99"):
        load_encoder(saved)


@pytest.mark.parametrize("kind", ["folder", "saved"])
@pytest.mark.parametrize(
    "beside", ["openvino/openvino_model.bin", "onnx/model.onnx", "pytorch_model.bin", "original/a.pth"]
)
def test_copies_for_other_programs_do_not_matter(kind, beside, request):
    path = request.getfixturevalue(kind)
    plain = load_encoder(path).encode(TEXTS)
    (path / beside).parent.mkdir(exist_ok=True)
    (path / beside).write_bytes(b"\x80never opened")
    np.testing.assert_array_equal(load_encoder(path).encode(TEXTS), plain)


def test_a_pickle_where_a_module_would_open_it(saved):
    modules = json.loads((saved / "modules.json").read_text())
    dense = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (saved / "modules.json").write_text(json.dumps([*modules, dense]))
    (saved / "2_Dense").mkdir()
    (saved / "2_Dense" / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(InputError, match="pickle"):
        load_encoder(saved)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["folder", "saved"])
def test_half_precision_folders_are_read_as_float32_and_saved_so(kind, dtype, request, tmp_path):
    path = request.getfixturevalue(kind)
    reweigh(path, lambda weights: {name: tensor.to(dtype) for name, tensor in weights.items()})
    configure(path, dtype=str(dtype).removeprefix("torch."))
    encoder = load_encoder(path)
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    encoder.save_pretrained(str(tmp_path / "again"), create_model_card=False)
    assert {tensor.dtype for tensor in load_file(tmp_path / "again" / "model.safetensors").values()} == {
        torch.float32
    }
    np.testing.assert_allclose(load_encoder(tmp_path / "again").encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)


def test_half_precision_tables_are_read_as_float32(tiny_static, tmp_path):
    path = shutil.copytree(tiny_static, tmp_path / "half")
    reweigh(path, lambda weights: {name: tensor.half() for name, tensor in weights.items()})
    assert load_encoder(path).dtype == torch.float32


def test_a_masked_language_model_without_a_pooler_gives_the_same_encoder_each_time(folder):
    reweigh(folder, lambda weights: {name: tensor for name, tensor in weights.items() if "pooler" not in name})
    first, second = (load_encoder(folder).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_model2vec_folder_without_modules_json(tiny_static, tmp_path):
    table = load_file(tiny_static / "model.safetensors")["embedding.weight"]
    save_file({"embeddings": table.half()}, tmp_path / "model.safetensors")
    shutil.copy(tiny_static / "tokenizer.json", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"tokenizer_name": "x", "normalize": True, "hidden_dim": 16}))
    wanted = load_encoder(tiny_static).encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(load_encoder(tmp_path).encode(TEXTS), wanted, atol=1e-3)


def test_the_output_of_an_earlier_training_is_found_inside(saved, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copytree(saved, tmp_path / "run" / "model")
    np.testing.assert_array_equal(load_encoder(tmp_path / "run").encode(TEXTS), load_encoder(saved).encode(TEXTS))


def test_longest_text_ends_with_the_positions(saved):
    path = saved / "sentence_bert_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_seq_length": 1000}))
    encoder = load_encoder(saved)
    assert encoder.max_seq_length == 128
    assert np.isfinite(encoder.encode("dog " * 500)).all()
    with pytest.raises(InputError, match="1000 exceeds the 128 positions"):
        check_encoder(encoder, config_of(max_seq_length=1000))
    with pytest.raises(InputError, match="129 exceeds the 128 positions"):
        load_encoder(saved, max_seq_length=129)


def test_roberta_loses_two_of_its_positions_to_padding(tmp_path, tiny_bert):
    from transformers import AutoTokenizer, RobertaConfig, RobertaModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    RobertaModel(RobertaConfig(vocab_size=30522, max_position_embeddings=66, **sizes)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_bert, local_files_only=True).save_pretrained(tmp_path)
    encoder = load_encoder(tmp_path)
    assert encoder.max_seq_length == 64
    assert np.isfinite(encoder.encode("dog " * 500)).all()


def test_an_encoder_is_no_llm(folder):
    with pytest.raises(InputError, match=r"BertModel.*writes no text"):
        architecture(folder)


def test_an_llm_that_lacks_layers_is_refused_too(tmp_path, tiny_bert):
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    AutoTokenizer.from_pretrained(tiny_bert, local_files_only=True).save_pretrained(tmp_path)
    LlamaForCausalLM(LlamaConfig(vocab_size=30522, **sizes)).save_pretrained(tmp_path)
    reweigh(tmp_path, lambda weights: {name: tensor for name, tensor in weights.items() if "layers.1." not in name})
    with pytest.raises(InputError, match=r"lack model\.layers\.1\."):
        open_llm(entry_for(str(tmp_path)), device="cpu")
