"""Stage 3: train an encoder on triplets; stoppable at every step and resumable to the same weights."""

import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from transformers import set_seed

from pipeline.config import TrainConfig
from pipeline.errors import InputError
from pipeline.records import Triplet
from pipeline.training.checkpoints import CompleteMarker, latest_checkpoint, run_fingerprint
from pipeline.training.encoders import is_static, load_encoder, resolve_device
from pipeline.training.guide import GuideTable, Stopped, guide_table
from pipeline.training.losses import GuideMaskedLoss, LossSettings
from pipeline.training.model_card import model_card
from pipeline.training.progress import ProgressCallback, StepEvent
from pipeline.training.trainer import run_trainer

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)

DevScore = Callable[["SentenceTransformer"], float]
Status = Literal["finished", "paused", "cancelled"]

_STATUS: dict[str | None, Status] = {"pause": "paused", "cancel": "cancelled", "finish": "finished", None: "finished"}


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a run ended."""

    status: Status
    step: int
    """Optimizer steps done, counted from the start of the run; 0 if this call had none left to do."""
    encoder_folder: Path | None
    """Loads in SentenceTransformer; None unless finished."""
    loss: float | None
    """Of the last step."""
    dev_score: float | None
    seconds: float
    """Wall clock of this call, loading and guide included."""
    guide_seconds: float
    """Of these, for loading the encoder and embedding the texts with the guide."""


def train(
    triplets: Sequence[Triplet],
    config: TrainConfig,
    *,
    output_dir: Path,
    dev: DevScore | None = None,
    on_event: Callable[[StepEvent], None] = lambda event: None,
    should_stop: Callable[[], str | None] = lambda: None,
    cache: Path | None = None,
    checkpoint_every_s: float = 120.0,
) -> TrainResult:
    """Train an encoder and write it to `output_dir`/model.

    The same triplets, settings and seed give the same curve on the same machine. A paused or killed run goes on from
    its newest complete checkpoint when called again with the same output_dir; events of steps since then come again.

    Args:
        triplets: the training set.
        config: settings of stage 3.
        output_dir: gets `model/` (stock sentence-transformers modules only) and, until then, `checkpoints/`.
        dev: scores the encoder; called every config.eval_every steps and after the last one.
        on_event: called after every step.
        should_stop: polled after every step; "pause" writes a checkpoint and returns, "finish" ends the run here and
            writes the encoder as it is, "cancel" returns without one.
        cache: where guide vectors are kept between runs; `output_dir`/cache by default.
        checkpoint_every_s: least seconds between checkpoints against a kill.

    Raises:
        InputError: no triplets, an encoder that cannot be loaded, or a folder holding another run's checkpoints.
    """
    started = time.perf_counter()
    if not triplets:
        raise InputError("There are no triplets to train on; generate or import some, or loosen the curation rule.")
    checkpoints = output_dir / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    fingerprint = run_fingerprint(triplets, config)
    resume_from = latest_checkpoint(checkpoints, fingerprint)
    set_seed(config.seed)  # before the encoder: a head is drawn at random
    encoder = load_encoder(config.encoder, pooling=config.pooling, device=config.device)
    try:
        guide = _load_guide(triplets, config, cache or output_dir / "cache", should_stop)
    except Stopped:
        return _ended("cancel" if should_stop() == "cancel" else "pause", None, None, started, started)
    guided = time.perf_counter()
    loss = GuideMaskedLoss(encoder, LossSettings.of(config), guide, head=_has_head(encoder, config))
    progress = ProgressCallback(
        loss,
        batch_size=min(config.batch_size, len(triplets)),
        eval_every=config.eval_every,
        score_dev=None if dev is None else lambda: _score(encoder, dev),
        on_event=on_event,
        should_stop=should_stop,
        checkpoint_every_s=checkpoint_every_s,
    )
    callbacks = [progress, CompleteMarker(fingerprint)]
    run_trainer(loss, triplets, config, checkpoints=checkpoints, callbacks=callbacks, resume_from=resume_from)
    is_kept = progress.stopped in (None, "finish")
    folder = _write_encoder(encoder, triplets, config, output_dir) if is_kept else None
    if progress.stopped != "pause":
        shutil.rmtree(checkpoints, ignore_errors=True)
    return _ended(progress.stopped, progress.last_event, folder, started, guided)


def _ended(
    stopped: str | None, last: StepEvent | None, folder: Path | None, started: float, guided: float
) -> TrainResult:
    return TrainResult(
        status=_STATUS[stopped],
        step=0 if last is None else last.step,
        encoder_folder=folder,
        loss=None if last is None else last.loss,
        dev_score=None if last is None else last.dev_score,
        seconds=time.perf_counter() - started,
        guide_seconds=guided - started,
    )


def _load_guide(
    triplets: Sequence[Triplet], config: TrainConfig, cache: Path, should_stop: Callable[[], str | None]
) -> GuideTable | None:
    if config.mask_rule == "none":
        return None
    device = resolve_device(config.device)
    guide = load_encoder(config.guide, device=device)

    def is_to_stop() -> bool:
        return should_stop() in ("pause", "cancel")  # to keep a run it must first have taken a step

    return guide_table(triplets, guide, cache=cache, should_stop=is_to_stop).to(device)


def _has_head(encoder: "SentenceTransformer", config: TrainConfig) -> bool:
    if config.pooling != "cls":
        return False
    if is_static(encoder):
        logger.warning("pooling cls has no effect on %s: a static encoder has no [CLS] token", config.encoder)
        return False
    return True


def _score(encoder: "SentenceTransformer", dev: DevScore) -> float:
    was_training = encoder.training
    encoder.eval()
    score = dev(encoder)
    encoder.train(was_training)
    return score


def _write_encoder(
    encoder: "SentenceTransformer", triplets: Sequence[Triplet], config: TrainConfig, output_dir: Path
) -> Path:
    folder, unfinished = output_dir / "model", output_dir / "model.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    with torch.no_grad():
        encoder.eval()
        encoder.save_pretrained(str(unfinished), create_model_card=False)
    (unfinished / "README.md").write_text(model_card(config, len(triplets)), encoding="utf-8")
    (unfinished / "train_config.json").write_text(json.dumps(asdict(config), indent=2), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return folder
