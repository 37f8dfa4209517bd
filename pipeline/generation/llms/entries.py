"""The entry of an LLM in the registry: where it is, how it is reached, what its check found."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pipeline.errors import InputError
from pipeline.names import BUILT_IN_LLMS

LLMKind = Literal["embedded", "gguf", "decoder", "encoder-decoder", "remote"]
EMBEDDED: Final = BUILT_IN_LLMS[0]
"""Name of the LLM that comes with the installation."""
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class LLMEntry:
    """One LLM by name. Holds no key: a server's key stays in the environment under `key_variable`."""

    name: str
    kind: LLMKind
    location: str
    """Path of a file or folder, or base URL of a server."""
    model: str = ""
    """Remote: the server's id of the model."""
    api: str = ""
    """Remote: completions or chat; empty until a check has found out."""
    key_variable: str = ""
    """Remote: environment variable with the key; empty for a server that wants none."""
    concurrency: int = 4
    """Remote: calls under way at a time."""
    timeout_s: float = 60.0
    """Remote: seconds a call may take."""
    price_in: float = 0.0
    """Remote: money per million tokens of prompts."""
    price_out: float = 0.0
    """Remote: money per million tokens of replies."""
    scores_prompts: bool = False
    """Remote: whether the server returns log-probabilities of prompts, which reranking needs."""
    source: str = ""
    """Where the files came from: OWNER/NAME@commit on the hub; empty for files of this machine."""
    digest: str = ""
    """What tells these weights from others: a sha256, or a server's model id. Empty before a check."""

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > _LONGEST_NAME or not self.name.isprintable():
            raise InputError(f"The name of an LLM has 1 to {_LONGEST_NAME} visible characters, got {self.name!r}.")
        if self.kind not in get_args(LLMKind):
            raise InputError(f"There is no LLM of the kind {self.kind}; choose {', '.join(get_args(LLMKind))}.")
        if not 1 <= self.concurrency <= 64:
            raise InputError(f"concurrency must lie in 1..64, got {self.concurrency}.")
        if not self.timeout_s > 0:
            raise InputError(f"timeout_s must be above 0, got {self.timeout_s}.")
        if self.price_in < 0 or self.price_out < 0:
            raise InputError(f"prices must not be negative, got {self.price_in} and {self.price_out}.")

    def to_json(self) -> dict[str, Any]:
        """Return the entry as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "LLMEntry":
        """Return the entry behind stored values; fields of later versions are left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in known})


EMBEDDED_ENTRY: Final = LLMEntry(EMBEDDED, "embedded", "")


def entry_for(name_or_path: str) -> LLMEntry:
    """Return the entry of an LLM that is on this machine: the embedded one by name, others by path.

    Raises InputError when there is nothing under this name, WeightsError for a folder that cannot be loaded safely.
    """
    if name_or_path == EMBEDDED:
        return EMBEDDED_ENTRY
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return LLMEntry(path.name[:_LONGEST_NAME], architecture(path), str(path.resolve()))
    if path.suffix.lower() != ".gguf" and not path.exists():
        raise InputError(
            f"There is no LLM {name_or_path!r}: name {EMBEDDED}, one added with `llms add`, or the path of a GGUF "
            "file or of a transformers folder."
        )
    return LLMEntry(path.stem[:_LONGEST_NAME], "gguf", str(path))


def architecture(folder: Path) -> LLMKind:
    """Return whether a transformers folder holds a decoder or an encoder-decoder; unsafe folders are refused."""
    import json

    from pipeline.training.encoder_folders import check_folder

    check_folder(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / 'config.json'} cannot be read ({error}); copy the model folder again."
        ) from error
    return "encoder-decoder" if isinstance(config, dict) and config.get("is_encoder_decoder") else "decoder"
