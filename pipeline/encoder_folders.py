"""Check a model folder: before loading, its kind and whether it is safe and whole; afterwards, what was loaded."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

from pipeline.records import InputError, WeightsError

_PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
_NO_WEIGHTS = {"training_args", "optimizer", "scheduler"}
"""Pickles that transformers' trainer leaves beside the weights; they are never opened."""
_STOCK_MODULES = "sentence_transformers."
_LONGEST_HEADER = 100_000_000
_SIZES = (
    *("hidden_size", "d_model", "dim", "n_embd", "embedding_size", "intermediate_size", "d_ff", "hidden_dim"),
    *("vocab_size", "max_position_embeddings", "num_hidden_layers", "num_layers", "n_layers", "n_layer"),
)
"""Sizes a config.json may contain; none of them can exceed the number of weights."""


def model_folder(folder: Path) -> Path:
    """Return the folder that holds the model: earlier versions of `train --out` wrote it into `model` inside."""
    inner = folder / "model"
    is_outside = not any((folder / name).is_file() for name in ("modules.json", "config.json"))
    return inner if is_outside and is_sentence_transformer(inner) else folder


def is_sentence_transformer(folder: Path) -> bool:
    """Whether the folder was saved by sentence-transformers (it then defines its own modules and pooling)."""
    return (folder / "modules.json").is_file()


def is_model2vec(folder: Path) -> bool:
    """Whether the folder holds a static table in model2vec's format, without sentence-transformers' modules.json."""
    weights = folder / "model.safetensors"
    return not is_sentence_transformer(folder) and weights.is_file() and "embeddings" in tensor_shapes(weights)


def check_folder(folder: Path) -> None:
    """Reject a folder that cannot be loaded safely, or whose files are incomplete.

    Only what loading would open is checked: the folder itself, or those listed in its modules.json.

    Raises:
        InputError: if the folder is not a model, or its modules or architecture come with code of their own.
        WeightsError: if weights are in a pickle file, which runs code when opened, or are missing or cut short.
    """
    modules = _modules(folder) if is_sentence_transformer(folder) else [("Transformer", folder)]
    for _, path in modules:
        if (path / "adapter_config.json").is_file():
            raise InputError(
                f"{path} holds a PEFT adapter, which changes another model; merge the two "
                "(merge_and_unload in peft), save the result, and name its folder."
            )
    if not is_sentence_transformer(folder) and not (folder / "config.json").is_file():
        raise InputError(_no_model(folder))
    for path in sorted(folder.rglob("config.json")):
        config = _read_json(path)
        if isinstance(config, dict) and "auto_map" in config:
            raise InputError(f"{path} asks to run code of its own (auto_map); use a model with a stock architecture.")
    _check_weights([path for _, path in modules], folder)
    for kind, path in modules:
        if kind.rsplit(".", 1)[-1] == "Transformer" and not is_model2vec(path):
            _check_config(path)


def tensor_shapes(file: Path) -> dict[str, list[int]]:
    """Return the shape of every tensor in a safetensors file; WeightsError if it is damaged or cut short."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(8)
        if head == b"version ":
            raise WeightsError(f"{file} is a Git LFS pointer and not the weights; fetch them with git lfs pull.")
        length = int.from_bytes(head, "little")
        if len(head) < 8 or length > min(_LONGEST_HEADER, size - 8):
            raise WeightsError(f"{file} is no safetensors file or was cut short; copy it again.")
        try:
            header = json.loads(stream.read(length))
            tensors = {name: tensor for name, tensor in header.items() if name != "__metadata__"}
            end = max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
            shapes = {name: [int(side) for side in tensor["shape"]] for name, tensor in tensors.items()}
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise WeightsError(f"{file} has a damaged header; copy it again.") from error
    if 8 + length + end != size:
        raise WeightsError(f"{file} has {size:,} bytes where its header names {8 + length + end:,}; copy it again.")
    return shapes


def _no_model(folder: Path) -> str:
    if any(folder.glob("*.gguf")):
        return f"{folder} holds a GGUF file, which an LLM is loaded from, and no encoder; name a safetensors model."
    if any(folder.glob("*.safetensors")):
        return f"{folder} holds weights but no config.json; copy the whole model folder."
    return f"The folder {folder} holds no model; expected modules.json or config.json in it."


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """Return type and folder of every module, including those inside a router."""
    found: list[tuple[str, Path]] = []
    listed = _read_json(folder / "modules.json")
    for module in listed if isinstance(listed, list) and listed else [listed]:
        kind, path = (str(module.get(name, "")) if isinstance(module, dict) else "" for name in ("type", "path"))
        if not kind.startswith(_STOCK_MODULES):
            raise InputError(f"{folder / 'modules.json'} names the module {kind!r}; only stock modules are loaded.")
        if not (folder / path).resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{folder / 'modules.json'} names the path {path!r}, which lies outside its folder.")
        found.append((kind, folder / path))
        if kind.endswith(".Router"):
            found += _routed(folder / path)
    return found


def _routed(folder: Path) -> Iterator[tuple[str, Path]]:
    config = _read_json(folder / "router_config.json")
    types = config.get("types") if isinstance(config, dict) else None
    for name, kind in (types if isinstance(types, dict) else {}).items():
        if not str(kind).startswith(_STOCK_MODULES):
            raise InputError(f"{folder / 'router_config.json'} names {kind!r}; only stock modules are loaded.")
        yield str(kind), folder / str(name)


def _check_weights(folders: list[Path], folder: Path) -> None:
    is_there = False
    for path in dict.fromkeys(folders):
        files = [file for file in path.iterdir() if file.is_file()] if path.is_dir() else []
        safe = [file for file in files if file.suffix == ".safetensors"]
        is_there = is_there or bool(safe)
        for file in safe:
            tensor_shapes(file)
        for file in [] if safe else files:
            if file.suffix in _PICKLE_SUFFIXES and file.stem not in _NO_WEIGHTS:
                raise WeightsError(
                    f"{file} keeps weights in a pickle file, which can run code when opened; convert it to "
                    "safetensors."
                )
        index = path / "model.safetensors.index.json"
        if index.is_file() and not (path / "model.safetensors").is_file():
            parts = _read_json(index)
            named = set(parts["weight_map"].values()) if isinstance(parts, dict) and "weight_map" in parts else set()
            missing = sorted(str(name) for name in named if not (path / str(name)).is_file())
            if missing:
                raise WeightsError(f"{path} lacks {missing[0]}, which its index names; copy the whole model folder.")
    if not is_there:
        raise WeightsError(f"The folder {folder} holds no .safetensors file; copy the weights there.")


def _check_config(folder: Path) -> None:
    """Reject a config.json that is not of a model, or whose sizes do not fit the weights."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} holds no config.json; copy the whole model folder.")
    config = _read_json(path)
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InputError(f"{path} names no model_type, so it belongs to no transformers model; copy the right one.")
    numbers = sum(prod(shape) for file in folder.glob("*.safetensors") for shape in tensor_shapes(file).values())
    for name in _SIZES:
        value = config.get(name)
        if isinstance(value, int) and value > numbers:
            raise InputError(f"{path} gives {name} {value:,}, but the weights hold {numbers:,} numbers in all.")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path} is not readable JSON ({reason}); copy the model folder again.") from error


def check_loading(model: Any, info: Mapping[str, Any], folder: Path) -> None:
    """Reject weights that do not fit their config.json, by transformers' report on loading them.

    transformers initialises missing weights at random and drops layers beyond those in the config. BERT's pooler on
    the [CLS] token, which masked language models lack and no vector here uses, is set to zero.
    """
    import torch

    missing = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    layers = {_numberless(name) for name in model.state_dict()}
    beyond = sorted(name for name in info["unexpected_keys"] if _is_among(_numberless(name), layers))
    if missing or beyond:
        words = f"lack {missing[0]}" if missing else f"have layers beyond those of its config.json ({beyond[0]})"
        raise WeightsError(f"The weights in {folder} {words}; copy config.json and weights of one model.")
    with torch.no_grad():
        for name in info["missing_keys"]:
            model.get_parameter(name).zero_()


def check_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Reject the tokenizer of special tokens alone that transformers makes for a folder without one."""
    vocabulary = tokenizer.get_vocab() if hasattr(tokenizer, "get_vocab") else {"a": 0}
    if set(vocabulary) <= set(getattr(tokenizer, "all_special_tokens", ())):
        raise InputError(f"{folder} holds no tokenizer (tokenizer.json or vocab.txt); copy the whole model folder.")


def _numberless(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _is_among(pattern: str, layers: set[str]) -> bool:
    """Whether a tensor belongs to a numbered layer of the model; files may prefix the base model's name."""
    return "#" in pattern and any(pattern == layer or pattern.endswith(f".{layer}") for layer in layers)


def resolve_device(device: str) -> str:
    """Resolve `auto` to the first GPU, or to the CPU if there is none. InputError for a GPU that does not exist."""
    import torch

    if device == "auto":
        # Under torchrun every process has a GPU of its own.
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"The device {device} is not available here; choose cpu or auto.")
    return device
