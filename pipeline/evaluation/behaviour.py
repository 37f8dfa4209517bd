"""Behavioural tests for pairs of sentences: what an encoder should do, one capability at a time.

Three kinds, after CheckList (Ribeiro et al. 2020, arXiv 2005.04118), adapted from labels to similarities. Cosines of
different encoders have different scales; results therefore use relative similarity instead of fixed cosines:
(cosine - u) / (1 - u), with u the encoder's mean cosine over the suite's unrelated pairs. 0 is unrelated, 1 is equal.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.evaluation import behaviour_templates as templates
from pipeline.evaluation.metrics import row_cosine
from pipeline.records import InputError, text_id

Kind = Literal["same", "different", "invariance", "directional"]

SAME_AT_LEAST = 0.5
"""Least relative similarity of a pair with the same meaning; pairs with different meanings must stay below."""
INVARIANCE = 0.1
"""Largest shift of the relative similarity by a change that does not affect the meaning."""
REFERENCE = "unrelated"
"""Capability whose pairs are the zero of the relative similarity."""

KIND_WORDS: dict[Kind, str] = {
    "same": "minimum functionality: the pair means the same, so the similarity should reach the midpoint",
    "different": "minimum functionality: the meanings differ, so the similarity should be below the midpoint",
    "invariance": "the change adds no meaning, so the similarity to the other sentence should move by at most 0.1",
    "directional": "the other sentence should be nearer to the first than the third is",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One behavioural test."""

    case_id: str
    capability: str
    kind: Kind
    sentence: str
    other: str
    third: str | None
    """Directional: the sentence that must be farther. Invariance: `sentence` with a change that adds no meaning."""

    @classmethod
    def of(cls, capability: str, kind: Kind, sentence: str, other: str, third: str | None) -> "Case":
        """Build a case whose id is a hash of its content. InputError for an unknown kind or missing sentences."""
        if kind not in KIND_WORDS:
            raise InputError(f"There is no kind of test {kind!r}; choose one of {', '.join(KIND_WORDS)}.")
        texts = [capability, sentence, other] + ([third or ""] if kind in ("invariance", "directional") else [])
        if not all(text.strip() for text in texts):
            raise InputError(f"A test of the kind {kind} needs a capability and {len(texts) - 1} sentences.")
        identity = "\n".join((capability, kind, sentence, other, third or ""))
        return cls(text_id(identity), capability, kind, sentence, other, third)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """Result of an encoder on one case."""

    case: Case
    similarity: float
    """Relative similarity of sentence and other."""
    third: float | None
    """Relative similarity of the third sentence: to the first (directional), to the other one (invariance)."""
    passed: bool
    margin: float
    """Distance from failing in relative similarity; positive if passed."""


_CAPABILITIES: tuple[tuple[str, Kind, Callable[[], Iterator[templates.Texts]]], ...] = (
    (REFERENCE, "different", templates.unrelated),
    ("paraphrase", "same", templates.paraphrases),
    ("synonym", "directional", templates.synonyms),
    ("antonym", "different", templates.antonyms),
    ("negation", "directional", templates.negations),
    ("number change", "directional", templates.numbers),
    ("role swap", "directional", templates.role_swaps),
    ("active and passive", "same", templates.voices),
    ("hypernym", "directional", templates.hypernyms),
    ("tense", "directional", templates.tenses),
    ("typo", "invariance", templates.typos),
    ("punctuation", "invariance", templates.punctuation),
    ("irrelevant addition", "invariance", templates.additions),
    ("word order", "directional", templates.word_orders),
    ("named entity swap", "directional", templates.name_swaps),
)
CAPABILITIES = tuple(name for name, *_ in _CAPABILITIES)


def built_in_cases() -> list[Case]:
    """Fill the templates; always gives the same cases in the same order."""
    return [
        Case.of(capability, kind, sentence, other, third)
        for capability, kind, texts in _CAPABILITIES
        for sentence, other, third in texts()
    ]


def read_cases(path: Path) -> list[Case]:
    """Read cases from JSON lines. Raises InputError with the number of the first invalid line."""
    cases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                cases.append(case_of(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(f"{path} line {number} is not a behavioural test ({error}).") from error
    return cases


def pairs_of(cases: Iterable[Case]) -> list[tuple[str, str]]:
    """Return the sentence pairs whose similarity the cases need: one each, and a second if there is a third text."""
    pairs = []
    for case in cases:
        pairs.append((case.sentence, case.other))
        if case.third is not None:
            pairs.append(_third_pair(case, case.third))
    return pairs


def run_cases(cases: Sequence[Case], encoder: Any) -> list[CaseResult]:
    """Run cases on an encoder, which has encode(sentences, batch_size=, show_progress_bar=) -> (n, d).

    The built-in unrelated pairs define the zero of the similarities and are always encoded.
    """
    reference = [Case.of(REFERENCE, "different", *texts) for texts in templates.unrelated()]
    pairs = list(dict.fromkeys(pairs_of([*reference, *cases])))
    texts = sorted({text for pair in pairs for text in pair})
    vectors = np.asarray(encoder.encode(texts, batch_size=64, show_progress_bar=False))
    row = {text: number for number, text in enumerate(texts)}
    cosines = row_cosine(vectors[[row[a] for a, _ in pairs]], vectors[[row[b] for _, b in pairs]])
    cosine = dict(zip(pairs, cosines.tolist(), strict=True))
    zero = float(np.mean([cosine[case.sentence, case.other] for case in reference]))
    unit = max(1e-6, 1 - zero)
    return [_result(case, {pair: (value - zero) / unit for pair, value in cosine.items()}) for case in cases]


@dataclass(frozen=True, slots=True)
class CapabilityScore:
    """How many cases of one capability an encoder passes."""

    capability: str
    kind: Kind
    cases: int
    passed: int

    @property
    def share(self) -> float:
        """Passed cases as a fraction."""
        return self.passed / self.cases


def by_capability(results: Iterable[CaseResult]) -> list[CapabilityScore]:
    """Count passes per capability and kind, in order of first occurrence."""
    groups: dict[tuple[str, Kind], list[bool]] = {}
    for result in results:
        groups.setdefault((result.case.capability, result.case.kind), []).append(result.passed)
    return [
        CapabilityScore(capability, kind, len(passed), sum(passed)) for (capability, kind), passed in groups.items()
    ]


def _result(case: Case, similarity: dict[tuple[str, str], float]) -> CaseResult:
    own = similarity[case.sentence, case.other]
    third = None if case.third is None else similarity[_third_pair(case, case.third)]
    if case.kind == "same":
        margin = own - SAME_AT_LEAST
    elif case.kind == "different":
        margin = SAME_AT_LEAST - own
    elif case.kind == "invariance":
        margin = INVARIANCE - abs(own - (third or 0.0))
    else:
        margin = own - (third or 0.0)
    return CaseResult(case, own, third, margin > 0, margin)


def _third_pair(case: Case, third: str) -> tuple[str, str]:
    return (third, case.other) if case.kind == "invariance" else (case.sentence, third)


def case_of(fields: dict[str, Any]) -> Case:
    """Build a case from `asdict`'s values, computing its id anew. Raises KeyError or InputError."""
    return Case.of(fields["capability"], fields["kind"], fields["sentence"], fields["other"], fields.get("third"))
