"""Training on a GPU: BERT-base's shape with random weights, batch 512, mask on, against the released code's step.

The baseline is a plain re-implementation of the published step at its batch of 128: three encoder passes over padded
columns, the guide encoded with its graph in every step, cosines by broadcasting, fp32 loss of all cells. Both run in
this process on the same texts. Run: python -m benchmarks.training_gpu      (on a CPU: --small, a smoke check only)
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, BertConfig, BertModel

from benchmarks.triplet_texts import captions
from pipeline import weights
from pipeline.encoders import load_encoder
from pipeline.records import Triplet
from pipeline.train_config import TrainConfig
from pipeline.training.progress import StepEvent
from pipeline.training.run import train

LENGTH, PEAK_FLOPS = 32, 989e12
"""Tokens of a text, and the H100's dense bf16 rate as its data sheet has it."""


@dataclass(frozen=True, slots=True)
class Size:
    """What is run: the real thing on a GPU, or a few steps of something tiny."""

    layers: int
    width: int
    batch: int
    released_batch: int
    steps: int
    warm_up: int
    rows: int
    device: str
    precision: Any


REAL = Size(12, 768, 512, 128, 60, 10, 12_000, "cuda:0", "bf16")
SMALL = Size(2, 32, 16, 8, 4, 1, 64, "cpu", "fp32")


def bert(folder: Path, size: Size, *, seed: int) -> Path:
    """Save a BERT of this shape with random weights and MiniLM's word pieces."""
    torch.manual_seed(seed)
    heads = max(1, size.width // 64)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=heads,
        intermediate_size=4 * size.width,
    )
    BertModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights.minilm_folder(), local_files_only=True).save_pretrained(folder)
    return folder


def ours(triplets: list[Triplet], encoder: Path, guide: Path, size: Size) -> tuple[float, float]:
    """Return triplets/s of the steps after warming up, and the share of the run that dev scores take."""
    config = TrainConfig(
        encoder=str(encoder),
        guide=str(guide),
        pooling="cls",
        steps=size.steps,
        batch_size=size.batch,
        mask_threshold=0.95,
        max_seq_length=LENGTH,
        precision=size.precision,
        device=size.device,
        eval_every=max(1, size.steps // 2),
    )
    events: list[StepEvent] = []
    dev = [text for t in triplets[:1000] for text in (t.premise, t.positive, t.hard_negative)]

    def score(model: Any) -> float:
        model.encode(sorted(dev, key=len), batch_size=256, show_progress_bar=False)
        return 0.0

    with tempfile.TemporaryDirectory() as folder:
        result = train(triplets, config, output_dir=Path(folder), dev=score, on_event=events.append)
    kept = events[size.warm_up :]
    rate = len(kept) / sum(1 / event.triplets_per_s for event in kept)
    return rate, result.dev_s / (result.seconds - result.guide_s)


class ReleasedStep:
    """The published step as it is written there, less its bugs that would stop it."""

    def __init__(self, encoder: Path, guide: Path, size: Size) -> None:
        self.encoder = load_encoder(str(encoder), pooling="cls", device=size.device)
        self.guide = load_encoder(str(guide), pooling="cls", device=size.device)
        self.head = nn.Sequential(nn.Linear(size.width, size.width), nn.Tanh()).to(size.device)
        parameters = [*self.encoder.parameters(), *self.guide.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=5e-5)
        self.size = size

    def __call__(self, batch: list[Triplet]) -> None:
        """Take one optimizer step."""
        columns = [[getattr(t, name) for t in batch] for name in ("premise", "positive", "hard_negative")]
        inputs = [self._padded(column) for column in columns]
        with torch.autocast(self.size.device.split(":")[0], torch.bfloat16, enabled=self.size.precision != "fp32"):
            z = [self.head(self.encoder(dict(x))["sentence_embedding"]) for x in inputs]
            g = [self.guide(dict(x))["sentence_embedding"] for x in inputs]
        similarity, guided = self._cosines(z), self._cosines(g)
        rows = torch.arange(len(batch), device=similarity.device)
        weight = (guided <= 0.95 * 20).float()
        weight[rows, rows] = 1
        p = (similarity * weight).softmax(1)
        y = nn.functional.one_hot(rows, similarity.shape[1]).float()
        loss = nn.functional.binary_cross_entropy(p, y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def _padded(self, texts: list[str]) -> dict[str, Any]:
        made = self.encoder.tokenizer(
            texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
        )
        return {name: value.to(self.size.device) for name, value in made.items()}

    @staticmethod
    def _cosines(columns: list[torch.Tensor]) -> torch.Tensor:
        anchor, *others = (column.float() for column in columns)
        blocks = [nn.functional.cosine_similarity(anchor[:, None], other[None], dim=-1) for other in others]
        return torch.cat(blocks, 1) / 0.05


def released(triplets: list[Triplet], encoder: Path, guide: Path, size: Size) -> float:
    """Return triplets/s of the published step."""
    step = ReleasedStep(encoder, guide, size)
    batch = size.released_batch
    started = 0.0
    for number in range(size.steps):
        if number == size.warm_up:
            _wait(size)
            started = time.perf_counter()
        first = number * batch % (len(triplets) - batch + 1)
        step(triplets[first : first + batch])
    _wait(size)
    return batch * (size.steps - size.warm_up) / (time.perf_counter() - started)


def limit(size: Size, tokens: float) -> float:
    """Triplets/s that the card's arithmetic allows: 6 FLOPs per weight and token, three texts, table left out."""
    weights_used = size.layers * 12 * size.width**2
    return PEAK_FLOPS / (6 * weights_used * 3 * tokens)


def _wait(size: Size) -> None:
    if size.device != "cpu":
        torch.cuda.synchronize()


def main() -> None:
    """Print rates, the ratio, and the limit beside them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a few steps of a tiny shape on the CPU: no figures")
    size = SMALL if parser.parse_args().small else REAL
    if size is REAL and not torch.cuda.is_available():
        parser.error("there is no GPU here; --small runs a smoke check on the CPU")
    name = torch.cuda.get_device_name() if size is REAL else "CPU, tiny shape: the figures mean nothing"
    print(f"{name}; {size.layers} layers of {size.width}, {size.precision}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        encoder = bert(Path(folder) / "encoder", size, seed=0)
        guide = bert(Path(folder) / "guide", size, seed=1)
        tokenizer = AutoTokenizer.from_pretrained(encoder)
        for kind, wanted in (("full length", 6_000), ("caption length", 10_000)):
            triplets = captions(size.rows, long=kind == "full length")
            lengths = tokenizer([t.premise for t in triplets[:500]], truncation=True, max_length=LENGTH)["input_ids"]
            tokens = sum(map(len, lengths)) / len(lengths)
            rate, dev_share = ours(triplets, encoder, guide, size)
            baseline = released(triplets, encoder, guide, size)
            print(f"{kind}, {tokens:.1f} tokens a premise")
            print(f"  ours, batch {size.batch}, mask on: {rate:,.0f} triplets/s (wanted on an H100: {wanted:,})")
            ratio = f"ours x{rate / baseline:.1f}"
            print(f"  released step, batch {size.released_batch}: {baseline:,.0f} triplets/s; {ratio}")
            print(f"  dev scores {dev_share:.1%} of the run (wanted: 10 %)")
            if size is REAL:
                print(f"  limit: {limit(size, tokens):,.0f} triplets/s at the H100's dense bf16 rate")


if __name__ == "__main__":
    main()
