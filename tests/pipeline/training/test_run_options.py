"""What a run may be told beside its loss: precision, source of positives, what is kept, when it ends early."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from pipeline.analysis.worst_pairs import validation
from pipeline.records import InputError
from pipeline.train_config import TrainConfig
from pipeline.training import run as training
from pipeline.training.guide import phi_for_share
from pipeline.training.model_card import add_scores
from pipeline.training.run import train


@pytest.fixture(scope="module")
def static(tiny_static):
    return TrainConfig(encoder=str(tiny_static), steps=6, batch_size=8, mask_rule="none", learning_rate=0.02)


def weights_of(folder):
    return SentenceTransformer(str(folder), device="cpu")[0].embedding.weight.detach()


def scripted(*scores):
    """A dev metric that answers with these scores, and the weights it was shown."""
    shown = []

    def score(encoder):
        shown.append(encoder[0].embedding.weight.detach().clone())
        return scores[len(shown) - 1]

    return score, shown


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_refused_on_a_cpu_in_one_sentence(static, triplets, tmp_path, precision):
    with pytest.raises(InputError, match=f"Precision {precision} needs a GPU") as error:
        train(triplets, replace(static, precision=precision, device="cpu"), output_dir=tmp_path)
    assert str(error.value).count(".") == 1


def test_best_weights_are_kept_and_last_ones_when_asked(static, triplets, tmp_path):
    for keep, kept, score in (("best", 1, 0.9), ("last", 2, 0.3)):
        dev, shown = scripted(0.5, 0.9, 0.3)
        config = replace(static, eval_every=2, keep=keep)
        result = train(triplets, config, output_dir=tmp_path / keep, dev=dev)
        assert (result.kept_step, result.dev_score, result.step) == (2 * kept + 2, score, 6)
        assert torch.equal(weights_of(result.encoder_folder), shown[kept])
        assert f"after {result.kept_step} of 6 steps (dev score {score:.4f})" in card(result)


def card(result):
    return (result.encoder_folder / "README.md").read_text(encoding="utf-8")


def test_early_stop_after_so_many_scores_without_a_new_best(static, triplets, tmp_path):
    dev, shown = scripted(0.5, 0.9, 0.8, math.nan, 0.95)
    result = train(triplets, replace(static, eval_every=1, patience=2), output_dir=tmp_path, dev=dev)
    assert (result.status, result.ended_early, result.step, result.kept_step) == ("finished", True, 4, 2)
    assert torch.equal(weights_of(result.encoder_folder), shown[1])


def test_patience_without_dev_scores_is_refused():
    with pytest.raises(InputError, match="eval_every is 0"):
        TrainConfig(patience=3)


def test_best_weights_survive_a_pause(static, triplets, tmp_path):
    first, shown = scripted(0.9, 0.1)
    polls = iter(range(1, 100))
    config = replace(static, eval_every=2, patience=3)
    train(triplets, config, output_dir=tmp_path, dev=first, should_stop=lambda: "pause" if next(polls) == 4 else None)
    second, _ = scripted(0.2)
    result = train(triplets, config, output_dir=tmp_path, dev=second)
    assert (result.kept_step, result.dev_score) == (2, 0.9)
    assert torch.equal(weights_of(result.encoder_folder), shown[0])


def test_finish_ends_a_run_where_it_is_and_keeps_the_encoder(static, triplets, tmp_path):
    polls = iter(range(1, 100))
    dev, shown = scripted(0.4)
    word = lambda: "finish" if next(polls) == 3 else None  # noqa: E731
    result = train(triplets, static, output_dir=tmp_path, dev=dev, should_stop=word)
    assert (result.status, result.step, result.kept_step, result.dev_score) == ("finished", 3, 3, 0.4)
    assert torch.equal(weights_of(result.encoder_folder), shown[0])
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    "fields",
    [{"optimizer": "adafactor"}, {"optimizer": "sgd"}, {"scheduler": "cosine"}, {"scheduler": "constant"},
     {"weight_decay": 0.5}, {"matryoshka": True}, {"mask_rule": "student", "mask_threshold": -0.1}],
    ids=str,
)  # fmt: skip
def test_each_of_these_settings_changes_what_is_learned(static, triplets, tmp_path, fields):
    short = replace(static, steps=3)
    plain, other = (
        train(triplets, replace(short, **changed), output_dir=tmp_path / name)
        for name, changed in (("plain", {}), ("other", fields))
    )
    assert not torch.allclose(weights_of(plain.encoder_folder), weights_of(other.encoder_folder), atol=1e-6)
    masked = "candidates that the encoder itself puts -0.1" in card(other)
    assert masked == ("mask_rule" in fields) and other.threshold == fields.get("mask_threshold")


def test_dropout_as_positive_needs_an_encoder_with_dropout(static, triplets, tiny_bert, tmp_path):
    with pytest.raises(InputError, match="no dropout"):
        TrainConfig(positives="dropout")
    with pytest.raises(InputError, match="no dropout"):
        train(triplets, replace(static, positives="dropout"), output_dir=tmp_path / "static")
    config = replace(static, encoder=str(tiny_bert), positives="dropout", learning_rate=1e-3, steps=3)
    assert train(triplets, config, output_dir=tmp_path / "bert").status == "finished"


@pytest.mark.parametrize("positives", ["dropout", "word_deletion"])
def test_premises_alone_are_trained_on(positives, triplets, tiny_bert, tmp_path):
    config = TrainConfig(
        encoder=str(tiny_bert), steps=2, batch_size=8, positives=positives, mask_threshold=0.6, learning_rate=1e-3
    )
    runs = []
    for name, rows in (("as it is", triplets), ("others", [replace_sides(t) for t in triplets])):
        events = []
        train(rows, config, output_dir=tmp_path / name, on_event=events.append)
        runs.append([event.loss for event in events])
        assert all(event.masked_own == event.masked_hard_negatives == 0 for event in events)
        assert events[0].masked_positives > 0, "the guide finds premises that say much the same"
    assert runs[0] == runs[1]


def test_one_premise_per_step_under_the_released_rule_learns_nothing_and_spoils_nothing(
    static, triplets, tiny_static, tmp_path
):
    # With one premise and no hard negative the released form's gradient was NaN, and so were all weights after it.
    config = replace(static, positives="word_deletion", mask_rule="released", batch_size=1, steps=2)
    done = train(triplets, replace(config, guide=str(tiny_static)), output_dir=tmp_path)
    assert done.status == "finished" and done.loss == pytest.approx(0, abs=1e-6)
    assert torch.equal(weights_of(done.encoder_folder), weights_of(tiny_static))


def replace_sides(triplet):
    return type(triplet)(triplet.premise, "Something else.", "And another thing.")


def test_phi_as_a_share_of_random_pairs_is_the_cosine_that_share_exceeds(static, triplets, tiny_static, tmp_path):
    config = replace(
        static, mask_rule="phi", mask_threshold=0.1, threshold_unit="random_pairs", guide=str(tiny_static)
    )
    result = train(triplets, config, output_dir=tmp_path)
    texts = list(dict.fromkeys(text for t in triplets for text in (t.premise, t.positive, t.hard_negative)))
    vectors = training.load_encoder(str(tiny_static)).encode(texts, normalize_embeddings=True)
    every = (vectors @ vectors.T)[~np.eye(len(texts), dtype=bool)]
    assert result.threshold == pytest.approx(np.quantile(every, 0.9), abs=0.01)
    assert result.threshold == pytest.approx(phi_for_share(vectors, 0.1, seed=0), abs=1e-5)
    assert f"candidates above cosine {result.threshold:.4g}" in card(result)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"mask_rule": "gist_absolute", "mask_threshold": 0.1}, "phi and released"),
        ({"mask_threshold": 1.0}, "above 0 and below 1"),
    ],
)
def test_a_share_that_cannot_be_one_is_refused(fields, told):
    with pytest.raises(InputError, match=told):
        TrainConfig(threshold_unit="random_pairs", **fields)


def test_mini_batches_and_whole_batches_learn_the_same(static, triplets, tmp_path):
    whole = train(triplets, static, output_dir=tmp_path / "whole")
    cached = train(triplets, replace(static, mini_batch_size=5), output_dir=tmp_path / "cached")
    assert cached.loss == pytest.approx(whole.loss, abs=1e-6)
    torch.testing.assert_close(weights_of(cached.encoder_folder), weights_of(whole.encoder_folder), atol=1e-5, rtol=0)


def test_dev_metric_is_chosen_by_name(triplets, tmp_path):
    (tmp_path / "STSB-dev.tsv").write_text(
        "subset\tscore\tsentence1\tsentence2\n" + "".join(f"x\t{n}\tA dog {n}.\tA cat {n % 3}.\n" for n in range(6))
    )

    class Constant:
        def encode(self, sentences, **_):
            return np.ones((len(sentences), 4), dtype=np.float32)

    on_triplets = validation(tmp_path, triplets, "held-out")
    assert on_triplets(Constant()).score == 0.0, "no positive is nearer than its hard negative"
    assert math.isnan(validation(tmp_path, triplets)(Constant()).score), "Spearman of equals"
    assert validation(None, triplets)(Constant()).score == 0.0
    assert validation(None, []) is None
    with pytest.raises(InputError, match="sts-dev, but no STS folder"):
        validation(None, triplets, "sts-dev")
    with pytest.raises(InputError, match="no triplet is held out"):
        validation(tmp_path, [], "held-out")


def test_card_names_data_settings_versions_and_gets_its_scores(static, triplets, tmp_path):
    import yaml

    result = train(triplets, static, output_dir=tmp_path, data="snapshot first (sha256 0123)")
    assert "on 28 triplets (premise, positive, hard negative), snapshot first (sha256 0123)" in card(result)
    assert f"torch {torch.__version__}" in card(result)
    assert "| steps | 6 |" in card(result) and "Not scored yet." in card(result)
    add_scores(result.encoder_folder, {"STS12": (0.5, 10)})
    add_scores(result.encoder_folder, {"STS12": (0.61234, 3108), "STSB-test": (0.7, 1379)})
    text = card(result)
    assert "| STS12 | 61.23 | 3,108 |" in text and "50.00" not in text and "Not scored yet." not in text
    metadata = yaml.safe_load(text.split("---")[1])
    values = [item["metrics"][0]["value"] for item in metadata["model-index"][0]["results"]]
    assert values == [0.61234, 0.7]
    assert metadata["library_name"] == "sentence-transformers"


def test_copies_on_the_way_are_the_weights_of_their_step_and_change_nothing(static, triplets, tmp_path):
    dev, shown = scripted(0.1, 0.2, 0.3)
    kept = []
    config = replace(static, eval_every=2, keep_every=2, keep="last")
    result = train(triplets, config, output_dir=tmp_path / "kept", dev=dev, on_kept=lambda *told: kept.append(told))
    assert [step for step, _ in kept] == [2, 4]
    for (_, folder), weights in zip(kept, shown, strict=False):
        assert torch.equal(weights_of(folder), weights)
    assert not torch.equal(shown[0], shown[1])
    plain = train(triplets, replace(config, keep_every=0), output_dir=tmp_path / "plain", dev=scripted(0, 0, 0)[0])
    assert torch.equal(weights_of(result.encoder_folder), weights_of(plain.encoder_folder))


def test_a_tracker_that_is_not_installed_is_refused_in_one_sentence(static, triplets, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.training.trainer.find_spec", lambda name: None)
    with pytest.raises(InputError, match="Reporting to wandb needs the package wandb"):
        train(triplets, replace(static, report_to="wandb"), output_dir=tmp_path)


def test_lora_without_its_package_is_refused_in_one_sentence(static, triplets, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.training.trainer.find_spec", lambda name: None)
    with pytest.raises(InputError, match="LoRA needs the package peft"):
        train(triplets, replace(static, encoder=str(tiny_bert), lora_rank=4), output_dir=tmp_path)


def test_tensorboard_reads_every_step_with_the_values_of_the_events(static, triplets, tmp_path):
    """By TensorBoard's own reader, through the callback of transformers; the weights are those of a plain run."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = []
    config = replace(static, eval_every=3, report_to="tensorboard")
    result = train(triplets, config, output_dir=tmp_path / "run", dev=scripted(0.5, 0.75)[0], on_event=events.append)
    read = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    read.Reload()
    scalars = {
        name: [(item.step, item.value) for item in read.Scalars(f"train/{name}")] for name in ("loss", "dev_score")
    }
    assert scalars["loss"] == [(event.step, pytest.approx(event.loss)) for event in events]
    assert scalars["dev_score"] == [(3, 0.5), (6, 0.75)]
    plain = train(triplets, replace(config, report_to="none"), output_dir=tmp_path / "no", dev=scripted(0.5, 0.75)[0])
    assert torch.equal(weights_of(result.encoder_folder), weights_of(plain.encoder_folder))
