from collections import Counter

import pytest
import torch

from pipeline.config import TrainConfig
from pipeline.records import Triplet
from pipeline.training.batches import ChunkCollator, StepSampler
from pipeline.training.encoders import load_encoder
from pipeline.training.loss_module import GuideMaskedLoss
from pipeline.training.losses import LossSettings
from pipeline.training.trainer import StageThreeTrainer


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


def columns_again(batch, bags):
    """The texts' token ids in the order of the columns, read back from the chunks of a collated batch."""
    texts = {}
    for number in range(sum(name.endswith("position") for name in batch)):
        chunk = {
            name.removeprefix(f"chunk{number}_"): v for name, v in batch.items() if name.startswith(f"chunk{number}_")
        }
        if bags:
            ends = [*chunk["offsets"].tolist()[1:], len(chunk["input_ids"])]
            ids = [chunk["input_ids"][a:b].tolist() for a, b in zip(chunk["offsets"].tolist(), ends, strict=True)]
        else:
            ids = [row[m.bool()].tolist() for row, m in zip(chunk["input_ids"], chunk["attention_mask"], strict=True)]
        texts |= dict(zip(chunk["position"].tolist(), ids, strict=True))
    return [texts[place] for place in range(len(texts))]


def config_of(**fields):
    return TrainConfig(**{"encoder": "folder", "mask_rule": "none", **fields})


@pytest.mark.parametrize("kind", ["static", "bert"])
def test_chunks_hold_the_tokens_of_the_encoders_own_preprocessing(kind, triplets, tiny_bert, tiny_static):
    encoder = load_encoder(tiny_static if kind == "static" else tiny_bert)
    collate = ChunkCollator.of(encoder, triplets, config_of(mini_batch_size=4))
    rows = [5, 0, 9]
    made = columns_again(collate([{"label": row} for row in rows]), kind == "static")
    texts = [getattr(triplets[row], name) for name in ("premise", "positive", "hard_negative") for row in rows]
    for text, ids in zip(texts, made, strict=True):
        assert ids == encoder.preprocess([text])["input_ids"].flatten().tolist()


def test_chunks_give_the_vectors_of_encode(triplets, tiny_bert):
    encoder = load_encoder(tiny_bert)
    loss = GuideMaskedLoss(encoder.eval(), LossSettings(mask_rule="none"), None)
    batch = ChunkCollator.of(encoder, triplets, config_of(mini_batch_size=5))([{"label": row} for row in range(9)])
    features, _ = StageThreeTrainer.collect_features(None, batch)
    assert len(features) == 6
    texts = [getattr(t, name) for name in ("premise", "positive", "hard_negative") for t in triplets[:9]]
    torch.testing.assert_close(
        loss.vectors(features).detach(), torch.tensor(encoder.encode(texts)), atol=1e-6, rtol=0
    )


def test_sorting_by_length_leaves_less_padding_than_columns(triplets, tiny_bert):
    encoder = load_encoder(tiny_bert)
    more = " and so on"
    uneven = [Triplet("Yes." + more * (i % 7), "So." + more * (i % 3), "No." + more * (i % 5)) for i in range(28)]
    batch = ChunkCollator.of(encoder, uneven, config_of())([{"label": row} for row in range(28)])
    tokens = sum(int(v.sum()) for name, v in batch.items() if name.endswith("attention_mask"))
    cells = sum(v.numel() for name, v in batch.items() if name.endswith("attention_mask"))
    texts = [[getattr(t, name) for t in uneven] for name in ("premise", "positive", "hard_negative")]
    by_column = sum(encoder.preprocess(column)["attention_mask"].numel() for column in texts)
    assert cells - tokens < 0.5 * (by_column - tokens)


def test_longest_text_is_cut_in_training_for_both_kinds(triplets, tiny_bert, tiny_static):
    items = [{"label": 0}, {"label": 4}]
    static = ChunkCollator.of(load_encoder(tiny_static), triplets, config_of(max_seq_length=2))(items)
    assert [len(ids) for ids in columns_again(static, True)] == [2] * 6
    bert = ChunkCollator.of(load_encoder(tiny_bert), triplets, config_of(max_seq_length=5))(items)
    assert bert["chunk0_input_ids"].shape == (6, 5)
    assert bert["label"].tolist() == [0, 4]


def test_two_views_of_a_premise_are_its_tokens_twice(triplets, tiny_bert):
    collate = ChunkCollator.of(load_encoder(tiny_bert), triplets, config_of(positives="dropout"))
    made = columns_again(collate([{"label": row} for row in (3, 7)]), False)
    assert len(made) == 4
    assert made[:2] == made[2:]


@pytest.mark.parametrize("kind", ["static", "bert"])
def test_word_deletion_leaves_out_a_tenth_the_same_way_for_the_same_seed_and_batch(
    kind, triplets, tiny_bert, tiny_static
):
    encoder = load_encoder(tiny_static if kind == "static" else tiny_bert)
    items = [{"label": row} for row in range(28)]
    whole, first, again, other = (
        columns_again(
            ChunkCollator.of(encoder, triplets, config_of(positives=kind_of, seed=seed))(items), kind == "static"
        )
        for kind_of, seed in (("dropout", 0), ("word_deletion", 0), ("word_deletion", 0), ("word_deletion", 1))
    )
    assert first == again != other
    assert first[:28] != first[28:], "the two views differ"
    for text, thinned in zip(whole, first, strict=True):
        rest = iter(text)
        assert thinned and all(token in rest for token in thinned), "a subsequence, never empty"
        if kind == "bert":
            assert (thinned[0], thinned[-1]) == (text[0], text[-1]), "[CLS] and [SEP] stay"
    special = 2 * len(whole) if kind == "bert" else 0
    gone = 1 - (sum(map(len, first)) - special) / (sum(map(len, whole)) - special)
    assert 0.05 < gone < 0.15
