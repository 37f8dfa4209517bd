"""Settings of stage 3: training an encoder."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline.mask_thresholds import MASK_THRESHOLDS, USUAL_THRESHOLDS, threshold_meaning
from pipeline.settings import Settings, require, seed_setting, setting
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
        "Peak learning rate. None takes the encoder's own: 0.002 for a static encoder, 0.00005 for a transformer, "
        "0.0005 with LoRA.",
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
    hard_negatives_per_row: int = setting(
        1,
        "Triplets of one premise with one positive share a row with up to this many hard negatives, all of them "
        "candidates of every premise. 1 leaves every triplet in a row of its own, in batches of their own. Above 1 "
        "for one process.",
        unit="hard negatives",
        ge=1,
        le=64,
        group=MORE,
    )
    hardness: float = setting(
        0.0,
        "Weight of hardness: an own hard negative counts exp(hardness x its cosine) times (EmbeddingGemma, with 5).",
        unit="per cosine",
        ge=0,
        group=MORE,
    )
    cosent_weight: float = setting(
        0.0,
        "Share of CoSENT in the loss: pairs that a judge scores higher shall have higher cosines, over all premises "
        "of the batch. Needs a judge's scores. 0 is the contrastive loss alone, 1 CoSENT alone.",
        label="CoSENT's share",
        unit="share",
        ge=0,
        le=1,
        step=0.05,
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
    lora_rank: int = setting(
        0,
        "Rank of LoRA adapters beside all linear layers of a transformer, which are trained in place of its own "
        "weights: less memory and small checkpoints. They are added to the weights when the encoder is saved. 0 "
        "trains the weights themselves; 16 is usual. Needs the extra `lora`.",
        label="LoRA rank",
        unit="rank",
        ge=0,
        le=1024,
        group=MORE,
    )
    pooling: Literal["mean", "cls", "lasttoken"] = setting(
        "mean",
        "Pooling of a transformer that does not bring its own: the mean of its tokens, the first or the last one, "
        "which alone has read the whole text in a decoder. `cls` adds a Linear and Tanh head that is used in "
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
        require(
            self.lora_rank == 0 or self.encoder not in STATIC_ENCODERS,
            f"lora_rank {self.lora_rank} puts adapters beside layers, and a static encoder has none; choose a "
            "transformer, or 0.",
        )
        require(
            self.cosent_weight == 0 or self.positives == "written",
            f"cosent_weight {self.cosent_weight:g} compares scores of written pairs; choose positives written, or 0.",
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
_ADDED = (
    *("directions", "hard_negative_weight", "hardness", "matryoshka", "optimizer", "scheduler", "weight_decay"),
    *("lora_rank", "hard_negatives_per_row", "cosent_weight"),
)


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
