from collections import Counter

import pytest
import torch

from pipeline.encoders import load_encoder
from pipeline.records import Triplet
from pipeline.train_config import TrainConfig
from pipeline.training.batches import ChunkCollator, StepSampler
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


def triplets_of(*rows):
    return [Triplet(*row) for row in rows]


def test_no_batch_holds_a_premise_twice_nor_a_text_that_is_another_rows():
    # 12 captions of pictures with two to four captions each, the positive of one row the premise of the next.
    rows = [(f"picture {n // 3}", f"caption {n}", f"not {n}") for n in range(30)]
    rows += [(f"caption {n}", f"more {n}", "No.") for n in range(0, 30, 3)] + [("x", "y", "picture 2")]
    data = triplets_of(*rows)
    sampler = StepSampler.of(data, config_of(batch_size=8, steps=60))
    made = list(sampler)
    for batch in made:
        said = [text for row in batch for text in {data[row].premise, data[row].positive}]
        assert len(said) == len(set(said))
        for row in batch:
            others = {text for other in batch if other != row for text in (data[other].premise, data[other].positive)}
            assert data[row].hard_negative not in others
    assert {len(batch) for batch in made} == {8}
    assert sampler.smaller_batches() == 0
    times = Counter(row for batch in made for row in batch)
    assert len(times) == len(rows), "every row has its turn"
    assert max(times.values()) <= 1.6 * min(times.values())
    assert made == list(StepSampler.of(data, config_of(batch_size=8, steps=60)))


def test_data_without_repeated_texts_keeps_the_order_it_had(triplets):
    plain = list(StepSampler(28, batch_size=8, steps=9, seed=3))
    shared_hard_negative = [Triplet(t.premise, t.positive, "No.") for t in triplets]
    for data in (triplets, shared_hard_negative):
        assert list(StepSampler.of(data, config_of(batch_size=8, steps=9, seed=3))) == plain
    repeated = [*triplets[:27], Triplet(triplets[0].premise, "other", "another")]
    off = config_of(batch_size=8, steps=9, seed=3, distinct_batches=False)
    assert list(StepSampler.of(repeated, off)) == plain
    assert list(StepSampler.of(repeated, config_of(batch_size=28, steps=9))) != [list(range(28))] * 9


def test_batches_are_smaller_only_where_nothing_else_fits_and_are_counted():
    data = triplets_of(
        *[("one premise", f"positive {n}", f"no {n}") for n in range(40)], ("a", "b", "c"), ("d", "e", "f")
    )
    sampler = StepSampler.of(data, config_of(batch_size=8, steps=50))
    assert {len(batch) for batch in sampler} == {3}
    assert sampler.smaller_batches() == 50
    assert len({row for batch in sampler for row in batch}) == 42


def test_processes_get_equal_parts_of_the_batches_that_one_process_would_get():
    rows = [(f"p{n // 2}", f"q{n}", f"r{n}") for n in range(21)]
    config = config_of(batch_size=8, steps=12)
    one, two = (StepSampler.of(triplets_of(*rows), config, processes=p) for p in (1, 2))
    parts = list(two)
    assert len(parts) == len(two) == 24
    assert [first + second for first, second in zip(parts[::2], parts[1::2], strict=True)] == list(one)
    three = list(StepSampler.of(triplets_of(*rows[:5]), config, processes=3))
    assert {len(part) for part in three} == {1}


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


def with_prompt(folder, tmp_path, **settings):
    """A saved encoder with a default prompt, as E5's are."""
    encoder = load_encoder(folder)
    encoder.prompts, encoder.default_prompt_name = {"query": "query: "}, "query"
    for name, value in settings.items():
        if name == "include_prompt":
            encoder.set_pooling_include_prompt(value)
        else:
            setattr(encoder, name, value)
    encoder.save_pretrained(str(tmp_path / "prompted"), create_model_card=False)
    return load_encoder(tmp_path / "prompted")


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("bert", {}),
        ("bert", {"include_prompt": False}),
        ("bert", {"max_seq_length": 6}),
        ("bert", {"truncate_dim": 8}),
        ("static", {}),
    ],
)
def test_training_reads_what_encode_reads(kind, settings, triplets, tiny_bert, tiny_static, tmp_path):
    plain = tiny_static if kind == "static" else tiny_bert
    encoder = with_prompt(plain, tmp_path, **settings)
    loss = GuideMaskedLoss(encoder.eval(), LossSettings(mask_rule="none"), None, head=False)
    batch = ChunkCollator.of(encoder, triplets, config_of(mini_batch_size=5))([{"label": row} for row in range(9)])
    features, _ = StageThreeTrainer.collect_features(None, batch)
    texts = [getattr(t, name) for name in ("premise", "positive", "hard_negative") for t in triplets[:9]]
    wanted = torch.tensor(encoder.encode(texts))
    torch.testing.assert_close(loss.vectors(features).detach(), wanted, atol=1e-6, rtol=0)
    if "truncate_dim" not in settings:
        assert not torch.allclose(wanted, torch.tensor(load_encoder(plain).encode(texts)), atol=1e-3)


def test_the_prompt_is_never_thinned(triplets, tiny_bert, tiny_static, tmp_path):
    for number, folder in enumerate((tiny_bert, tiny_static)):
        encoder = with_prompt(folder, tmp_path / str(number))
        made = ChunkCollator.of(encoder, triplets, config_of(positives="word_deletion"))
        texts = columns_again(made([{"label": row} for row in range(28)]), number == 1)
        assert len({tuple(ids[: made.tokens.prompt_tokens]) for ids in texts}) == 1
        assert made.tokens.prompt_tokens == (3 if number == 0 else 2)


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
