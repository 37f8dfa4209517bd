"""The trainer of sentence-transformers, set up for stage 3: what it refuses, its settings and its checkpoints."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, astuple
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from torch import Tensor, nn
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipeline.durable import write_json
from pipeline.encoder_folders import resolve_device
from pipeline.encoders import check_length, has_dropout, is_static
from pipeline.records import InputError, Triplet
from pipeline.train_config import TrainConfig, learned
from pipeline.training import distributed
from pipeline.training.adapters import has_adapters, learned_state, load_learned_state
from pipeline.training.batches import ChunkCollator, StepSampler
from pipeline.training.loss_module import GuideMaskedLoss

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


logger = logging.getLogger(__name__)

STATIC_LEARNING_RATE = 0.002
"""Chosen on STS-B dev with 180 and 263 generated triplets, 100 and 200 steps of 128: 0.002 and 0.004 are within 0.3
of each other and 0.8 to 2 above 0.0005 and 0.008 (71.98 and 71.99 against 69.29 and 70.21)."""
TRANSFORMER_LEARNING_RATE = 5e-5
LORA_LEARNING_RATE = 5e-4
"""Ten times that of the weights themselves, as is usual; not chosen by a study."""

_OPTIMIZERS = {"adamw": "adamw_torch_fused", "adafactor": "adafactor", "sgd": "sgd"}
_SCHEDULERS = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}

# Files of a checkpoint beside the trainer's own.
_HEAD, _BEST, _BEST_RECORD = "loss_head.safetensors", "best.safetensors", "best.json"
_ADAPTERS = "adapters.safetensors"
_COMPLETE = "complete.json"


def default_learning_rate(encoder: "SentenceTransformer") -> float:
    """Peak learning rate when the settings leave it open; tables of vectors and adapters take far larger ones."""
    if has_adapters(encoder):
        return LORA_LEARNING_RATE
    return STATIC_LEARNING_RATE if is_static(encoder) else TRANSFORMER_LEARNING_RATE


def check_machine(config: TrainConfig, device: str, *, rows: int, processes: int = 1) -> None:
    """Refuse what device, processes or installed packages cannot do: precision, uneven batch, LoRA, tracker."""
    if config.precision != "fp32" and device == "cpu":
        raise InputError(f"Precision {config.precision} needs a GPU and this run would use the CPU; choose fp32.")
    batch = min(config.batch_size, rows)
    if batch % processes:
        raise InputError(
            f"A batch of {batch} triplets cannot be shared evenly by {processes} processes; choose another."
        )
    alone = config.directions != "premises" or config.hardness or config.hard_negatives_per_row > 1
    if processes > 1 and (alone or config.cosent_weight):
        raise InputError(
            "Directions other than premises, hardness, CoSENT and hard_negatives_per_row above 1 are for one "
            "process; start one, or reset them."
        )
    if config.lora_rank and find_spec("peft") is None:
        raise InputError(
            "LoRA needs the package peft: pip install 'multicsr-workbench[lora]', or choose lora_rank 0."
        )
    if config.report_to != "none" and find_spec(config.report_to) is None:
        raise InputError(
            f"Reporting to {config.report_to} needs the package {config.report_to}: pip install "
            "'multicsr-workbench[track]', or choose report_to none."
        )


def check_encoder(encoder: "SentenceTransformer", config: TrainConfig) -> None:
    """Refuse what this encoder cannot do: texts beyond its positions, dropout it does not have, inputs but tokens."""
    check_length(encoder, config.max_seq_length, config.encoder)
    if not is_static(encoder) and encoder.transformers_model is None:
        raise InputError(
            f"{config.encoder} starts with {type(encoder[0]).__name__}; only transformers and tables are trained."
        )
    if config.lora_rank and is_static(encoder):
        raise InputError(
            f"{config.encoder} is a static encoder, which has no layers for LoRA adapters; choose lora_rank 0."
        )
    if config.positives == "dropout" and not has_dropout(encoder):
        raise InputError(
            f"{config.encoder} has no dropout, so both views of a premise would be one vector; "
            "choose another encoder, or positives word_deletion."
        )


def uses_head(encoder: "SentenceTransformer", config: TrainConfig) -> bool:
    """Whether a training-only head stands behind the encoder; with a warning where it was asked for in vain."""
    if config.pooling != "cls":
        return False
    if is_static(encoder):
        logger.warning("pooling cls has no effect on %s: a static encoder has no [CLS] token", config.encoder)
        return False
    return True


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
    if config.report_to == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations import TensorBoardCallback

        # Beside the checkpoints, which go with the end of the run.
        callbacks = [*callbacks, TensorBoardCallback(SummaryWriter(str(checkpoints.parent / "tensorboard")))]
    arguments.batch_sampler = lambda _dataset, **_: sampler  # type: ignore[assignment]  # any BatchSampler serves
    trainer = StageThreeTrainer(
        model=encoder,
        args=arguments,
        train_dataset=Dataset.from_dict({"label": list(range(sampler.rows))}),
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
        optim=_OPTIMIZERS[config.optimizer],
        lr_scheduler_type=_SCHEDULERS[config.scheduler],
        warmup_steps=config.warmup_steps,
        max_grad_norm=1.0,
        weight_decay=config.weight_decay,
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=is_on_cpu,
        bf16=config.precision == "bf16",
        fp16=config.precision == "fp16",
        # The sampler gives the parts of a batch one after the other: each process takes its own.
        accelerator_config={"split_batches": False, "even_batches": False, "dispatch_batches": False},
        dataloader_pin_memory=not is_on_cpu,
        dataloader_drop_last=True,
        logging_strategy="no" if config.report_to == "none" else "steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",  # the callback asks for checkpoints
        save_total_limit=2,  # the older one stays until the newer is marked complete
        eval_strategy="no",
        report_to="none" if config.report_to == "tensorboard" else config.report_to,
        project="multicsr",
        run_name=_run_name(checkpoints.parent.resolve()),
        push_to_hub=False,
        disable_tqdm=True,
    )
    # With several GPUs visible the trainer would split each batch, and with it the negatives every premise sees.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _run_name(folder: Path) -> str:
    """Return what a tracker calls a run: the job, whose results lie in `out`, or else the folder."""
    return folder.parent.name if folder.name == "out" else folder.name


class StageThreeTrainer(SentenceTransformerTrainer):
    """sentence-transformers' trainer with three changes to its checkpoints and one to several processes.

    Checkpoints include the loss's own head, which the base class forgets on resume, of an encoder with adapters only
    those, and no generated model card, whose making looks models up on a hub. With several processes gradients are
    averaged here and not by torch's wrapper around the encoder: that one knows nothing of the head, and does not
    allow an encoder to run again within a backward pass, as cached gradients need.
    """

    def override_model_in_loss(self, loss: nn.Module, model: nn.Module) -> nn.Module:
        """Leave the bare encoder in the loss."""
        return loss

    def training_step(self, *arguments: Any, **options: Any) -> Tensor:
        """Take the gradient of the whole batch's loss."""
        loss: Tensor = super().training_step(*arguments, **options)
        distributed.average_gradients(self.loss.parameters())  # type: ignore[attr-defined]
        return loss

    def log(self, logs: dict[str, float], *arguments: Any, **options: Any) -> None:
        """Report what the workbench shows of this step as well: the dev score, and what was masked."""
        for callback in self.callback_handler.callbacks:
            if "loss" in logs and (event := getattr(callback, "last_event", None)) is not None:
                logs = logs | {name: value for name, value in asdict(event).items() if value is not None}
        super().log(logs, *arguments, **options)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave out the callback that collects data for the generated model card."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir or "")
        folder.mkdir(parents=True, exist_ok=True)
        if has_adapters(self.model):
            save_file(learned_state(self.model), folder / _ADAPTERS)
        else:
            self.model.save_pretrained(str(folder), create_model_card=False)
        save_file(self._head.state_dict(), folder / _HEAD)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:  # type: ignore[override]  # as the base class has it
        if has_adapters(self.model):
            load_learned_state(self.model, load_file(Path(checkpoint_path) / _ADAPTERS))
        else:
            super()._load_from_checkpoint(checkpoint_path)
        self._head.load_state_dict(load_file(Path(checkpoint_path) / _HEAD))

    @property
    def _head(self) -> nn.Module:
        return self.loss.head  # type: ignore[attr-defined, no-any-return]


class BestWeights:
    """Holds a copy of the encoder's weights in main memory; no optimizer state, no file until a checkpoint is due."""

    def __init__(self, encoder: "SentenceTransformer", *, patience: int = 0, keeps_weights: bool = True) -> None:
        self.encoder, self.patience, self.keeps_weights = encoder, patience, keeps_weights
        self.step: int | None = None
        self.score = float("nan")
        self.without_new_best = 0
        self._weights: dict[str, Tensor] = {}

    def offer(self, step: int, score: float) -> None:
        """Take the weights of this step if its score is the highest so far; NaN never is."""
        if score > self.score or (self.step is None and score == score):
            self.step, self.score, self.without_new_best = step, score, 0
            if self.keeps_weights:
                self._weights = {
                    name: tensor.detach().to("cpu", copy=True).contiguous()
                    for name, tensor in learned_state(self.encoder).items()
                }
        else:
            self.without_new_best += 1

    @property
    def is_out_of_patience(self) -> bool:
        """Whether so many scores in a row were no new best that the run should end."""
        return 0 < self.patience <= self.without_new_best

    def restore(self) -> None:
        """Put the best weights into the encoder; without a score it keeps those it has."""
        if self._weights:
            load_learned_state(self.encoder, self._weights)

    def save(self, folder: Path) -> None:
        """Write weights and record into a checkpoint."""
        if self.step is None:
            return
        if self._weights:
            save_file(self._weights, folder / _BEST)
        record = {"step": self.step, "score": self.score, "without_new_best": self.without_new_best}
        (folder / _BEST_RECORD).write_text(json.dumps(record), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read what `save` wrote, if it wrote anything."""
        if not (folder / _BEST_RECORD).is_file():
            return
        record = json.loads((folder / _BEST_RECORD).read_text(encoding="utf-8"))
        self.step, self.score = record["step"], record["score"]
        self.without_new_best = record["without_new_best"]
        if (folder / _BEST).is_file():
            self._weights = load_file(folder / _BEST)


def run_fingerprint(triplets: Sequence[Triplet], config: TrainConfig) -> str:
    """Hash of settings and data: a checkpoint continues a run only when both are the same."""
    fields = learned(config)
    if fields["distinct_batches"] and StepSampler.of(triplets, config).texts_nc is None:
        del fields["distinct_batches"]  # no text is repeated: the order is that of earlier versions
    digest = blake2b(json.dumps(fields, sort_keys=True).encode(), digest_size=16)
    for triplet in triplets:
        texts = (triplet.premise, triplet.positive, triplet.hard_negative)
        digest.update(json.dumps(astuple(triplet) if config.cosent_weight else texts).encode())
    return digest.hexdigest()


def latest_checkpoint(folder: Path, fingerprint: str) -> Path | None:
    """The newest complete checkpoint in a folder, or None; one cut short by a kill is passed over.

    Raises InputError if the folder's checkpoints belong to other settings or other triplets.
    """
    complete = {path.parent: _read_mark(path) for path in folder.glob(f"checkpoint-*/{_COMPLETE}")}
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
        write_json(folder / _COMPLETE, {"fingerprint": self.fingerprint, "step": state.global_step})


def _read_mark(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        # A kill between creating and filling the mark: as good as no mark.
        return {"fingerprint": None, "step": -1}
