"""The encoders and LLMs of a workspace: listing them, adding those made elsewhere, checking and removing LLMs."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Annotated, Any

from pipeline.encoder_folders import check_folder, model_folder
from pipeline.generation.llms.endpoints import checked_key_variable, checked_url, origin_of
from pipeline.generation.llms.presets import preset_of
from pipeline.generation.llms.registry import (
    EMBEDDED,
    LOCAL_SETTINGS,
    SERVER_SETTINGS,
    LLMEntry,
    entry_at,
    entry_for,
)
from pipeline.hub import MODEL, HubName, is_hub_name, pinned
from pipeline.records import InputError
from pipeline.settings import checked_name
from pipeline.weights import BUILT_IN_ENCODERS
from workbench.actions.call import Answer, action
from workbench.jobs.kinds import CheckSpec, HubModel
from workbench.journal import new_id, now
from workbench.store.models import StoredEncoder
from workbench.workspace import Workspace

LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class EncoderRef:
    """What a job needs to load an encoder, and the id its scores are stored under."""

    encoder_id: str
    folder: str


def find_encoder(workspace: Workspace, encoder: str) -> EncoderRef:
    """Return an encoder by id, name, folder or name on the hub; one of the hub is added to the workspace.

    Raises InputError that lists the known ones.
    """
    if encoder in BUILT_IN_ENCODERS:
        return EncoderRef(encoder, encoder)
    known = workspace.store.encoders.list()
    for stored in known:
        if encoder in (stored.encoder_id, stored.name):
            if not has_weights(stored):
                raise InputError(
                    f"The weights of {stored.name} were deleted, and only its figures are left: train it again, or "
                    "choose another encoder."
                )
            return EncoderRef(stored.encoder_id, stored.folder)
    if Path(encoder).is_dir():
        return EncoderRef(encoder, encoder)
    if is_hub_name(encoder):
        return find_encoder(workspace, add_encoder(workspace, folder=encoder)["encoder_id"])
    names = ", ".join([*BUILT_IN_ENCODERS, *(stored.name for stored in known)])
    raise InputError(
        f"There is no encoder {encoder!r}: choose one of {names}, or name a folder, or OWNER/NAME on the hub."
    )


def weight_files(folder: Path) -> list[Path]:
    """Return the files of weights in and below a folder."""
    return sorted(folder.rglob("*.safetensors"))


def has_weights(encoder: StoredEncoder) -> bool:
    """Return whether an encoder that was trained here can still be loaded; one from elsewhere is not looked at."""
    return encoder.run_id is None or bool(weight_files(Path(encoder.folder)))


@action
def encoders(workspace: Workspace) -> Answer:
    """Return every encoder with a name: the built-in ones, then the workspace's, newest first."""
    built_in = [{"encoder_id": name, "name": name, "origin": "built in"} for name in BUILT_IN_ENCODERS]
    stored = [asdict(encoder) | {"origin": _origin(encoder)} for encoder in workspace.store.encoders.list()]
    return {"encoders": [*built_in, *stored]}


def _origin(encoder: StoredEncoder) -> str:
    if not encoder.run_id:
        return "added"
    return "trained here" if has_weights(encoder) else "trained here, weights deleted"


@action
def delete_weights(workspace: Workspace, *, run_id: str) -> Answer:
    """Delete the weights of a run's encoders for good; curve, scores, predictions, model card and settings stay.

    Answers with the bytes that this frees. Raises InputError for a run that could still go on, and for other jobs.
    """
    job = workspace.jobs.get(run_id)
    if job.kind != "train":
        raise InputError(f"{run_id} is no training run; only the weights of a run can be deleted.")
    if job.state not in ("finished", "cancelled"):
        raise InputError(f"The run {run_id} is {job.state}; end it before you delete its weights.")
    freed = 0
    for path in weight_files(workspace.jobs.output(run_id, "")):
        freed += path.stat().st_size
        path.unlink()
    return {"run_id": run_id, "freed_bytes": freed}


@action
def delete_vectors(workspace: Workspace) -> Answer:
    """Delete the cache of text vectors, which is filled again as needed; answers with the bytes that this frees.

    Raises InputError while a job that may read it runs.
    """
    if any(job.state == "running" for job in workspace.jobs.list()):
        raise InputError("A job is running and may need the vectors; delete them when it has ended.")
    folder = workspace.root / "vectors"
    files = [path for path in folder.rglob("*") if path.is_file()]
    freed = sum(path.stat().st_size for path in files)
    rmtree(folder, ignore_errors=True)
    return {"freed_bytes": freed}


@action
def add_encoder(workspace: Workspace, *, folder: str, name: str = "") -> Answer:
    """Add a model of sentence-transformers or transformers as an encoder: a folder, or OWNER/NAME on the hub.

    A folder is checked, not loaded, and its files stay where they are. A name on the hub is pinned at the commit that
    its revision is at, and fetched where it is first used. Raises InputError or WeightsError if there is no model,
    code of its own or a pickle, and for a name that is taken.
    """
    path, usual = _of_hub(folder) if is_hub_name(folder.strip()) else _of_folder(folder)
    known = workspace.store.encoders.list()
    for encoder in known:
        if encoder.folder == path:
            return {"encoder_id": encoder.encoder_id, "name": encoder.name}
    called = checked_name(name or usual, "an encoder")[:LONGEST_NAME]
    if called in BUILT_IN_ENCODERS or called in {encoder.name for encoder in known}:
        raise InputError(f"There is an encoder called {called} already; give this one another name.")
    encoder_id = new_id("encoder")
    row = {"table": "encoders", "encoder_id": encoder_id, "name": called, "folder": path, "created_at": now()}
    header = {"kind": "encoder", "name": called, "origin": path, "duplicates": 0, "rejected": {}}
    kept = workspace.store.imports.add(encoder_id, lambda: header, [row], digest=lambda: path)
    return {"encoder_id": kept, "name": called}


def _of_hub(name: str) -> tuple[str, str]:
    """Return what an encoder of the hub is loaded by, and its usual name."""
    wanted = HubName.parse(name)
    if wanted.file:
        raise InputError(f"{name} is a file; an encoder on the hub is OWNER/NAME.")
    return f"{MODEL}{pinned(wanted)}", name.strip().removeprefix(MODEL)


def _of_folder(folder: str) -> tuple[str, str]:
    named = Path(folder).expanduser().resolve()
    if not folder.strip() or not named.is_dir():
        raise InputError(f"There is no folder {folder or '(empty)'}; name the folder that holds the model's files.")
    path = model_folder(named)
    check_folder(path)
    return str(path), named.name


def at_commit(workspace: Workspace, name: str) -> str:
    """Return what an encoder of the hub is loaded by, which is then one of the workspace; other names unchanged."""
    return find_encoder(workspace, name).folder if is_hub_name(name) else name


@action
def llms(workspace: Workspace) -> Answer:
    """Return every LLM with what its last check found."""
    return {"llms": [asdict(llm) for llm in workspace.store.llms.list()]}


@action
def add_llm(
    workspace: Workspace,
    *,
    name: str,
    path: str | None = None,
    url: str | None = None,
    hub: str | None = None,
    revision: str = "",
    preset: str = "",
    settings: Annotated[dict[str, Any] | None, LLMEntry] = None,
) -> Answer:
    """Queue the check of an LLM, which adds it to the registry under this name.

    path: of a GGUF file or transformers folder; or url: of an OpenAI-compatible server; or hub: OWNER/NAME of a
    model with safetensors weights or OWNER/NAME/FILE.gguf, fetched at the commit behind `revision`. settings: form,
    and of a server whatever else its entry declares. preset: a kind of server, whose address and settings hold where
    none are given. Raises InputError for anything else.
    """
    known = preset_of(preset)
    if known and path is None and hub is None:
        url, settings = url or known.url, known.settings | (settings or {})
    if sum(where is not None for where in (path, url, hub)) != 1:
        raise InputError("Name one of these: a path on this machine, the URL of a server, a model on the hub.")
    given = settings or {}
    if url is None and (unknown := sorted(set(given) - set(LOCAL_SETTINGS))):
        raise InputError(f"A model of this machine has no setting {unknown[0]}: only {', '.join(LOCAL_SETTINGS)}.")
    if hub is not None:
        wanted = HubName.parse(hub, revision)
        entry = LLMEntry(_free(name), "gguf" if wanted.file else "decoder", "", source=hub, **given)
        return _start(workspace, entry, hub=HubModel(wanted.plain, wanted.revision))
    if url is not None:
        entry = _server(_free(name), url, given)
        _check_key_is_free(workspace, entry)
        return _start(workspace, entry)
    assert path is not None
    return _start(workspace, replace(entry_at(Path(path)), name=_free(name), **given))


def _server(name: str, url: str, settings: dict[str, Any]) -> LLMEntry:
    unknown = sorted(set(settings) - set(SERVER_SETTINGS))
    if unknown:
        raise InputError(f"A server has no setting {', '.join(unknown)}; it has {', '.join(SERVER_SETTINGS)}.")
    variable = checked_key_variable(str(settings.get("key_variable", "")))
    where = checked_url(url)
    return LLMEntry(name, "remote", where, key_origin=origin_of(where) if variable else "", **settings)


def _check_key_is_free(workspace: Workspace, entry: LLMEntry) -> None:
    """Refuse a key that another LLM of the registry sends to another host."""
    for llm in workspace.store.llms.list():
        known = llm.entry
        if entry.key_variable and known.name != entry.name and known.key_variable == entry.key_variable:
            origin = known.key_origin or origin_of(known.location)
            if origin != entry.key_origin:
                raise InputError(
                    f"The key in {entry.key_variable} belongs to {origin} ({known.name}): name another variable."
                )


@action
def check_llm(workspace: Workspace, *, name: str) -> Answer:
    """Queue another check of an LLM of the registry."""
    return _start(workspace, workspace.store.llms.get(name).entry)


@action
def remove_llm(workspace: Workspace, *, name: str) -> Answer:
    """Take an LLM out of the registry; its files and what it wrote stay. Adding it again is another check."""
    workspace.store.llms.remove(name)
    return {"name": name}


def resolve_llm(workspace: Workspace, name_or_path: str) -> LLMEntry:
    """Return the entry behind a name of the registry, or behind a path on this machine.

    An LLM whose last check failed is an InputError that repeats why.
    """
    for llm in workspace.store.llms.list():
        if llm.entry.name == name_or_path:
            if llm.state == "failed":
                raise InputError(f"The last check of {name_or_path} failed ({llm.message}): check it again.")
            return llm.entry
    return replace(entry_for(name_or_path), name=name_or_path[-80:])


def _start(workspace: Workspace, entry: LLMEntry, *, hub: HubModel | None = None) -> Answer:
    job_id = workspace.jobs.submit(CheckSpec(entry, hub), title=f"Check of {entry.name}")
    return {"job_id": job_id, "name": entry.name}


def _free(name: str) -> str:
    """Return the stripped name. Raises InputError for the name of the embedded LLM."""
    if name.strip() == EMBEDDED:
        raise InputError(f"{EMBEDDED} is the embedded LLM; choose another name.")
    return name.strip()
