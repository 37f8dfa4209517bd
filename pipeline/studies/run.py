"""Run a study: the data of every arm first, then every cell that is not finished yet; or try all of it in seconds."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import weights
from pipeline.durable import write_json
from pipeline.hub import DATA, MODEL, Hub
from pipeline.mask_thresholds import threshold_meaning
from pipeline.records import InputError, ScoredTriplet, Triplet
from pipeline.statistics import plain_score
from pipeline.studies.cache import Progress, StudyCache
from pipeline.studies.cells import Cell, CellResult, StudyTasks, read_cell, run_cell, trained_cell, untrained_cells
from pipeline.studies.data import ArmData, DataSource, generated, judge_named
from pipeline.studies.spec import Arm, Study, hub_names, localised


@dataclass(frozen=True, slots=True)
class Candidate:
    """An arm of a search with its dev score, x100."""

    arm: str
    mean: float
    """Over seeds, of the mean over the dev tasks."""
    per_seed: tuple[float, ...]


@dataclass(slots=True)
class StudyRun:
    """Everything a report needs: the arms' data and the results of all cells."""

    study: Study
    tasks: StudyTasks
    data: dict[str, ArmData]
    untrained: list[CellResult]
    """One per encoder that an arm trains, the baseline's first."""
    cells: dict[str, list[CellResult]] = field(default_factory=dict)
    """Per arm, in the order of the study's seeds."""
    halves: dict[str, list[CellResult]] = field(default_factory=dict)
    """Per arm, its runs on halves of the premises; empty for a study without them."""
    candidates: tuple[Candidate, ...] = ()
    """Candidates of a search, best first."""


Watch = Callable[[Cell, CellResult | None, StudyTasks], None]
"""watch(cell, its result or None at its start, the evaluation data)."""


def run_study(
    study: Study,
    source: DataSource,
    cache: StudyCache,
    *,
    progress: Progress,
    watch: Watch = lambda cell, result, tasks: None,
    tasks: StudyTasks | None = None,
) -> StudyRun:
    """Run the missing cells of a study and return all results; an interrupted study resumes where it stopped.

    tasks: evaluation data in place of the study's own.
    """
    source.progress = progress
    data = {arm.name: source.of(arm) for arm in study.arms}
    tasks = tasks or study_tasks(study, source)
    cells = list(study_cells(study, data, tasks))
    total = len(cells) * study.steps

    def finish(number: int, cell: Cell) -> CellResult:
        what = f"{cell.arm}, seed {cell.seed}" if cell.half is None else f"{cell.arm}, half {cell.half + 1}"
        done = read_cell(cell, cache)
        if done is None:
            watch(cell, None, tasks)

            def on_step(step: int, steps: int) -> None:
                progress(what, number * steps + step, total)

            done = run_cell(cell, tasks, cache, keep_encoder=study.keep_encoders, on_step=on_step)
        watch(cell, done, tasks)
        progress(what, (number + 1) * study.steps, total)
        return done

    run = StudyRun(study, tasks, data, [finish(-1, cell) for cell in untrained_cells(study, tasks)])
    for number, cell in enumerate(cells):
        results = run.cells if cell.half is None else run.halves
        results.setdefault(cell.arm, []).append(finish(number, cell))
    return run


def study_tasks(study: Study, source: DataSource) -> StudyTasks:
    """Return the evaluation data of the study."""
    if study.evaluation.sts_dir is not None:
        return StudyTasks.of_sts(study.evaluation).stopping(study)
    if study.evaluation.tasks:
        raise InputError(f"Study {study.name} names STS tasks but no folder of them; add --sts-dir FOLDER.")
    named = study.evaluation.held_out_from
    arm: Arm = study.arm(named) if named else study.arms[0]
    return StudyTasks.held_out(source.before_curation(arm).triplets).stopping(study)


def study_cells(study: Study, data: dict[str, ArmData], tasks: StudyTasks) -> Iterator[Cell]:
    """Yield the cells, all arms of a seed before the next seed: a study stopped early then has complete seeds.

    The halves of the premises come last; each has a seed of its own.
    """
    for seed in study.seeds:
        for arm in study.arms:
            yield trained_cell(arm, seed, data[arm.name], tasks)
    for half in range(study.halves):
        for arm in study.arms:
            yield trained_cell(arm, half, data[arm.name], tasks, half)


GRID_FILE = "grid.json"


@dataclass(slots=True)
class StudyGrid:
    """Maintains `grid.json` in a study's folder: the state and score of every cell."""

    study: Study
    folder: Path
    origin: dict[str, Any] = field(default_factory=dict)
    """Origin of the study, copied to the file unchanged."""
    _cells: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def begin(self) -> None:
        """Write the empty grid, before any data is made."""
        for seed in self.study.seeds:
            for arm in self.study.arms:
                self._cells[arm.name, seed] = {"arm": arm.name, "seed": seed, "state": "waiting"}
        self._write()

    def __call__(self, cell: Cell, result: CellResult | None, tasks: StudyTasks) -> None:
        """Record that a cell begins (no result yet) or is done."""
        if cell.is_untrained or cell.half is not None:
            return
        kept = self._cells[cell.arm, cell.seed]
        kept["state"] = "running" if result is None else "done"
        if result is not None:
            kept |= {"score": cell_score(result, tasks), "train_s": result.train_s, "triplets": result.triplets}
        self._write()

    def _write(self) -> None:
        record = {
            "study": self.study.name,
            "title": self.study.title,
            "arms": [arm.name for arm in self.study.arms],
            "seeds": list(self.study.seeds),
            "baseline": self.study.baseline,
            "cells": list(self._cells.values()),
            **self.origin,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / GRID_FILE, record)


def cell_score(result: CellResult, tasks: StudyTasks) -> float:
    """Return the mean of a cell's scores over the tasks, x100."""
    return 100 * float(np.mean([plain_score(result.predictions[name], tasks.gold(name)) for name in tasks.names]))


def run_search(study: Study, source: DataSource, cache: StudyCache, *, progress: Progress, watch: Watch) -> StudyRun:
    """Choose the arm with the best mean dev score and return the study of it and the baseline on the test tasks.

    With `search_apart` the dev tasks are without the pairs that share a sentence with a test task.

    The baseline is not a candidate. `watch` follows the dev scores. Raises InputError without an STS folder.
    """
    if study.evaluation.sts_dir is None:
        raise InputError(f"Study {study.name} searches on {', '.join(study.search_on)}; name an STS folder.")
    on_dev = replace(study, evaluation=replace(study.evaluation, tasks=study.search_on), search_on=())
    on_dev = replace(on_dev, halves=0, early_stop=None)
    dev = study_tasks(on_dev, source)
    if study.search_apart:
        dev = dev.apart_from(StudyTasks.of_sts(study.evaluation))
    ranked = ranking(run_study(on_dev, source, cache, progress=progress, watch=watch, tasks=dev))
    chosen = next(candidate.arm for candidate in ranked if candidate.arm != study.baseline)
    kept = (study.arm(study.baseline), study.arm(chosen))
    on_test = replace(study, arms=kept, search_on=())
    run = run_study(on_test, source, cache, progress=progress)
    run.candidates = ranked
    return run


def ranking(run: StudyRun) -> tuple[Candidate, ...]:
    """Return the arms with their dev scores, best mean first; ties keep the study's order."""
    found = []
    for arm, cells in run.cells.items():
        scores = [cell_score(cell, run.tasks) for cell in cells]
        found.append(Candidate(arm, float(np.mean(scores)), tuple(scores)))
    return tuple(sorted(found, key=lambda candidate: -candidate.mean))


_PREMISES, _STEPS, _BATCH = 4, 2, 8
_WIDTH = 32
"""Hidden size of the stand-in models of a dry run."""


@dataclass(frozen=True, slots=True)
class Check:
    """One part that was tried, with its result in a few words."""

    part: str
    told: str


def dry_run(study: Study, sample: Path) -> Iterator[Check]:
    """Try generation, judging, training and evaluation of every arm; yields what was tried, raises InputError.

    Models of the hub are replaced by tiny random ones of the same kind. Nothing is fetched and the study's own folder
    is not touched. It cannot show that the real weights load, or what they score.
    """
    with tempfile.TemporaryDirectory() as folder:
        hub = StandInHub(folder=Path(folder) / "models")
        tiny = replace(
            localised(replace(study, premises_name=""), hub), premises=sample, column=None, limit=_PREMISES
        )
        cache = StudyCache(Path(folder) / "cache", Path(folder) / "vectors")
        source = DataSource(tiny, cache, hub=hub)
        for name in hub_names(study):
            yield Check(name, "a file of this name is not looked at" if name.startswith(DATA) else "stand-in")
        yield from _data_checks(tiny, source)
        tasks = (
            StudyTasks.of_sts(tiny.evaluation)
            if study.evaluation.sts_dir
            else StudyTasks.held_out(_stand_in_triplets())
        )
        yield Check("evaluation", f"{', '.join(tasks.names)}" + ("" if tasks.sts else " (no STS folder was given)"))
        for arm in tiny.arms:
            yield Check(f"arm {arm.name}", _trained(arm, tasks, cache))


@dataclass(frozen=True, slots=True)
class StandInHub(Hub):
    """Resolves every hub name to a tiny random model: an encoder-decoder for LLMs, otherwise an encoder."""

    folder: Path = Path()

    def pinned(self, name: str) -> str:
        """Return the folder of the stand-in for an encoder; other names are returned unchanged."""
        return str(tiny_bert(self.folder / "bert")) if name.startswith(MODEL) else name

    def path(self, name: str) -> str:
        """Return the folder of the stand-in for an LLM; other names are returned unchanged."""
        return str(tiny_t5(self.folder / "t5")) if name.startswith(MODEL) else name


def tiny_bert(folder: Path) -> Path:
    """Save a random two-layer BERT with MiniLM's word pieces."""
    from transformers import BertConfig, BertModel

    if not folder.is_dir():
        config = BertConfig(
            vocab_size=30522,
            hidden_size=_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=128,
        )
        BertModel(config).save_pretrained(folder)
        _tokenizer().save_pretrained(folder)
    return folder


def tiny_t5(folder: Path) -> Path:
    """Save a random two-layer T5 with MiniLM's word pieces; [PAD] starts a reply and [SEP] ends it, as T5 has it."""
    from transformers import T5Config, T5ForConditionalGeneration

    if not folder.is_dir():
        tokenizer = _tokenizer()
        config = T5Config(
            vocab_size=30522,
            d_model=_WIDTH,
            d_kv=16,
            d_ff=64,
            num_layers=2,
            num_heads=2,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.sep_token_id,
        )
        config.decoder_start_token_id = tokenizer.pad_token_id
        T5ForConditionalGeneration(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _tokenizer():  # noqa: ANN202  (of transformers)
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(weights.minilm_folder(), local_files_only=True)


def _data_checks(study: Study, source: DataSource) -> Iterator[Check]:
    """Generate for a few premises with each setting, and judge the stand-in triplets with each judge."""
    premises = source.premises()
    # Of settings that differ in omega alone the greatest is tried: it needs both prompts, 0 only one of them.
    configs = sorted((arm.generation for arm in study.arms if arm.generation is not None), key=lambda c: c.omega)
    for config in {replace(config, omega=0.0): config for config in configs}.values():
        quick = replace(config, max_new_tokens=8)
        count = len(list(generated(premises, quick, source.hub, for_many=False)))
        yield Check(f"generation, omega {config.omega:g}, {config.llm}", f"{count} premises written")
    judging = [arm.curation or arm.scored_by for arm in study.arms]
    for judge_id in dict.fromkeys(curation.judge for curation in judging if curation is not None):
        pairs = [(t.premise, t.positive) for t in _stand_in_triplets()[:_PREMISES]]
        scores = judge_named(judge_id, source.hub).scores(pairs)
        if len(scores) != len(pairs):
            raise InputError(f"Judge {judge_id} scored {len(scores)} of {len(pairs)} pairs.")
        yield Check(f"judge {judge_id}", f"{len(scores)} pairs scored")


def _trained(arm: Arm, tasks: StudyTasks, cache: StudyCache) -> str:
    short = replace(arm.train, steps=_STEPS, batch_size=_BATCH, warmup_steps=0, device="cpu", precision="fp32")
    if threshold_meaning(short.mask_rule, short.threshold_unit) == "phi":
        short = replace(short, mask_threshold=1.0)  # to a random guide all texts may be alike
    cell = trained_cell(replace(arm, train=short, size=None), 0, ArmData(_stand_in_triplets()), tasks)
    result = read_cell(cell, cache) or run_cell(cell, tasks, cache)  # arms may differ in their triplets only
    items = sum(len(values) for values in result.predictions.values())
    return f"{_STEPS} steps of {result.batch}, {items:,} test items scored"


def _stand_in_triplets() -> list[Triplet]:
    return [
        ScoredTriplet(f"The number is {n}.", f"It is number {n}.", f"There is no number {n}.", 4.0, 1.0)
        for n in range(40)
    ]
