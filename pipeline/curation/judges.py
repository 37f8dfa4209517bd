"""Judges by name: each gives a pair of sentences a raw value, larger for closer meaning."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.curation.calibration import MIN_PAIRS, Calibration, split
from pipeline.evaluation.benchmark import Encoder
from pipeline.evaluation.metrics import row_cosine
from pipeline.generation.llms.registry import LLMEntry, entry_for
from pipeline.records import InputError, Triplet

LIKELIHOOD = "likelihood:smollm2-135m"
GUIDE = "guide:all-MiniLM-L6-v2"
LLM_KINDS = ("likelihood", "entailment", "digit")
"""Kinds of judges that ask an LLM."""
ENSEMBLE = "ensemble"
EMBEDDED_JUDGES = (LIKELIHOOD, GUIDE)
"""The judges whose weights are installed with the project and whose calibration is shipped."""
_CHUNK_PAIRS = 1024


class Judge(Protocol):
    """Anything that scores pairs of sentences; `judge_id` is `<kind>:<model>` and is stored with every score."""

    judge_id: str

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return one raw value per pair, float64 (n,)."""


def load_judge(judge_id: str, entry: LLMEntry | None = None, *, vectors: Path | None = None) -> Judge:
    """Load the model behind `digit:`, `likelihood:` or `entailment:<llm>`, `guide:<encoder>` or `cross:<folder>`.

    vectors: folder where a guide's vectors are kept; None keeps none.
    entry: where the LLM is, for one that a registry knows by name; else the name says it (embedded, or a path).
    Raises InputError for any other kind, and for an LLM that cannot be asked in this way.
    """
    kind, _, model = judge_id.partition(":")
    if kind == "guide" and model:
        from pipeline.encoders import load_encoder
        from pipeline.vectors import CachedEncoder

        return GuideJudge(CachedEncoder(load_encoder(model), vectors), name=model)
    if kind == "cross" and model:
        from pipeline.curation.cross_encoder import load_cross_encoder

        return load_cross_encoder(model, judge_id)
    if kind not in LLM_KINDS or not model:
        known = ", ".join([*(f"{name}:LLM" for name in LLM_KINDS), "guide:ENCODER", "cross:CROSS-ENCODER"])
        raise InputError(f"Judge {judge_id!r} is not known: write {known}.")
    entry = entry or entry_for(model)
    if kind not in kinds_for(entry):
        raise InputError(f"{model} is a server, which can be asked for a digit only: choose digit:{model}.")
    return _remote_judge(judge_id, entry) if entry.kind == "remote" else _local_judge(kind, judge_id, entry)


def score_triplets(
    judge: Judge, triplets: Sequence[Triplet], calibration: Calibration | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Score (premise, positive) and (premise, hard negative) of each triplet.

    Returns a and b, float64 (len(triplets),) each: on 0..5 with a calibration, raw values of the judge without.
    """
    sides = [(t.premise, t.positive) for t in triplets] + [(t.premise, t.hard_negative) for t in triplets]
    scores = judge.scores(sides)
    if calibration is not None:
        scores = calibration.apply(scores)
    return scores[: len(triplets)], scores[len(triplets) :]


def kinds_for(entry: LLMEntry) -> tuple[str, ...]:
    """Return the kinds of judges that this LLM can be: a server does not return the probability of every reply."""
    return ("digit",) if entry.kind == "remote" else LLM_KINDS


def _remote_judge(judge_id: str, entry: LLMEntry) -> Judge:
    from pipeline.curation.remote_digit import RemoteDigitJudge

    return RemoteDigitJudge(entry, judge_id=judge_id)


def _local_judge(kind: str, judge_id: str, entry: LLMEntry) -> Judge:
    from pipeline.curation.digit import DigitJudge, FolderDigitJudge, Seq2SeqDigitJudge
    from pipeline.curation.likelihood import EngineCosts, EntailmentJudge, FolderCosts, LikelihoodJudge
    from pipeline.generation.llms.gguf import GgufLLM
    from pipeline.generation.llms.loading import open_llm
    from pipeline.generation.llms.transformers_llm import EncoderDecoderLLM

    name = judge_id.partition(":")[2]
    llm: Any = open_llm(entry, for_many=True)
    if kind == "digit":
        if isinstance(llm, GgufLLM):
            return DigitJudge(llm.llama, form=llm.form, name=name)
        made = Seq2SeqDigitJudge if isinstance(llm, EncoderDecoderLLM) else FolderDigitJudge
        return made(llm, judge_id=judge_id)
    costs = EngineCosts(llm.llama, llm.form) if isinstance(llm, GgufLLM) else FolderCosts(llm)
    return (LikelihoodJudge if kind == "likelihood" else EntailmentJudge)(costs, name=name)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Judges with their weights; its id begins with `ensemble:`."""

    judge_id: str
    members: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weight: tuple[float, ...]

    def raw(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the raw value float64 (n,) of pairs whose members' raw values, float (n,) each, are given.

        NaN where one of them is missing. Raises InputError for a judge that is not given at all.
        """
        missing = [member for member in self.members if member not in values]
        if missing:
            raise InputError(f"{self.judge_id} needs the scores of {', '.join(missing)}: judge with them first.")
        columns = np.stack([np.asarray(values[member], dtype=np.float64) for member in self.members], axis=1)
        return ((columns - self.mean) / self.std) @ np.asarray(self.weight)

    @property
    def version(self) -> str:
        """Hash of what it is: another fit has another version."""
        return blake2b(json.dumps(asdict(self)).encode(), digest_size=6).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Ensemble":
        """Build an ensemble from `to_json`'s values; InputError when they are not one."""
        try:
            mean, std, weight = (tuple(float(value) for value in fields[name]) for name in ("mean", "std", "weight"))
            return cls(str(fields["judge_id"]), tuple(map(str, fields["members"])), mean, std, weight)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"A stored ensemble cannot be read ({error}); fit it again.") from error


def fit_ensemble(name: str, values: Mapping[str, np.ndarray], gold: np.ndarray, *, seed: int) -> Ensemble:
    """Fit the weights on the pairs that a calibration with the same seed is fitted on; the others stay held out.

    Args:
        name: what comes after `ensemble:`.
        values: raw values by judge, float (n,) each, of the same pairs.
        gold: float (n,).
        seed: of the split.

    Raises:
        InputError: for fewer than two judges, too few pairs with all values, or when no judge agrees with gold.
    """
    from scipy.optimize import nnls

    members = tuple(sorted(values))
    if len(members) < 2:
        raise InputError("An ensemble needs at least two judges.")
    columns = np.stack([np.asarray(values[member], dtype=np.float64) for member in members], axis=1)
    gold = np.asarray(gold, dtype=np.float64)
    usable = np.isfinite(columns).all(axis=1) & np.isfinite(gold)
    columns, gold = columns[usable], gold[usable]
    if len(gold) < MIN_PAIRS:
        raise InputError(f"{len(gold)} pairs have the values of all judges; an ensemble needs at least {MIN_PAIRS}.")
    fitted, _ = split(len(gold), seed)
    columns, gold = columns[fitted], gold[fitted]
    mean, std = columns.mean(axis=0), columns.std(axis=0)
    if not (std > 0).all():
        raise InputError("A judge of the ensemble gives the same value to every pair: leave it out.")
    weight, _ = nnls((columns - mean) / std, gold - gold.mean())
    if not weight.any():
        raise InputError("None of these judges agrees with the gold pairs: an ensemble of them would say nothing.")
    return Ensemble(f"{ENSEMBLE}:{name}", members, *(tuple(part.round(6).tolist()) for part in (mean, std, weight)))


def members_first(judge_ids: Sequence[str], ensembles: Mapping[str, Ensemble]) -> list[str]:
    """Return the judges with every member of an ensemble before it, each once."""
    ordered: dict[str, None] = {}
    for judge_id in judge_ids:
        if judge_id in ensembles:
            ordered.update(dict.fromkeys(ensembles[judge_id].members))
    plain = [judge_id for judge_id in judge_ids if judge_id not in ensembles]
    ordered.update(dict.fromkeys(plain))
    ordered.update(dict.fromkeys(judge_id for judge_id in judge_ids if judge_id in ensembles))
    return list(ordered)


class GuideJudge:
    """Scores sentence pairs by an encoder's cosine; quick, and blind to contradictions that share most words."""

    def __init__(self, encoder: Encoder, name: str = "all-MiniLM-L6-v2", *, batch_size: int = 64) -> None:
        self.encoder = encoder
        self.judge_id = f"guide:{name}"
        self.batch_size = batch_size

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return raw cosines in [-1, 1], float64 (n,); each sentence is encoded once per chunk of pairs."""
        starts = range(0, len(pairs), _CHUNK_PAIRS)
        done = [self._cosines(pairs[start : start + _CHUNK_PAIRS]) for start in starts]
        return np.concatenate(done) if done else np.empty(0, dtype=np.float64)

    def _cosines(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        row_of = {text: row for row, text in enumerate(texts)}
        vectors = np.asarray(self.encoder.encode(texts, batch_size=self.batch_size, show_progress_bar=False))
        first, second = ([row_of[pair[side]] for pair in pairs] for side in (0, 1))
        return row_cosine(vectors[first], vectors[second])
