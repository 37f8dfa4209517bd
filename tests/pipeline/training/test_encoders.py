import json
import math
import shutil

import numpy as np
import pytest
import torch

from pipeline import weights
from pipeline.encoders import is_static, load_encoder, piece_weights
from pipeline.records import InputError, WeightsError


@pytest.mark.parametrize("name", weights.STATIC_ENCODERS)
def test_static_encoder_is_the_mean_of_its_weighted_word_piece_vectors(name, tmp_path):
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer

    encoder = load_encoder(name)
    table = load_file(weights.minilm_folder() / "model.safetensors")["embeddings.word_embeddings.weight"]
    text = "A quick test, unbelievably simple."
    ids = encoder[0].tokenizer.encode(text, add_special_tokens=False).ids
    rank = [max(1, piece - 1996 + 1) for piece in ids]  # "the", the most frequent word, is piece 1996
    weight = [3e-4 / (3e-4 + 1 / (r * math.log(30522))) if name == "static-minilm" else 1.0 for r in rank]
    expected = sum(w * table[piece].numpy() for w, piece in zip(weight, ids, strict=True)) / len(ids)
    np.testing.assert_allclose(encoder.encode(text), expected, atol=1e-6)
    assert is_static(encoder)
    encoder.save_pretrained(str(tmp_path))
    np.testing.assert_allclose(SentenceTransformer(str(tmp_path)).encode(text), expected, atol=1e-6)


def test_a_transformer_is_not_static():
    assert not is_static(load_encoder("all-MiniLM-L6-v2"))


def test_frequent_word_pieces_weigh_less():
    encoder = load_encoder("static-minilm")
    vocabulary = encoder[0].tokenizer.get_vocab()
    found = piece_weights(encoder[0].tokenizer)
    weight = [float(found[vocabulary[piece]]) for piece in (".", "the", "of", "dog", "accordion")]
    assert weight[0] == weight[1] and sorted(weight) == weight and 0 < weight[0] < 0.01 and 0.9 < weight[-1] < 1


def test_static_encoder_reads_texts_beyond_the_transformers_limit():
    text = "word " * 400
    assert len(load_encoder("static-minilm").preprocess([text])["input_ids"]) == 400


def test_minilm_keeps_its_own_maximum_length_unless_told():
    assert load_encoder("all-MiniLM-L6-v2").max_seq_length == 256
    assert load_encoder("all-MiniLM-L6-v2", max_seq_length=32).max_seq_length == 32


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_plain_transformers_folder_gets_the_pooling_asked_for(tiny_bert, pooling):
    encoder = load_encoder(tiny_bert, pooling=pooling)
    inputs = encoder.preprocess(["A dog runs.", "A much longer sentence with many more words in it."])
    with torch.no_grad():
        tokens = encoder[0].auto_model(**{k: v for k, v in inputs.items() if isinstance(v, torch.Tensor)})[0]
    mask = inputs["attention_mask"].unsqueeze(-1).float()
    expected = tokens[:, 0] if pooling == "cls" else (tokens * mask).sum(1) / mask.sum(1)
    vectors = encoder.encode(["A dog runs.", "A much longer sentence with many more words in it."])
    np.testing.assert_allclose(vectors, expected.numpy(), atol=1e-5)


def test_decoder_gives_a_text_the_same_vector_alone_and_padded(tmp_path):
    # Left padding shifts positions and a missing pad token stops batching; both come with language models.
    from transformers import AutoTokenizer, LlamaConfig, LlamaModel

    tokenizer = AutoTokenizer.from_pretrained(weights.minilm_folder(), local_files_only=True)
    tokenizer.padding_side, tokenizer.pad_token, tokenizer.eos_token = "left", None, "[SEP]"
    tokenizer.save_pretrained(tmp_path)
    LlamaModel(
        LlamaConfig(
            vocab_size=30522, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
        )
    ).save_pretrained(tmp_path)
    encoder = load_encoder(tmp_path)
    texts = ["Short.", "A much longer sentence that makes the short one be padded a lot."]
    np.testing.assert_allclose(encoder.encode(texts)[0], encoder.encode(texts[0]), atol=1e-5)
    inputs = encoder.preprocess(texts)
    assert inputs["attention_mask"][0, 0] == 1
    assert inputs["attention_mask"][0, -1] == 0


def test_unknown_name_is_answered_with_the_choices():
    with pytest.raises(InputError) as error:
        load_encoder("bert-of-somebody")
    assert all(name in str(error.value) for name in weights.BUILT_IN_ENCODERS)


def test_folder_without_a_model(tmp_path):
    with pytest.raises(InputError, match="holds no model"):
        load_encoder(tmp_path)


def test_pickled_weights_are_refused_before_they_are_opened(tiny_bert, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_bert, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="pickle"):
        load_encoder(folder)


def test_folder_without_weights(tiny_bert, tmp_path):
    folder = tmp_path / "empty"
    shutil.copytree(tiny_bert, folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="safetensors"):
        load_encoder(folder)


def test_code_of_its_own_is_refused(tiny_bert, tmp_path):
    folder = tmp_path / "remote"
    shutil.copytree(tiny_bert, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "own.Model"}}))
    with pytest.raises(InputError, match="auto_map"):
        load_encoder(folder)
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "own.Module"}]))
    with pytest.raises(InputError, match=r"own\.Module"):
        load_encoder(folder)


def test_saved_encoder_with_damaged_json(tmp_path):
    (tmp_path / "modules.json").write_text("{")
    with pytest.raises(InputError, match=r"modules\.json"):
        load_encoder(tmp_path)


def test_absent_gpu_is_refused():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="cuda"):
        load_encoder("static-minilm", device="cuda:0")
