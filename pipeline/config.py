"""Settings of every stage: frozen, checked where they are made, stored whole with each run; see train_config."""

from dataclasses import dataclass, fields
from typing import Literal

from pipeline.settings import Settings, redeclared, require, seed_setting, setting
from pipeline.train_config import TrainConfig
from pipeline.weights import BUILT_IN_LLMS

ChoiceRule = Literal["first", "contrast", "contrast_per_token", "least_overlap"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

SAMPLING, BUDGET, CANDIDATES, CELLS = "sampling", "budget", "candidates", "cells"
"""Groups of the forms; settings of no group stand in the main part."""


@dataclass(frozen=True, slots=True)
class Sampling(Settings):
    """How an LLM goes on from a prompt, whatever the prompt is for."""

    llm: str = setting(
        "smollm2-135m",
        "The LLM: a name of the registry, or the path of a GGUF file or transformers folder.",
        label="LLM",
        unit="name or path",
        suggestions=BUILT_IN_LLMS,
    )
    plausibility: float = setting(
        0.1,
        "Tokens whose probability under the own prompt is below this share of the best token's are never chosen. "
        "0 switches the cut off, as in the paper.",
        label="Plausibility cut",
        unit="share",
        ge=0,
        le=1,
        step=0.05,
        slider=(0.0, 0.5),
    )
    temperature: float = setting(
        0.0,
        "Softmax temperature of the choice of tokens. 0 always takes the best token.",
        ge=0,
        step=0.1,
        slider=(0.0, 1.5),
        group=SAMPLING,
    )
    top_p: float = setting(
        1.0,
        "The smallest set of best tokens with this much mass is kept when sampling. No effect at temperature 0.",
        label="Nucleus mass (top p)",
        unit="share",
        gt=0,
        le=1,
        step=0.05,
        slider=(0.05, 1.0),
        group=SAMPLING,
    )
    min_p: float = setting(
        0.0,
        "Tokens below this share of the best token's probability, after contrast and temperature, are not sampled. "
        "0 switches it off; no effect at temperature 0. A server gets it as min_p.",
        label="Minimum share of the best token (min p)",
        unit="share",
        ge=0,
        le=1,
        step=0.05,
        slider=(0.0, 0.5),
        group=SAMPLING,
    )
    seed: int = seed_setting(
        "Seed of the sampler. The same seed, batch size and backend give the same text; another batch size may not, "
        "because the last bits of the logits depend on it.",
        group=SAMPLING,
    )
    max_new_tokens: int = setting(
        48,
        "Longest reply. A reply cut there has the outcome truncated.",
        label="Longest reply (tokens)",
        unit="tokens",
        ge=1,
        group=SAMPLING,
    )
    reasoning_tokens: int = setting(
        512,
        "Longest thought of a reasoning model, before its reply and not counted in it; one that is cut leaves the "
        "outcome truncated. Where a model's chat template can switch thinking off, it is off. No effect on others.",
        label="Longest thought (tokens)",
        unit="tokens",
        ge=0,
        le=100_000,
        group=SAMPLING,
    )
    batch_size: int = setting(
        0,
        "Replies decoded together; each takes two rows of the batch while omega is above 0. 0 picks the fastest "
        "batch size on this machine: on a CPU 31 in llama.cpp and 62 in torch under contrast, 32 in transformers' "
        "own code; on a GPU 1,024, halved while memory does not suffice.",
        label="Batch size (replies)",
        unit="replies",
        ge=0,
        group=SAMPLING,
    )
    precision: Precision = setting(
        "auto",
        "Number format in which the engine in torch multiplies. auto: on a CPU the faster of fp32 and bf16, which a "
        "trial finds out once, on a GPU bf16; fp16 needs a GPU. Each writes texts of its own. No effect in llama.cpp "
        "and transformers' own code, or on servers.",
        unit="name",
        group=SAMPLING,
    )
    token_budget: int = setting(
        0,
        "Maximum number of tokens that a server may charge for in one run, prompts and replies together. No call is "
        "made that could exceed it. 0 sets no limit; no effect on LLMs that run here.",
        unit="tokens",
        ge=0,
        le=10**12,
        step=10_000,
        group=BUDGET,
    )
    money_budget: float = setting(
        0.0,
        "Maximum amount that a server may charge in one run, at the prices of the LLM's entry. 0 sets no limit.",
        unit="money",
        ge=0,
        step=0.1,
        group=BUDGET,
    )


@dataclass(frozen=True, slots=True)
class GenerationConfig(Sampling):
    """Stage 1: how a positive and a hard negative are written for each premise."""

    prompt_set: str = setting(
        "default",
        "The prompt set: instructions, examples, opposites, stop strings, clean-up. Shipped: `default`, `against "
        "copying`, `strict`, `questions`, `short`, `no examples`, `dino`; a workspace adds its own.",
        label="Prompts",
        unit="name or name@version",
    )
    omega: float = setting(
        0.6,
        "Weight of the opposite instruction in z = l - omega * l^. 0 is plain generation at half the rows, without "
        "the opposite prompt; a larger one moves the sentence further away from what the opposite asks for.",
        label="Contrast ω",
        ge=0,
        lt=1,
        step=0.05,
        slider=(0.0, 0.95),
    )
    damping: float = setting(
        0.0,
        "λ of the contrast of DINO (2021): above 0 a token that the opposite prompt makes likelier is damped by "
        "exp(-λ (p^ - p)), at most a hundredfold, instead of z = l - omega * l^; omega above 0 then only switches it "
        "on. DINO takes 100.",
        label="Damping λ (DINO)",
        ge=0,
        le=10_000,
        step=10.0,
        group=SAMPLING,
    )
    candidates: int = setting(
        1,
        "Replies drawn per side, of which one is kept. More than one needs a temperature above 0. A server that "
        "returns log-probabilities of prompts takes part in the contrast this way only.",
        label="Candidates per side",
        unit="replies",
        ge=1,
        le=64,
        group=CANDIDATES,
    )
    choice: ChoiceRule = setting(
        "contrast",
        "Which of several usable candidates is kept: `first`; `contrast`, the greatest log p(own) - omega * "
        "log p(opposite) of the whole reply; `contrast_per_token`, the same divided by its tokens; `least_overlap`, "
        "the smallest share of words that the premise holds too.",
        label="Candidate kept",
        unit="rule",
        words={
            "first": "first usable one",
            "contrast": "greatest log p(own) - ω log p(opposite)",
            "contrast_per_token": "the same, per token",
            "least_overlap": "fewest words of the premise",
        },
        group=CANDIDATES,
    )

    def check_together(self) -> None:
        """Refuse several candidates that would all be the same."""
        require(
            self.candidates == 1 or self.temperature > 0,
            f"candidates is {self.candidates} at temperature 0, where all would be the same: raise the temperature.",
        )


def plain(config: Sampling) -> GenerationConfig:
    """Return the same sampling without an opposite prompt: how an LLM goes on from a single text."""
    return GenerationConfig(omega=0.0, **{item.name: getattr(config, item.name) for item in fields(Sampling)})


NOT_SENT = ("token_budget", "money_budget")
"""Settings of sampling that change no text: what a run may cost."""
SAMPLED_ONLY = ("top_p", "min_p", "seed", "candidates", "choice")
"""Settings that change a text only at a temperature above 0."""


@dataclass(frozen=True, slots=True)
class ScratchConfig(Sampling):
    """Premises from scratch: which cells of topic x genre x length an LLM fills, and how."""

    temperature: float = redeclared(
        Sampling,
        "temperature",
        0.8,
        help="Softmax temperature. 0 always takes the best token: every attempt at a cell gives the same text.",
    )
    top_p: float = redeclared(Sampling, "top_p", 0.95)
    max_new_tokens: int = redeclared(
        Sampling,
        "max_new_tokens",
        56,
        help="Longest premise. One cut there has the outcome truncated.",
        label="Longest premise (tokens)",
        ge=4,
    )
    batch_size: int = redeclared(
        Sampling,
        "batch_size",
        0,
        help="Premises written together. 0 picks the fastest batch size on this machine.",
        label="Batch size (premises)",
        unit="premises",
    )
    topics: tuple[str, ...] = setting(
        (),
        "What the sentences are about, in a word or two each: choose some, or type your own, several at once with "
        "commas between them. An empty list takes the built-in list of 48.",
        unit="words",
        group=CELLS,
        empty="All built-in topics",
    )
    genres: tuple[str, ...] = setting(
        (),
        "Kinds of sentences: caption, news, question, story, fact, opinion, advice, message. An empty list takes "
        "all. Each has its own prompt of five examples.",
        unit="names",
        group=CELLS,
        empty="All genres",
    )
    lengths: tuple[str, ...] = setting(
        (),
        "Lengths wanted: short (up to 7 words), medium (8 to 12), long (more). An empty list takes all. A sentence "
        "is filed under the length it has, whatever was asked for.",
        unit="names",
        group=CELLS,
        empty="All: short, medium, long",
        words={"short": "short: up to 7 words", "medium": "medium: 8 to 12", "long": "long: 13 and more"},
    )
    per_cell: int = setting(
        3,
        "Premises wanted for each topic, genre and length.",
        label="Premises per cell",
        unit="premises",
        ge=1,
        le=10_000,
        group=CELLS,
    )
    near_duplicate: float = setting(
        0.7,
        "A premise that shares this fraction of all words with an earlier one is a near duplicate and left out.",
        label="Near duplicate from",
        unit="share",
        gt=0,
        le=1,
        step=0.05,
        slider=(0.3, 1.0),
        group=SAMPLING,
    )
    tries: int = setting(
        3,
        "Maximum number of attempts at a cell, in multiples of `per_cell`.",
        label="Attempts per wanted premise",
        unit="multiple",
        ge=1,
        le=100,
        group=SAMPLING,
    )

    def check_together(self) -> None:
        """Take names once and without spaces around them; refuse a topic that is longer than a word or two."""
        for name in ("topics", "genres", "lengths"):
            values = tuple(dict.fromkeys(" ".join(value.split()) for value in getattr(self, name)))
            object.__setattr__(self, name, tuple(value for value in values if value))
        long = next((topic for topic in self.topics if len(topic) > 60), "")
        require(not long, f"A topic has at most 60 characters; shorten {long[:40]!r}.")


@dataclass(frozen=True, slots=True)
class CurationRule(Settings):
    """Stage 2: a triplet is kept when a ≥ alpha, b ≤ beta and a ≥ b + gamma (scores of 0 to 5)."""

    # The defaults are those of the study `stages`, chosen on STSB-dev (docs/stage-ablation.md): they drop hard
    # negatives that say what the premise says. The released thresholds keep a sixth of the sample corpus.

    alpha: float = setting(
        0.0,
        "Minimum score a of (premise, positive).",
        label="α: minimum score of the positive",
        unit="score",
        ge=0,
        le=5,
        step=0.05,
        slider=(0.0, 5.0),
    )
    beta: float = setting(
        4.5,
        "Maximum score b of (premise, hard negative).",
        label="β: maximum score of the hard negative",
        unit="score",
        ge=0,
        le=5,
        step=0.05,
        slider=(0.0, 5.0),
    )
    gamma: float = setting(
        -1.0,
        "Minimum gap a - b.",
        label="γ: minimum gap between the two",
        unit="score",
        ge=-5,
        le=5,
        step=0.05,
        slider=(-5.0, 5.0),
    )


RULE_PRESETS: dict[str, CurationRule] = {
    "default": CurationRule(),
    "released default": CurationRule(alpha=3.0, beta=3.0, gamma=0.1),
    "gap only": CurationRule(alpha=0.0, beta=5.0, gamma=0.1),
    "keep all": CurationRule(alpha=0.0, beta=5.0, gamma=-5.0),
}
"""Named starting points; the released code asks for a gap above zero, which is one step of the slider here."""


CONFIGS: tuple[type[Settings], ...] = (GenerationConfig, ScratchConfig, CurationRule, TrainConfig)
"""Every config that a person fills in, in the order of the stages."""
