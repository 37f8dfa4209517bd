"""Vectors kept for all: told apart by everything that changes one, computed once whoever asks, safe in any crash."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from pipeline import vectors
from pipeline.analysis.explain import word_effects
from pipeline.curation.judges import load_judge
from pipeline.encoders import load_encoder
from pipeline.evaluation.behaviour import run_cases
from pipeline.evaluation.benchmark import evaluate, held_out_accuracy
from pipeline.evaluation.retrieval import RetrievalTask, evaluate_retrieval
from pipeline.evaluation.sts import StsTask, read_task
from pipeline.records import Stopped, StorageError, Triplet
from pipeline.studies.cache import model_key
from pipeline.training.guide import guide_table
from pipeline.vectors import CachedEncoder, corpus_vectors, encoder_identity
from pipeline.weights import minilm_folder

PROJECT = Path(__file__).parents[2]
TEXTS = ["A dog runs.", "Two boats.", "A dog runs.", "Rain falls on the roof of the old house."]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("static-minilm")


@pytest.fixture
def asked(monkeypatch):
    """Texts that any encoder was asked to encode."""
    seen = []
    encode = SentenceTransformer.encode

    def counting(self, inputs, *arguments, **options):
        seen.extend([inputs] if isinstance(inputs, str) else inputs)
        return encode(self, inputs, *arguments, **options)

    monkeypatch.setattr(SentenceTransformer, "encode", counting)
    return seen


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Folders of MiniLM: as it is, with a default prompt, and with 64 dimensions."""
    folder = tmp_path_factory.mktemp("copies")
    changes = {
        "plain": {},
        "prompt": {"prompts": {"query": "query: "}, "default_prompt_name": "query"},
        "truncated": {"truncate_dim": 64},
    }
    for name, change in changes.items():
        shutil.copytree(minilm_folder(), folder / name)
        path = folder / name / "config_sentence_transformers.json"
        path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | change))
    return {name: folder / name for name in changes}


def kept(folder):
    """Texts in each store."""
    return sorted(
        sqlite3.connect(path).execute("SELECT count(*) FROM vectors").fetchone()[0]
        for path in folder.glob("*.sqlite")
    )


def test_a_second_time_is_read_and_equal(encoder, tmp_path, asked):
    first = corpus_vectors(TEXTS, encoder, cache=tmp_path)
    assert len(asked) == first.computed == 3
    second = corpus_vectors(TEXTS[::-1], encoder, cache=tmp_path)
    assert len(asked) == 3 and second.computed == 0
    np.testing.assert_array_equal(first(TEXTS), second(TEXTS))
    plain = encoder.encode(TEXTS)
    np.testing.assert_allclose(first(TEXTS), plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-6)


def test_of_a_list_that_overlaps_only_the_new_texts_are_computed(encoder, tmp_path, asked):
    corpus_vectors(TEXTS, encoder, cache=tmp_path)
    asked.clear()
    assert corpus_vectors([*TEXTS, "One more.", "One more."], encoder, cache=tmp_path).computed == 1
    assert asked == ["One more."]
    assert corpus_vectors(["Two boats.A dog runs."], encoder, cache=tmp_path).computed == 1
    assert kept(tmp_path) == [5]


@pytest.mark.parametrize(("copy", "score"), [("plain", 94.33), ("prompt", 93.46), ("truncated", 92.44)])
def test_every_copy_gets_its_own_score_in_one_folder(copy, score, copies, shared_data, tmp_path):
    """Measured by sentence-transformers alone, on the first 100 pairs of STSB-dev."""
    task = read_task("STSB-dev", shared_data / "sts" / "STSB-dev.tsv")
    task = StsTask(task.name, task.sentence1[:100], task.sentence2[:100], task.gold[:100], task.subset[:100])
    for other in copies.values():  # the others have been there before
        corpus_vectors(task.sentence1[:5], load_encoder(other), cache=tmp_path)
    model = load_encoder(copies[copy])
    found = corpus_vectors(task.sentence1 + task.sentence2, model, cache=tmp_path)
    [result] = evaluate(model, [task], vectors=found)
    assert round(100 * result.score.spearman, 2) == score
    assert len(kept(tmp_path)) == 3


def changed(encoder, change):
    change(encoder)
    return encoder


CHANGES = {
    "one weight": lambda e: e[0].auto_model.embeddings.word_embeddings.weight.data[5, 5].add_(1e-3),
    "a prompt": lambda e: e.prompts.update(query="query: "),
    "the default prompt": lambda e: setattr(e, "default_prompt_name", "document"),
    "truncate_dim": lambda e: setattr(e, "truncate_dim", 64),
    "max_seq_length": lambda e: setattr(e, "max_seq_length", 16),
    "dtype": lambda e: e.to(torch.bfloat16),
    "pooling": lambda e: setattr(e[1], "pooling_mode", "cls"),
    "no normalisation": lambda e: e.__delitem__(2),
    "lower case": lambda e: setattr(
        e.tokenizer.backend_tokenizer, "normalizer", type(e.tokenizer.backend_tokenizer.normalizer)(lowercase=False)
    ),
    "padding side": lambda e: setattr(e.tokenizer, "padding_side", "left"),
    "activation": lambda e: setattr(e[0].auto_model.config, "hidden_act", "relu"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_everything_that_changes_a_vector_is_in_the_identity(name):
    plain = encoder_identity(load_encoder("all-MiniLM-L6-v2"))
    assert encoder_identity(changed(load_encoder("all-MiniLM-L6-v2"), CHANGES[name])) != plain


def test_where_an_encoder_lies_and_what_it_did_is_not(copies, tmp_path):
    shutil.copytree(copies["plain"], tmp_path / "elsewhere")
    one, other = load_encoder(copies["plain"]), load_encoder(tmp_path / "elsewhere")
    before = encoder_identity(one)
    one.encode(TEXTS)  # leaves padding and truncation in the tokenizer
    assert encoder_identity(one) == encoder_identity(other) == before


def test_a_prompt_at_encoding_is_part_of_the_key(tmp_path):
    model = load_encoder("all-MiniLM-L6-v2")
    cached = CachedEncoder(model, tmp_path)
    plain, prompted = cached.encode(["A dog runs."]), cached.encode(["A dog runs."], prompt="query: ")
    assert not np.allclose(plain, prompted, atol=1e-3)
    np.testing.assert_allclose(prompted, model.encode(["query: A dog runs."]), atol=1e-6)
    assert cached.computed == 2


def test_a_search_has_the_prompts_of_queries_and_documents(copies, tmp_path, asked):
    """Equal to what sentence-transformers itself encodes."""
    model = load_encoder(copies["prompt"])
    model.prompts["document"] = "passage: "
    task = RetrievalTask("t", "test", {"d1": "A dog.", "d2": "A boat."}, {"q": "dogs"}, {"q": {"d1": 1}})
    cached = CachedEncoder(model, tmp_path)
    np.testing.assert_allclose(cached.encode_query(["dogs"]), model.encode(["query: dogs"], prompt=""), atol=1e-6)
    np.testing.assert_allclose(
        cached.encode_document(["A dog."]), model.encode(["passage: A dog."], prompt=""), atol=1e-6
    )
    first = evaluate_retrieval(task, cached)
    asked.clear()
    assert evaluate_retrieval(task, CachedEncoder(model, tmp_path)) == first == evaluate_retrieval(task, model)
    assert sorted(asked) == ["A boat.", "A dog.", "dogs"], "only the encoder without a cache was asked"


def test_whoever_asks_second_computes_nothing(encoder, tmp_path, asked):
    """Guide, evaluation, hygiene, map, judge, behaviour and explanation share texts, whatever lists they ask for."""
    triplets = [Triplet("A dog runs.", "A dog is running.", "No dog runs."), Triplet("It rains.", "Rain.", "Sun.")]
    texts = [text for t in triplets for text in (t.premise, t.positive, t.hard_negative)]
    cached = CachedEncoder(encoder, tmp_path)
    guide_table(triplets, encoder, cache=tmp_path)
    assert len(asked) == 6
    asked.clear()
    assert guide_table(triplets[::-1], encoder, columns=2, cache=tmp_path).computed == 0
    corpus_vectors(texts, encoder, cache=tmp_path)
    CachedEncoder(load_encoder("static-minilm"), tmp_path).encode(texts[:3])
    load_judge("guide:static-minilm", vectors=tmp_path).scores([(t.premise, t.positive) for t in triplets])
    assert held_out_accuracy(cached, triplets) == held_out_accuracy(encoder, triplets)
    assert len(asked) == len(texts), "only the encoder without a cache was asked"
    for use in (lambda: run_cases([], cached), lambda: word_effects("A dog runs.", "No dog runs.", cached)):
        use()
        asked.clear()
        use()
        assert asked == []


def test_a_kill_keeps_the_chunks_that_were_done(tmp_path):
    code = """
import os, signal, sys
from pathlib import Path
from pipeline import vectors
from pipeline.encoders import load_encoder
vectors._CHUNK_TEXTS = 10
def kill(done, total):
    if done == 20:
        os.kill(os.getpid(), signal.SIGKILL)
texts = [f"Text {i}" for i in range(50)]
vectors.corpus_vectors(texts, load_encoder("static-minilm"), cache=Path(sys.argv[1]), on_texts=kill)
"""
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert kept(tmp_path) == [20]
    rest = corpus_vectors([f"Text {i}" for i in range(50)], load_encoder("static-minilm"), cache=tmp_path)
    assert rest.computed == 30


def test_two_processes_at_once_keep_everything(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "_CHUNK_TEXTS", 20)
    code = """
import sys
from pathlib import Path
from pipeline import vectors
from pipeline.encoders import load_encoder
vectors._CHUNK_TEXTS = 20
texts = [f"Text {i}" for i in range(int(sys.argv[2]), int(sys.argv[2]) + 300)]
vectors.corpus_vectors(texts, load_encoder("static-minilm"), cache=Path(sys.argv[1]))
"""
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), start], cwd=PROJECT) for start in ("0", "150")
    ]
    assert [process.wait() for process in running] == [0, 0]
    assert kept(tmp_path) == [450]
    found = corpus_vectors([f"Text {i}" for i in range(450)], encoder, cache=tmp_path)
    assert found.computed == 0
    np.testing.assert_allclose(np.linalg.norm(found.unit_ud, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("damage", [lambda old: b"no database" * 100, lambda old: old[: len(old) // 2]])
def test_a_damaged_store_is_made_anew(damage, encoder, tmp_path):
    texts = [f"Text {i}" for i in range(40)]
    right = corpus_vectors(texts, encoder, cache=tmp_path)
    [path] = tmp_path.glob("*.sqlite")
    path.write_bytes(damage(path.read_bytes()))
    again = corpus_vectors(texts, encoder, cache=tmp_path)
    assert again.computed >= 40
    np.testing.assert_array_equal(again(texts), right(texts))
    assert corpus_vectors(texts, encoder, cache=tmp_path).computed == 0


def test_a_folder_that_cannot_be_written_is_named(encoder, tmp_path):
    corpus_vectors(TEXTS, encoder, cache=tmp_path)
    [path] = tmp_path.glob("*.sqlite")
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match="free space, or delete the folder"):
        corpus_vectors(TEXTS, encoder, cache=tmp_path)


def test_stops_between_chunks_and_keeps_nothing_without_a_folder(encoder):
    with pytest.raises(Stopped):
        guide_table([Triplet("a", "b", "c")], encoder, should_stop=lambda: True)
    assert corpus_vectors(TEXTS, encoder, cache=None).computed == 3


def test_texts_of_any_kind_are_keys_of_their_own(encoder, tmp_path):
    odd = ["", " ", "a\x00b", "a", "\u00e9", "e\u0301"]
    found = corpus_vectors(odd, encoder, cache=tmp_path)
    assert found.computed == len(odd)
    np.testing.assert_array_equal(found(odd), corpus_vectors(odd[::-1], encoder, cache=tmp_path)(odd))
    assert not found([""]).any() or np.isclose(np.linalg.norm(found([""])), 1)


def test_studies_tell_models_apart_by_their_settings_too(copies):
    assert len({model_key(str(folder)) for folder in copies.values()}) == 3


def test_the_store_follows_the_umask(encoder, tmp_path):
    before = os.umask(0o077)
    try:
        corpus_vectors(TEXTS, encoder, cache=tmp_path / "vectors")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o077 for path in (tmp_path / "vectors").glob("*")] == [0]
