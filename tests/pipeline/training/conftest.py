"""Triplets small enough for quick runs, and a transformer small enough to train in a test."""

import pytest

from pipeline.records import Triplet

_SUBJECTS = ("A dog", "The old teacher", "My neighbour", "A small boat", "The orchestra", "Her brother", "A farmer")
_ACTIONS = (
    ("runs along the beach", "is running by the sea", "sleeps on the sofa"),
    ("opens the heavy door", "pushes the big door open", "locks the door for good"),
    ("waits for the last train", "is still waiting for the late train", "missed every bus today"),
    ("paints the fence green", "gives the fence a green coat", "tears the fence down"),
)


@pytest.fixture(scope="session")
def triplets():
    """28 triplets with as many different premises."""
    return [
        Triplet(f"{subject} {premise}.", f"{subject} {positive}.", f"{subject} {negative}.")
        for subject in _SUBJECTS
        for premise, positive, negative in _ACTIONS
    ]


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """Folder of a random two-layer BERT with dropout and MiniLM's word pieces, as transformers saves it."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from pipeline import weights

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny-bert")
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights.minilm_folder(), local_files_only=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_static(tmp_path_factory):
    """Folder of the static encoder cut to 16 of its 384 columns: the same steps at a fraction of the cost."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    from pipeline.encoders import load_encoder

    whole = load_encoder("static-minilm")[0]
    table = whole.embedding.weight.detach()[:, :16].clone()
    folder = tmp_path_factory.mktemp("tiny-static")
    encoder = SentenceTransformer(modules=[StaticEmbedding(whole.tokenizer, embedding_weights=table)], device="cpu")
    encoder.save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory):
    """Folder of a random two-layer decoder with MiniLM's word pieces, as transformers saves it."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaModel

    from pipeline import weights

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny-llama")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaModel(LlamaConfig(vocab_size=30522, **sizes)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights.minilm_folder(), local_files_only=True).save_pretrained(folder)
    return folder
