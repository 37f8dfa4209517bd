"""The trainer of sentence-transformers, set up for stage 3."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from torch import Tensor, nn
from transformers import PrinterCallback, TrainerCallback

from pipeline.config import TrainConfig
from pipeline.records import Triplet
from pipeline.training import distributed
from pipeline.training.batches import ChunkCollator, StepSampler
from pipeline.training.encoders import is_static, resolve_device
from pipeline.training.loss_module import GuideMaskedLoss

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

STATIC_LEARNING_RATE = 0.002
"""Chosen on STS-B dev with 180 and 263 generated triplets, 100 and 200 steps of 128: 0.002 and 0.004 are within 0.3
of each other and 0.8 to 2 above 0.0005 and 0.008 (71.98 and 71.99 against 69.29 and 70.21)."""
TRANSFORMER_LEARNING_RATE = 5e-5

_HEAD = "loss_head.safetensors"


def default_learning_rate(encoder: "SentenceTransformer") -> float:
    """Peak learning rate when the settings leave it open; a table of vectors takes a far larger one."""
    return STATIC_LEARNING_RATE if is_static(encoder) else TRANSFORMER_LEARNING_RATE


def run_trainer(
    loss: GuideMaskedLoss,
    triplets: Sequence[Triplet],
    config: TrainConfig,
    sampler: StepSampler,
    *,
    checkpoints: Path,
    callbacks: list[TrainerCallback],
    resume_from: Path | None,
) -> None:
    """Take the optimizer steps of a configuration, from a checkpoint if one is given; changes the loss's encoder."""
    encoder = loss.model
    arguments = _arguments(config, config.learning_rate or default_learning_rate(encoder), checkpoints)
    arguments.batch_sampler = lambda _dataset, **_: sampler  # type: ignore[assignment]  # any BatchSampler serves
    trainer = StageThreeTrainer(
        model=encoder,
        args=arguments,
        train_dataset=Dataset.from_dict({"label": list(range(len(triplets)))}),
        loss=loss,
        data_collator=ChunkCollator.of(encoder, triplets, config),  # type: ignore[arg-type]
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)  # results go through events, not to standard output
    trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))


def _arguments(config: TrainConfig, learning_rate: float, checkpoints: Path) -> SentenceTransformerTrainingArguments:
    is_on_cpu = resolve_device(config.device) == "cpu"
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(checkpoints),
        max_steps=config.steps,
        per_device_train_batch_size=max(1, config.batch_size // distributed.processes()),
        learning_rate=learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=config.warmup_steps,
        max_grad_norm=1.0,
        weight_decay=0.0,
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=is_on_cpu,
        bf16=config.precision == "bf16",
        fp16=config.precision == "fp16",
        # The sampler gives the parts of a batch one after the other: each process takes its own.
        accelerator_config={"split_batches": False, "even_batches": False, "dispatch_batches": False},
        dataloader_pin_memory=not is_on_cpu,
        dataloader_drop_last=True,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        save_strategy="no",  # the callback asks for checkpoints
        save_total_limit=2,  # the older one stays until the newer is marked complete
        eval_strategy="no",
        report_to="none",
        push_to_hub=False,
        disable_tqdm=True,
    )
    # With several GPUs visible the trainer would split each batch, and with it the negatives every premise sees.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


class StageThreeTrainer(SentenceTransformerTrainer):
    """sentence-transformers' trainer with two changes to its checkpoints and one to several processes.

    Checkpoints include the loss's own head, which the base class forgets on resume, and no generated model card,
    whose making looks models up on a hub. With several processes gradients are averaged here and not by torch's
    wrapper around the encoder: that one knows nothing of the head, and does not allow an encoder to run again within
    a backward pass, as cached gradients need.
    """

    def override_model_in_loss(self, loss: nn.Module, model: nn.Module) -> nn.Module:
        """Leave the bare encoder in the loss."""
        return loss

    def training_step(self, *arguments: Any, **options: Any) -> Tensor:
        """Take the gradient of the whole batch's loss."""
        loss: Tensor = super().training_step(*arguments, **options)
        distributed.average_gradients(self.loss.parameters())  # type: ignore[attr-defined]
        return loss

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave out the callback that collects data for the generated model card."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir or "")
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(str(folder), create_model_card=False)
        save_file(self._head.state_dict(), folder / _HEAD)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:  # type: ignore[override]  # as the base class has it
        super()._load_from_checkpoint(checkpoint_path)
        self._head.load_state_dict(load_file(Path(checkpoint_path) / _HEAD))

    @property
    def _head(self) -> nn.Module:
        return self.loss.head  # type: ignore[attr-defined, no-any-return]
