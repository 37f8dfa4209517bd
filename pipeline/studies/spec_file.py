"""Read a study from YAML; every error is one sentence that names the place in the file."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import yaml

from pipeline.config import CurationRule, GenerationConfig
from pipeline.records import InputError
from pipeline.settings import MOST, setting_of, shown
from pipeline.studies.spec import SAMPLE, Arm, Contrast, Curation, EarlyStop, Evaluation, HardNegatives, Study
from pipeline.studies.yaml_fields import FileFields, read_yaml
from pipeline.train_config import TrainConfig

STUDY_FIELDS = (
    *("study", "title", "about", "premises", "column", "limit", "seeds", "baseline"),
    *("generation", "curation", "train", "evaluation", "arms", "sweep", "search", "contrasts", "keep_encoders"),
    *("halves", "early_stop", "deviations"),
)
ARM_FIELDS = ("name", "generation", "triplets", "snapshot", "curation", "add", "hard_negatives", "size", "train")
EVALUATION_FIELDS = ("sts_dir", "tasks", "held_out_from")
CURATION_FIELDS = ("judge", "gold_dir", "alpha", "beta", "gamma")
SWEEP_FIELDS = ("setting", "values", "arm")
SEARCH_FIELDS = ("dev", "apart", "grid", "arm")
EARLY_STOP_FIELDS = ("dev", "every", "apart")
MOST_SEEDS, MOST_ARMS, MOST_CELLS, LARGEST_STUDY_BYTES = 10_000, 1_000, 10_000, 256 << 10
CONTRAST_FIELDS = ("name", "plus", "minus")

Config = TypeVar("Config", GenerationConfig, TrainConfig, CurationRule)


def read_study(path: Path, *, sample: Path | None = None, sts_dir: Path | None = None) -> Study:
    """Read a study file.

    Paths in it are relative to its own folder. `sample` is the file behind the word "sample"; `sts_dir`, if given,
    replaces the file's own STS folder. Raises InputError with one sentence: what, where, what to do.
    """
    where = path.name
    try:
        if not path.is_file():  # a FIFO would be waited for
            raise InputError(f"There is no study file {path}: check the name.")
        if path.stat().st_size > LARGEST_STUDY_BYTES:
            raise InputError(f"A study file has at most {LARGEST_STUDY_BYTES >> 10} KB; {where} is larger.")
        fields = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        why = " ".join(str(error).split())[:200]
        raise InputError(f"{where} is no readable YAML ({why}); correct it there.") from error
    reader = _Reader(where, path.parent, sample)
    try:
        return reader.study(fields, sts_dir)
    except InputError as error:
        message = str(error) if str(error).startswith(where) else f"{where}: {error}"
        cut = f"{message[:400]}…" if len(message) > 400 else message
        raise InputError(cut) from error


class _Reader(FileFields):
    """A study file's own blocks."""

    def __init__(self, where: str, folder: Path, sample: Path | None) -> None:
        super().__init__(where, folder)
        self.sample = sample

    def study(self, fields: Any, sts_dir: Path | None) -> Study:
        fields = self.mapping(fields, STUDY_FIELDS, "")
        name = self.text(fields, "study", "")
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", name):
            self.refuse("study", f"must be small letters, digits and dashes, got {shown(name)}")
        items = self.arm_items(fields)
        seeds = self.seeds(fields.get("seeds", 5))
        if len(items) > MOST_ARMS or len(items) * len(seeds) > MOST_CELLS:
            limits = f"a study has at most {MOST_ARMS:,} arms and {MOST_CELLS:,} training runs"
            self.refuse("arms", f"there are {len(items):,}, with {len(seeds):,} seeds; {limits}")
        arms = [self.arm(fields, item, f"arm {number}") for number, item in enumerate(items, 1)]
        return Study(
            name=name,
            title=self.text(fields, "title", name),
            about=self.text(fields, "about", ""),
            premises=self.premises(fields),
            premises_name=self.optional(fields, "premises", str) or "",
            column=self.optional(fields, "column", str),
            limit=self.rows(fields, "limit"),
            seeds=seeds,
            baseline=self.text(fields, "baseline", arms[0].name if arms else ""),
            evaluation=self.evaluation(fields.get("evaluation") or {}, sts_dir),
            arms=tuple(arms),
            contrasts=tuple(self.contrast(item) for item in self.list_of(fields, "contrasts")),
            keep_encoders=self.optional(fields, "keep_encoders", bool) or False,
            halves=self.optional(fields, "halves", int) or 0,
            early_stop=self.early_stop(fields),
            deviations=tuple(map(str, self.list_of(fields, "deviations"))) if fields.get("deviations") else (),
            search_on=self.search_on(fields),
            search_apart=self.optional(fields.get("search") or {}, "apart", bool, "search") or False,
        )

    def arm_items(self, fields: dict[str, Any]) -> list[Any]:
        """Return the listed arms, then one arm per value of the sweep and per combination of the search's grid."""
        items = list(self.list_of(fields, "arms"))
        if fields.get("sweep") is not None:
            sweep = self.mapping(fields["sweep"], SWEEP_FIELDS, "sweep")
            setting = self.text(sweep, "setting", "", place="sweep")
            grid = {setting: self.list_of(sweep, "values", place="sweep")}
            items += self.combinations(grid, sweep, "sweep", "sweep, setting")
        if fields.get("search") is not None:
            search = self.mapping(fields["search"], SEARCH_FIELDS, "search")
            named: Any = search.get("grid")
            if not isinstance(named, Mapping) or not named:
                self.refuse(
                    "search, grid", f"must be a block such as train.mask_threshold: [0.8, 0.9], got {shown(named)}"
                )
            grid = {str(setting): self.list_of(dict(named), setting, place="search, grid") for setting in named}
            items += self.combinations(grid, search, "search", "search, grid")
        return items

    def combinations(
        self, grid: dict[str, list[Any]], block: dict[str, Any], place: str, setting_place: str
    ) -> list[dict[str, Any]]:
        """Return one arm per combination of values, based on the block's own arm."""
        base = self.mapping(block.get("arm") or {}, ARM_FIELDS, f"{place}, arm")
        for setting in grid:
            if setting != "size" and setting.rpartition(".")[0] not in ("generation", "curation", "train"):
                self.refuse(
                    setting_place, f"must be size or generation., curation. or train.FIELD, got {shown(setting)}"
                )
        arms = prod(map(len, grid.values()))
        if arms > MOST_ARMS:
            self.refuse(place, f"makes {shown(arms)} arms, and a study has at most {MOST_ARMS:,}")
        return [with_settings(base, dict(zip(grid, values, strict=True))) for values in product(*grid.values())]

    def search_on(self, fields: dict[str, Any]) -> tuple[str, ...]:
        """Return the dev tasks of the search; empty without a search."""
        if fields.get("search") is None:
            return ()
        tasks = tuple(map(str, self.list_of(fields["search"], "dev", place="search")))
        if not tasks:
            self.refuse("search, dev", "names no task; write dev: [STSB-dev]")
        return tasks

    def early_stop(self, fields: dict[str, Any]) -> EarlyStop | None:
        if fields.get("early_stop") is None:
            return None
        block = self.mapping(fields["early_stop"], EARLY_STOP_FIELDS, "early_stop")
        tasks = tuple(map(str, self.list_of(block, "dev", place="early_stop")))
        every = self.rows(block, "every", "early_stop")
        if not tasks or every is None:
            self.refuse("early_stop", "needs dev tasks and every; write {dev: [STSB-dev], every: 20}")
        return EarlyStop(tasks, every or 1, self.optional(block, "apart", bool, "early_stop") or False)

    def arm(self, study: dict[str, Any], item: Any, place: str) -> Arm:
        fields = self.mapping(item, ARM_FIELDS, place)
        name = self.text(fields, "name", "", place=place)
        if not name:
            self.refuse(place, "has no name; give it one")
        place = f"arm {shown(name)}"
        file, snapshot = self.optional(fields, "triplets", str, place), self.optional(fields, "snapshot", str, place)
        if file is not None and snapshot is not None:
            self.refuse(place, "names both triplets and a snapshot; keep one")
        generation = None
        if file is None and snapshot is None:
            generation = self.config(GenerationConfig, place, study.get("generation"), fields.get("generation"))
        elif fields.get("generation") is not None:
            self.refuse(place, "names its triplets, so generation has no effect; take it out")
        hard_negatives = self.text(fields, "hard_negatives", "written", place=place)
        if hard_negatives not in get_args(HardNegatives):
            self.refuse(f"{place}, hard_negatives", f"must be written, mined or both, got {shown(hard_negatives)}")
        train = replace(self.config(TrainConfig, place, study.get("train"), fields.get("train")), seed=0)
        curation = self.curation(place, study.get("curation"), fields.get("curation", False))
        judge = curation or self.curation(place, study.get("curation"), train.cosent_weight > 0)
        return Arm(
            name=name,
            train=train,
            generation=generation,
            file=None if file is None else self.path(file),
            snapshot=snapshot,
            curation=curation,
            scored_by=judge if train.cosent_weight else None,
            add=tuple(map(str, self.list_of(fields, "add", place=place))),
            hard_negatives=cast(HardNegatives, hard_negatives),
            size=self.rows(fields, "size", place),
        )

    def curation(self, place: str, common: Any, own: Any) -> Curation | None:
        """Read an arm's curation: False skips stage 2, True takes the study's settings, a mapping overrides them."""
        place = f"{place}, curation"
        if own is None or own is False:
            return None
        fields = self.mapping(common or {}, CURATION_FIELDS, "curation")
        if own is not True:
            fields = fields | self.mapping(own, CURATION_FIELDS, place)
        rule = {name: fields[name] for name in ("alpha", "beta", "gamma") if name in fields}
        judge = self.text(fields, "judge", "", place=place)
        if not judge:
            self.refuse(place, "names no judge; write judge: likelihood:smollm2-135m")
        gold_dir = self.optional(fields, "gold_dir", str, place)
        return Curation(
            judge, self.config(CurationRule, place, rule), None if gold_dir is None else self.path(gold_dir)
        )

    def config(self, kind: type[Config], place: str, *layers: Any) -> Config:
        """Build a config from layers of fields, where later layers override earlier ones."""
        group = {GenerationConfig: "generation", TrainConfig: "train"}.get(kind)
        place = f"{place}, {group}" if group else place
        fields: dict[str, Any] = {}
        for layer in layers:
            fields |= self.mapping(layer or {}, tuple(kind.__dataclass_fields__), place)
        if "seed" in fields and kind is TrainConfig:
            self.refuse(place, "sets a seed; the study's own seeds are used, so take it out")
        for name in ("encoder", "guide", "llm"):
            if str(fields.get(name)).startswith(("./", "../")):
                fields[name] = str(self.path(fields[name]))
        try:
            return kind(**fields)
        except InputError as error:
            raise InputError(f"{self.where}, {place}: {error}") from error

    def evaluation(self, item: Any, sts_dir: Path | None) -> Evaluation:
        fields = self.mapping(item, EVALUATION_FIELDS, "evaluation")
        folder = self.optional(fields, "sts_dir", str, "evaluation")
        tasks = self.list_of(fields, "tasks", place="evaluation")
        return Evaluation(
            sts_dir=sts_dir or (None if folder is None else self.path(folder)),
            tasks=tuple(str(task) for task in tasks),
            held_out_from=self.text(fields, "held_out_from", "", place="evaluation"),
        )

    def contrast(self, item: Any) -> Contrast:
        fields = self.mapping(item, CONTRAST_FIELDS, "contrasts")
        name = self.text(fields, "name", "", place="contrasts")
        place = f"contrast {shown(name)}"
        plus = tuple(map(str, self.list_of(fields, "plus", place=place)))
        minus = tuple(map(str, self.list_of(fields, "minus", place=place)))
        if not (name and plus and minus):
            self.refuse("contrasts", "each needs a name, and arms under plus and minus")
        return Contrast(name, plus, minus)

    def premises(self, fields: dict[str, Any]) -> Path | None:
        named = self.optional(fields, "premises", str)
        if named is None:
            return None
        if named.startswith("hub-data:"):
            return Path(named)  # a placeholder until `localised` resolves it
        return self.sample if named == SAMPLE and self.sample is not None else self.path(named)

    def rows(self, fields: dict[str, Any], key: str, place: str = "") -> int | None:
        """Return a number of rows, or None if the field is missing."""
        found: int | None = self.optional(fields, key, int, place)
        if found is not None and not 1 <= found <= MOST:
            self.refuse(", ".join(filter(None, (place, key))), f"must be from 1 to {MOST:,}, got {shown(found)}")
        return found

    def seeds(self, value: Any) -> tuple[int, ...]:
        if type(value) is int and 0 < value <= MOST_SEEDS:
            return tuple(range(value))
        if isinstance(value, list) and 0 < len(value) <= MOST_SEEDS and all(type(seed) is int for seed in value):
            for seed in value:
                setting_of(TrainConfig, "seed").check("seeds", seed)
            return tuple(value)
        words = f"a number of seeds up to {MOST_SEEDS:,} or a list of whole numbers"
        return self.refuse("seeds", f"must be {words}, got {shown(value)}")


def with_settings(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return an arm with these settings, by dotted name, and a name that lists them."""
    arm, words = dict(base), [str(base["name"])] if "name" in base else []
    for setting, value in values.items():
        group, _, field = setting.rpartition(".")
        if group:
            kept = arm.get(group)
            arm[group] = {**(kept if isinstance(kept, dict) else {}), field: value}
        else:
            arm[setting] = value
        words += [field, str(value)]
    return arm | {"name": " ".join(words)}
