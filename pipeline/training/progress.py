"""The trainer's callback that reports every step and obeys pause, finish and cancel."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipeline.records import InputError
from pipeline.train_config import NEARLY_ALL
from pipeline.training import distributed
from pipeline.training.loss_module import BatchReport, GuideMaskedLoss
from pipeline.training.trainer import BestWeights

logger = logging.getLogger(__name__)

STOP_WORDS = ("pause", "cancel", "finish")
EARLY = "early"
_MASKED_STEPS, _ALL = 10, 1 - 1e-6
"""Steps in which everything may be masked before a run ends, and the share that counts as everything."""
FAULT = "fault"
_DECISIONS = (None, *STOP_WORDS, EARLY, FAULT)
_GPU_EVERY_S = 1.0


class GpuMeter:
    """Reads memory and use at most once a second: the driver's answer takes longer than a small step."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device) if device.startswith("cuda") else None
        self._read_at = -_GPU_EVERY_S
        self._last: tuple[float | None, float | None] = (None, None)

    def read(self) -> tuple[float | None, float | None]:
        """Return the most memory held since the start in MB, and the share of time at work; None where unknown."""
        if self.device is None or time.monotonic() - self._read_at < _GPU_EVERY_S:
            return self._last
        self._read_at = time.monotonic()
        try:
            use: float | None = torch.cuda.utilization(self.device) / 100
        except (ModuleNotFoundError, RuntimeError):
            use = None  # NVIDIA's management library is not installed here
        self._last = (torch.cuda.max_memory_reserved(self.device) / 2**20, use)
        return self._last


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One optimizer step."""

    step: int
    """1-based."""
    steps: int
    loss: float
    """As it came: NaN and infinity are shown, not smoothed over."""
    info_nce: float
    """InfoNCE of the same batch over all candidates, in nats: comparable between mask rules, as the loss is not."""
    learning_rate: float
    """The rate this step was taken with."""
    masked_share: float
    """Share of the candidates of this batch that were masked."""
    masked_positives: float
    """Share of the other rows' positives that were masked."""
    masked_hard_negatives: float
    """Share of the other rows' hard negatives."""
    masked_own: float
    """Share of the rows' own hard negatives."""
    triplets_per_s: float
    """Of this step alone, without dev scores and checkpoints."""
    gpu_memory_mb: float | None = None
    """Most memory reserved since the start; None on a CPU."""
    gpu_use: float | None = None
    """Share of time the GPU was at work in the last second; None where it cannot be asked."""
    dev_score: float | None = None
    """Score of the dev metric, in the steps that were scored."""


@dataclass(slots=True)
class Watch:
    """What is called while a run trains, and how often."""

    on_event: Callable[[StepEvent], None]
    should_stop: Callable[[], str | None]
    score_dev: Callable[[], float] | None = None
    eval_every: int = 0
    keep_encoder: Callable[[int], None] | None = None
    """Writes a copy of the encoder as it is after this step."""
    keep_every: int = 0
    checkpoint_every_s: float = 120.0
    gpu: GpuMeter = field(default_factory=lambda: GpuMeter("cpu"))


class ProgressCallback(TrainerCallback):
    """Reports every step, scores the dev task when due, asks for checkpoints, and obeys pause, finish and cancel.

    With several processes the first one reports, scores and decides; the others do as it says.
    """

    def __init__(self, loss: GuideMaskedLoss, watch: Watch, best: BestWeights) -> None:
        self.loss, self.watch, self.best = loss, watch, best
        self.stopped: str | None = None
        self.fault = "The first process gave the run up."
        """Why it was given up, where it was."""
        self._is_warned = False
        self.last_event: StepEvent | None = None
        self.dev_s = 0.0
        self._masked_steps: int | None = 0
        """Steps so far, while each of them masked every candidate of every row; None once one did not."""
        self._learning_rate = 0.0
        self._mark = self._last_checkpoint = time.perf_counter()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clocks, what came before was loading; and give every process dropout of its own."""
        if distributed.rank() > 0:
            torch.manual_seed(torch.initial_seed() + distributed.rank())
        self._mark = self._last_checkpoint = time.perf_counter()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **objects: Any
    ) -> None:
        """Keep the learning rate of the step before the scheduler moves on."""
        self._learning_rate = float(objects["lr_scheduler"].get_last_lr()[0])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Report the step, then decide whether to go on and whether to save."""
        decision, saves = None, False
        if distributed.rank() == 0:
            decision, saves = self._reported(state)
        decision, saves = _common(decision, saves, self.loss)
        is_end = state.global_step >= state.max_steps or decision in ("finish", EARLY)
        self._require_negatives(is_end=is_end)
        self.stopped = decision
        control.should_training_stop = control.should_training_stop or decision is not None
        control.should_save = saves
        self._mark = time.perf_counter()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Add the best weights to the checkpoint; saving is not training, so it is kept out of the rate."""
        if distributed.rank() == 0:
            self.best.save(Path(args.output_dir or "") / f"checkpoint-{state.global_step}")
        self._mark = self._last_checkpoint = time.perf_counter()

    def _reported(self, state: TrainerState) -> tuple[str | None, bool]:
        report = self.loss.report()  # reading it waits for the device, so it comes before the clock
        seconds = max(time.perf_counter() - self._mark, 1e-9)
        is_last = state.global_step >= state.max_steps
        # At the last step there is nothing left to stop: the result is about to be written.
        word = None if is_last else self._asked()
        if self._is_given_up(report, state.global_step):
            word = FAULT
        memory, use = self.watch.gpu.read()
        self.last_event = StepEvent(
            step=state.global_step,
            steps=state.max_steps,
            loss=report.loss,
            info_nce=report.info_nce,
            learning_rate=self._learning_rate,
            masked_share=report.masked_share,
            masked_positives=report.masked_positives,
            masked_hard_negatives=report.masked_hard_negatives,
            masked_own=report.masked_own,
            triplets_per_s=report.rows / seconds,
            gpu_memory_mb=memory,
            gpu_use=use,
            dev_score=None
            if word == FAULT
            else self._dev_score(state.global_step, is_wanted=is_last or word == "finish"),
        )
        self.watch.on_event(self.last_event)
        if word == FAULT:
            return word, False
        if self.watch.keep_encoder is not None and not is_last and state.global_step % self.watch.keep_every == 0:
            self.watch.keep_encoder(state.global_step)
        if word is None and not is_last and self.best.is_out_of_patience:
            word = EARLY
        is_due = time.perf_counter() - self._last_checkpoint >= self.watch.checkpoint_every_s
        return word, not is_last and (word == "pause" or (word is None and is_due))

    def _require_negatives(self, *, is_end: bool) -> None:
        """Refuse to go on, or to keep an encoder, when no step so far left any premise a negative."""
        if self._masked_steps is None:
            return
        if self.loss.report().masked_share < _ALL:
            self._masked_steps = None
            return
        self._masked_steps += 1
        if is_end or self._masked_steps >= _MASKED_STEPS:
            settings = self.loss.settings
            raise InputError(
                f"The mask left no premise a negative in any step so far ({self._masked_steps} of them), so there is "
                f"nothing to learn: with mask_rule {settings.mask_rule}, {settings.mask_threshold:g} is "
                f"{'too low a phi' if settings.mask_rule in ('phi', 'released') else 'too wide a margin'} for this "
                "guide and these triplets."
            )

    def _is_given_up(self, report: BatchReport, step: int) -> bool:
        """Whether the loss is lost; warns once of a batch in which nearly all candidates are masked."""
        if report.masked_share >= NEARLY_ALL and not self._is_warned:
            self._is_warned = True
            logger.warning(
                "%.1f %% of the candidates were masked at step %d, which leaves little to learn: raise phi",
                100 * report.masked_share,
                step,
            )
        if math.isfinite(report.loss):
            return False
        name = "NaN" if math.isnan(report.loss) else "infinite"
        self.fault = (
            f"The loss became {name} at step {step}; weights after it are unusable. Lower the learning rate, or "
            "check the encoder."
        )
        return True

    def _asked(self) -> str | None:
        word = self.watch.should_stop() or None
        if word is not None and word not in STOP_WORDS:
            raise ValueError(f"should_stop must answer {', '.join(STOP_WORDS)} or None, got {word!r}")
        return word

    def _dev_score(self, step: int, *, is_wanted: bool) -> float | None:
        is_due = self.watch.eval_every > 0 and step % self.watch.eval_every == 0
        if self.watch.score_dev is None or not (is_wanted or is_due):
            return None
        since = time.perf_counter()
        score = self.watch.score_dev()
        self.best.offer(step, score)
        self.dev_s += time.perf_counter() - since
        return score


def _common(decision: str | None, saves: bool, loss: GuideMaskedLoss) -> tuple[str | None, bool]:
    """Return the first process's decision in every process."""
    if distributed.processes() == 1:
        return decision, saves
    device = next(loss.model.parameters()).device
    first = distributed.from_first(torch.tensor([_DECISIONS.index(decision), int(saves)], device=device))
    return _DECISIONS[int(first[0])], bool(first[1])
