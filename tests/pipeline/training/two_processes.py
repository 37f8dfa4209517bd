"""Run by torchrun in the test of several processes: gradients of a shared batch, then a whole run.

Arguments: folder with triplets.jsonl, folder of a transformer, folder of a static encoder. The first process writes.
"""

import json
import sys
from pathlib import Path

import torch

from pipeline.encoders import load_encoder
from pipeline.records import Triplet
from pipeline.train_config import TrainConfig
from pipeline.training import distributed
from pipeline.training.batches import ChunkCollator
from pipeline.training.guide import guide_table
from pipeline.training.loss_module import GuideMaskedLoss
from pipeline.training.losses import LossSettings
from pipeline.training.run import train
from pipeline.training.trainer import StageThreeTrainer

RULES = ("none", "phi", "gist_absolute", "released")
ROWS = 12


def gradients(triplets, folder, static, rule):
    """Gradients of the loss of ROWS triplets, each process with its share of them, and what is reported."""
    distributed.start("cpu")
    encoder = load_encoder(folder, pooling="cls").eval()
    guide = guide_table(triplets, load_encoder(static))
    torch.manual_seed(3)
    settings = LossSettings(mask_rule=rule, mask_threshold=0.5, protect_own_hard_negative=rule == "gist_absolute")
    # Cached gradients encode a second time within the backward pass, which torch's own wrapper does not allow.
    loss = GuideMaskedLoss(encoder, settings, guide, head=True, cached=rule == "phi")
    # A random encoder's vectors are nearly one vector: in float32 their gradients are mostly rounding.
    loss.double()
    share = ROWS // distributed.processes()
    rows = range(distributed.rank() * share, (distributed.rank() + 1) * share)
    config = TrainConfig(encoder="folder", mini_batch_size=5)
    batch = ChunkCollator.of(encoder, triplets, config)([{"label": row} for row in rows])
    loss(*StageThreeTrainer.collect_features(None, batch)).backward()
    distributed.average_gradients(loss.parameters())
    found = {name: p.grad for name, p in loss.named_parameters() if p.grad is not None}
    return found, loss.report()


def whole_run(triplets, static, folder):
    """A run of a static encoder with a dev score, and its events."""
    events = []
    config = TrainConfig(
        encoder=str(static),
        guide=str(static),
        mask_threshold=0.5,
        steps=4,
        batch_size=8,
        learning_rate=0.02,
        eval_every=2,
    )
    result = train(triplets, config, output_dir=folder, on_event=events.append, dev=lambda encoder: 0.5)
    return result, events


def main(folder, bert, static):
    """Do both and write what the test compares."""
    lines = (folder / "triplets.jsonl").read_text().splitlines()
    triplets = [Triplet(*json.loads(line)) for line in lines]
    for rule in RULES:
        found, report = gradients(triplets, bert, static, rule)
        if distributed.rank() == 0:
            torch.save({"gradients": found, "report": report}, folder / f"{rule}.pt")
    result, events = whole_run(triplets, static, folder / "run")
    told = [[e.step, e.loss, e.info_nce, e.masked_share, e.masked_own, e.dev_score] for e in events]
    answer = {"rank": distributed.rank(), "status": result.status, "events": told}
    (folder / f"rank{distributed.rank()}.json").write_text(json.dumps(answer))
    distributed.stop()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
