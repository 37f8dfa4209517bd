"""Load a sentence encoder by built-in name, local folder or name on the hub: safetensors only, no remote code.

Whatever the folder, the encoder is in float32, all its weights come from the folder, and it has encoded a sentence.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import safe_open
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules as parts
from tokenizers import Tokenizer
from torch import nn
from transformers.utils import logging as transformers_logging

from pipeline import encoder_folders, hub, weights
from pipeline.records import InputError, WeightsError

Pooling = Literal["mean", "cls", "lasttoken"]

_WORD_PIECE_TABLE = "embeddings.word_embeddings.weight"
_MOST_FREQUENT = "the"
"""First of BERT's word pieces that are ordered by frequency; special tokens and single characters come before."""
_SMOOTHING = 3e-4
"""a of the word-piece weights; 1e-4 to 1e-2 differ by 1.3 points on STSB-dev."""


def load_encoder(
    name_or_folder: str | Path,
    *,
    pooling: Pooling = "mean",
    device: str = "cpu",
    max_seq_length: int | None = None,
) -> SentenceTransformer:
    """Load a sentence encoder.

    Args:
        name_or_folder: one of BUILT_IN_ENCODERS, or the folder of a sentence-transformers, transformers or model2vec
            model; the output folder of an earlier training, with the model in `model`, is accepted too. OWNER/NAME is
            a model of the hub, fetched where the hub's cache lacks it (see pipeline.hub).
        pooling: used where the folder does not define it (a plain transformers model and smollm2-135m).
        device: torch device, or `auto` for the first GPU if there is one.
        max_seq_length: longest text in tokens; None keeps the encoder's own; no effect on static encoders.

    Raises:
        InputError: for an unknown name, also on the hub, for a folder that is not a model, needs its own code or
            keeps its weights in a pickle file, and for a max_seq_length beyond the encoder's positions.
        WeightsError: for weights that are damaged, not finite or not those of the folder's config.
    """
    build = _BUILDERS.get(str(name_or_folder))
    device = encoder_folders.resolve_device(device)
    if build is not None:
        encoder = build(pooling, device)
    elif Path(name_or_folder).is_dir():
        encoder = _load_folder(encoder_folders.model_folder(Path(name_or_folder)), pooling, device)
    elif hub.is_hub_name(str(name_or_folder)):
        name = hub.HubName.parse(str(name_or_folder))
        encoder = _load_folder(hub.fetch(name).path, name.pooling or pooling, device)
    else:
        raise InputError(
            f"There is no encoder {str(name_or_folder)!r}; choose {', '.join(weights.BUILT_IN_ENCODERS)}, a local "
            "model's folder, or OWNER/NAME on the hub."
        )
    if max_seq_length is not None and not is_static(encoder):
        check_length(encoder, max_seq_length, str(name_or_folder))
        encoder.max_seq_length = max_seq_length
    return encoder


def is_static(encoder: SentenceTransformer) -> bool:
    """Whether the encoder is a plain table of token vectors, which has no maximum length and no [CLS] token."""
    return isinstance(encoder[0], parts.StaticEmbedding)


def positions(encoder: SentenceTransformer) -> int | None:
    """Return the longest input in tokens that the encoder has positions for; None if it has no such limit."""
    limit = getattr(encoder.config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit < 1:
        return None
    tables = (module for name, module in encoder.named_modules() if name.endswith("position_embeddings"))
    # RoBERTa's positions start after that of the padding token.
    starts = [table.padding_idx + 1 for table in tables if isinstance(table, nn.Embedding) and table.padding_idx]
    return limit - max(starts, default=0)


def check_length(encoder: SentenceTransformer, max_seq_length: int, name: str) -> None:
    """Raise InputError for a length beyond the encoder's positions."""
    limit = positions(encoder)
    if limit is not None and max_seq_length > limit:
        raise InputError(f"max_seq_length {max_seq_length} exceeds the {limit} positions of {name}; lower it.")


def has_dropout(encoder: SentenceTransformer) -> bool:
    """Whether two training passes over the same text give different vectors."""
    return any(isinstance(module, nn.Dropout) and module.p > 0 for module in encoder.modules())


def _load_minilm(pooling: Pooling, device: str) -> SentenceTransformer:
    return _load_folder(_verified_minilm(), pooling, device)


def _verified_minilm() -> Path:
    weights.verify(weights.minilm_weights(), weights.MINILM_SHA256)
    return weights.minilm_folder()


def _load_smollm2(pooling: Pooling, device: str) -> SentenceTransformer:
    encoder = _load_folder(weights.smollm2_safetensors_folder(), pooling, device)
    # The language model's context (thousands of tokens) is not a sensible limit for a sentence.
    encoder.max_seq_length = 256
    return encoder


def _load_static(pooling: Pooling, device: str) -> SentenceTransformer:
    return _static(device, weighted=True)


def _load_unweighted(pooling: Pooling, device: str) -> SentenceTransformer:
    return _static(device, weighted=False)


def _static(device: str, *, weighted: bool) -> SentenceTransformer:
    """Make a static encoder from MiniLM's word-piece table: a text's vector is the mean of its pieces' vectors.

    Weights are multiplied into the table, so that the saved encoder consists of stock modules.
    """
    folder = _verified_minilm()
    with safe_open(folder / "model.safetensors", framework="pt") as tensors:
        table = tensors.get_tensor(_WORD_PIECE_TABLE).float()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # The tokenizer file contains MiniLM's length limit; a mean of token vectors needs none.
    tokenizer.no_truncation()
    if weighted:
        table *= piece_weights(tokenizer)[:, None]
    return SentenceTransformer(modules=[parts.StaticEmbedding(tokenizer, embedding_weights=table)], device=device)


def piece_weights(tokenizer: Tokenizer) -> torch.Tensor:
    """Return the weight of every word piece in a mean of vectors, float32 (pieces,) in (0, 1): a / (a + p).

    Smooth inverse frequency (Arora, Liang and Ma 2017: A simple but tough-to-beat baseline for sentence embeddings).
    The frequency is Zipf's, p = 1 / (rank ln V), rank being the place in BERT's vocabulary of V pieces from "the" on;
    what comes before, such as punctuation, counts as frequent as "the".
    """
    ids = torch.arange(tokenizer.get_vocab_size(), dtype=torch.float64)
    first = tokenizer.token_to_id(_MOST_FREQUENT) or 0  # without it: from the beginning
    rank = (ids - first + 1).clamp(min=1)
    frequency = 1 / (rank * math.log(len(ids)))
    return (_SMOOTHING / (_SMOOTHING + frequency)).float()


def _load_folder(folder: Path, pooling: Pooling, device: str) -> SentenceTransformer:
    encoder_folders.check_folder(folder)
    with _one_sentence(folder), all_weights_from(folder):
        if encoder_folders.is_sentence_transformer(folder):
            encoder = _load_sentence_transformer(folder, device)
        elif encoder_folders.is_model2vec(folder):
            encoder = _load_model2vec(folder, device)
        else:
            encoder = _load_transformers_folder(folder, pooling, device)
        # Half-precision weights round small updates away, and not every CPU computes with them.
        encoder.float()
        _prepare_padding(encoder)
        _limit_length(encoder)
        _check_encoder(encoder, folder)
    return encoder


def _load_sentence_transformer(folder: Path, device: str) -> SentenceTransformer:
    return SentenceTransformer(
        str(folder),
        device=device,
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True, "dtype": torch.float32},
    )


def _load_model2vec(folder: Path, device: str) -> SentenceTransformer:
    return SentenceTransformer(modules=[parts.StaticEmbedding.load(str(folder)), parts.Normalize()], device=device)


def _load_transformers_folder(folder: Path, pooling: Pooling, device: str) -> SentenceTransformer:
    transformer = parts.Transformer(
        str(folder),
        model_kwargs={"local_files_only": True, "use_safetensors": True, "dtype": torch.float32},
        config_kwargs={"local_files_only": True, "trust_remote_code": False},
        processor_kwargs={"local_files_only": True, "trust_remote_code": False},
    )
    modules = [transformer, parts.Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)]
    return SentenceTransformer(modules=modules, device=device)


@contextmanager
def all_weights_from(folder: Path) -> Iterator[None]:
    """Apply `check_loading` to every transformers model loaded inside the block.

    sentence-transformers offers no access to the loading report, so its loading method is wrapped.
    """
    plain = parts.Transformer._load_model

    def checked(self: Any, *arguments: Any, **options: Any) -> Any:
        model, info = plain(self, *arguments, output_loading_info=True, **options)
        encoder_folders.check_loading(model, info, folder)
        return model

    parts.Transformer._load_model = checked  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        parts.Transformer._load_model = plain  # type: ignore[method-assign]


@contextmanager
def _one_sentence(folder: Path) -> Iterator[None]:
    """Turn any exception of the libraries into a WeightsError about the folder, and silence their output."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()  # a bar per loaded file would tear the command line's own
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"{folder} cannot be loaded as an encoder ({type(error).__name__}: {reason}); copy it again."
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)


def _check_encoder(encoder: SentenceTransformer, folder: Path) -> None:
    """Reject an encoder without a tokenizer, with weights that are not finite, or that cannot encode."""
    encoder_folders.check_tokenizer(getattr(encoder, "tokenizer", None), folder)
    for name, parameter in encoder.named_parameters():
        if not torch.isfinite(parameter).all():
            raise WeightsError(f"The weights in {folder} are damaged: {name} holds values that are not finite.")
    vector = np.asarray(encoder.encode("A dog runs.", show_progress_bar=False))
    width = encoder.get_embedding_dimension()
    if vector.shape != (width or len(vector),) or not np.isfinite(vector).all():
        raise WeightsError(
            f"{folder} does not work as an encoder: a sentence gives a vector of shape {vector.shape} "
            f"where finite values of shape ({width},) are expected."
        )


def _limit_length(encoder: SentenceTransformer) -> None:
    """Lower the maximum length to the number of positions where the folder's settings allow more."""
    limit, own = positions(encoder), encoder.max_seq_length
    if limit is not None and (own is None or own > limit):
        encoder.max_seq_length = limit


def _prepare_padding(encoder: SentenceTransformer) -> None:
    """Pad on the right with a real token: position ids then start at the first word and [CLS] is at index 0."""
    tokenizer = getattr(encoder, "tokenizer", None)
    if tokenizer is None or not hasattr(tokenizer, "padding_side"):
        return
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token


_BUILDERS: dict[str, Callable[[Pooling, str], SentenceTransformer]] = dict(
    zip(weights.BUILT_IN_ENCODERS, (_load_minilm, _load_static, _load_smollm2, _load_unweighted), strict=True)
)
