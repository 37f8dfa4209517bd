from collections import Counter

import pytest
import torch

from pipeline.training.batches import RowCollator, StepSampler, TokenBags
from pipeline.training.encoders import load_encoder


@pytest.mark.parametrize(("rows", "batch_size"), [(10, 4), (7, 6), (8, 4), (5, 5), (300, 256)])
def test_every_row_gets_its_turn_and_no_batch_holds_a_row_twice(rows, batch_size):
    steps = 3 * rows
    batches = list(StepSampler(rows, batch_size=batch_size, steps=steps, seed=3))
    assert all(len(set(batch)) == batch_size for batch in batches)
    times = Counter(row for batch in batches for row in batch)
    assert len(times) == rows
    assert max(times.values()) - min(times.values()) <= 1


def test_order_follows_from_the_seed_alone():
    first, again, other = (list(StepSampler(50, batch_size=8, steps=9, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_batch_larger_than_the_data_is_the_data():
    sampler = StepSampler(3, batch_size=8, steps=2, seed=0)
    assert [sorted(batch) for batch in sampler] == [[0, 1, 2], [0, 1, 2]]
    assert len(sampler) == 2


def test_token_bags_equal_the_encoders_own_preprocessing(triplets):
    encoder = load_encoder("static-minilm")
    texts = [t.premise for t in triplets]
    bags = TokenBags(encoder, [texts], 64)
    expected = encoder.preprocess([texts[5], texts[0], texts[9]])
    made = bags(0, [5, 0, 9])
    assert made.keys() >= {"input_ids", "offsets"}
    assert torch.equal(made["input_ids"], expected["input_ids"])
    assert torch.equal(made["offsets"], expected["offsets"])


def test_longest_text_is_cut_in_training_for_both_kinds(triplets, tiny_bert):
    static = RowCollator.of(load_encoder("static-minilm"), triplets, 2)([{"label": 0}, {"label": 4}])
    assert static["anchor_offsets"].tolist() == [0, 2]
    bert = RowCollator.of(load_encoder(tiny_bert), triplets, 5)([{"label": 0}, {"label": 4}])
    assert bert["anchor_input_ids"].shape == (2, 5)
    assert bert["label"].tolist() == [0, 4]
