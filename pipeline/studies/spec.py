"""A study as a frozen value: arms, seeds, data, evaluation; `spec_file` reads it from YAML."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipeline.config import CurationRule, GenerationConfig
from pipeline.hub import DATA, MODEL, Hub
from pipeline.records import InputError
from pipeline.train_config import TrainConfig

SAMPLE = "sample"
"""Word for the sample corpus in place of a file of premises."""
MOST_HALVES = 100
HardNegatives = Literal["written", "mined", "both"]


@dataclass(frozen=True, slots=True)
class Curation:
    """Stage 2 of an arm: which judge scores the triplets, and the rule on its scores."""

    judge: str
    rule: CurationRule
    gold_dir: Path | None = None
    """Folder with gold pairs to calibrate the judge on; None takes the shipped calibration."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of making an encoder. Its triplets come from exactly one of generation, file and snapshot."""

    name: str
    train: TrainConfig
    """Has seed 0; each cell replaces it by its own."""
    generation: GenerationConfig | None = None
    file: Path | None = None
    """Triplets in csv, jsonl or parquet."""
    snapshot: str | None = None
    """Name of a snapshot of the workspace."""
    curation: Curation | None = None
    add: tuple[str, ...] = ()
    """Other arms whose triplets, curated as theirs are, are taken as well."""
    hard_negatives: HardNegatives = "written"
    """Those of the triplets, those that the guide finds among the other positives, or one row with each."""
    scored_by: Curation | None = None
    """Whose judge scores the triplets that are trained on, for CoSENT; None trains without scores."""
    size: int | None = None
    """Triplets drawn at random for each seed, after all of the above; None takes all."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A difference of means over arms: mean of `plus` minus mean of `minus`."""

    name: str
    plus: tuple[str, ...]
    minus: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What every arm is scored on."""

    sts_dir: Path | None = None
    """Folder of STS tasks; None scores held-out triplets."""
    tasks: tuple[str, ...] = ()
    """Names of tasks of that folder; empty takes all test tasks."""
    held_out_from: str = ""
    """Arm whose generated triplets, before curation, give the held-out ones; empty takes the first arm."""


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """Dev scores along the way: each run's best step is reported beside the last one, which all arms share."""

    dev: tuple[str, ...]
    """Tasks of the STS folder; their mean decides."""
    every: int
    """Steps between dev scores."""
    apart: bool = False
    """Whether pairs that share a sentence with a task of the evaluation are left out of the dev tasks."""


@dataclass(frozen=True, slots=True)
class Study:
    """Arms x seeds at equal steps on one evaluation."""

    name: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    baseline: str
    evaluation: Evaluation
    title: str = ""
    about: str = ""
    deviations: tuple[str, ...] = ()
    """How the study departs from the published one that it repeats; the report lists them."""
    premises: Path | None = None
    premises_name: str = ""
    """As the study file has it."""
    column: str | None = None
    limit: int | None = None
    contrasts: tuple[Contrast, ...] = ()
    keep_encoders: bool = False
    halves: int = 0
    """Runs of every arm on a random half of the premises, to see how much depends on the corpus."""
    early_stop: EarlyStop | None = None
    search_on: tuple[str, ...] = ()
    """Dev tasks whose mean picks one arm; only it and the baseline are then scored on the evaluation's tasks."""
    search_apart: bool = False
    """Whether pairs that share a sentence with a task of the evaluation are left out of the search's dev tasks."""

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        _require(bool(self.arms), f"Study {self.name} has no arms; list at least one under arms.")
        twice = sorted({name for name in names if names.count(name) > 1})
        _require(not twice, f"Study {self.name} has two arms called {', '.join(twice)}; give each its own name.")
        _require(bool(self.seeds), f"Study {self.name} has no seeds; write seeds: 5, or a list of numbers.")
        _require(len(set(self.seeds)) == len(self.seeds), f"Study {self.name} names a seed twice; list each once.")
        _require(
            self.halves == 0 or 2 <= self.halves <= MOST_HALVES,
            f"Study {self.name} has {self.halves} halves; write 0, or from 2 to {MOST_HALVES}.",
        )
        self._check_names("baseline", [self.baseline])
        self._check_search()
        self._check_early_stop()
        if self.evaluation.held_out_from:
            self._check_names("evaluation, held_out_from", [self.evaluation.held_out_from])
        for arm in self.arms:
            self._check_names(f"arm {arm.name!r}, add,", arm.add)
            chained = [name for name in arm.add if name == arm.name or self.arm(name).add]
            _require(
                not chained, f"Arm {arm.name!r} adds {', '.join(chained)}, which adds others itself; name those."
            )
        for contrast in self.contrasts:
            self._check_names(f"contrast {contrast.name}", [*contrast.plus, *contrast.minus])
        steps = {arm.train.steps: arm.name for arm in self.arms}
        _require(
            len(steps) == 1,
            "Arms are compared at equal steps, but "
            + " and ".join(f"{name!r} takes {count}" for count, name in steps.items())
            + "; set steps once under train of the study.",
        )
        needs_premises = next((arm.name for arm in self.arms if arm.generation is not None), None)
        _require(
            needs_premises is None or self.premises is not None,
            f"Arm {needs_premises!r} generates its triplets, but the study names no premises; add premises: sample "
            "or a file.",
        )

    def arm(self, name: str) -> Arm:
        """Return the arm of this name."""
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def runs(self) -> int:
        """Number of training runs: every arm with every seed, and on every half."""
        return len(self.arms) * (len(self.seeds) + self.halves)

    @property
    def steps(self) -> int:
        """Optimizer steps of every cell."""
        return self.arms[0].train.steps

    def _check_search(self) -> None:
        both = sorted(set(self.search_on) & set(self.evaluation.tasks))
        _require(
            not both,
            f"Study {self.name} searches on {', '.join(both)} and reports on it; keep it out of one of them.",
        )
        _require(
            not self.search_on or len(self.arms) > 1,
            f"Study {self.name} searches among its arms other than {self.baseline}, but there is no other; add some.",
        )
        _require(
            not (self.search_on and self.contrasts),
            f"Study {self.name} searches, so its report has two arms; take out the contrasts.",
        )

    def _check_early_stop(self) -> None:
        if self.early_stop is None:
            return
        both = sorted(set(self.early_stop.dev) & set(self.evaluation.tasks))
        _require(
            not both, f"Study {self.name} stops by {', '.join(both)} and reports on it; keep it out of one of them."
        )
        _require(
            self.early_stop.every <= self.steps,
            f"Study {self.name} takes {self.steps} steps, so a dev score every {self.early_stop.every} never comes; "
            "lower every under early_stop.",
        )

    def _check_names(self, where: str, names: Sequence[str]) -> None:
        known = [arm.name for arm in self.arms]
        for name in names:
            _require(name in known, f"{where} names {name!r}, which is no arm of study {self.name}: {known}.")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InputError(message)


def source_text(arm: Arm) -> str:
    """Say where an arm's triplets come from."""
    size = f", {arm.size:,} at random" if arm.size else ""
    size = f", {arm.hard_negatives} hard negatives{size}" if arm.hard_negatives != "written" else size
    size = f" and {', '.join(arm.add)}{size}" if arm.add else size
    if arm.generation is not None:
        return f"{arm.generation.llm}, omega {arm.generation.omega:g}{size}"
    return (f"snapshot {arm.snapshot}" if arm.snapshot else f"file {arm.file.name if arm.file else ''}") + size


def curation_text(arm: Arm) -> str:
    """Say how an arm is curated."""
    if arm.curation is None:
        return "-"
    rule = arm.curation.rule
    return f"{arm.curation.judge}: {rule.alpha:g}, {rule.beta:g}, {rule.gamma:g}"


def mask_text(arm: Arm) -> str:
    """Say what an arm masks."""
    if arm.train.mask_rule == "none":
        return "-"
    own = ", own kept" if arm.train.protect_own_hard_negative else ""
    return f"{arm.train.mask_rule} {arm.train.mask_threshold:g}{own}"


def hub_names(study: Study) -> list[str]:
    """Return the distinct hub names in a study."""
    names = [study.premises_name, *(name for arm in study.arms for name in _models(arm))]
    return list(dict.fromkeys(name for name in names if name.startswith((MODEL, DATA))))


def _models(arm: Arm) -> list[str]:
    """Return the models that an arm uses; the guide only where it masks."""
    names = [arm.train.encoder]
    if arm.train.needs_guide:
        names.append(arm.train.guide)
    if arm.generation is not None:
        names.append(arm.generation.llm)
    if judging := arm.curation or arm.scored_by:
        names.append(judging.judge.partition(":")[2])
    return names


def localised(study: Study, hub: Hub) -> Study:
    """Return the study with its encoders and guides of the hub at commits, and its premises as a file.

    LLMs keep their names, which reports show, and are resolved when they are loaded.
    """
    arms = []
    for arm in study.arms:
        guide = hub.pinned(arm.train.guide) if arm.train.needs_guide else arm.train.guide
        arms.append(replace(arm, train=replace(arm.train, encoder=hub.pinned(arm.train.encoder), guide=guide)))
    premises = Path(hub.path(study.premises_name)) if study.premises_name.startswith(DATA) else study.premises
    return replace(study, arms=tuple(arms), premises=premises)
