"""Load a sentence encoder by built-in name or local folder: safetensors only, no remote code, no network."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline import weights
from pipeline.errors import InputError
from pipeline.training.encoder_folders import check_folder, is_sentence_transformer

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Pooling = Literal["mean", "cls"]

BUILT_IN = ("all-MiniLM-L6-v2", "static-minilm", "smollm2-135m")
"""Encoders made from the packaged weights."""

_WORD_PIECE_TABLE = "embeddings.word_embeddings.weight"


def load_encoder(
    name_or_folder: str | Path,
    *,
    pooling: Pooling = "mean",
    device: str = "cpu",
    max_seq_length: int | None = None,
) -> "SentenceTransformer":
    """Load a sentence encoder.

    Args:
        name_or_folder: one of BUILT_IN, or the folder of a sentence-transformers or transformers model.
        pooling: used where the folder does not say (a plain transformers model and smollm2-135m).
        device: torch device, or `auto` for the first GPU if there is one.
        max_seq_length: longest text in tokens; None keeps the encoder's own; no effect on static encoders.

    Raises:
        InputError: for an unknown name and for a folder that is not a model, needs its own code, or keeps its
            weights in a pickle file.
    """
    build = _BUILDERS.get(str(name_or_folder))
    device = resolve_device(device)
    if build is not None:
        encoder = build(pooling, device)
    elif Path(name_or_folder).is_dir():
        encoder = _load_folder(Path(name_or_folder), pooling, device)
    else:
        raise InputError(
            f"There is no encoder {str(name_or_folder)!r}; choose {', '.join(BUILT_IN)} or a local model's folder."
        )
    if max_seq_length is not None and not is_static(encoder):
        encoder.max_seq_length = max_seq_length
    return encoder


def is_static(encoder: "SentenceTransformer") -> bool:
    """Whether the encoder is a plain table of token vectors, which has no maximum length and no [CLS] token."""
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    return isinstance(encoder[0], StaticEmbedding)


def has_dropout(encoder: "SentenceTransformer") -> bool:
    """Whether two training passes over a text give different vectors."""
    from torch import nn

    return any(isinstance(module, nn.Dropout) and module.p > 0 for module in encoder.modules())


def resolve_device(device: str) -> str:
    """Turn `auto` into the first GPU, or the CPU without one; refuse a GPU that is not there."""
    import torch

    if device == "auto":
        # Under torchrun every process has a GPU of its own.
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"The device {device} is not available here; choose cpu or auto.")
    return device


def _load_minilm(pooling: Pooling, device: str) -> "SentenceTransformer":
    return _load_folder(_verified_minilm(), pooling, device)


def _verified_minilm() -> Path:
    weights.verify(weights.minilm_weights(), weights.MINILM_SHA256)
    return weights.minilm_folder()


def _load_smollm2(pooling: Pooling, device: str) -> "SentenceTransformer":
    encoder = _load_folder(weights.smollm2_safetensors_folder(), pooling, device)
    # The context of the language model (thousands of tokens) is no sensible limit for a sentence.
    encoder.max_seq_length = 256
    return encoder


def _load_static(pooling: Pooling, device: str) -> "SentenceTransformer":
    """Make a static encoder of MiniLM's word-piece table: a text is the mean of its token vectors."""
    from safetensors import safe_open
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    folder = _verified_minilm()
    with safe_open(folder / "model.safetensors", framework="pt") as tensors:
        table = tensors.get_tensor(_WORD_PIECE_TABLE).float()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # The tokenizer file carries MiniLM's limit; a mean of token vectors needs none.
    tokenizer.no_truncation()
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device=device)


def _load_folder(folder: Path, pooling: Pooling, device: str) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # a bar per loaded file would tear the command line's own
    check_folder(folder)
    if is_sentence_transformer(folder):
        encoder = SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    else:
        encoder = _load_transformers_folder(folder, pooling, device)
    _prepare_padding(encoder)
    return encoder


def _load_transformers_folder(folder: Path, pooling: Pooling, device: str) -> "SentenceTransformer":
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling as PoolingModule
    from sentence_transformers.sentence_transformer.modules import Transformer

    transformer = Transformer(
        str(folder),
        # Half-precision weights cannot be trained on every CPU; the loss and the optimizer want float32 anyway.
        model_kwargs={"local_files_only": True, "use_safetensors": True, "dtype": torch.float32},
        config_kwargs={"local_files_only": True, "trust_remote_code": False},
        processor_kwargs={"local_files_only": True, "trust_remote_code": False},
    )
    modules = [transformer, PoolingModule(transformer.get_embedding_dimension(), pooling_mode=pooling)]
    return SentenceTransformer(modules=modules, device=device)


def _prepare_padding(encoder: "SentenceTransformer") -> None:
    """Pad on the right with a real token: position ids then start at the first word, and [CLS] is at index 0."""
    tokenizer = getattr(encoder, "tokenizer", None)
    if tokenizer is None or not hasattr(tokenizer, "padding_side"):
        return
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token


_BUILDERS: dict[str, Callable[[Pooling, str], "SentenceTransformer"]] = dict(
    zip(BUILT_IN, (_load_minilm, _load_static, _load_smollm2), strict=True)
)
