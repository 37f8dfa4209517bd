"""Models and files that a study names on the Hugging Face Hub, as local folders; nothing is fetched unless asked for.

    hub:OWNER/NAME          a model; with @cls or @mean at the end an encoder with that pooling stored in it
    hub-data:OWNER/NAME/PATH    one file of a data set

Weights that exist only as a pickle are read with torch's weights-only reader and kept as safetensors.
"""

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.durable import whole_folder, whole_path
from pipeline.records import InputError
from pipeline.studies.spec import Arm, Study

MODEL, DATA = "hub:", "hub-data:"
_MODEL_NAME = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:@(cls|mean))?")
_DATA_NAME = re.compile(r"hub-data:([\w.-]+/[\w.-]+)/([\w.-]+(?:/[\w.-]+)*)")
_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "*.safetensors.index.json")
_PICKLE = "pytorch_model.bin"


@dataclass(frozen=True, slots=True)
class Hub:
    """Resolves hub names to local paths."""

    folder: Path
    """Folder of converted copies; downloads stay in the hub library's own cache."""
    download: bool = False
    """Whether missing files may be downloaded."""

    def path(self, name: str) -> str:
        """Return the local path of a hub name; other names are returned unchanged. Raises InputError."""
        if name.startswith(DATA):
            return str(self._file(name))
        return str(self._model(name)) if name.startswith(MODEL) else name

    def _file(self, name: str) -> Path:
        found = _DATA_NAME.fullmatch(name)
        if found is None or ".." in name:
            raise InputError(f"{name!r} is no file of the hub; write hub-data:OWNER/NAME/PATH.")
        from huggingface_hub import hf_hub_download

        return Path(self._fetched(name, hf_hub_download, found[1], filename=found[2], repo_type="dataset"))

    def _model(self, name: str) -> Path:
        found = _MODEL_NAME.fullmatch(name)
        if found is None:
            raise InputError(f"{name!r} is no model of the hub; write hub:OWNER/NAME, or hub:OWNER/NAME@cls.")
        repository, pooling = found[1], found[2]
        from huggingface_hub import snapshot_download

        snapshot = Path(self._fetched(name, snapshot_download, repository, allow_patterns=list(_FILES)))
        if not any(snapshot.rglob("*.safetensors")):
            snapshot = Path(self._fetched(name, snapshot_download, repository, allow_patterns=[*_FILES, _PICKLE]))
            snapshot = safetensors_copy(snapshot, self.folder / repository.replace("/", "--"))
        return pooled_copy(snapshot, self.folder / name.replace("/", "--"), pooling) if pooling else snapshot

    def _fetched(self, name: str, fetch, *arguments: str, **options) -> str:  # noqa: ANN001, ANN003  (two functions)
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            return str(fetch(*arguments, local_files_only=not self.download, **options))
        except LocalEntryNotFoundError as error:
            if self.download:
                raise InputError(f"{name} could not be fetched: is there a way to the hub from here?") from error
            raise InputError(f"{name} is not on this machine; add --download to fetch it from the hub.") from error
        except (HfHubHTTPError, OSError) as error:
            raise InputError(f"{name} could not be fetched ({' '.join(str(error).split())[:200]}).") from error


def hub_names(study: Study) -> list[str]:
    """Return the distinct hub names in a study."""
    names = [study.premises_name, *(name for arm in study.arms for name in arm_names(arm))]
    return list(dict.fromkeys(name for name in names if name.startswith((MODEL, DATA))))


def arm_names(arm: Arm) -> list[str]:
    """Return the models that an arm uses; the guide only where it masks."""
    names = [arm.train.encoder]
    if arm.train.mask_rule != "none":
        names.append(arm.train.guide)
    if arm.generation is not None:
        names.append(arm.generation.llm)
    if arm.curation is not None:
        names.append(arm.curation.judge.partition(":")[2])
    return names


def localised(study: Study, hub: Hub) -> Study:
    """Return the study with all encoders, guides and files of the hub as local paths.

    LLMs keep their names, under which their judgements are cached, and are resolved when they are loaded.
    """
    arms = []
    for arm in study.arms:
        guide = hub.path(arm.train.guide) if arm.train.mask_rule != "none" else arm.train.guide
        arms.append(replace(arm, train=replace(arm.train, encoder=hub.path(arm.train.encoder), guide=guide)))
    premises = Path(hub.path(study.premises_name)) if study.premises_name.startswith(DATA) else study.premises
    return replace(study, arms=tuple(arms), premises=premises)


def safetensors_copy(snapshot: Path, target: Path) -> Path:
    """Convert a model with pickled weights to safetensors in a new folder; only tensors are read from the pickle."""
    if (target / "model.safetensors").is_file():
        return target
    import torch
    from safetensors.torch import save_file

    if not (snapshot / _PICKLE).is_file():
        raise InputError(f"{snapshot.name} holds neither safetensors nor {_PICKLE}; choose another model.")
    tensors = torch.load(snapshot / _PICKLE, map_location="cpu", weights_only=True)
    target.mkdir(parents=True, exist_ok=True)
    for file in snapshot.iterdir():
        if file.suffix in (".json", ".txt", ".model") and file.name != "training_args.json":
            shutil.copyfile(file, target / file.name)
    # clone: tied weights share memory, which safetensors refuses.
    own = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    with whole_path(target / "model.safetensors") as draft:
        save_file(own, draft, {"format": "pt"})
    return target


def pooled_copy(snapshot: Path, target: Path, pooling: str) -> Path:
    """Save an encoder with its pooling, which makes it the same encoder wherever it is loaded."""
    if (target / "modules.json").is_file():
        return target
    from pipeline.encoders import load_encoder

    encoder = load_encoder(snapshot, pooling="cls" if pooling == "cls" else "mean")
    with whole_folder(target, over=True) as draft:
        encoder.save_pretrained(str(draft), create_model_card=False)
    json.loads((target / "modules.json").read_text(encoding="utf-8"))
    return target
