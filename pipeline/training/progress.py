"""What a run tells while it trains, and how it is asked to stop: one callback of the trainer."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipeline.training.losses import GuideMaskedLoss, MaskCounts


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One optimizer step."""

    step: int
    """1-based."""
    steps: int
    loss: float
    """As it came: NaN and infinity are shown, not smoothed over."""
    learning_rate: float
    """The rate this step was taken with."""
    masked_share: float
    """Share of the candidates of this batch that were masked."""
    triplets_per_s: float
    """Of this step alone, without dev scores and checkpoints."""
    dev_score: float | None = None
    """Spearman on the dev task, in the steps that scored it."""


class ProgressCallback(TrainerCallback):
    """Reports every step, scores the dev task when due, asks for checkpoints, and obeys pause, cancel and finish."""

    def __init__(
        self,
        loss: GuideMaskedLoss,
        *,
        batch_size: int,
        eval_every: int,
        score_dev: Callable[[], float] | None,
        on_event: Callable[[StepEvent], None],
        should_stop: Callable[[], str | None],
        checkpoint_every_s: float,
    ) -> None:
        self.loss, self.batch_size, self.eval_every, self.score_dev = loss, batch_size, eval_every, score_dev
        self.on_event, self.should_stop, self.checkpoint_every_s = on_event, should_stop, checkpoint_every_s
        self.stopped: str | None = None
        self.last_event: StepEvent | None = None
        self._learning_rate = 0.0
        self._mark = self._last_checkpoint = time.perf_counter()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clocks: what came before was loading."""
        self._mark = self._last_checkpoint = time.perf_counter()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **objects: Any
    ) -> None:
        """Keep the learning rate of the step before the scheduler moves on."""
        self._learning_rate = float(objects["lr_scheduler"].get_last_lr()[0])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Report the step, then decide whether to go on and whether to save."""
        loss, masked_share = self._measure()  # reading the loss waits for the device, so it comes before the clock
        seconds = max(time.perf_counter() - self._mark, 1e-9)
        self._ask(state)
        self.last_event = StepEvent(
            step=state.global_step,
            steps=state.max_steps,
            loss=loss,
            learning_rate=self._learning_rate,
            masked_share=masked_share,
            triplets_per_s=self.batch_size / seconds,
            dev_score=self._dev_score(state),
        )
        self.on_event(self.last_event)
        self._decide(state, control)
        self._mark = time.perf_counter()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Saving is not training: keep it out of the rate."""
        self._mark = self._last_checkpoint = time.perf_counter()

    def _measure(self) -> tuple[float, float]:
        if self.loss.last_loss is None or self.loss.last_mask_nm is None:
            raise RuntimeError("a step ended before the loss was computed")
        return float(self.loss.last_loss), MaskCounts.of(self.loss.last_mask_nm).all_candidates

    def _dev_score(self, state: TrainerState) -> float | None:
        is_last = state.global_step >= state.max_steps
        is_due = self.eval_every > 0 and state.global_step % self.eval_every == 0
        is_wanted = is_last or is_due or self.stopped == "finish"
        return self.score_dev() if self.score_dev is not None and is_wanted else None

    def _ask(self, state: TrainerState) -> None:
        if state.global_step >= state.max_steps:
            return  # nothing left to stop: the result is about to be written
        self.stopped = self.should_stop() or None
        if self.stopped not in ("pause", "cancel", "finish", None):
            raise ValueError(f"should_stop must answer pause, cancel, finish or None, got {self.stopped!r}")

    def _decide(self, state: TrainerState, control: TrainerControl) -> None:
        if state.global_step >= state.max_steps:
            return
        if self.stopped is not None:
            control.should_training_stop = True
        is_due = time.perf_counter() - self._last_checkpoint >= self.checkpoint_every_s
        control.should_save = self.stopped == "pause" or (self.stopped is None and is_due)
