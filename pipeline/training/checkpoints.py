"""Checkpoints of an unfinished run: complete or ignored, and only ever of the same run."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipeline.config import NOT_LEARNED, TrainConfig
from pipeline.durable import write_json
from pipeline.errors import InputError
from pipeline.records import Triplet
from pipeline.training import distributed
from pipeline.training.batches import StepSampler

_COMPLETE = "complete.json"


def run_fingerprint(triplets: Sequence[Triplet], config: TrainConfig) -> str:
    """Hash of settings and data: a checkpoint continues a run only when both are the same."""
    fields = {name: value for name, value in asdict(config).items() if name not in NOT_LEARNED}
    if fields["distinct_batches"] and StepSampler.of(triplets, config).texts_nc is None:
        del fields["distinct_batches"]  # no text is repeated: the order is that of earlier versions
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
        """Write the mark as the last file of the checkpoint, when every process has written its own."""
        distributed.wait()
        if distributed.rank() != 0:
            return
        folder = Path(args.output_dir or "") / f"checkpoint-{state.global_step}"
        mark = {"fingerprint": self.fingerprint, "step": state.global_step}
        write_json(folder / _COMPLETE, mark)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        # A kill between creating and filling the mark: as good as no mark.
        return {"fingerprint": None, "step": -1}
