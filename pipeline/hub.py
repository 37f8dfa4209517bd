"""Models and files of the Hugging Face Hub by name, at a pinned commit, in the hub library's own cache.

    OWNER/NAME                  a model; @COMMIT (or a tag or branch) and, of an encoder, its pooling (@cls, @mean,
                                @lasttoken) may follow
    OWNER/NAME/FILE.gguf        one file of a model
    OWNER/NAME/PATH             one file of a data set

`hub:` or `hub-data:` may stand before a name, as in study files. Only safetensors, GGUF and the text files beside
them are fetched: no pickle and no code. What was fetched before at a commit is found without a network.
"""

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from pipeline.records import InputError, StorageError, UnreachableError, WeightsError
from pipeline.weights import BUILT_IN_ENCODERS

MODEL, DATA = "hub:", "hub-data:"
Pooling = Literal["", "cls", "mean", "lasttoken"]
_NAME = re.compile(r"(\w[\w.-]*/\w[\w.-]*)(?:/([\w.-]+(?:/[\w.-]+)*))?((?:@[\w./-]{1,100}){0,2})")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MODEL_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
_NOT_LOADED = ("[!0-9]*/*", "consolidated*")
"""Copies for other frameworks lie in subfolders; those of sentence-transformers' modules begin with a number."""
_TIMEOUT_S = 10.0

Tell = Callable[[str, int, int], None]
"""Called with the name, the bytes fetched and those in all; may raise to stop."""
_tell: ContextVar[Tell | None] = ContextVar("tell", default=None)


@contextmanager
def telling(tell: Tell) -> Iterator[None]:
    """Report downloads inside the block to `tell`; outside, the library's own bars show in a terminal."""
    mark = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(mark)


@dataclass(frozen=True, slots=True)
class HubName:
    """A model, or a file of a model or data set, at a commit, tag or branch."""

    repository: str
    file: str = ""
    revision: str = "main"
    pooling: Pooling = ""
    """Of an encoder whose folder does not say how its tokens are pooled."""
    kind: Literal["model", "dataset"] = "model"

    @classmethod
    def parse(cls, name: str, revision: str = "", kind: Literal["model", "dataset"] = "model") -> "HubName":
        """Read a name. Raises InputError for anything that is none."""
        given = name.strip()
        kind = "dataset" if given.startswith(DATA) else kind
        found = _NAME.fullmatch(given.removeprefix(MODEL).removeprefix(DATA))
        wanted = "OWNER/NAME/PATH of a data set" if kind == "dataset" else "OWNER/NAME"
        if found is None or ".." in given or (kind == "dataset" and not found[2]):
            raise InputError(f"{name!r} is not a name on the hub; write {wanted}.")
        parts = found[3].split("@")[1:]
        pooling: Pooling = parts.pop() if parts and parts[-1] in get_args(Pooling) else ""  # type: ignore[assignment]
        if len(parts) > 1 or (parts and revision):
            raise InputError(f"{name!r} names two revisions; write {wanted}, and @REVISION once.")
        chosen = revision or (parts[0] if parts else "main")
        if not re.fullmatch(r"[\w./-]{1,100}", chosen):
            raise InputError(f"{chosen!r} is no revision on the hub; write a commit, a tag or a branch.")
        return cls(found[1], found[2] or "", chosen, pooling, kind)

    def __str__(self) -> str:
        """Return OWNER/NAME[/FILE]@REVISION[@POOLING]."""
        return f"{self.plain}@{self.revision}" + (f"@{self.pooling}" if self.pooling else "")

    @property
    def plain(self) -> str:
        """OWNER/NAME[/FILE]."""
        return f"{self.repository}/{self.file}" if self.file else self.repository

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit."""
        return _COMMIT.fullmatch(self.revision) is not None

    @property
    def patterns(self) -> dict[str, Any]:
        """What of the repository is fetched."""
        if self.file:
            return {"allow_patterns": [self.file]}
        return {"allow_patterns": [*_MODEL_FILES], "ignore_patterns": [*_NOT_LOADED]}


def is_hub_name(name: str) -> bool:
    """Whether this can only be a model of the hub: OWNER/NAME, and nothing on this machine is called that."""
    if name.startswith(MODEL):
        return True
    found = _NAME.fullmatch(name)
    return found is not None and not found[2] and name not in BUILT_IN_ENCODERS and not Path(name).exists()


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model's folder, or a file, in the hub library's cache, and its name with the commit."""

    path: Path
    name: HubName


def pinned(wanted: HubName) -> HubName:
    """Return the name at the commit that its revision is at: the hub's, or without a network the one fetched last.

    Nothing is downloaded. Errors as in `fetch`.
    """
    if wanted.is_pinned:
        return wanted
    try:
        return replace(wanted, revision=_listed(wanted)[0])
    except UnreachableError:
        if (here := _cached(wanted)) is None:
            raise
        return here.name


def fetch(wanted: HubName, *, download: bool = True) -> Fetched:
    """Return a model or file, downloaded where it is not in the cache.

    Raises UnreachableError without a network, WeightsError for a model without safetensors, StorageError for a full
    disk, InputError for what the hub does not have, and without `download` for what is not on this machine.
    """
    if (wanted.is_pinned or not download) and (here := _cached(wanted)):
        return here
    if not download:
        raise InputError(f"{wanted} is not on this machine; add --download to fetch it from the hub.")
    try:
        commit, size = _listed(wanted)
    except UnreachableError:
        if (here := _cached(wanted)) is None:
            raise
        return here
    _check_space(wanted, size)
    from huggingface_hub import snapshot_download

    tell = _tell.get()
    with _plain_errors(wanted):
        folder = snapshot_download(
            wanted.repository,
            repo_type=wanted.kind,
            revision=wanted.revision,
            tqdm_class=_bar(str(wanted), size, tell) if tell else None,
            **wanted.patterns,
        )
    return _found(replace(wanted, revision=commit), Path(folder))


def push(folder: Path, repository: str, *, kind: Literal["model", "dataset"], private: bool) -> str:
    """Upload a folder as a repository, made where there is none; return the address of the commit.

    The login is that of the hub library (`hf auth login` or HF_TOKEN). Settings with folders of this machine stay
    here. Raises UnreachableError without a network, InputError for a name or a login that the hub does not take.
    """
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repository) or ".." in repository:
        raise InputError(f"{repository!r} is not a name on the hub; write OWNER/NAME.")
    from huggingface_hub import HfApi

    with _plain_errors(HubName(repository, kind=kind), "pushed"):
        api = HfApi()
        api.create_repo(repository, repo_type=kind, private=private, exist_ok=True)
        made = api.upload_folder(
            repo_id=repository, folder_path=folder, repo_type=kind, ignore_patterns=["train_config.json", ".*"]
        )
    return str(made.commit_url)


def _found(name: HubName, folder: Path) -> Fetched:
    return Fetched(folder / name.file if name.file else folder, name)


def _cached(wanted: HubName) -> Fetched | None:
    """Return what is in the cache, whole, or None."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            wanted.repository,
            repo_type=wanted.kind,
            revision=wanted.revision,
            local_files_only=True,
            **wanted.patterns,
        )
    except LocalEntryNotFoundError:
        return None
    here = _found(replace(wanted, revision=Path(folder).name), Path(folder))
    # A commit may be here for the sake of another of its files.
    return here if here.path.is_file() or any(here.path.glob("*.safetensors")) else None


def _listed(wanted: HubName) -> tuple[str, int]:
    """Return the commit of a revision and the bytes to fetch. Raises InputError where what is wanted is not there."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import filter_repo_objects

    with _plain_errors(wanted):
        info: Any = HfApi().repo_info(
            wanted.repository,
            revision=wanted.revision,
            repo_type=wanted.kind,
            files_metadata=True,
            timeout=_TIMEOUT_S,
        )
    sizes = {sibling.rfilename: int(sibling.size or 0) for sibling in info.siblings or []}
    chosen = list(filter_repo_objects(sizes, **wanted.patterns))
    _check_files(wanted, sorted(sizes), chosen)
    return str(info.sha), sum(sizes[name] for name in chosen)


def _check_files(wanted: HubName, offered: list[str], chosen: list[str]) -> None:
    ggufs = [name for name in offered if name.lower().endswith(".gguf")]
    if wanted.file:
        what, names = ("file", offered) if wanted.kind == "dataset" else ("GGUF file", ggufs)
        if wanted.file not in names:
            raise InputError(
                f"{wanted.repository} has no {what} {wanted.file!r}; it has {', '.join(names[:10]) or 'none'}."
            )
    elif not any(name.endswith(".safetensors") for name in chosen):
        hint = "choose another, or name a revision that has some, as OWNER/NAME@refs/pr/1"
        if ggufs:
            hint = f"name one of its GGUF files ({', '.join(ggufs[:5])})"
        raise WeightsError(f"{wanted.repository} has no safetensors weights: {hint}.")


def _check_space(wanted: HubName, size: int) -> None:
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise StorageError(f"{wanted.repository} takes {size:,} bytes and {folder} has {free:,} free: make room.")


def _bar(name: str, total: int, tell: Tell) -> type:
    """Return a silent progress bar class for the library, which reports the bytes of all files."""
    from huggingface_hub.utils import tqdm

    lock, done = threading.Lock(), 0

    class Bar(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._counts = options.get("name") == "huggingface_hub.snapshot_download"
            super().__init__(*arguments, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal done
            if self._counts:
                with lock:  # files are fetched side by side
                    done = min(total, done + int(n or 0))
                    tell(name, done, total)
            return super().update(n)

    return Bar


@contextmanager
def _plain_errors(wanted: HubName, done: str = "fetched") -> Iterator[None]:
    """Turn what the hub's library raises into an InputError, no network into an UnreachableError."""
    import httpx2
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        yield
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, httpx2.TransportError, ConnectionError) as error:
        raise UnreachableError(
            f"The hub cannot be reached to fetch {wanted.repository}: check the network, or name a local file."
        ) from error
    except GatedRepoError as error:
        raise InputError(
            f"{wanted.repository} is for those who accept its terms on the hub: do so, then `hf auth login` here."
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"There is no {wanted.repository} on the hub that may be read from here, and none on this machine."
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        message = " ".join(str(error).split())[:160]
        raise InputError(f"{wanted.repository} at {wanted.revision} could not be {done} ({message}).") from error


@dataclass(frozen=True, slots=True)
class Hub:
    """Resolves the names in a study; other names are returned unchanged."""

    download: bool = False
    """Whether missing files may be downloaded."""

    def pinned(self, name: str) -> str:
        """Return hub:OWNER/NAME at the commit that is on this machine, fetched where that is allowed."""
        return f"{MODEL}{self._fetched(name).name}" if name.startswith(MODEL) else name

    def path(self, name: str) -> str:
        """Return the local path of a model or file of the hub. Raises InputError."""
        return str(self._fetched(name).path) if name.startswith((MODEL, DATA)) else name

    def _fetched(self, name: str) -> Fetched:
        return fetch(HubName.parse(name), download=self.download)
