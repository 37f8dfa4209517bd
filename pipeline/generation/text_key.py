"""What decides a text: two runs with the same key write the same sentence for the same premise."""

import json
from dataclasses import asdict
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.config import NOT_SENT, GenerationConfig, Precision
from pipeline.generation.forms import ChatForm
from pipeline.generation.llms.registry import LLMEntry, digest_of
from pipeline.generation.llms.templates import form_of, needed_template
from pipeline.generation.prompts import PromptSet

_NO_TEXT = ("llm", "prompt_set", "precision", *NOT_SENT)
"""Settings that are not in the key: what a run may cost, names whose weights and prompts are in it, and the
precision, of which the backend tells what became of it."""
_NO_WORDS = ("prompt_set_id", "version", "about")
"""Parts of a prompt set that are not sent."""
_CHAT_ONLY = ("reasoning_tokens", "prefill")
"""What changes a text in the chat form alone."""


def text_key(config: GenerationConfig, prompts: PromptSet, entry: LLMEntry) -> str:
    """Return 32 hex digits over everything that changes text: settings, prompts, weights, backend, batch size.

    The weights are those on the disk now, read once per process; a changed file gives another key. Raises
    WeightsError when they cannot be read.
    """
    is_chat = form_of(entry) == "chat"
    is_damped = config.damping > 0 and config.omega > 0
    left_out = (*_NO_TEXT, *(() if is_chat else _CHAT_ONLY), *(() if is_damped else ("damping",)))
    settings = {name: value for name, value in asdict(config).items() if name not in left_out}
    words = _without(prompts.to_json(), _NO_WORDS if is_chat else (*_NO_WORDS, *_CHAT_ONLY))
    parts: dict[str, Any] = {"settings": settings, "prompts": words, "weights": digest_of(entry)}
    if is_chat:
        parts["chat"] = _chat(prompts, entry)
    if entry.kind == "remote":
        by_token = f"token-top20 {entry.token_ids}".strip() if entry.token_contrast and config.omega > 0 else ""
        later = (by_token, entry.extra_body, entry.thinking)  # absent from the keys of earlier versions
        parts["server"] = [entry.api, entry.scores_prompts, *entry.left_out, *filter(None, later)]
    else:
        parts["backend"] = _backend(entry, config.precision)
    if entry.kind == "gguf" and not is_chat:
        parts["start"] = "of the vocabulary"  # earlier versions put no BOS in front
    if entry.kind in ("embedded", "gguf") and config.candidates > 1:
        parts["measured"] = "while written"  # earlier versions tokenized the text anew
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def scores_key(entry: LLMEntry) -> str:
    """Return 32 hex digits over what decides the probabilities that an LLM gives here: weights, packages, device."""
    text = json.dumps([digest_of(entry), _backend(entry)])
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _without(value: Any, names: tuple[str, ...]) -> Any:
    """Return a JSON value without these names at any depth."""
    if isinstance(value, dict):
        return {name: _without(part, names) for name, part in value.items() if name not in names}
    return value


def _chat(prompts: PromptSet, entry: LLMEntry) -> Any:
    """Return what the chat form makes of the prompts: rendered texts, or for a server which turns it is sent."""
    if entry.kind == "remote":
        return entry.turns
    form = ChatForm(needed_template(entry))
    return [form.texts(prompt.few_shot, "") for _, prompt in sorted(prompts.by_key().items())]


def _backend(entry: LLMEntry, precision: Precision = "auto") -> list[str | int]:
    """Return what computes here: package and version, device, rows or replies it takes when left alone.

    A precision is named behind them where it is not the one that its device had before there was a choice.
    """
    if entry.kind in ("decoder", "encoder-decoder"):
        from pipeline.encoder_folders import resolve_device
        from pipeline.generation.engines.fastest import cpu_precision
        from pipeline.generation.engines.folder_weights import slides
        from pipeline.generation.engines.torch_llama import rows_on
        from pipeline.generation.llms.loading import runs_in_engine
        from pipeline.generation.llms.torch_llm import replies_at_once

        device = resolve_device("auto")  # decides the numbers, too: float32 or bfloat16
        # On a CPU the engine writes the texts that transformers wrote before it, under the same key, except where
        # layers slide: transformers' padded batches let them see less of a long prompt.
        if runs_in_engine(entry):
            is_cpu = device.startswith("cpu")
            chosen = cpu_precision(precision) if is_cpu else precision
            named = [] if chosen in ("auto", "fp32" if is_cpu else "bf16") else [chosen]
            if not is_cpu or named or slides(Path(entry.location)):
                return [_with_version("torch"), device.partition(":")[0], rows_on(device), *named]
        return [_with_version("transformers"), device.partition(":")[0], replies_at_once(device)]
    from pipeline.generation.engines.llama import LlamaLLM

    if entry.kind == "embedded":
        from pipeline.generation.engines.fastest import LLAMA, TORCH, fastest
        from pipeline.generation.engines.torch_llama import TorchLlama

        if (engine := fastest(precision=precision)) != LLAMA:
            named = [] if engine == TORCH else ["bf16"]
            return [_with_version("torch"), "cpu", TorchLlama.rows, *named]
    return [_with_version("llama-cpp-python"), "", LlamaLLM.rows]


def _with_version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
