"""The triplets of an arm: generated, judged and drawn; each premise and pair is worked on once for all arms."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from pipeline.config import GenerationConfig
from pipeline.curation.calibration import Calibration, fit_calibration
from pipeline.curation.judges import Judge, load_judge
from pipeline.curation.rules import keeps
from pipeline.errors import InputError
from pipeline.evaluation.sts import find_tasks, read_task
from pipeline.exchange import read_triplets
from pipeline.premises import read_premises
from pipeline.records import GeneratedTriplet, Premise, Triplet, text_id
from pipeline.studies.hub import MODEL, Hub
from pipeline.studies.shelf import Lines, Shelf, content_key
from pipeline.studies.spec import Arm, Curation, Study

Progress = Callable[[str, int, int], None]
"""progress(what is being done, how many are done, of how many)."""

GOLD_PAIRS = 500
_KEEP_EVERY_S = 2.0
_JUDGED_TOGETHER = 32


@dataclass(frozen=True, slots=True)
class ArmData:
    """What an arm trains on, and what making it cost (counted whole for every arm that uses it)."""

    triplets: list[Triplet]
    generation_s: float = 0.0
    judging_s: float = 0.0

    def drawn(self, size: int | None, seed: int) -> list[Triplet]:
        """Return the triplets of one cell: all, or `size` of them drawn without replacement by this seed."""
        if size is None or size >= len(self.triplets):
            return self.triplets
        chosen = np.sort(np.random.default_rng(seed).choice(len(self.triplets), size, replace=False))
        return [self.triplets[row] for row in chosen]


@dataclass(slots=True)
class DataSource:
    """Makes the data of a study's arms; models are loaded only when something is missing."""

    study: Study
    shelf: Shelf
    calibrations: Sequence[Calibration] = ()
    """Curves shipped for known judges."""
    snapshot: Callable[[str], list[Triplet]] | None = None
    """Reads a snapshot of a workspace by name; None where there is no workspace."""
    hub: Hub | None = None
    """Finds models named on the hub; None where only built-in names and folders are used."""
    progress: Progress = lambda what, done, total: None

    def before_curation(self, arm: Arm) -> ArmData:
        """Return the arm's triplets as stage 1 or a file gave them."""
        if arm.generation is not None:
            return self._generated(arm.generation)
        if arm.file is not None:
            return ArmData(read_triplets(arm.file).triplets)
        if self.snapshot is None:
            raise InputError(f"Arm {arm.name!r} names a snapshot, but there is no workspace; name its triplets file.")
        return ArmData(self.snapshot(arm.snapshot or ""))

    def of(self, arm: Arm) -> ArmData:
        """Return the arm's triplets after curation. Raises InputError when none is left."""
        data = self.before_curation(arm)
        if arm.curation is not None:
            data = self._curated(data, arm.curation)
        if not data.triplets:
            raise InputError(f"Arm {arm.name!r} has no triplet left; loosen its rule or give it more premises.")
        return data

    def premises(self) -> list[Premise]:
        """Return the study's premises."""
        if self.study.premises is None:
            raise InputError(f"Study {self.study.name} names no premises.")
        read = read_premises(self.study.premises, column=self.study.column)
        return read.premises[: self.study.limit]

    def missing(self, config: GenerationConfig) -> int:
        """Return how many premises are still to be generated with these settings."""
        done = {line["id"] for line in self._generation_lines(config).read()}
        return sum(premise.premise_id not in done for premise in self.premises())

    def _generation_lines(self, config: GenerationConfig) -> Lines:
        return self.shelf.lines("generated", content_key(asdict(config), model_key(config.llm)))

    def _generated(self, config: GenerationConfig) -> ArmData:
        premises, lines = self.premises(), self._generation_lines(config)
        done = {line["id"]: line for line in lines.read()}
        waiting = [premise for premise in premises if premise.premise_id not in done]
        if waiting:
            what = f"Generating, omega {config.omega:g}"
            batch: list[dict[str, Any]] = []
            finished, kept = len(premises) - len(waiting), monotonic()
            mark = kept
            for item in generated(waiting, config, self.hub):
                now = monotonic()
                line = {
                    "id": item.premise.premise_id,
                    "positive": item.positive.text,
                    "hard_negative": item.hard_negative.text,
                    "outcomes": [str(item.positive.outcome), str(item.hard_negative.outcome)],
                    "ok": item.is_ok,
                    "s": round(now - mark, 4),
                }
                mark = now
                batch.append(line)
                done[item.premise.premise_id] = line
                if now - kept >= _KEEP_EVERY_S:
                    lines.append(batch)
                    batch, kept = [], now
                finished += 1
                self.progress(what, finished, len(premises))
            lines.append(batch)
        found = [(premise, done[premise.premise_id]) for premise in premises]
        triplets = [Triplet(p.text, line["positive"], line["hard_negative"]) for p, line in found if line["ok"]]
        return ArmData(triplets, generation_s=sum(line["s"] for _, line in found))

    def _curated(self, data: ArmData, curation: Curation) -> ArmData:
        positives = [(t.premise, t.positive) for t in data.triplets]
        negatives = [(t.premise, t.hard_negative) for t in data.triplets]
        raw, seconds = self._judged([*positives, *negatives], curation.judge)
        scores = self.calibration(curation).apply(raw)
        kept = keeps(curation.rule, scores[: len(positives)], scores[len(positives) :])
        triplets = [triplet for triplet, keep in zip(data.triplets, kept, strict=True) if keep]
        return ArmData(triplets, generation_s=data.generation_s, judging_s=seconds)

    def _judged(self, pairs: list[tuple[str, str]], judge_id: str) -> tuple[np.ndarray, float]:
        """Return raw values, float64 (pairs,), and the seconds they cost when they were made."""
        lines = self.shelf.lines("judged", content_key(judge_id, model_key(judge_id.partition(":")[2])))
        done = {line["pair"]: line for line in lines.read()}
        waiting = [pair for pair in dict.fromkeys(pairs) if _pair_id(pair) not in done]
        judge = judge_named(judge_id, self.hub) if waiting else None
        for start in range(0, len(waiting), _JUDGED_TOGETHER):
            assert judge is not None
            batch = waiting[start : start + _JUDGED_TOGETHER]
            since = monotonic()
            values = judge.scores(batch)
            each = round((monotonic() - since) / len(batch), 5)
            rows = [
                {"pair": _pair_id(pair), "raw": float(raw), "s": each}
                for pair, raw in zip(batch, values, strict=True)
            ]
            lines.append(rows)
            done |= {str(row["pair"]): row for row in rows}
            self.progress(f"Judging with {judge_id}", start + len(batch), len(waiting))
        found = [done[_pair_id(pair)] for pair in pairs]
        return np.array([line["raw"] for line in found]), sum(line["s"] for line in found)

    def calibration(self, curation: Curation) -> Calibration:
        """Return the judge's curve to 0..5: fitted on the arm's gold folder, else the shipped one."""
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
        tasks = find_tasks(folder, for_tuning=True)
        names = [name for ending in ("-dev", "-train") for name in tasks if name.endswith(ending)]
        if not names:
            raise InputError(f"{folder} holds no -dev or -train file to calibrate {judge_id} on; add one.")
        task = read_task(names[0], tasks[names[0]])
        chosen = np.random.default_rng(0).permutation(len(task))[:GOLD_PAIRS]
        raw, _ = self._judged([(task.sentence1[i], task.sentence2[i]) for i in chosen], judge_id)
        return fit_calibration(judge_id, raw, task.gold[chosen], fitted_on=names[0], seed=0)


def model_key(name: str) -> str:
    """Return what tells a model from another of the same name: the hash of its weights where it is a local file."""
    path = Path(name)
    files = [path] if path.is_file() else sorted(path.rglob("*.safetensors")) if path.is_dir() else []
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(file_digest(stream, "blake2b").hexdigest()[:24])
    return content_key(digests) if digests else name


def _pair_id(pair: tuple[str, str]) -> str:
    return text_id("\x00".join(pair))


def generated(premises: Sequence[Premise], config: GenerationConfig, hub: Hub | None) -> Iterator[GeneratedTriplet]:
    """Yield what an LLM writes for these premises: a GGUF file or built-in name, else a folder or the hub."""
    from pipeline.generation.generate import generate
    from pipeline.generation.llms.entries import entry_for, open_llm

    llm = open_llm(entry_for(_transformers_folder(config.llm, hub) or config.llm), for_many=True)
    try:
        yield from generate(premises, config, llm)
    finally:
        llm.close()


def judge_named(judge_id: str, hub: Hub | None) -> Judge:
    """Load a judge; the digit judge of an encoder-decoder may be a folder or a name of the hub."""
    kind, _, model = judge_id.partition(":")
    folder = _transformers_folder(model, hub) if kind == "digit" else None
    if folder is None:
        return load_judge(judge_id)
    from pipeline.curation.seq2seq_digit import Seq2SeqDigitJudge
    from pipeline.generation.llms.encoder_decoder import EncoderDecoderLLM
    from pipeline.training.encoders import resolve_device

    llm = EncoderDecoderLLM.load(Path(folder), name=model, device=resolve_device("auto"))
    return Seq2SeqDigitJudge(llm, judge_id=judge_id)


def _transformers_folder(name: str, hub: Hub | None) -> str | None:
    """Return the folder of a transformers model, or None for the LLMs that llama.cpp runs."""
    if name.startswith(MODEL):
        if hub is None:
            raise InputError(f"{name} is a name of the hub, which this run does not look at.")
        return hub.path(name)
    return name if Path(name).is_dir() else None
