"""LoRA: what learns, what is saved, and that a run with adapters can be stopped as any other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from pipeline.encoders import load_encoder
from pipeline.records import InputError
from pipeline.train_config import TrainConfig
from pipeline.training.adapters import add_adapters, has_adapters, learned_state, load_learned_state, merged
from pipeline.training.batches import ChunkCollator
from pipeline.training.loss_module import GuideMaskedLoss
from pipeline.training.losses import LossSettings
from pipeline.training.run import train
from pipeline.training.trainer import StageThreeTrainer, default_learning_rate

pytest.importorskip("peft", reason="the extra lora")

TEXTS = ["A dog runs.", "A much longer sentence with many more words in it.", "Nobody is here."]


@pytest.fixture(scope="module")
def lora(tiny_llama):
    return TrainConfig(
        encoder=str(tiny_llama), lora_rank=4, steps=6, batch_size=8, mask_rule="none", learning_rate=0.02
    )


@pytest.fixture
def adapted(tiny_llama):
    torch.manual_seed(0)
    encoder = load_encoder(tiny_llama)
    add_adapters(encoder, 4)
    return encoder


def shaken(encoder):
    """Move the adapters away from where they start, where they change nothing."""
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if "lora_" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return encoder


def test_adapters_change_nothing_until_they_are_trained(adapted, tiny_llama):
    np.testing.assert_allclose(adapted.encode(TEXTS), load_encoder(tiny_llama).encode(TEXTS), atol=1e-6)


def test_adapters_get_gradients_and_the_layers_under_them_none(adapted, triplets):
    shaken(adapted)
    before = {name: value.clone() for name, value in adapted.state_dict().items()}
    loss = GuideMaskedLoss(adapted, LossSettings(mask_rule="none"), None)
    batch = ChunkCollator.of(adapted, triplets, TrainConfig(mask_rule="none"))([{"label": row} for row in range(8)])
    loss(*StageThreeTrainer.collect_features(None, batch)).backward()
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
        else:
            assert parameter.grad is None and not parameter.requires_grad, name
    learned = learned_state(adapted)
    # Two matrices beside each of the seven linear layers of two blocks.
    assert len(learned) == 2 * 7 * 2 and set(learned) < set(before)


def test_merged_and_unmerged_give_the_same_vectors_and_the_copy_is_apart(adapted, tiny_llama, tmp_path):
    shaken(adapted)
    wanted = adapted.encode(TEXTS)
    assert np.abs(wanted - load_encoder(tiny_llama).encode(TEXTS)).max() > 0.01
    whole = merged(adapted)
    assert not has_adapters(whole) and has_adapters(adapted)
    np.testing.assert_allclose(whole.encode(TEXTS), wanted, atol=1e-5)
    np.testing.assert_array_equal(adapted.encode(TEXTS), wanted)
    whole.save_pretrained(str(tmp_path), create_model_card=False)
    stock = SentenceTransformer(str(tmp_path), device="cpu", trust_remote_code=False, local_files_only=True)
    np.testing.assert_allclose(stock.encode(TEXTS), wanted, atol=1e-5)
    assert stock.state_dict().keys() == load_encoder(tiny_llama).state_dict().keys()


def test_an_encoder_without_adapters_passes_unchanged(tiny_llama):
    encoder = load_encoder(tiny_llama)
    assert merged(encoder) is encoder and learned_state(encoder).keys() == encoder.state_dict().keys()


def test_tensors_of_another_encoder_are_not_taken(adapted):
    learned = learned_state(adapted)
    with pytest.raises(RuntimeError, match="not those that this encoder learns"):
        load_learned_state(adapted, dict(list(learned.items())[1:]))


@pytest.mark.parametrize("pooling", ["mean", "lasttoken"])
def test_a_run_saves_a_plain_folder_of_safetensors(lora, triplets, tmp_path, pooling):
    events = []
    config = replace(lora, pooling=pooling, batch_size=28, learning_rate=3e-3)
    result = train(triplets, config, output_dir=tmp_path, on_event=events.append)
    assert events[-1].loss < events[0].loss
    names = [path.name for path in result.encoder_folder.rglob("*") if path.is_file()]
    assert "model.safetensors" in names and not any("adapter" in name or name.endswith(".bin") for name in names)
    saved = SentenceTransformer(str(result.encoder_folder), device="cpu", local_files_only=True)
    assert [type(module).__name__ for module in saved] == ["Transformer", "Pooling"]
    assert saved[1].pooling_mode == pooling and saved.encode(TEXTS).shape == (3, 32)
    changed = [
        name
        for name, value in load_encoder(lora.encoder).state_dict().items()
        if not torch.equal(value, saved.state_dict()[name])
    ]
    assert len(changed) == 14 and all("proj" in name for name in changed)
    assert "| lora_rank | 4 |" in (result.encoder_folder / "README.md").read_text(encoding="utf-8")


def test_paused_and_resumed_equals_uninterrupted_with_small_checkpoints(lora, triplets, tmp_path):
    config = replace(lora, eval_every=1)
    dev = iter([0.1, 0.9, 0.2, 0.3, 0.4, 0.5])
    whole = train(triplets, config, output_dir=tmp_path / "whole", dev=lambda _: next(dev))
    dev, polls = iter([0.1, 0.9, 0.2, 0.3, 0.4, 0.5]), iter(range(1, 10))
    parts = tmp_path / "parts"
    train(
        triplets,
        config,
        output_dir=parts,
        dev=lambda _: next(dev),
        should_stop=lambda: "pause" if next(polls) == 3 else None,
    )
    [checkpoint] = (parts / "checkpoints").iterdir()
    weights = sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))
    everything = sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file())
    encoder = (whole.encoder_folder / "model.safetensors").stat().st_size
    assert (checkpoint / "best.safetensors").is_file() and weights < encoder / 50 and everything < encoder / 20
    resumed = train(triplets, config, output_dir=parts, dev=lambda _: next(dev))
    assert (resumed.kept_step, whole.kept_step, resumed.loss) == (2, 2, pytest.approx(whole.loss, abs=1e-6))
    first, second = (SentenceTransformer(str(r.encoder_folder), device="cpu").state_dict() for r in (whole, resumed))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=1e-6, rtol=0, msg=name)


def test_copies_on_the_way_change_nothing(lora, triplets, tmp_path):
    plain = train(triplets, lora, output_dir=tmp_path / "plain")
    kept = []
    copies = train(
        triplets,
        replace(lora, keep_every=2),
        output_dir=tmp_path / "copies",
        on_kept=lambda step, folder: kept.append(SentenceTransformer(str(folder), device="cpu").encode(TEXTS)),
    )
    assert copies.loss == plain.loss and len(kept) == 2 and np.abs(kept[0] - kept[1]).max() > 1e-4


def test_static_encoders_are_refused_and_adapters_take_a_rate_of_their_own(lora, triplets, tiny_static, adapted):
    with pytest.raises(InputError, match="a static encoder has none"):
        TrainConfig(lora_rank=4)
    with pytest.raises(InputError, match="no layers for LoRA"):
        train(triplets, replace(lora, encoder=str(tiny_static)), output_dir=tiny_static.parent / "lora")
    assert default_learning_rate(adapted) == 10 * default_learning_rate(load_encoder(lora.encoder))
