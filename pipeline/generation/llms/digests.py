"""What tells one LLM's weights from another's, so that a changed file never passes for the one a text came from."""

import hashlib
from pathlib import Path

from pipeline.errors import WeightsError
from pipeline.generation.llms.entries import LLMEntry
from pipeline.weights import GGUF_SHA256, file_sha256

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
