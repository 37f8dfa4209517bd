"""Models and files of the Hugging Face Hub at a pinned revision, downloaded only on request.

A branch is resolved to its commit first, and the commit is recorded. Only safetensors, GGUF and the text files beside
them are downloaded. A folder appears atomically, and an interrupted download is resumed.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pipeline.durable import move_file, move_folder
from pipeline.records import InputError, StorageError, UnreachableError, WeightsError

_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?:/([\w.-]+(?:/[\w.-]+)*))?")
_REVISION = re.compile(r"[\w./-]{1,100}")
_MODEL_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
Tell = Callable[[int, int], None]
"""Called with the bytes done and in all; may raise to stop."""


@dataclass(frozen=True, slots=True)
class HubName:
    """OWNER/NAME, optionally the path of a file, and a commit, tag or branch."""

    repository: str
    file: str = ""
    revision: str = "main"

    @classmethod
    def parse(cls, name: str, revision: str = "") -> "HubName":
        """Read OWNER/NAME or OWNER/NAME/FILE. Raises InputError for anything else."""
        found = _NAME.fullmatch(name.strip())
        if found is None or ".." in name or (revision and not _REVISION.fullmatch(revision)):
            raise InputError(f"{name!r} at {revision or 'main'!r} is not a name on the hub; write OWNER/NAME.")
        return cls(found[1], found[2] or "", revision or "main")

    def at(self, commit: str) -> str:
        """Return OWNER/NAME[/FILE]@commit."""
        return f"{self.repository}{f'/{self.file}' if self.file else ''}@{commit}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A downloaded model or file: its local path and its name with the commit."""

    path: Path
    name: str
    """See HubName.at."""


def fetch_model(wanted: HubName, folder: Path, *, tell: Tell) -> Fetched:
    """Download a GGUF file, or all files of a transformers model that loading needs, into `folder`.

    Raises UnreachableError without a network, WeightsError for a model without safetensors, InputError otherwise.
    """
    with _plain_errors(wanted):
        commit, files = _listed(wanted, "model")
        chosen = _gguf(wanted, files) if wanted.file else _model_files(wanted, files)
        target = _fetch(wanted, commit, chosen, folder, "model", tell)
    return Fetched(target / wanted.file if wanted.file else target, wanted.at(commit))


def fetch_file(wanted: HubName, folder: Path, *, tell: Tell) -> Fetched:
    """Download one file of a data set into `folder`; errors as in `fetch_model`."""
    with _plain_errors(wanted):
        commit, files = _listed(wanted, "dataset")
        if wanted.file not in files:
            names = ", ".join(sorted(files)[:10]) or "none"
            raise InputError(f"{wanted.repository} has no file {wanted.file!r}; it has {names}.")
        target = _fetch(wanted, commit, {wanted.file: files[wanted.file]}, folder, "dataset", tell)
    return Fetched(target / wanted.file, wanted.at(commit))


def _listed(wanted: HubName, kind: str) -> tuple[str, dict[str, int]]:
    """Return the commit of a revision and the size of each file in bytes."""
    from huggingface_hub import HfApi

    info: Any = HfApi().repo_info(wanted.repository, revision=wanted.revision, repo_type=kind, files_metadata=True)
    files = {sibling.rfilename: int(sibling.size or 0) for sibling in info.siblings or []}
    return str(info.sha), files


def _gguf(wanted: HubName, files: dict[str, int]) -> dict[str, int]:
    offered = sorted(name for name in files if name.lower().endswith(".gguf"))
    if wanted.file not in offered:
        raise InputError(
            f"{wanted.repository} has no GGUF file {wanted.file!r}; it has {', '.join(offered) or 'none'}."
        )
    return {wanted.file: files[wanted.file]}


def _model_files(wanted: HubName, files: dict[str, int]) -> dict[str, int]:
    """Return the top-level files that loading reads; copies for other frameworks are in subfolders."""
    chosen = {
        name: size
        for name, size in files.items()
        if "/" not in name and any(fnmatch(name, pattern) for pattern in _MODEL_FILES)
    }
    if not any(name.endswith(".safetensors") for name in chosen):
        ggufs = [name for name in files if name.endswith(".gguf")]
        hint = f"name one of its GGUF files ({', '.join(sorted(ggufs)[:5])})" if ggufs else "choose another"
        raise WeightsError(f"{wanted.repository} has no safetensors weights: {hint}.")
    return chosen


def _fetch(wanted: HubName, commit: str, files: dict[str, int], folder: Path, kind: str, tell: Tell) -> Path:
    from huggingface_hub import hf_hub_download

    target = folder / f"{wanted.repository.replace('/', '--')}@{commit[:12]}"
    if all((target / name).is_file() for name in files):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(files.values())
    free = shutil.disk_usage(folder).free
    if total > free:
        raise StorageError(f"{wanted.repository} takes {total:,} bytes and {folder} has {free:,} free: make room.")
    unfinished = folder / f".{target.name}"
    count = _Counter(total, tell)
    for name in sorted(files, key=lambda name: (name.endswith(".safetensors"), name)):
        hf_hub_download(
            wanted.repository, name, repo_type=kind, revision=commit, local_dir=unfinished, tqdm_class=count.bar()
        )
        count.file_done(files[name])
    shutil.rmtree(unfinished / ".cache", ignore_errors=True)
    if target.is_dir():  # another file of this revision exists already
        for name in files:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            move_file(unfinished / name, target / name)
        shutil.rmtree(unfinished)
    else:
        move_folder(unfinished, target)
    return target


class _Counter:
    """Adds up the bytes of all files from the library's progress bars."""

    def __init__(self, total: int, tell: Tell) -> None:
        self._total, self._tell = total, tell
        self._whole = self._part = 0

    def file_done(self, size: int) -> None:
        """Count a whole file, whether downloaded or already present."""
        self._whole, self._part = self._whole + size, 0
        self._tell(self._whole, self._total)

    def bar(self) -> type:
        """Return a silent progress bar class that reports to this counter."""
        from tqdm import tqdm

        counter = self

        class Bar(tqdm):
            def __init__(self, *arguments: Any, **options: Any) -> None:
                options.pop("name", None)
                super().__init__(*arguments, **(options | {"disable": True}))

            def update(self, n: float | None = 1) -> bool | None:
                counter._part += int(n or 0)
                counter._tell(min(counter._whole + counter._part, counter._total), counter._total)
                return super().update(n)

        return Bar


@contextmanager
def _plain_errors(wanted: HubName) -> Iterator[None]:
    """Turn what the hub's library raises into an InputError, no network into an UnreachableError."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except (InputError, StorageError):
        raise
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, httpx2.TransportError, ConnectionError) as error:
        raise UnreachableError(
            f"The hub cannot be reached to fetch {wanted.repository}: check the network, or name a local file."
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        message = " ".join(str(error).split())[:160]
        raise InputError(f"{wanted.repository} at {wanted.revision} could not be fetched ({message}).") from error
