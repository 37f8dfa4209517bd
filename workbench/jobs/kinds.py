"""Every kind of job: what it is asked, what runs it, where it waits and how it is shown.

A new kind is a spec and a line of the table here, and a handler. Specs are written once, as spec.json, and read once.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pipeline.config import GenerationConfig, ScratchConfig
from pipeline.curation.calibration import Calibration
from pipeline.curation.judges import Ensemble
from pipeline.evaluation.behaviour import Case
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.prompts import PromptSet
from pipeline.records import InputError, Side
from pipeline.train_config import TrainConfig
from workbench.jobs.places import LOCAL


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a job is asked to do; one subclass per kind. `None` and empty values mean not chosen."""

    on: str = field(default=LOCAL, kw_only=True)
    """Where it runs; see workbench/jobs/places.py."""

    @classmethod
    def upgraded(cls, stored: dict[str, Any]) -> dict[str, Any]:
        """Return stored values of an earlier version under the names of this one."""
        return stored

    @property
    def own_lane(self) -> str | None:
        """The lane that this very job has to itself; None for that of its kind."""
        return None


@dataclass(frozen=True, slots=True)
class GenerateSpec(JobSpec):
    """One triplet for each premise of the input; it takes over rows of earlier jobs that have the same text key."""

    config: GenerationConfig
    prompts: PromptSet | None = None
    llm: LLMEntry | None = None  # both are None in jobs of earlier versions, whose config names them
    corpus: str = ""
    corpus_id: str = ""
    origin: str = ""  # what the premises were chosen for; every triplet keeps it
    earlier: tuple[str, ...] = ()  # jobs whose rows may serve this one
    retries: str = ""  # the generation run whose premises are tried again
    outcome: str = ""  # that the retried premises had in the run `retries`
    replaces: str = ""  # the triplet that another side is written for


@dataclass(frozen=True, slots=True)
class WritePremisesSpec(JobSpec):
    """Premises from scratch, which become a corpus."""

    config: ScratchConfig
    llm: LLMEntry
    corpus: str


@dataclass(frozen=True, slots=True)
class _PreviewOfWriting(JobSpec):
    config: GenerationConfig
    prompts: PromptSet | None
    llm: LLMEntry


@dataclass(frozen=True, slots=True)
class GridSpec(_PreviewOfWriting):
    """A few premises at several values of omega."""

    premises: tuple[str, ...]
    omegas: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LensSpec(_PreviewOfWriting):
    """One side of a premise, written greedily, every step recorded."""

    premise: str
    side: Side


@dataclass(frozen=True, slots=True)
class AskSpec(JobSpec):
    """A free prompt, to see how an LLM continues it."""

    config: GenerationConfig
    llm: LLMEntry
    prompt: str


@dataclass(frozen=True, slots=True)
class TokensSpec(JobSpec):
    """Both prompts of a premise as an LLM reads them, with the number of their tokens."""

    llm: LLMEntry
    prompts: PromptSet | None = None  # in jobs of earlier versions, which counted the tokens of texts
    premise: str = ""
    side: Side = Side.POSITIVE


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model on the hub: OWNER/NAME or OWNER/NAME/FILE, and a commit."""

    name: str
    revision: str


@dataclass(frozen=True, slots=True)
class CheckSpec(JobSpec):
    """The check of an LLM, which puts it into the registry."""

    entry: LLMEntry
    hub: HubModel | None = None  # fetched first


@dataclass(frozen=True, slots=True)
class FetchPremisesSpec(JobSpec):
    """A file of a data set on the hub as a corpus."""

    name: str
    revision: str
    column: str | None
    corpus: str
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class JudgeSpec(JobSpec):
    """Scores of the input's triplets by each judge."""

    judges: tuple[str, ...]
    attempt_ids: tuple[str, ...]
    gold_dir: str | None = None  # folder of gold pairs that calibrations are fitted on first
    llms: dict[str, LLMEntry] = field(default_factory=dict)
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    """The newest one of each judge that has one in the workspace."""
    ensembles: dict[str, Ensemble] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CalibrateSpec(JudgeSpec):
    """Calibrations of judges: on gold pairs of a folder, or without one on people's decisions."""

    task: str = ""
    pairs: int = 500
    ensemble: str | None = None  # name of the ensemble that is fitted too


@dataclass(frozen=True, slots=True)
class HygieneSpec(JobSpec):
    """Duplicates, leaks, copies and, with a guide, false hard negatives among the input's triplets."""

    attempt_ids: tuple[str, ...]
    sts_dir: str | None
    guide: str | None
    threshold: float  # minimum share of letter sequences that near duplicates have in common


@dataclass(frozen=True, slots=True)
class TrainSpec(JobSpec):
    """A training run on the input's triplets."""

    config: TrainConfig
    name: str  # of the encoder
    snapshot_id: str
    sts_dir: str | None = None
    held_out: str | None = None  # the snapshot whose held-out triplets score the encoder
    data: str = ""  # the training set in words, for the model card

    @property
    def own_lane(self) -> str | None:
        """A GPU beyond the first, which trains beside other jobs."""
        device = self.config.device
        return device if device.startswith("cuda:") and device != "cuda:0" else None


@dataclass(frozen=True, slots=True)
class PreviewSpec(JobSpec):
    """What each phi would mask of the input's triplets under a guide."""

    guide: str
    key: str  # equal for previews of the same triplets and guide


@dataclass(frozen=True, slots=True)
class StudySpec(JobSpec):
    """Arms x seeds of a study file."""

    study: str
    file: str
    sts_dir: str | None = None
    download: bool = False
    command: str = ""


@dataclass(frozen=True, slots=True)
class EvaluateSpec(JobSpec):
    """Scores of an encoder: on the folder that is named, otherwise on the held-out triplets of the input."""

    encoder: str  # folder or built-in name
    encoder_id: str
    sts_dir: str | None = None
    retrieval_dir: str | None = None
    transfer_dir: str | None = None
    mteb: str | None = None  # task or benchmark


@dataclass(frozen=True, slots=True)
class FetchSpec(JobSpec):
    """Tasks on the hub as files of the workspace."""

    kind: Literal["sts", "retrieval"]
    tasks: tuple[str, ...]
    folder: str


@dataclass(frozen=True, slots=True)
class MapEncoder:
    """An encoder on a map."""

    encoder_id: str
    folder: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ProjectSpec(JobSpec):
    """An embedding map of the input's sentences."""

    encoders: tuple[MapEncoder, ...]
    method: str
    corpus: str
    seed: int = 0
    guide: str | None = None
    key: str = ""  # equal for maps of the same sentences and settings

    @classmethod
    def upgraded(cls, stored: dict[str, Any]) -> dict[str, Any]:
        """The first maps had one encoder, kept as two values."""
        if "encoder" in stored and "encoders" not in stored:
            return stored | {"encoders": [{"encoder_id": stored.get("encoder_id", ""), "folder": stored["encoder"]}]}
        return stored


@dataclass(frozen=True, slots=True)
class SearchSpec(JobSpec):
    """The sentences of a map nearest to a typed one."""

    text: str
    encoder: str
    vectors: str  # file of the map's vectors
    count: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class ExplainSpec(JobSpec):
    """Why an encoder gives two sentences their similarity."""

    encoder: str
    encoder_id: str
    first: str
    second: str
    pairs: str  # file of the task's pairs
    count: int


@dataclass(frozen=True, slots=True)
class BehaviourSpec(JobSpec):
    """The behavioural suite on an encoder."""

    encoder: str
    encoder_id: str
    own_tests: tuple[Case, ...] = ()


@dataclass(frozen=True, slots=True)
class MarginsSpec(JobSpec):
    """Cosines of the input's triplets under an encoder."""

    encoder: str
    encoder_id: str
    corpus: str  # id of a snapshot, or `current`


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job; `run_<name>` of its room in workbench/jobs/handlers does it."""

    name: str
    title: str
    lane: str  # one job runs per lane, because models share the machine's cores and memory
    spec: type[JobSpec]
    room: str
    unit: str = ""  # what its progress counts, if the title does not say so
    kept_early: bool = False  # whether a job that is ended early leaves a usable result
    shown_where_asked: bool = False  # its result shows on the page that started it alone: Home does not list it
    environment: dict[str, str] = field(default_factory=dict)  # of its worker


_IDLE = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Waiting threads sleep: training beside other programs takes half the time, on idle cores 5 % more. Generation with
an LLM waits far more often and would take 35 % more."""

KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("generate", "Generation", "models", GenerateSpec, "generation"),
        Kind("write_premises", "Premises from scratch", "models", WritePremisesSpec, "premises", kept_early=True),
        Kind("judge", "Judging", "models", JudgeSpec, "curation"),
        Kind("calibrate", "Calibration", "models", CalibrateSpec, "curation"),
        Kind("hygiene", "Hygiene", "models", HygieneSpec, "analysis"),
        Kind("train", "Training", "models", TrainSpec, "training", unit="steps", kept_early=True, environment=_IDLE),
        Kind("study", "Study", "models", StudySpec, "training"),
        Kind("evaluate", "Evaluation", "models", EvaluateSpec, "evaluation"),
        Kind("behaviour", "Behavioural tests", "models", BehaviourSpec, "analysis"),
        Kind("margins", "Hard negatives", "models", MarginsSpec, "analysis"),
        Kind("project", "Embedding map", "models", ProjectSpec, "embedding_map"),
        Kind("fetch", "Fetching tasks", "downloads", FetchSpec, "evaluation"),
        Kind("fetch_premises", "Fetching premises", "downloads", FetchPremisesSpec, "premises"),
        Kind("search", "Search", "searches", SearchSpec, "analysis"),  # takes seconds, and somebody waits
        Kind("explain", "Explanation", "searches", ExplainSpec, "analysis"),
        Kind("preview", "Mask preview", "searches", PreviewSpec, "training"),
        Kind("tokens", "Token count", "searches", TokensSpec, "llms", shown_where_asked=True),
        Kind("check", "LLM check", "checks", CheckSpec, "llms"),  # beside a long run, as are the previews
        Kind("grid", "Grid preview", "previews", GridSpec, "llms", shown_where_asked=True),
        Kind("lens", "Contrast lens", "previews", LensSpec, "llms", shown_where_asked=True),
        Kind("ask", "Free prompt", "previews", AskSpec, "llms", shown_where_asked=True),
    )
}
_OF_SPEC = {kind.spec: kind for kind in KINDS.values()}


def kind_named(name: str) -> Kind:
    """Return a kind of job. InputError for one that this version does not know."""
    if name not in KINDS:
        raise InputError(f"There is no job of the kind {name}; there are {', '.join(KINDS)}.")
    return KINDS[name]


def kind_of(spec: JobSpec | type[JobSpec]) -> Kind:
    """Return the kind of job that a spec, or a class of specs, belongs to."""
    return _OF_SPEC[spec if isinstance(spec, type) else type(spec)]
