"""What a run needs of its machine and its encoder, asked before the first step."""

import logging
from typing import TYPE_CHECKING

from pipeline.config import TrainConfig
from pipeline.errors import InputError
from pipeline.training.encoders import check_length, has_dropout, is_static

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)


def check_machine(config: TrainConfig, device: str, *, rows: int, processes: int = 1) -> None:
    """Refuse a precision that the device does not have, and a batch that the processes cannot share evenly."""
    if config.precision != "fp32" and device == "cpu":
        raise InputError(f"Precision {config.precision} needs a GPU and this run would use the CPU; choose fp32.")
    batch = min(config.batch_size, rows)
    if batch % processes:
        raise InputError(
            f"A batch of {batch} triplets cannot be shared evenly by {processes} processes; choose another."
        )


def check_encoder(encoder: "SentenceTransformer", config: TrainConfig) -> None:
    """Refuse what this encoder cannot do: texts beyond its positions, dropout it does not have, inputs but tokens."""
    check_length(encoder, config.max_seq_length, config.encoder)
    if not is_static(encoder) and encoder.transformers_model is None:
        raise InputError(
            f"{config.encoder} starts with {type(encoder[0]).__name__}; only transformers and tables are trained."
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
