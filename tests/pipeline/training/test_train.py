"""Training runs: repeatable, stoppable, resumable to the same weights, and saved as stock modules."""

import json
import math

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from pipeline.evaluation.benchmark import held_out_accuracy
from pipeline.records import InputError, TrainingError, Triplet
from pipeline.train_config import TrainConfig
from pipeline.training import run as training
from pipeline.training.run import train


@pytest.fixture(scope="module")
def static(tiny_static):
    return TrainConfig(encoder=str(tiny_static), steps=6, batch_size=8, mask_rule="none", learning_rate=0.02)


def run(triplets, config, folder, **options):
    events = []
    result = train(triplets, config, output_dir=folder, on_event=events.append, **options)
    return result, events


def stop_at(step, word):
    """Answer `word` once the polled step is reached, like a person pressing a button in the middle."""
    polls = iter(range(1, 1000))
    return lambda: word if next(polls) == step else None


def weights_of(folder):
    return {name: t.clone() for name, t in SentenceTransformer(str(folder), device="cpu").state_dict().items()}


def assert_same_weights(first, second, atol=0.0):
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=atol, rtol=0, msg=name)


@pytest.fixture(scope="module")
def uninterrupted(static, triplets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return folder, *run(triplets, static, folder)


def test_events_tell_every_step(uninterrupted, triplets):
    _, result, events = uninterrupted
    assert [event.step for event in events] == [1, 2, 3, 4, 5, 6]
    assert all(event.steps == 6 and event.triplets_per_s > 0 for event in events)
    assert [event.learning_rate for event in events] == pytest.approx([0.02 * (6 - i) / 6 for i in range(6)])
    assert events[-1].loss < events[0].loss
    assert (result.status, result.step, result.loss) == ("finished", 6, events[-1].loss)


def test_same_seed_gives_the_same_curve_and_another_seed_another(static, uninterrupted, triplets, tmp_path):
    folder, _, events = uninterrupted
    _, again = run(triplets, static, tmp_path / "again")
    assert [e.loss for e in again] == [e.loss for e in events]
    assert_same_weights(weights_of(folder / "model"), weights_of(tmp_path / "again" / "model"))
    _, other = run(triplets, TrainConfig(**{**fields(static), "seed": 1}), tmp_path / "other")
    assert [e.loss for e in other] != [e.loss for e in events]


def fields(config):
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def test_paused_and_resumed_equals_uninterrupted(static, uninterrupted, triplets, tmp_path):
    folder, _, events = uninterrupted
    paused, first = run(triplets, static, tmp_path, should_stop=stop_at(3, "pause"))
    assert (paused.status, paused.step, paused.encoder_folder) == ("paused", 3, None)
    finished, second = run(triplets, static, tmp_path)
    assert finished.status == "finished"
    assert [e.step for e in second] == [4, 5, 6]
    assert [e.loss for e in first + second] == pytest.approx([e.loss for e in events], abs=1e-6)
    assert_same_weights(weights_of(folder / "model"), weights_of(tmp_path / "model"), atol=1e-6)
    assert not (tmp_path / "checkpoints").exists()


class Killed(BaseException):
    """Ends a run from outside, as a signal would."""


def test_killed_run_goes_on_from_its_newest_complete_checkpoint(static, uninterrupted, triplets, tmp_path):
    folder, _, events = uninterrupted

    def kill_at_five(event):
        if event.step == 5:
            raise Killed

    with pytest.raises(Killed):
        train(triplets, static, output_dir=tmp_path, on_event=kill_at_five, checkpoint_every_s=0)
    # A kill in the middle of writing leaves a checkpoint without its mark; it must be passed over.
    torn = tmp_path / "checkpoints" / "checkpoint-5"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    _, rest = run(triplets, static, tmp_path)
    assert [e.step for e in rest] == [5, 6]
    assert [e.loss for e in rest] == pytest.approx([e.loss for e in events[4:]], abs=1e-6)
    assert_same_weights(weights_of(folder / "model"), weights_of(tmp_path / "model"), atol=1e-6)


def test_transformer_with_dropout_and_head_resumes_to_the_same_weights(triplets, tiny_bert, tmp_path):
    # The base trainer forgets the loss's own head on resume; then the curve jumps at the first resumed step.
    config = TrainConfig(
        encoder=str(tiny_bert), steps=6, batch_size=8, mask_rule="none", pooling="cls", learning_rate=1e-3
    )
    _, whole = run(triplets, config, tmp_path / "whole")
    _, first = run(triplets, config, tmp_path / "parts", should_stop=stop_at(3, "pause"))
    _, second = run(triplets, config, tmp_path / "parts")
    assert [e.loss for e in first + second] == pytest.approx([e.loss for e in whole], abs=1e-6)
    assert_same_weights(weights_of(tmp_path / "whole" / "model"), weights_of(tmp_path / "parts" / "model"), atol=1e-6)


def test_head_is_trained_but_not_saved(triplets, tiny_bert, tmp_path):
    config = TrainConfig(encoder=str(tiny_bert), steps=2, batch_size=8, mask_rule="none", pooling="cls")
    result, _ = run(triplets, config, tmp_path)
    saved = SentenceTransformer(str(result.encoder_folder), device="cpu")
    assert [type(module).__name__ for module in saved] == ["Transformer", "Pooling"]
    assert saved[1].pooling_mode == "cls"


def test_cancelled_run_leaves_no_checkpoint_and_no_encoder(static, triplets, tmp_path):
    result, events = run(triplets, static, tmp_path, should_stop=stop_at(2, "cancel"))
    assert (result.status, len(events)) == ("cancelled", 2)
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "checkpoints").exists()


def test_a_run_that_is_kept_early_leaves_the_encoder_of_that_step(static, triplets, tmp_path):
    result, events = run(
        triplets, static, tmp_path / "kept", should_stop=stop_at(2, "finish"), dev=lambda encoder: 0.5
    )
    assert (result.status, result.step, len(events)) == ("finished", 2, 2)
    assert events[-1].dev_score == 0.5, "the last word on a run that ended early is its dev score"
    _, paused = run(triplets, static, tmp_path / "paused", should_stop=stop_at(2, "pause"))
    assert len(paused) == 2
    weights = weights_of(tmp_path / "paused" / "checkpoints" / "checkpoint-2")
    assert_same_weights(weights_of(result.encoder_folder), weights, atol=0)
    assert not (tmp_path / "kept" / "checkpoints").exists()


def test_pause_while_the_guide_embeds(triplets, tmp_path):
    config = TrainConfig(steps=2, batch_size=8, mask_rule="phi")
    result, events = run(triplets, config, tmp_path, should_stop=lambda: "pause")
    assert (result.status, result.step, events) == ("paused", 0, [])


def test_checkpoints_of_other_settings_are_not_continued(static, triplets, tmp_path):
    run(triplets, static, tmp_path, should_stop=stop_at(3, "pause"))
    with pytest.raises(InputError, match="other settings or triplets"):
        train(triplets, TrainConfig(**{**fields(static), "temperature": 0.1}), output_dir=tmp_path)
    with pytest.raises(InputError, match="other settings or triplets"):
        train(triplets[1:], static, output_dir=tmp_path)


def test_training_learns_what_the_words_do_not_say_and_the_folder_loads(triplets, tmp_path):
    # With the two sides swapped the hard negative shares more words, so an untrained table gets it wrong.
    swapped = [Triplet(t.premise, t.hard_negative, t.positive) for t in triplets]
    config = TrainConfig(steps=15, batch_size=28, mask_rule="phi", mask_threshold=0.6)
    before = held_out_accuracy(training.load_encoder("static-minilm"), swapped)
    result, events = run(swapped, config, tmp_path)
    saved = SentenceTransformer(str(result.encoder_folder), device="cpu")
    assert before < 0.2
    assert held_out_accuracy(saved, swapped) > 0.9
    modules = json.loads((result.encoder_folder / "modules.json").read_text())
    assert all(module["type"].startswith("sentence_transformers.") for module in modules)
    assert "static-minilm" in (result.encoder_folder / "README.md").read_text()
    assert 0 < events[0].masked_share < 1


def test_dev_score_comes_when_due_and_changes_nothing(static, uninterrupted, triplets, tmp_path):
    _, _, events = uninterrupted
    config = TrainConfig(**{**fields(static), "eval_every": 4})
    result, scored = run(triplets, config, tmp_path, dev=lambda encoder: held_out_accuracy(encoder, triplets))
    assert [e.step for e in scored if e.dev_score is not None] == [4, 6]
    assert result.dev_score == scored[-1].dev_score
    assert [e.loss for e in scored] == [e.loss for e in events]


def test_training_length_is_not_saved_with_the_encoder(triplets, tiny_bert, tmp_path):
    config = TrainConfig(encoder=str(tiny_bert), steps=1, batch_size=4, mask_rule="none", max_seq_length=8)
    result, _ = run(triplets, config, tmp_path)
    assert SentenceTransformer(str(result.encoder_folder), device="cpu").max_seq_length == 128


@pytest.mark.parametrize("rows", [1, 3])
def test_fewer_triplets_than_a_batch(static, triplets, tmp_path, rows):
    result, events = run(triplets[:rows], TrainConfig(**{**fields(static), "mask_rule": "phi"}), tmp_path)
    assert result.status == "finished"
    assert all(math.isfinite(event.loss) for event in events)


def test_no_triplets_is_said_in_one_sentence(static, tmp_path):
    with pytest.raises(InputError, match="no triplets"):
        train([], static, output_dir=tmp_path)


def test_an_empty_text_does_not_stop_a_run(static, triplets, tmp_path):
    odd = [*triplets[:5], Triplet("", "A dog runs.", "A cat sleeps.")]
    result, events = run(odd, TrainConfig(**{**fields(static), "mask_rule": "phi"}), tmp_path)
    assert result.status == "finished"
    assert all(np.isfinite(event.loss) for event in events)


def test_a_mask_that_leaves_no_negative_ends_the_run_in_one_sentence(static, tmp_path):
    """All these sentences are alike, so a phi of 0.05 masks every candidate: the loss would be 0 at every step."""
    day = "the old dog runs along the sandy beach on day"
    alike = [Triplet(f"Today {day} {i}.", f"Now {day} {i}.", f"Once {day} {i}.") for i in range(16)]
    low = {"mask_rule": "phi", "mask_threshold": 0.05, "guide": static.encoder}
    for steps, taken in ((3, 3), (30, 10)):
        events = []
        config = TrainConfig(**{**fields(static), **low, "steps": steps})
        with pytest.raises(InputError, match=f"no premise a negative in any step so far \\({taken} of them"):
            train(alike, config, output_dir=tmp_path / str(steps), on_event=events.append)
        assert [event.masked_share for event in events] == [1.0] * taken
        assert not (tmp_path / str(steps) / "model").exists()


def test_a_loss_that_becomes_nan_ends_the_run_and_saves_nothing(static, triplets, tmp_path):
    config = TrainConfig(**{**fields(static), "learning_rate": 1e38})
    events = []
    with pytest.raises(TrainingError, match=r"^The loss became NaN at step \d; weights after it are unusable"):
        train(triplets, config, output_dir=tmp_path, on_event=events.append)
    assert len(events) < 6 and math.isnan(events[-1].loss), "the curve shows the step, and nothing after it"
    assert not (tmp_path / "model").exists()


def test_weights_that_became_nan_in_the_last_step_are_not_saved(static, triplets, tmp_path):
    config = TrainConfig(**{**fields(static), "learning_rate": 1e39, "steps": 1})
    with pytest.raises(TrainingError, match="weights became NaN by step 1"):
        train(triplets, config, output_dir=tmp_path)
    assert not (tmp_path / "model").exists()


def test_a_mask_that_takes_nearly_everything_is_warned_of_once(static, tmp_path, caplog):
    day = "the old dog runs along the sandy beach on day"
    alike = [Triplet(f"Today {day} {i}.", f"Now {day} {i}.", f"Once {day} {i}.") for i in range(16)]
    values = {"mask_rule": "phi", "mask_threshold": 0.05, "guide": static.encoder, "protect_own_hard_negative": True}
    _, events = run(alike, TrainConfig(**{**fields(static), **values}), tmp_path)
    assert all(0.9 < event.masked_share < 1 for event in events)
    assert len([record for record in caplog.records if "masked at step" in record.message]) == 1


def test_the_output_folder_itself_can_be_the_encoder(static, uninterrupted, triplets, tmp_path):
    folder, _, _ = uninterrupted
    (tmp_path / "notes.txt").write_text("mine")
    for _ in range(2):  # a second run replaces the encoder and leaves other files alone
        result, _ = run(triplets, static, tmp_path, encoder_dir=tmp_path)
        assert result.encoder_folder == tmp_path
        assert_same_weights(weights_of(folder / "model"), weights_of(tmp_path))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert {"README.md", "train_config.json", "modules.json"} <= {path.name for path in tmp_path.iterdir()}
    assert not (tmp_path / "model").exists()


def test_forty_positives_of_one_premise_are_not_pushed_away_from_one_another(static, tmp_path):
    # Their loss in one batch cannot fall below ln 40 = 3.69, whatever the encoder learns.
    captions = [
        Triplet("A dog runs.", f"A dog runs, says number {n}.", f"It is {n} degrees cold.") for n in range(40)
    ]
    config = TrainConfig(**{**fields(static), "batch_size": 40, "steps": 3})
    result, events = run(captions, config, tmp_path / "distinct")
    _, together = run(captions, TrainConfig(**{**fields(config), "distinct_batches": False}), tmp_path / "together")
    assert result.smaller_batches == 3
    assert all(event.loss < 0.7 for event in events)
    assert all(event.loss > math.log(40) - 0.1 for event in together)


def test_distinct_batches_resume_to_the_same_weights(static, triplets, tmp_path):
    data = [*triplets, *(Triplet(t.premise, f"{t.positive} Yes.", t.hard_negative) for t in triplets)]
    _, whole = run(data, static, tmp_path / "whole")
    _, first = run(data, static, tmp_path / "parts", should_stop=stop_at(3, "pause"))
    _, second = run(data, static, tmp_path / "parts")
    assert [e.loss for e in first + second] == pytest.approx([e.loss for e in whole], abs=1e-6)
    assert_same_weights(weights_of(tmp_path / "whole" / "model"), weights_of(tmp_path / "parts" / "model"), atol=1e-6)
