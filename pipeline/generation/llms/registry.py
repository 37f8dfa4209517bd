"""The entry of an LLM in the registry: where it is, how it is reached, what its check found."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

from pipeline.records import InputError, WeightsError
from pipeline.settings import Settings, setting, settings_of, shown
from pipeline.weights import BUILT_IN_LLMS, GGUF_SHA256, file_sha256

LLMKind = Literal["embedded", "gguf", "decoder", "encoder-decoder", "remote"]
FormChoice = Literal["auto", "completion", "chat"]
EMBEDDED: Final = BUILT_IN_LLMS[0]
"""Name of the LLM that comes with the installation."""
LENGTH_FIELDS: Final = ("max_tokens", "max_completion_tokens")
_LONGEST_NAME = 80
_SECRET_HEADER = re.compile(r"authori[sz]ation|key|token|secret|cookie|password", re.IGNORECASE)
_WRITERS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
"""Endings of the names that transformers gives to architectures that write."""


@dataclass(frozen=True, slots=True)
class LLMEntry(Settings):
    """One LLM by name. Holds no key: a server's key stays in the environment under `key_variable`."""

    name: str
    kind: LLMKind
    location: str
    """Path of a file or folder, or base URL of a server."""
    model: str = setting("", "The server's id of the model; empty takes its only one.", unit="name")
    api: str = ""
    """Remote: completions or chat; empty until a check has found out."""
    form: FormChoice = setting(
        "auto",
        "How it is asked: completion, one text with the examples, which the reply goes on from; chat, turns in the "
        "model's own template; auto, chat where there is a template and its name or its check says that it follows "
        "instructions.",
        label="Form of the prompt",
        words={"auto": "found out", "completion": "one text", "chat": "turns of a chat"},
    )
    speaks: Literal["", "completion", "chat"] = ""
    """What auto means here; empty before a check."""
    key_variable: str = setting(
        "",
        "Environment variable, or entry of Streamlit's secrets, that holds the server's key; its name ends in "
        "_API_KEY. The key itself is never stored. Empty for a server that wants none.",
        label="Variable with the key",
        unit="name",
    )
    concurrency: int = setting(4, "Calls under way at a time.", label="Calls at a time", unit="calls", ge=1, le=64)
    timeout_s: float = setting(
        60.0, "Seconds that a call may take.", label="Seconds a call may take", unit="seconds", gt=0, le=86_400
    )
    price_in: float = setting(
        0.0,
        "Money per million tokens of prompts.",
        label="Price per million prompt tokens",
        unit="money",
        ge=0,
        le=1_000_000,
    )
    price_out: float = setting(
        0.0,
        "Money per million tokens of replies.",
        label="Price per million reply tokens",
        unit="money",
        ge=0,
        le=1_000_000,
    )
    extra_body: str = setting(
        "",
        "JSON object that every call carries, for what only this server knows, such as "
        '{"chat_template_kwargs": {"enable_thinking": false}}.',
        label="More of the body",
        unit="JSON",
    )
    headers: str = setting(
        "", "JSON object of headers that every call carries. None may hold a key.", label="Headers", unit="JSON"
    )
    replicas: tuple[str, ...] = setting(
        (),
        "More base URLs where the same model is served; each call goes to the least busy server.",
        label="Replicas",
        unit="URLs",
        empty="none",
    )
    requests_per_minute: int = setting(
        0, "Most calls that begin within a minute. 0 sets no limit.", unit="calls", ge=0, le=1_000_000
    )
    tokens_per_minute: int = setting(
        0,
        "Most tokens of calls that begin within a minute, prompts and replies together. 0 sets no limit.",
        unit="tokens",
        ge=0,
        le=10**9,
    )
    token_contrast: bool = setting(
        False,
        "Contrast token by token over a server that shows its best next tokens: two calls for each token of a reply, "
        "worth it only where the server keeps prompts in its cache.",
        label="Contrast token by token",
    )
    batch_api: bool = setting(
        False,
        "Generation runs go through the provider's Batch API: half the price, replies within a day instead of at "
        "once. Replies are plain. A paused run leaves its batches at the provider, a cancelled one cancels them.",
        label="Batch API: half the price, within a day",
    )
    key_origin: str = ""
    """Remote: where the key may be sent, as scheme://host:port; empty before a check."""
    length_field: str = "max_tokens"
    """Remote: what the server calls the longest reply."""
    left_out: tuple[str, ...] = ()
    """Remote: settings that the server refuses, which are not sent: it then takes its own defaults."""
    turns: int = 0
    """Remote: which way of asking the server's chat template takes, of those that forms.turns yields."""
    thinking: str = ""
    """Remote: JSON of what switches thinking off, or as far down as the server allows."""
    reasons: bool = False
    """Remote: whether the model thinks before its reply nevertheless, which takes tokens of its own."""
    scores_prompts: bool = False
    """Remote: whether the server returns log-probabilities of prompts, which reranking needs."""
    token_ids: Literal["", "vllm", "sglang"] = ""
    """Remote: whose way of asking for the log-probabilities of given tokens the server knows."""
    source: str = ""
    """Where the files came from: OWNER/NAME@commit on the hub; empty for files of this machine."""
    digest: str = ""
    """Identity of the weights: a sha256, or a server's model id. Empty before a check."""

    def check_together(self) -> None:
        """Refuse a name that a list could not show."""
        if not self.name.strip() or len(self.name) > _LONGEST_NAME or not self.name.isprintable():
            raise InputError(
                f"The name of an LLM has 1 to {_LONGEST_NAME} visible characters, got {shown(self.name)}."
            )
        if self.length_field not in LENGTH_FIELDS:
            raise InputError(f"length_field is one of {', '.join(LENGTH_FIELDS)}, got {shown(self.length_field)}.")

        if self.batch_api and self.token_contrast:
            raise InputError("batch_api answers whole replies and token_contrast needs single tokens: choose one.")
        json_object(self.extra_body, "More of the body")
        for name in json_object(self.headers, "Headers"):
            if _SECRET_HEADER.search(name):
                raise InputError(f"The header {name} holds a key, which is never stored: name its variable instead.")

    def to_json(self) -> dict[str, Any]:
        """Return the entry as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "LLMEntry":
        """Return the entry behind stored values; fields of later versions are left out."""
        known = {field.name for field in fields(cls)}
        kept = {name: value for name, value in stored.items() if name in known}
        lists = {name: tuple(kept.get(name, ())) for name in ("left_out", "replicas")}
        return cls(**kept | lists)


def json_object(text: str, name: str) -> dict[str, Any]:
    """Return the JSON object in a text, empty for none; InputError for anything else."""
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise InputError(f"{name} is a JSON object; this cannot be read ({error}).") from error
    if not isinstance(found, dict):
        raise InputError(f"{name} is a JSON object, got {shown(text)}.")
    return found


SERVER_SETTINGS: Final = tuple(settings_of(LLMEntry))
"""What a person enters about a server; its check finds out the rest."""
LOCAL_SETTINGS: Final = ("form",)
"""What a person may enter about a model of this machine."""
EMBEDDED_ENTRY: Final = LLMEntry(EMBEDDED, "embedded", "")


def entry_for(name_or_path: str) -> LLMEntry:
    """Return the entry of an LLM that is on this machine: the embedded one by name, others by path.

    Raises InputError when there is nothing under this name, WeightsError for a folder that cannot be loaded safely.
    """
    if name_or_path == EMBEDDED:
        return EMBEDDED_ENTRY
    path = Path(name_or_path).expanduser()
    if not path.exists():
        raise InputError(
            f"There is no LLM {name_or_path!r}: name {EMBEDDED}, one added with `llms add`, or the path of a GGUF "
            "file or of a transformers folder."
        )
    return entry_at(path)


def entry_at(path: Path) -> LLMEntry:
    """Return the entry of a GGUF file or transformers folder, named after it; InputError for any other path."""
    where = path.expanduser().absolute()  # not resolved: in the hub's cache a file is a link to one without its name
    if where.is_dir():
        return LLMEntry(where.name[:_LONGEST_NAME], architecture(where), str(where))
    if where.is_file() and where.suffix.lower() == ".gguf":
        return LLMEntry(where.stem[:_LONGEST_NAME], "gguf", str(where))
    raise InputError(f"{path} is neither a GGUF file nor a transformers folder; give the path of one.")


def architecture(folder: Path) -> LLMKind:
    """Return whether a transformers folder holds a decoder or an encoder-decoder; InputError for any other."""
    from pipeline.encoder_folders import check_folder

    check_folder(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / 'config.json'} cannot be read ({error}); copy the model folder again."
        ) from error
    names = config.get("architectures") or []
    if names and not any(str(name).endswith(_WRITERS) for name in names):
        raise InputError(f"{folder} holds {names[0]}, which writes no text; name a decoder or an encoder-decoder.")
    return "encoder-decoder" if config.get("is_encoder_decoder") else "decoder"


_TEXT_FILES = ("*.json", "*.txt", "*.model", "*.jinja")


def digest_of(entry: LLMEntry) -> str:
    """Return sha256:... of the weights, or server:... with the model's id; a file not changed since is read once."""
    if entry.kind == "embedded":
        return f"sha256:{GGUF_SHA256}"
    if entry.kind == "remote":
        return f"server:{entry.location}#{entry.model}"
    path = Path(entry.location)
    try:
        if path.is_file():
            return f"sha256:{file_sha256(path)}"
        return f"sha256:{_folder_sha256(path)}"
    except OSError as error:
        raise WeightsError(f"Cannot read the weights {path}: {error.strerror}; name existing ones.") from error


def _folder_sha256(folder: Path) -> str:
    """Hash names and contents of everything in a model folder that can change a text."""
    if not folder.is_dir():
        raise WeightsError(f"There is no file or folder {folder}: name existing weights.")
    whole = hashlib.sha256()
    for pattern in ("*.safetensors", *_TEXT_FILES):
        for path in sorted(folder.rglob(pattern)):
            whole.update(f"{path.relative_to(folder)}\0{file_sha256(path)}\n".encode())
    return whole.hexdigest()
