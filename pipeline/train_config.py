"""Settings of stage 3: training an encoder, and the range of its mask's threshold, which depends on the rule."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

from pipeline.settings import Setting, Settings, require, seed_setting, setting
from pipeline.weights import BUILT_IN_ENCODERS, STATIC_ENCODERS

MaskRule = Literal["none", "phi", "gist_absolute", "gist_relative", "student", "released"]
Directions = Literal["premises", "symmetric", "all"]
Positives = Literal["written", "dropout", "word_deletion"]
ThresholdUnit = Literal["cosine", "random_pairs"]
Precision = Literal["fp32", "bf16", "fp16"]
DevMetric = Literal["auto", "sts-dev", "held-out"]
Tracker = Literal["none", "tensorboard", "wandb", "trackio"]

NEARLY_ALL = 0.9
"""Masked share of a batch's candidates from which a run gets a warning."""
MASK, MORE = "mask", "more"
"""Groups of the form; settings of no group stand in its main part."""


def _margin(help_text: str, label: str, unit: str) -> Setting:
    return Setting(help_text, label=label, unit=unit, ge=-1, le=1, step=0.01, slider=(-1.0, 1.0))


MASK_THRESHOLDS: Mapping[str, Setting] = MappingProxyType(
    {
        "phi": Setting(
            "What a φ masks depends on guide and data, and may be next to nothing: the preview beside the form "
            "counts it by kind of candidate. On the sample corpus 0.9 is worth 0.4 points without curation and "
            "nothing after it (docs/stage-ablation.md).",
            label="φ  guide cosine above which a candidate is masked",
            unit="cosine",
            gt=0,
            le=1,
            step=0.01,
            slider=(0.01, 1.0),
        ),
        "random_pairs": Setting(
            "phi is the guide cosine that this share of random pairs of the training texts exceeds.",
            label="Share of random pairs above φ",
            unit="share",
            gt=0,
            lt=1,
            step=0.0005,
        ),
        "gist_absolute": _margin(
            "Candidates whose guide cosine exceeds that of the own positive minus this margin are masked.",
            "Margin (cosine)",
            "cosine",
        ),
        "gist_relative": _margin(
            "Candidates whose guide cosine exceeds that of the own positive minus this share of it are masked.",
            "Margin (share of the own positive's cosine)",
            "share",
        ),
        "student": _margin(
            "Candidates that the encoder itself puts this much above the own positive's cosine are masked.",
            "Margin (cosine)",
            "cosine",
        ),
    }
)
"""What mask_threshold means, and its range, by rule and unit; see `threshold_meaning`."""
USUAL_THRESHOLDS = {"phi": 0.9, "random_pairs": 0.001, "gist_absolute": 0.0, "gist_relative": 0.0, "student": 0.1}
"""The default of phi, and where a form starts from when another meaning is chosen."""


def threshold_meaning(mask_rule: str, threshold_unit: str) -> str:
    """Return the entry of MASK_THRESHOLDS that a rule and a unit call for; "none" without a mask."""
    if mask_rule in ("phi", "released"):
        return "random_pairs" if threshold_unit == "random_pairs" else "phi"
    return mask_rule


@dataclass(frozen=True, slots=True)
class TrainConfig(Settings):
    """Stage 3: contrastive training of an encoder on triplets, false negatives masked by a guide model."""

    encoder: str = setting(
        "static-minilm",
        "What is trained: a built-in name (`all-MiniLM-L6-v2`, `static-minilm`, `smollm2-135m`, "
        "`static-minilm-unweighted`), the folder of a sentence-transformers or transformers model with safetensors "
        "weights, or OWNER/NAME on the hub. The static encoders train in seconds on a CPU.",
        unit="name or folder",
        suggestions=BUILT_IN_ENCODERS,
    )
    steps: int = setting(
        100,
        "Length of the run. Compare runs at equal steps: fewer triplets at equal epochs are also fewer steps.",
        unit="optimizer steps",
        ge=1,
    )
    batch_size: int = setting(
        128,
        "Triplets per step. Each premise sees this many positives and this many hard negatives. With fewer triplets "
        "than this a step takes all of them. Several GPUs share a batch; every premise still sees all of it.",
        label="Triplets per step",
        unit="triplets per step",
        ge=1,
    )
    mini_batch_size: int = setting(
        0,
        "Texts encoded at once. A step is encoded in parts of this size whose activations are thrown away and made "
        "again for the gradient, so a batch of thousands fits on a small GPU for about a third more time; loss and "
        "gradients are those of the whole batch. 0 keeps everything.",
        unit="texts",
        ge=0,
        group=MORE,
    )
    learning_rate: float | None = setting(
        None,
        "Peak learning rate. None takes the encoder's own: 0.002 for a static encoder, 0.00005 for a transformer.",
        unit="per step",
        gt=0,
        empty="default",
    )
    warmup_steps: int = setting(
        0,
        "Linear warm-up, at most `steps`; afterwards `scheduler` says how the rate goes on.",
        unit="optimizer steps",
        ge=0,
        group=MORE,
    )
    temperature: float = setting(0.05, "Divisor of the cosines in the loss.", label="Temperature τ", gt=0, step=0.01)
    positives: Positives = setting(
        "written",
        "`written` takes the triplet's positive and hard negative. `dropout` is unsupervised SimCSE: the positive is "
        "the premise encoded again under other dropout, and the other premises are the negatives; an encoder without "
        "dropout (a static one) is refused. `word_deletion` takes the premise twice with a tenth of its words left "
        "out at random, for any encoder.",
        unit="name",
        group=MORE,
    )
    mask_rule: MaskRule = setting(
        "phi",
        "Which candidates count as false negatives: `none`; `phi` (guide cosine above a constant); `gist_absolute` "
        "and `gist_relative` (above the own positive's guide cosine minus a margin); `student` (above the own "
        "positive's cosine plus a margin, both by the encoder that is trained); `released` (the published code's "
        "loss).",
        unit="name",
        group=MASK,
    )
    mask_threshold: float = setting(
        USUAL_THRESHOLDS["phi"],
        "phi of the rules `phi` and `released`: a cosine above 0 and at most 1, or a share of random pairs between 0 "
        "and 1. The margin of `student` and the GIST rules: from -1 to 1 (for `gist_relative` as a share of the own "
        "positive's cosine). Compared with raw guide cosines, so it does not depend on the temperature.",
        unit="by rule",
        group=MASK,
    )
    threshold_unit: ThresholdUnit = setting(
        "cosine",
        "The unit of `mask_threshold` for `phi` and `released`. As `random_pairs`, 0.001 means: phi is the cosine "
        "that one in a thousand random pairs of the training texts exceeds. It carries over between guides; a cosine "
        "does not.",
        label="φ as",
        unit="name",
        words={"cosine": "a cosine", "random_pairs": "a share of random pairs"},
        group=MASK,
    )
    protect_own_hard_negative: bool = setting(
        False, "A premise's own hard negative is never masked.", unit="yes or no", group=MORE
    )
    guide: str = setting(
        "all-MiniLM-L6-v2",
        "The guide model that judges which candidates are false negatives. Frozen; every text is embedded once per "
        "training set. phi belongs to a guide: change both together.",
        unit="name or folder",
        suggestions=BUILT_IN_ENCODERS,
        group=MASK,
    )
    directions: Directions = setting(
        "premises",
        "`premises` look for positives; `symmetric`: positives for their premises as well, mean of both losses; "
        "`all`: also away from texts of their own side, in one sum. The last two are for one process.",
        unit="name",
        group=MORE,
    )
    hard_negative_weight: float = setting(
        1.0,
        "How often a hard negative counts beside the other candidates, of its own premise and of others. 0 leaves "
        "the hard negatives out.",
        unit="times",
        ge=0,
        group=MORE,
    )
    hardness: float = setting(
        0.0,
        "Weight of hardness: an own hard negative counts exp(hardness x its cosine) times (EmbeddingGemma, with 5).",
        unit="per cosine",
        ge=0,
        group=MORE,
    )
    matryoshka: bool = setting(
        False,
        "The loss is the mean over the vectors and their first 1/2, 1/4 and 1/8, which keep most of their worth.",
        unit="yes or no",
        group=MORE,
    )
    optimizer: Literal["adamw", "adafactor", "sgd"] = setting(
        "adamw", "The optimizer; its other settings are those of transformers.", unit="name", group=MORE
    )
    scheduler: Literal["linear", "cosine", "constant"] = setting(
        "linear",
        "How the rate goes on after the warm-up: linearly or by a cosine to zero, or not at all.",
        unit="name",
        group=MORE,
    )
    weight_decay: float = setting(
        0.0, "Decoupled weight decay of the optimizer.", unit="per step", ge=0, step=0.01, group=MORE
    )
    pooling: Literal["mean", "cls"] = setting(
        "mean",
        "Pooling of a transformer that does not bring its own. `cls` adds a Linear and Tanh head that is used in "
        "training only. No effect on static encoders.",
        unit="name",
        group=MORE,
    )
    max_seq_length: int = setting(
        64, "Longest text while training; the rest is cut.", unit="tokens", ge=2, group=MORE
    )
    precision: Precision = setting(
        "fp32",
        "Number format while encoding. bf16 and fp16 need a GPU and are refused on a CPU; weights and loss stay in "
        "fp32.",
        unit="name",
        group=MORE,
    )
    distinct_batches: bool = setting(
        True,
        "No row's premise or positive is a text of another row of its batch, so rows that say the same do not push "
        "each other away. Without effect where no text is repeated.",
        unit="yes or no",
        group=MORE,
    )
    seed: int = seed_setting("Seed of batch order, dropout and new weights.")
    device: str = setting(
        "auto",
        "Where to train; `auto` takes the first GPU if there is one.",
        unit="auto, cpu, mps, cuda or cuda:NUMBER",
        pattern=r"auto|cpu|mps|cuda(:\d{1,3})?",
    )
    eval_every: int = setting(
        0,
        "Steps between dev scores. 0 scores only at the end.",
        label="Steps between dev scores",
        unit="optimizer steps",
        ge=0,
    )
    dev_metric: DevMetric = setting(
        "auto",
        "What the dev score is: `sts-dev` (Spearman on STSB-dev of the STS folder), `held-out` (share of held-out "
        "triplets whose positive is nearer than the hard negative), or `auto`, the first that can be computed. A "
        "metric that is named and cannot be computed is refused.",
        unit="name",
        group=MORE,
    )
    keep: Literal["best", "last"] = setting(
        "best",
        "Which weights are saved: those with the best dev score of the run, or those of the last step. Without dev "
        "scores always the last.",
        unit="name",
        group=MORE,
    )
    patience: int = setting(
        0,
        "Early stop: the run ends after this many dev scores in a row without a new best. 0 takes all steps.",
        unit="dev scores",
        ge=0,
        group=MORE,
    )
    keep_every: int = setting(
        0,
        "Steps between copies of the encoder that are kept as encoders of their own, so that a map can show how the "
        "space changed. 0 keeps none.",
        unit="optimizer steps",
        ge=0,
        group=MORE,
    )
    report_to: Tracker = setting(
        "none",
        "Where losses and dev scores go beside this workbench: `tensorboard` writes files into the run's folder, "
        "`wandb` and `trackio` send them to the project multicsr of your own account. Needs the extra `track`.",
        label="Also report to",
        unit="name",
        group=MORE,
    )

    def check_together(self) -> None:
        """Refuse settings that contradict each other, and a threshold that its rule cannot have."""
        require(
            self.warmup_steps <= self.steps,
            f"warmup_steps must be from 0 to steps, got {self.warmup_steps} of {self.steps}.",
        )
        require(
            self.patience == 0 or self.eval_every > 0,
            f"patience {self.patience} counts dev scores, but eval_every is {self.eval_every}; set eval_every too.",
        )
        require(
            self.positives != "dropout" or self.encoder not in STATIC_ENCODERS,
            "A static encoder has no dropout, so both views of a premise would be one vector; "
            "choose a transformer, or positives word_deletion.",
        )
        plain = (self.directions, self.hard_negative_weight, self.hardness) == ("premises", 1.0, 0.0)
        require(
            self.mask_rule != "released" or plain,
            "The rule released is the published code's loss as it is: directions premises, hard_negative_weight 1, "
            "hardness 0.",
        )
        if self.mask_rule == "none":
            return
        require(
            self.threshold_unit == "cosine" or self.mask_rule in ("phi", "released"),
            f"threshold_unit random_pairs belongs to the rules phi and released, got {self.mask_rule}.",
        )
        meaning = threshold_meaning(self.mask_rule, self.threshold_unit)
        MASK_THRESHOLDS[meaning].check(f"mask_threshold of the rule {self.mask_rule}", self.mask_threshold)

    @property
    def needs_guide(self) -> bool:
        """Whether the mask asks a guide."""
        return self.mask_rule not in ("none", "student")


NOT_LEARNED = ("device", "eval_every", "keep", "patience", "keep_every", "report_to")
"""Settings of training that change where a run happens and what is kept of it, but no step."""
_ADDED = ("directions", "hard_negative_weight", "hardness", "matryoshka", "optimizer", "scheduler", "weight_decay")


def learned(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that decide what is learned, for hashes.

    Settings that came later are left out where they have their defaults: what was trained before keeps its hash.
    """
    left_out = {*NOT_LEARNED, *(name for name in _ADDED if getattr(config, name) == getattr(TrainConfig(), name))}
    return {name: value for name, value in asdict(config).items() if name not in left_out}


TRAIN_PRESETS: dict[str, TrainConfig] = {
    "no mask": TrainConfig(mask_rule="none"),
    "guide mask": TrainConfig(mask_rule="phi"),
    "GIST": TrainConfig(mask_rule="gist_absolute", mask_threshold=0.0),
    "released code": TrainConfig(mask_rule="released", mask_threshold=0.95),
    "unsupervised SimCSE": TrainConfig(encoder="all-MiniLM-L6-v2", positives="dropout", mask_rule="none"),
}
"""Named losses to compare; the first four differ in the mask alone, the last reads the premises only."""
