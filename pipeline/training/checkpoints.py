"""Checkpoints of an unfinished run: complete or ignored, and only ever of the same run."""

import json
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformerTrainer
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipeline.config import TrainConfig
from pipeline.errors import InputError
from pipeline.records import Triplet

_COMPLETE = "complete.json"
_HEAD = "loss_head.pt"


def run_fingerprint(triplets: list[Triplet], config: TrainConfig) -> str:
    """Hash of settings and data: a checkpoint continues a run only when both are the same."""
    # Neither the device nor how often the dev task is scored changes what is learned.
    fields = {name: value for name, value in asdict(config).items() if name not in ("device", "eval_every")}
    digest = blake2b(json.dumps(fields, sort_keys=True).encode(), digest_size=16)
    for triplet in triplets:
        digest.update(json.dumps([triplet.premise, triplet.positive, triplet.hard_negative]).encode())
    return digest.hexdigest()


def latest_checkpoint(folder: Path, fingerprint: str) -> Path | None:
    """The newest complete checkpoint in a folder, or None; one cut short by a kill is passed over.

    Raises InputError if the folder's checkpoints belong to other settings or other triplets.
    """
    complete = {path.parent: _read(path) for path in folder.glob(f"checkpoint-*/{_COMPLETE}")}
    if any(mark["fingerprint"] != fingerprint for mark in complete.values()):
        raise InputError(
            f"{folder.parent} holds an unfinished run with other settings or triplets; choose another output folder."
        )
    return max(complete, key=lambda path: complete[path]["step"], default=None)


class CompleteMarker(TrainerCallback):
    """Marks a checkpoint once all its files are written, with the run it belongs to."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Write the mark as the last file of the checkpoint."""
        folder = Path(args.output_dir or "") / f"checkpoint-{state.global_step}"
        mark = {"fingerprint": self.fingerprint, "step": state.global_step}
        (folder / _COMPLETE).write_text(json.dumps(mark), encoding="utf-8")


class StageThreeTrainer(SentenceTransformerTrainer):
    """sentence-transformers' trainer with two changes to its checkpoints.

    They include the loss's own head, which the base class forgets on resume, and no generated model card, whose
    making looks models up on a hub.
    """

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave out the callback that collects data for the generated model card."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir or "")
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(str(folder), create_model_card=False)
        torch.save(self.loss.head.state_dict(), folder / _HEAD)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        super()._load_from_checkpoint(checkpoint_path)
        self.loss.head.load_state_dict(torch.load(Path(checkpoint_path) / _HEAD, weights_only=True))


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        # A kill between creating and filling the mark: as good as no mark.
        return {"fingerprint": None, "step": -1}
