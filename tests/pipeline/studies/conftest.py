"""A small study on files: no LLM, a static encoder cut to a few columns, three little STS tasks."""

import numpy as np
import pytest

from pipeline.exchange import write_triplets
from pipeline.records import Triplet

_SUBJECTS = ("A dog", "The old teacher", "My neighbour", "A small boat", "The orchestra", "Her brother", "A farmer")
_ACTIONS = (
    ("runs along the beach", "is running by the sea", "sleeps on the sofa"),
    ("opens the heavy door", "pushes the big door open", "locks the door for good"),
    ("waits for the last train", "is still waiting for the late train", "missed every bus today"),
    ("paints the fence green", "gives the fence a green coat", "tears the fence down"),
)

STUDY = """
study: small
title: A small study
seeds: 2
baseline: plain
train: {encoder: ENCODER, steps: 3, batch_size: 8, mask_rule: none, max_seq_length: 16}
evaluation: {sts_dir: sts}
arms:
  - {name: plain, triplets: triplets.jsonl}
  - {name: hot, triplets: triplets.jsonl, train: {temperature: 0.5}}
"""


@pytest.fixture(scope="session")
def triplets():
    return [
        Triplet(f"{subject} {premise}.", f"{subject} {positive}.", f"{subject} {negative}.")
        for subject in _SUBJECTS
        for premise, positive, negative in _ACTIONS
    ]


@pytest.fixture(scope="session")
def tiny_static(tmp_path_factory):
    """Folder of the static encoder cut to 8 of its 384 columns."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    from pipeline.encoders import load_encoder

    whole = load_encoder("static-minilm")[0]
    table = whole.embedding.weight.detach()[:, :8].clone()
    folder = tmp_path_factory.mktemp("tiny-static")
    encoder = SentenceTransformer(modules=[StaticEmbedding(whole.tokenizer, embedding_weights=table)], device="cpu")
    encoder.save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture
def study_file(tmp_path, triplets, tiny_static):
    """A study file with its data beside it."""
    write_triplets(tmp_path / "triplets.jsonl", triplets)
    (tmp_path / "sts").mkdir()
    generator = np.random.default_rng(0)
    for name in ("STS12", "STSB-test"):
        rows = ["subset\tscore\tsentence1\tsentence2"]
        for first in triplets[:20]:
            second = triplets[generator.integers(len(triplets))]
            rows.append(f"own\t{generator.integers(0, 6)}\t{first.premise}\t{second.positive}")
        (tmp_path / "sts" / f"{name}.tsv").write_text("\n".join(rows) + "\n")
    file = tmp_path / "small.yaml"
    file.write_text(STUDY.replace("ENCODER", str(tiny_static)))
    return file
