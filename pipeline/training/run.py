"""Stage 3: train an encoder on triplets; stoppable at every step and resumable to the same weights."""

import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from transformers import set_seed

from pipeline.durable import move_file, move_folder, whole_folder
from pipeline.encoder_folders import resolve_device
from pipeline.encoders import load_encoder
from pipeline.records import InputError, Stopped, TrainingError, Triplet
from pipeline.train_config import TrainConfig
from pipeline.training import distributed
from pipeline.training.adapters import add_adapters, merged
from pipeline.training.batches import StepSampler
from pipeline.training.guide import GuideTable, guide_table, phi_for_share
from pipeline.training.loss_module import GuideMaskedLoss
from pipeline.training.losses import LossSettings
from pipeline.training.model_card import CardFacts, model_card
from pipeline.training.order import columns_of, in_rows, judge_scores
from pipeline.training.progress import EARLY, FAULT, GpuMeter, ProgressCallback, StepEvent, Watch
from pipeline.training.trainer import (
    BestWeights,
    CompleteMarker,
    check_encoder,
    check_machine,
    default_learning_rate,
    latest_checkpoint,
    run_fingerprint,
    run_trainer,
    uses_head,
)

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


logger = logging.getLogger(__name__)

DevScore = Callable[["SentenceTransformer"], float]
Status = Literal["finished", "paused", "cancelled"]

CHECKPOINTS = "checkpoints"
_STATUS: dict[str | None, Status] = {"pause": "paused", "cancel": "cancelled"}
"""By stop word; every other end leaves a finished encoder."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a run ended."""

    status: Status
    step: int = 0
    """Optimizer steps done, counted from the start of the run; 0 if this call had none left to do."""
    encoder_folder: Path | None = None
    """Loads in SentenceTransformer; None unless finished."""
    loss: float | None = None
    """Of the last step."""
    dev_score: float | None = None
    """Of the weights that were kept."""
    kept_step: int | None = None
    """Step whose weights were kept; None unless finished."""
    ended_early: bool = False
    """Whether patience ran out before all steps were taken."""
    threshold: float | None = None
    """The cosine that masked: phi, also where the settings give a share of random pairs; None without a mask."""
    smaller_batches: int = 0
    """Batches of the run below batch_size, because all other rows repeat a text; see TrainConfig.distinct_batches."""
    dev_s: float = 0.0
    """Seconds spent on dev scores."""
    guide_s: float = 0.0
    """Seconds of loading the encoder and embedding the texts with the guide."""
    seconds: float = 0.0
    """Wall clock of this call, all of the above included."""


def train(
    triplets: Sequence[Triplet],
    config: TrainConfig,
    *,
    output_dir: Path,
    encoder_dir: Path | None = None,
    dev: DevScore | None = None,
    on_event: Callable[[StepEvent], None] = lambda event: None,
    on_kept: Callable[[int, Path], None] = lambda step, folder: None,
    on_untrained: Callable[["SentenceTransformer"], None] | None = None,
    should_stop: Callable[[], str | None] = lambda: None,
    cache: Path | None = None,
    checkpoint_every_s: float = 120.0,
    data: str = "",
) -> TrainResult:
    """Train an encoder and write it to a folder.

    The same triplets, settings and seed give the same curve on the same machine. A paused or killed run goes on from
    its newest complete checkpoint when called again with the same output_dir; events of steps since then come again.
    Started in several processes by torchrun, they share every batch; the first one reports and writes.

    Args:
        triplets: the training set.
        config: settings of stage 3.
        output_dir: gets `checkpoints/` while the run lasts, and `model-step-N/` every config.keep_every steps.
        encoder_dir: gets the encoder (stock sentence-transformers modules only), `output_dir`/model by default; may
            be output_dir itself.
        dev: scores the encoder; called every config.eval_every steps and after the last one.
        on_event: called after every step.
        on_kept: called with step and folder after a copy of the encoder was kept; again after a resume from before.
        on_untrained: called with the encoder before the first step, in the first process; not when a run is resumed.
        should_stop: polled after every step; "pause" writes a checkpoint and returns, "finish" ends the run here and
            keeps the encoder, "cancel" returns without one.
        cache: where guide vectors are kept between runs; `output_dir`/cache by default.
        checkpoint_every_s: least seconds between checkpoints against a kill.
        data: what the triplets are called on the model card, such as a snapshot's name.

    Raises:
        InputError: no triplets, an encoder that cannot be loaded or does not suit the settings, a precision the
            device does not have, or a folder holding another run's checkpoints.
        TrainingError: the loss or the weights became NaN, or the mask leaves nothing to learn from; no encoder is
            written.
    """
    started = time.perf_counter()
    if not triplets:
        raise InputError("There are no triplets to train on; generate or import some, or loosen the curation rule.")
    scores_rc = judge_scores(triplets, config.hard_negatives_per_row) if config.cosent_weight else None
    device = resolve_device(config.device)
    distributed.start(device)
    check_machine(config, device, rows=len(triplets), processes=distributed.processes())
    checkpoints = output_dir / CHECKPOINTS
    checkpoints.mkdir(parents=True, exist_ok=True)
    fingerprint = run_fingerprint(triplets, config)
    resume_from = latest_checkpoint(checkpoints, fingerprint)
    set_seed(config.seed)  # before the encoder: a head is drawn at random
    encoder = load_encoder(config.encoder, pooling=config.pooling, device=device)
    check_encoder(encoder, config)
    if config.lora_rank:
        add_adapters(encoder, config.lora_rank)
    try:
        guide = _load_guide(triplets, config, cache or output_dir / "cache", should_stop)
    except Stopped:
        return TrainResult("cancelled" if should_stop() == "cancel" else "paused", seconds=_since(started))
    guide_s = _since(started)
    loss = _loss(encoder, guide, triplets, scores_rc, config)
    phi = None if config.mask_rule == "none" else loss.settings.mask_threshold
    rate = config.learning_rate or default_learning_rate(encoder)
    facts = CardFacts(config, len(triplets), data, fingerprint, 0, None, phi, learning_rate=rate)

    if on_untrained is not None and resume_from is None and distributed.rank() == 0:
        on_untrained(encoder)

    def keep(step: int) -> None:
        folder = output_dir / f"model-step-{step}"
        _write_encoder(encoder, replace(facts, kept_step=step), folder)
        on_kept(step, folder)

    watch = Watch(
        on_event=on_event,
        should_stop=should_stop,
        score_dev=None if dev is None else lambda: _score(encoder, dev),
        eval_every=config.eval_every,
        keep_encoder=keep if config.keep_every else None,
        keep_every=config.keep_every,
        checkpoint_every_s=checkpoint_every_s,
        gpu=GpuMeter(device),
    )
    progress, smaller = _take_steps(triplets, config, loss, watch, checkpoints, fingerprint, resume_from)
    result = replace(_result(progress, config), threshold=phi, smaller_batches=smaller, guide_s=guide_s)
    if result.status == "finished":
        facts = replace(facts, kept_step=result.kept_step or 0, dev_score=result.dev_score)
        result = replace(result, encoder_folder=encoder_dir or output_dir / "model")
        if distributed.rank() == 0:
            _write_encoder(encoder, facts, encoder_dir or output_dir / "model")
    distributed.wait()
    if result.status != "paused" and distributed.rank() == 0:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return replace(result, seconds=_since(started))


def _since(started: float) -> float:
    return time.perf_counter() - started


def _loss(
    encoder: "SentenceTransformer",
    guide: GuideTable | None,
    triplets: Sequence[Triplet],
    scores_rc: np.ndarray | None,
    config: TrainConfig,
) -> GuideMaskedLoss:
    threshold = config.mask_threshold
    if guide is not None and config.threshold_unit != "cosine":
        threshold = phi_for_share(guide.unit_ud.cpu().numpy(), config.mask_threshold, seed=0)
    columns, hard_per_row = columns_of(config.positives), None
    if columns == 3 and config.hard_negatives_per_row > 1:
        hard_per_row = torch.tensor([len(row) for row in in_rows(triplets, config.hard_negatives_per_row)])
    return GuideMaskedLoss(
        encoder,
        LossSettings.of(config, threshold),
        guide,
        columns=columns,
        hard_per_row=hard_per_row,
        scores_rc=None if scores_rc is None else torch.from_numpy(scores_rc),
        head=uses_head(encoder, config),
        cached=config.mini_batch_size > 0,
    )


def _take_steps(
    triplets: Sequence[Triplet],
    config: TrainConfig,
    loss: GuideMaskedLoss,
    watch: Watch,
    checkpoints: Path,
    fingerprint: str,
    resume_from: Path | None,
) -> tuple[ProgressCallback, int]:
    """Take the optimizer steps; return what was measured, and how many batches are below the batch size."""
    keeps_best = config.keep == "best" and config.eval_every > 0
    best = BestWeights(loss.model, patience=config.patience, keeps_weights=keeps_best)
    if resume_from is not None:
        best.load(resume_from)
    progress = ProgressCallback(loss, watch, best)
    sampler = StepSampler.of(triplets, config, processes=distributed.processes())
    smaller = sampler.smaller_batches()
    if smaller:
        logger.warning(
            "%d of %d batches are smaller than %d: the other triplets repeat a premise or positive of the batch",
            smaller,
            config.steps,
            sampler.full_size,
        )
    callbacks = [progress, CompleteMarker(fingerprint)]
    run_trainer(
        loss, triplets, config, sampler, checkpoints=checkpoints, callbacks=callbacks, resume_from=resume_from
    )
    if progress.stopped == FAULT:
        raise TrainingError(progress.fault)
    return progress, smaller


def _result(progress: ProgressCallback, config: TrainConfig) -> TrainResult:
    """Return how the steps ended; puts the best weights into the encoder when they are the ones to keep."""
    last, best = progress.last_event, progress.best
    result = TrainResult(
        status=_STATUS.get(progress.stopped, "finished"),
        step=0 if last is None else last.step,
        loss=None if last is None else last.loss,
        dev_score=None if last is None else last.dev_score,
        ended_early=progress.stopped == EARLY,
        dev_s=progress.dev_s,
    )
    if result.status != "finished":
        return result
    if config.keep == "best" and best.step is not None:
        best.restore()
        return replace(result, kept_step=best.step, dev_score=best.score)
    return replace(result, kept_step=result.step or config.steps)


def _load_guide(
    triplets: Sequence[Triplet], config: TrainConfig, cache: Path, should_stop: Callable[[], str | None]
) -> GuideTable | None:
    if not config.needs_guide:
        return None
    device = resolve_device(config.device)
    guide = load_encoder(config.guide, device=device)

    def is_to_stop() -> bool:
        return should_stop() in ("pause", "cancel")  # to finish a run it must first have taken a step

    def embedded() -> GuideTable:
        return guide_table(
            triplets,
            guide,
            columns=columns_of(config.positives),
            per_row=config.hard_negatives_per_row,
            cache=cache,
            should_stop=is_to_stop,
        )

    if distributed.processes() == 1:
        return embedded().to(device)
    table, is_stopped = None, False
    if distributed.rank() == 0:  # the first process embeds, the others read what it kept
        try:
            table = embedded()
        except Stopped:
            is_stopped = True
    if distributed.is_so_in_first(is_stopped, device):
        raise Stopped
    return (table or embedded()).to(device)


def _score(encoder: "SentenceTransformer", dev: DevScore) -> float:
    was_training = encoder.training
    encoder.eval()
    score = dev(encoder)
    encoder.train(was_training)
    return score


def _write_encoder(encoder: "SentenceTransformer", facts: CardFacts, folder: Path) -> None:
    """Write an encoder with its card and settings, whole or not at all.

    Raises TrainingError, before anything is written, for weights that are not finite.
    """
    for name, parameter in encoder.named_parameters():
        if not parameter.isfinite().all():
            raise TrainingError(
                f"The weights became NaN by step {facts.kept_step} ({name}), so they were not saved; lower the "
                "learning rate."
            )
    holds_run = (folder / CHECKPOINTS).is_dir()
    with whole_folder(folder / "unfinished" if holds_run else folder, over=True) as draft:
        merged(encoder).save_pretrained(str(draft), create_model_card=False)
        (draft / "README.md").write_text(model_card(facts), encoding="utf-8")
        (draft / "train_config.json").write_text(json.dumps(asdict(facts.config), indent=2), encoding="utf-8")
    if holds_run:
        _move_up(folder / "unfinished", folder)


def _move_up(made: Path, folder: Path) -> None:
    """Move an encoder's files into a folder that holds other things as well; it never loads with half of them new."""
    last = ["config.json", "modules.json"]  # without these two a folder is no encoder
    for name in last:
        (folder / name).unlink(missing_ok=True)
    for path in sorted(made.iterdir(), key=lambda path: (path.name in last, path.name)):
        if path.is_dir():
            move_folder(path, folder / path.name, over=True)
        else:
            move_file(path, folder / path.name)
    made.rmdir()
