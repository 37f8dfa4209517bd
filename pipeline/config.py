"""Settings of every stage: frozen, validated where they are made, stored whole with each run."""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from pipeline.errors import InputError

Config = TypeVar("Config")
MaskRule = Literal["none", "phi", "gist_absolute", "gist_relative", "released"]
ChoiceRule = Literal["first", "contrast", "contrast_per_token", "least_overlap"]
Positives = Literal["written", "dropout", "word_deletion"]
ThresholdUnit = Literal["cosine", "random_pairs"]
Precision = Literal["fp32", "bf16", "fp16"]
DevMetric = Literal["auto", "sts-dev", "held-out"]


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InputError(message)


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Stage 1: how a positive and a hard negative are written for each premise."""

    llm: str = "smollm2-135m"
    """Registered name of the LLM, or the path of a GGUF file or transformers folder."""
    prompt_set: str = "default"
    """Id of the prompt set that holds instructions and few-shot examples."""
    omega: float = 0.6
    """Weight of the opposite instruction in z = l - omega * l^; 0 is plain generation; range [0, 1)."""
    plausibility: float = 0.1
    """Tokens less likely than this share of the best own token are excluded; 0 switches it off; range [0, 1]."""
    temperature: float = 0.0
    """Softmax temperature over z; 0 chooses the best token."""
    top_p: float = 1.0
    """Nucleus mass kept when sampling; range (0, 1]."""
    seed: int = 0
    """Seed of the sampler; the same seed, batch size and backend give the same text."""
    max_new_tokens: int = 48
    """Longest reply in tokens; a reply cut there has the outcome truncated."""
    batch_size: int = 0
    """Replies decoded side by side, each in two rows while omega > 0; 0: as many as the LLM writes fastest."""
    candidates: int = 1
    """Replies drawn per side, of which one is chosen; more than one needs a temperature above 0."""
    choice: ChoiceRule = "contrast"
    """Which of several candidates is taken: first, greatest contrast (sum or per token), least word overlap."""
    token_budget: int = 0
    """Tokens that a server may charge for in one run, prompts and replies; 0 sets no limit."""
    money_budget: float = 0.0
    """Money that a server may charge in one run, at the LLM's prices; 0 sets no limit."""

    def __post_init__(self) -> None:
        _require(0 <= self.omega < 1, f"omega must be at least 0 and below 1, got {self.omega}.")
        _require(0 <= self.plausibility <= 1, f"plausibility must lie in 0..1, got {self.plausibility}.")
        _require(self.temperature >= 0, f"temperature must not be negative, got {self.temperature}.")
        _require(0 < self.top_p <= 1, f"top_p must lie above 0 and at most 1, got {self.top_p}.")
        _require(self.max_new_tokens >= 1, f"max_new_tokens must be at least 1, got {self.max_new_tokens}.")
        _require(self.batch_size >= 0, f"batch_size must not be negative, got {self.batch_size}.")
        _require(1 <= self.candidates <= 64, f"candidates must lie in 1..64, got {self.candidates}.")
        _require(
            self.candidates == 1 or self.temperature > 0,
            f"candidates is {self.candidates} at temperature 0, where all would be the same: raise the temperature.",
        )
        _require(self.choice in get_args(ChoiceRule), f"choice must be one of {', '.join(get_args(ChoiceRule))}.")
        _require(self.token_budget >= 0, f"token_budget must not be negative, got {self.token_budget}.")
        _require(self.money_budget >= 0, f"money_budget must not be negative, got {self.money_budget}.")


@dataclass(frozen=True, slots=True)
class ScratchConfig:
    """Premises from scratch: which cells of topic x genre x length an LLM fills, and how."""

    llm: str = "smollm2-135m"
    """Registered name of the LLM, or the path of a GGUF file."""
    topics: tuple[str, ...] = ()
    """What the sentences are about, in a word or two each; empty takes the built-in list."""
    genres: tuple[str, ...] = ()
    """Kinds of sentences; empty takes all: caption, news, question, story, fact, opinion, advice, message."""
    lengths: tuple[str, ...] = ()
    """Lengths wanted; empty takes all: short (up to 7 words), medium (8 to 12), long (more)."""
    per_cell: int = 3
    """Premises wanted for each topic, genre and length."""
    tries: int = 3
    """Attempts allowed per cell, in multiples of per_cell."""
    near_duplicate: float = 0.7
    """Share of common words from which a premise repeats an earlier one; range (0, 1]."""
    temperature: float = 0.8
    """Softmax temperature; 0 chooses the best token, which gives every attempt at a cell the same text."""
    plausibility: float = 0.1
    """Tokens less likely than this share of the best one are excluded; range [0, 1]."""
    top_p: float = 0.95
    """Nucleus mass kept when sampling; range (0, 1]."""
    seed: int = 0
    """Seed of the sampler."""
    max_new_tokens: int = 56
    """Longest premise in tokens; one cut there has the outcome truncated."""
    batch_size: int = 0
    """Premises written side by side; 0: as many as the LLM writes fastest."""
    token_budget: int = 0
    """What a server may charge for in one run, in tokens of prompts and replies together; 0 for no limit."""
    money_budget: float = 0.0
    """What a server may charge for in one run, at the prices of the LLM's entry; 0 for no limit."""

    def __post_init__(self) -> None:
        for name in ("topics", "genres", "lengths"):
            values = tuple(dict.fromkeys(" ".join(str(value).split()) for value in getattr(self, name)))
            object.__setattr__(self, name, tuple(value for value in values if value))
        long = next((topic for topic in self.topics if len(topic) > 60), "")
        _require(not long, f"A topic has at most 60 characters; shorten {long[:40]!r}.")
        _require(1 <= self.per_cell <= 10_000, f"per_cell must lie in 1..10000, got {self.per_cell}.")
        _require(1 <= self.tries <= 100, f"tries must lie in 1..100, got {self.tries}.")
        _require(0 < self.near_duplicate <= 1, f"near_duplicate must lie in (0, 1], got {self.near_duplicate}.")
        _require(self.temperature >= 0, f"temperature must not be negative, got {self.temperature}.")
        _require(0 <= self.plausibility <= 1, f"plausibility must lie in 0..1, got {self.plausibility}.")
        _require(0 < self.top_p <= 1, f"top_p must lie above 0 and at most 1, got {self.top_p}.")
        _require(self.max_new_tokens >= 4, f"max_new_tokens must be at least 4, got {self.max_new_tokens}.")
        _require(self.batch_size >= 0, f"batch_size must not be negative, got {self.batch_size}.")
        _require(self.token_budget >= 0, f"token_budget must not be negative, got {self.token_budget}.")
        _require(self.money_budget >= 0, f"money_budget must not be negative, got {self.money_budget}.")


@dataclass(frozen=True, slots=True)
class CurationRule:
    """Stage 2: a triplet is kept when a >= alpha, b <= beta and a >= b + gamma (scores on 0..5)."""

    alpha: float = 3.0
    """Least score a of (premise, positive)."""
    beta: float = 3.0
    """Greatest score b of (premise, hard negative)."""
    gamma: float = 0.1
    """Least gap a - b."""

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            _require(0 <= getattr(self, name) <= 5, f"{name} must lie in 0..5, got {getattr(self, name)}.")
        _require(-5 <= self.gamma <= 5, f"gamma must lie in -5..5, got {self.gamma}.")


RULE_PRESETS: dict[str, CurationRule] = {
    "released default": CurationRule(alpha=3.0, beta=3.0, gamma=0.1),
    "gap only": CurationRule(alpha=0.0, beta=5.0, gamma=0.1),
    "keep all": CurationRule(alpha=0.0, beta=5.0, gamma=-5.0),
}
"""Named starting points; the released code asks for a gap above zero, here the least visible step."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Stage 3: contrastive training of an encoder on triplets, false negatives masked by a guide model."""

    encoder: str = "static-minilm"
    """Built-in name, or the folder of a sentence-transformers or transformers model."""
    steps: int = 200
    """Optimizer steps; arms of a comparison are run at equal steps."""
    batch_size: int = 128
    """Triplets per step, over all GPUs; each anchor sees batch_size positives and batch_size hard negatives."""
    mini_batch_size: int = 0
    """Texts encoded at once, their gradients cached, so that a large batch needs little memory; 0 is no limit."""
    learning_rate: float | None = None
    """Peak learning rate; None takes the encoder's own default."""
    warmup_steps: int = 0
    """Optimizer steps of linear warm-up; after it the rate falls linearly to zero."""
    temperature: float = 0.05
    """Divisor tau of the cosine in the loss."""
    positives: Positives = "written"
    """Where a premise's positive comes from: the triplet, or the premise again (dropout or words deleted)."""
    mask_rule: MaskRule = "phi"
    """What makes a candidate a false negative: none, a guide cosine above phi, a GIST margin, the released code."""
    mask_threshold: float = 0.8
    """phi, or the GIST margin: compared with the guide's raw cosine."""
    threshold_unit: ThresholdUnit = "cosine"
    """Whether mask_threshold is a cosine, or the share of random pairs of texts that lies above phi."""
    protect_own_hard_negative: bool = False
    """Whether a premise's own hard negative is never masked."""
    guide: str = "all-MiniLM-L6-v2"
    """Encoder that judges which candidates are false negatives; frozen."""
    pooling: Literal["mean", "cls"] = "mean"
    """Pooling of a transformers encoder; cls adds a Linear+Tanh head used in training only."""
    max_seq_length: int = 64
    """Longest text in tokens while training."""
    precision: Precision = "fp32"
    """Number format of the encoder's arithmetic; bf16 and fp16 need a GPU, the loss is always in fp32."""
    seed: int = 0
    """Seed of batching, dropout and any new weights."""
    device: str = "auto"
    """auto, cpu, or a torch device such as cuda:0."""
    eval_every: int = 0
    """Steps between dev scores; 0 scores only at the end."""
    dev_metric: DevMetric = "auto"
    """What the dev score is: Spearman on STSB-dev, accuracy on held-out triplets, or the first of them at hand."""
    keep: Literal["best", "last"] = "best"
    """Whose weights are saved: those of the best dev score, or of the last step."""
    patience: int = 0
    """Dev scores in a row without a new best after which the run ends; 0 never ends it early."""
    keep_every: int = 0
    """Steps between copies of the encoder that are kept, to see on a map how the space changed; 0 keeps none."""

    def __post_init__(self) -> None:
        _require(self.steps >= 1, f"steps must be at least 1, got {self.steps}.")
        _require(self.batch_size >= 1, f"batch_size must be at least 1, got {self.batch_size}.")
        _require(self.temperature > 0, f"temperature must be above 0, got {self.temperature}.")
        _require(-1 <= self.mask_threshold <= 2, f"mask_threshold must lie in -1..2, got {self.mask_threshold}.")
        _require(
            self.learning_rate is None or self.learning_rate > 0,
            f"learning_rate must be above 0, got {self.learning_rate}.",
        )
        _require(
            0 <= self.warmup_steps <= self.steps,
            f"warmup_steps must lie in 0..steps, got {self.warmup_steps} of {self.steps}.",
        )
        _require(self.max_seq_length >= 2, f"max_seq_length must be at least 2, got {self.max_seq_length}.")
        _require(self.mini_batch_size >= 0, f"mini_batch_size must not be negative, got {self.mini_batch_size}.")
        _require(self.patience >= 0, f"patience must not be negative, got {self.patience}.")
        _require(self.keep_every >= 0, f"keep_every must not be negative, got {self.keep_every}.")
        _require(
            self.patience == 0 or self.eval_every > 0,
            f"patience {self.patience} counts dev scores, but eval_every is {self.eval_every}; set eval_every too.",
        )
        _require(
            self.positives != "dropout" or self.encoder != "static-minilm",
            "A static encoder has no dropout, so both views of a premise would be one vector; "
            "choose a transformer, or positives word_deletion.",
        )
        self._check_threshold()

    def _check_threshold(self) -> None:
        if self.threshold_unit == "random_pairs" and self.mask_rule != "none":
            _require(
                self.mask_rule in ("phi", "released"),
                f"threshold_unit random_pairs belongs to the rules phi and released, got {self.mask_rule}.",
            )
            _require(
                0 < self.mask_threshold < 1,
                f"mask_threshold as a share of random pairs must lie between 0 and 1, got {self.mask_threshold}.",
            )


NOT_LEARNED = ("device", "eval_every", "keep", "patience", "keep_every")
"""Settings of training that change where a run happens and what is kept of it, but no step."""

TRAIN_PRESETS: dict[str, TrainConfig] = {
    "no mask": TrainConfig(mask_rule="none"),
    "guide mask": TrainConfig(mask_rule="phi", mask_threshold=0.8),
    "GIST": TrainConfig(mask_rule="gist_absolute", mask_threshold=0.0),
    "released code": TrainConfig(mask_rule="released", mask_threshold=0.95),
    "unsupervised SimCSE": TrainConfig(encoder="all-MiniLM-L6-v2", positives="dropout", mask_rule="none"),
}
"""Named losses to compare; the first four differ in the mask alone, the last reads the premises only."""


def from_fields(kind: type[Config], fields: dict[str, Any]) -> Config:
    """Build a config of this kind from stored or typed fields; an unknown field is an InputError that names it."""
    known = kind.__dataclass_fields__.keys()  # type: ignore[attr-defined]
    unknown = sorted(set(fields) - set(known))
    _require(not unknown, f"{kind.__name__} has no setting {', '.join(unknown)}; it has {', '.join(known)}.")
    return kind(**fields)
