"""Records passed between stages. All are frozen: a stage returns new ones."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from unicodedata import normalize


class Side(StrEnum):
    """One of the two generated sentences of a triplet."""

    POSITIVE = "positive"
    HARD_NEGATIVE = "hard_negative"


class Outcome(StrEnum):
    """How the generation of one side ended; every premise has exactly one per side."""

    OK = "ok"
    COPY = "copy"
    NEAR_COPY = "near_copy"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    REFUSED = "refused"
    LOOP = "loop"
    WRONG_LANGUAGE = "wrong_language"
    TOO_LONG = "too_long"
    FAILED = "failed"


class Contrast(StrEnum):
    """How the opposite instruction was used: per token, by reranking whole sentences, or not at all."""

    TOKEN = "token"
    TOKEN_TOP20 = "token-top20"
    """Per token, among the best twenty that a server shows."""
    SEQUENCE = "sequence"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Premise:
    """One input sentence, identified by its text."""

    premise_id: str
    text: str

    @classmethod
    def from_text(cls, text: str) -> "Premise":
        """Build a premise whose id is a hash of its text, so that equal texts are one premise."""
        return cls(premise_id=text_id(text), text=text)


@dataclass(frozen=True, slots=True)
class SideResult:
    """Result of generation for one side: cleaned text, raw text, outcome, number of tokens."""

    text: str
    raw: str
    outcome: Outcome
    tokens: int = 0
    reason: str = ""
    """Why it failed, in words, where more than the outcome is known."""


@dataclass(frozen=True, slots=True)
class GeneratedTriplet:
    """A premise with both generated sides; usable for training only when both outcomes are ok."""

    premise: Premise
    positive: SideResult
    hard_negative: SideResult
    contrast: Contrast

    @property
    def is_ok(self) -> bool:
        """Whether both outcomes are ok."""
        return self.positive.outcome is Outcome.OK and self.hard_negative.outcome is Outcome.OK

    @property
    def triplet(self) -> "Triplet":
        """The three texts alone, for training."""
        return Triplet(self.premise.text, self.positive.text, self.hard_negative.text)


@dataclass(frozen=True, slots=True)
class Triplet:
    """(premise, positive, hard negative) as plain text: the unit of training."""

    premise: str
    positive: str
    hard_negative: str


@dataclass(frozen=True, slots=True)
class ScoredTriplet(Triplet):
    """A triplet with a judge's scores of its two pairs, from 0 to 5; NaN where there is none."""

    positive_score: float
    hard_negative_score: float


@dataclass(frozen=True, slots=True)
class EvalScore:
    """Spearman of one encoder on one task: a fraction in [-1, 1]; multiplied by 100 only on screen."""

    task: str
    spearman: float
    pairs: int


def text_id(text: str) -> str:
    """Return 16 hex digits of BLAKE2b over the text in UTF-8: the id of a premise.

    An accented letter may be one character or two in Unicode (NFC, NFD); both spellings have the same id.
    """
    return blake2b(normalize("NFC", text).encode(), digest_size=8).hexdigest()


class InputError(ValueError):
    """Seen by the person who supplied the input: a file, a setting or a name that cannot be used."""


class UnreachableError(InputError):
    """Seen by the person whose request needs the network when it cannot be reached."""


class WeightsError(InputError):
    """Seen by the person who chose a model: its files are missing, damaged or of a kind not accepted."""


class TrainingError(InputError):
    """Seen by the person whose run stopped because its loss or weights became unusable during training."""


class StorageError(OSError):
    """Seen by the person whose disk is full or whose folder cannot be written."""


class Stopped(Exception):
    """Raised to leave unfinished work after a request to stop; what is done is kept."""
