"""Which form an LLM is asked in: what its entry says, else what its template and its name say."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from pipeline.generation.forms import ChatForm, ChatTemplate, CompletionForm, Form, Spelling
from pipeline.generation.llms.registry import LLMEntry
from pipeline.records import InputError
from pipeline.weights import embedded_gguf

_WORDS: Final = (
    r"instruct|instruction|it|chat|assistant|aligned|thinking|reasoning|reasoner|r1|qwq|gpt|tulu|hermes|zephyr|vicuna"
)
_INSTRUCT: Final = re.compile(rf"(?<![a-z])(?:{_WORDS})(?![a-z])", re.IGNORECASE)
_BASE: Final = re.compile(r"(?<![a-z])(?:base|pt|pretrained?)(?![a-z])", re.IGNORECASE)


def form_of(entry: LLMEntry) -> Literal["completion", "chat"]:
    """Return the form in which an LLM is asked; an unreadable file counts as one without a template."""
    if entry.form != "auto":
        return entry.form
    if entry.speaks:
        return entry.speaks
    if entry.kind in ("embedded", "remote", "encoder-decoder"):
        return "completion"
    return "chat" if says_instruct(entry) and template_of(entry) is not None else "completion"


def says_instruct(entry: LLMEntry) -> bool | None:
    """Return whether the names of a model say that it follows instructions; None where they say nothing."""
    if entry.kind == "remote":
        names = [entry.model]
    else:
        names = [entry.name, entry.source.partition("@")[0], *Path(entry.location).parts[-2:]]
    if any(map(_BASE.search, names)):
        return False
    return True if any(map(_INSTRUCT.search, names)) else None


def form_for(entry: LLMEntry, spelling: Spelling, start: tuple[int, ...] = ()) -> Form:
    """Return the form of an LLM that runs here. start: tokens that its texts begin with.

    Raises InputError where the chat form is asked for and there is no template.
    """
    if form_of(entry) == "completion":
        return CompletionForm(spelling, start)
    return ChatForm(needed_template(entry), spelling, start if entry.kind in ("embedded", "gguf") else ())


def needed_template(entry: LLMEntry) -> ChatTemplate:
    """Return the chat template of an LLM that runs here; InputError where it has none."""
    template = template_of(entry)
    if template is None:
        raise InputError(f"{entry.name} has no chat template: choose the completion form.")
    return template


def template_of(entry: LLMEntry) -> ChatTemplate | None:
    """Return the chat template that comes with a model of this machine; None where it has none."""
    if entry.kind == "remote":
        return None
    path = embedded_gguf() if entry.kind == "embedded" else Path(entry.location)
    try:
        return _template_in(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):  # WeightsError and InputError too: opening the LLM says what is wrong with it
        return None


@lru_cache(maxsize=16)
def _template_in(path: Path, _changed_ns: int) -> ChatTemplate | None:
    return _of_folder(path) if path.is_dir() else _of_gguf(path)


def _of_gguf(path: Path) -> ChatTemplate | None:
    from pipeline.generation.engines.gguf_weights import Vocabulary

    vocabulary = Vocabulary.of_file(path)
    try:
        source = vocabulary.chat_template
        return ChatTemplate(source, vocabulary.names()) if source else None
    finally:
        vocabulary.close()


def _of_folder(folder: Path) -> ChatTemplate | None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not tokenizer.chat_template:
        return None
    names = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    return ChatTemplate(tokenizer.get_chat_template(), names)
