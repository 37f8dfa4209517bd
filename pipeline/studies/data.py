"""The triplets of an arm: generated, judged and drawn; each premise and each pair is processed once for all arms."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from pipeline.config import GenerationConfig
from pipeline.curation.calibration import Calibration, fit_calibration, gold_pairs
from pipeline.curation.judges import LLM_KINDS, Judge, load_judge
from pipeline.curation.mining import mined_hard_negatives
from pipeline.curation.rules import keeps
from pipeline.exchange import read_triplets
from pipeline.generation.llms.registry import LLMEntry, entry_for
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.text_key import text_key
from pipeline.hub import Hub
from pipeline.premises import read_premises
from pipeline.records import GeneratedTriplet, InputError, Premise, ScoredTriplet, Triplet
from pipeline.studies.cache import Lines, Progress, StudyCache, content_key, model_key
from pipeline.studies.sample_results import SampleResults, pair_id, read_sample
from pipeline.studies.spec import SAMPLE, Arm, Curation, Study

_KEEP_EVERY_S = 2.0
_JUDGED_TOGETHER = 32


def generated_lines(
    premises: Sequence[Premise],
    config: GenerationConfig,
    sample: SampleResults,
    cache: StudyCache,
    *,
    hub: Hub | None,
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """Return one line per premise, by its id; the LLM is loaded only if lines are missing."""
    done = sample.generated(config)
    if all(premise.premise_id in done for premise in premises):
        return done  # without touching the LLM, whose weights may be missing
    lines = _cached_lines(cache, config, hub)
    done = {line["id"]: line for line in lines.read()} | done
    waiting = [premise for premise in premises if premise.premise_id not in done]
    if not waiting:
        return done
    batch: list[dict[str, Any]] = []
    finished, kept = len(premises) - len(waiting), monotonic()
    mark = kept
    for item in generated(waiting, config, hub):
        now = monotonic()
        line = _line(item, seconds=now - mark)
        mark = now
        batch.append(line)
        done[item.premise.premise_id] = line
        if now - kept >= _KEEP_EVERY_S:
            lines.append(batch)
            batch, kept = [], now
        finished += 1
        progress(f"Generating, omega {config.omega:g}", finished, len(premises))
    lines.append(batch)
    return done


def generated(
    premises: Sequence[Premise], config: GenerationConfig, hub: Hub | None, *, for_many: bool = True
) -> Iterator[GeneratedTriplet]:
    """Yield the triplets that the configuration's LLM generates for these premises.

    With `for_many` the fastest engine of the embedded LLM is determined first.
    """
    from pipeline.generation.llms.loading import open_llm
    from pipeline.generation.triplets import generate

    llm = open_llm(llm_entry(config.llm, hub), for_many=for_many, precision=config.precision)
    try:
        yield from generate(premises, config, llm)
    finally:
        llm.close()


def llm_entry(name: str, hub: Hub | None) -> LLMEntry:
    """Return the entry of a study's LLM: a built-in name, a path, or a model of the hub. Raises InputError."""
    return entry_for((hub or Hub()).path(name))


def _cached_lines(cache: StudyCache, config: GenerationConfig, hub: Hub | None) -> Lines:
    """Return the cache lines shared by all settings that give the same texts; see `text_key`."""
    return cache.lines("generated", text_key(config, prompt_set(config.prompt_set), llm_entry(config.llm, hub)))


def _line(item: GeneratedTriplet, *, seconds: float) -> dict[str, Any]:
    return {
        "id": item.premise.premise_id,
        "positive": item.positive.text,
        "hard_negative": item.hard_negative.text,
        "outcomes": [str(item.positive.outcome), str(item.hard_negative.outcome)],
        "ok": item.is_ok,
        "s": round(seconds, 4),
    }


def judged_lines(
    pairs: list[tuple[str, str]],
    judge_id: str,
    sample: SampleResults,
    cache: StudyCache,
    *,
    hub: Hub | None,
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """Return one line with the raw value per pair, by pair id; the judge is loaded only if lines are missing."""
    lines = cache.lines("judged", content_key(judge_id, model_key((hub or Hub()).pinned(judge_id.partition(":")[2]))))
    done = {line["pair"]: line for line in lines.read()} | sample.judged(judge_id)
    waiting = [pair for pair in dict.fromkeys(pairs) if pair_id(pair) not in done]
    if not waiting:
        return done
    judge = judge_named(judge_id, hub, cache.vectors)
    for start in range(0, len(waiting), _JUDGED_TOGETHER):
        batch = waiting[start : start + _JUDGED_TOGETHER]
        since = monotonic()
        values = judge.scores(batch)
        each = round((monotonic() - since) / len(batch), 5)
        rows = [
            {"pair": pair_id(pair), "raw": float(raw), "s": each} for pair, raw in zip(batch, values, strict=True)
        ]
        lines.append(rows)
        done |= {str(row["pair"]): row for row in rows}
        progress(f"Judging with {judge_id}", start + len(batch), len(waiting))
    return done


def judge_named(judge_id: str, hub: Hub | None, vectors: Path | None = None) -> Judge:
    """Load a judge, whose LLM may be on the hub. `vectors`: cache folder of a guide's vectors."""
    kind, _, model = judge_id.partition(":")
    if kind in LLM_KINDS:
        return load_judge(judge_id, llm_entry(model, hub))
    return load_judge(f"{kind}:{(hub or Hub()).pinned(model)}", vectors=vectors)


@dataclass(frozen=True, slots=True)
class ArmData:
    """An arm's triplets and the seconds spent on them (counted in full for every arm that uses them)."""

    triplets: list[Triplet]
    generation_s: float = 0.0
    judging_s: float = 0.0

    def drawn(self, size: int | None, seed: int) -> list[Triplet]:
        """Return the triplets of one cell: all, or `size` of them drawn without replacement."""
        if size is None or size >= len(self.triplets):
            return self.triplets
        chosen = np.sort(np.random.default_rng(seed).choice(len(self.triplets), size, replace=False))
        return [self.triplets[row] for row in chosen]


def in_half(premise: str, half: int) -> bool:
    """Whether this premise is in the random half of this number; its text decides, so all arms have the same."""
    return blake2b(f"{half}\x00{premise}".encode(), digest_size=1).digest()[0] % 2 == 0


@dataclass(slots=True)
class DataSource:
    """Makes the data of a study's arms; models are loaded only for missing parts."""

    study: Study
    cache: StudyCache
    calibrations: Sequence[Calibration] = ()
    """Shipped calibrations."""
    snapshot: Callable[[str], list[Triplet]] | None = None
    """Reads a workspace's snapshot by name; None without a workspace."""
    hub: Hub | None = None
    """Resolves hub names; None takes what is on this machine."""
    progress: Progress = lambda what, done, total: None
    _sample: SampleResults | None = None

    def before_curation(self, arm: Arm) -> ArmData:
        """Return the arm's triplets as generated or read from a file or snapshot."""
        if arm.generation is not None:
            return self._generated(arm.generation)
        if arm.file is not None:
            return ArmData(read_triplets(arm.file).triplets)
        if self.snapshot is None:
            raise InputError(f"Arm {arm.name!r} names a snapshot, but there is no workspace; name its triplets file.")
        return ArmData(self.snapshot(arm.snapshot or ""))

    def of(self, arm: Arm) -> ArmData:
        """Return the arm's triplets, as it is trained on them. Raises InputError if none remain."""
        data = self._own(arm)
        for name in arm.add:
            other = self._own(self.study.arm(name))
            data = ArmData(
                list(dict.fromkeys([*data.triplets, *other.triplets])),
                data.generation_s + other.generation_s,
                data.judging_s + other.judging_s,
            )
        if arm.hard_negatives != "written" and data.triplets:
            from pipeline.encoders import load_encoder

            self.progress(f"Mining hard negatives for {arm.name}", 0, 1)
            mined = mined_hard_negatives(data.triplets, load_encoder(arm.train.guide))
            data = replace(data, triplets=mined if arm.hard_negatives == "mined" else [*data.triplets, *mined])
        if not data.triplets:
            raise InputError(f"Arm {arm.name!r} has no triplet left; loosen its rule or give it more premises.")
        if arm.scored_by is not None:
            a, b, seconds = self._scores(data.triplets, arm.scored_by)
            scored: list[Triplet] = [
                ScoredTriplet(t.premise, t.positive, t.hard_negative, float(near), float(far))
                for t, near, far in zip(data.triplets, a, b, strict=True)
            ]
            data = replace(data, triplets=scored, judging_s=max(data.judging_s, seconds))
        return data

    def _own(self, arm: Arm) -> ArmData:
        data = self.before_curation(arm)
        return data if arm.curation is None else self._curated(data, arm.curation)

    def premises(self) -> list[Premise]:
        """Return the study's premises."""
        if self.study.premises is None:
            raise InputError(f"Study {self.study.name} names no premises.")
        read = read_premises(self.study.premises, column=self.study.column)
        return read.premises[: self.study.limit]

    def sample(self) -> SampleResults:
        """Return the triplets and judgements shipped with the study's corpus."""
        if self._sample is None:
            corpus = self.study.premises if self.study.premises_name == SAMPLE else None
            self._sample = SampleResults() if corpus is None else read_sample(corpus)
        return self._sample

    def _generated(self, config: GenerationConfig) -> ArmData:
        premises = self.premises()
        lines = generated_lines(premises, config, self.sample(), self.cache, hub=self.hub, progress=self.progress)
        found = [(premise, lines[premise.premise_id]) for premise in premises]
        triplets = [Triplet(p.text, line["positive"], line["hard_negative"]) for p, line in found if line["ok"]]
        return ArmData(triplets, generation_s=sum(line["s"] for _, line in found))

    def _curated(self, data: ArmData, curation: Curation) -> ArmData:
        a, b, seconds = self._scores(data.triplets, curation)
        kept = keeps(curation.rule, a, b)
        triplets = [triplet for triplet, keep in zip(data.triplets, kept, strict=True) if keep]
        return ArmData(triplets, generation_s=data.generation_s, judging_s=seconds)

    def _scores(self, triplets: Sequence[Triplet], curation: Curation) -> tuple[np.ndarray, np.ndarray, float]:
        """Return scores of positives and of hard negatives, float64 (triplets,) each, and the seconds they took."""
        pairs = [(t.premise, t.positive) for t in triplets] + [(t.premise, t.hard_negative) for t in triplets]
        raw, seconds = self._judged(pairs, curation.judge)
        scores = self.calibration(curation).apply(raw)
        return scores[: len(triplets)], scores[len(triplets) :], seconds

    def _judged(self, pairs: list[tuple[str, str]], judge_id: str) -> tuple[np.ndarray, float]:
        """Return raw values, float64 (pairs,), and the seconds that computing them took."""
        lines = judged_lines(pairs, judge_id, self.sample(), self.cache, hub=self.hub, progress=self.progress)
        found = [lines[pair_id(pair)] for pair in pairs]
        return np.array([line["raw"] for line in found]), sum(line["s"] for line in found)

    def calibration(self, curation: Curation) -> Calibration:
        """Return the judge's calibration: fitted on the arm's gold folder, or else the shipped one."""
        if curation.gold_dir is not None:
            return self._fitted(curation.judge, curation.gold_dir)
        found = next((curve for curve in self.calibrations if curve.judge_id == curation.judge), None)
        if found is None and curation.judge.startswith("digit:"):
            return Calibration(
                curation.judge, "as-answered", (0.0, 5.0), (0.0, 5.0), 0, 0, "the judge's own scale", 0, 0
            )
        if found is None:
            raise InputError(
                f"No calibration is shipped for judge {curation.judge}; "
                "name a folder with gold pairs (STSB-dev.tsv, SICKR-train.tsv) as gold_dir under curation."
            )
        return found

    def _fitted(self, judge_id: str, folder: Path) -> Calibration:
        gold = gold_pairs(folder)
        raw, _ = self._judged(gold.pairs, judge_id)
        return fit_calibration(judge_id, raw, gold.gold, fitted_on=gold.name, seed=0)
