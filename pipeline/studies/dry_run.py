"""Try every part of a study in seconds: models of the hub are replaced by tiny random ones of the same kind.

Nothing is fetched and nothing of the study's own folder is touched. What stays unproved is that the real weights load
and what they score.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import weights
from pipeline.records import InputError, Triplet
from pipeline.studies.cache import StudyCache
from pipeline.studies.cells import StudyTasks, held_out_tasks, read_cell, run_cell, sts_tasks, trained_cell
from pipeline.studies.data import ArmData, DataSource
from pipeline.studies.hub import DATA, MODEL, Hub, hub_names, localised
from pipeline.studies.spec import Arm, Study

_PREMISES, _STEPS, _BATCH = 4, 2, 8
_WIDTH = 32


@dataclass(frozen=True, slots=True)
class Check:
    """One part that was tried: what it is, and how it went in a few words."""

    part: str
    told: str


def dry_run(study: Study, sample: Path) -> Iterator[Check]:
    """Try generation, judging, training and evaluation of every arm; yields what was tried, raises InputError."""
    with tempfile.TemporaryDirectory() as folder:
        hub = StandInHub(Path(folder) / "models")
        tiny = replace(
            localised(replace(study, premises_name=""), hub), premises=sample, column=None, limit=_PREMISES
        )
        cache = StudyCache(Path(folder) / "cache", Path(folder) / "vectors")
        source = DataSource(tiny, cache, hub=hub)
        for name in hub_names(study):
            yield Check(name, "a file of this name is not looked at" if name.startswith(DATA) else "stand-in")
        yield from _data_checks(tiny, source)
        tasks = sts_tasks(tiny.evaluation) if study.evaluation.sts_dir else held_out_tasks(_stand_in_triplets())
        yield Check("evaluation", f"{', '.join(tasks.names)}" + ("" if tasks.sts else " (no STS folder was given)"))
        for arm in tiny.arms:
            yield Check(f"arm {arm.name}", _trained(arm, tasks, cache))


@dataclass(frozen=True, slots=True)
class StandInHub(Hub):
    """Answers every name of the hub with a tiny random model: an encoder-decoder for LLMs, else an encoder."""

    def path(self, name: str) -> str:
        """Return the folder of the stand-in; other names come back as they are."""
        if not name.startswith(MODEL):
            return name
        return str(tiny_t5(self.folder / "t5") if "t5" in name.lower() else tiny_bert(self.folder / "bert"))


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
    from pipeline.studies.data import generated, judge_named

    premises = source.premises()
    # Of settings that differ in omega alone the greatest is tried: it needs both prompts, 0 only one of them.
    configs = sorted((arm.generation for arm in study.arms if arm.generation is not None), key=lambda c: c.omega)
    for config in {replace(config, omega=0.0): config for config in configs}.values():
        quick = replace(config, max_new_tokens=8)
        count = len(list(generated(premises, quick, source.hub, for_many=False)))
        yield Check(f"generation, omega {config.omega:g}, {config.llm}", f"{count} premises written")
    for judge_id in dict.fromkeys(arm.curation.judge for arm in study.arms if arm.curation is not None):
        pairs = [(t.premise, t.positive) for t in _stand_in_triplets()[:_PREMISES]]
        scores = judge_named(judge_id, source.hub).scores(pairs)
        if len(scores) != len(pairs):
            raise InputError(f"Judge {judge_id} scored {len(scores)} of {len(pairs)} pairs.")
        yield Check(f"judge {judge_id}", f"{len(scores)} pairs scored")


def _trained(arm: Arm, tasks: StudyTasks, cache: StudyCache) -> str:
    short = replace(arm.train, steps=_STEPS, batch_size=_BATCH, warmup_steps=0, device="cpu", precision="fp32")
    cell = trained_cell(replace(arm, train=short, size=None), 0, ArmData(_stand_in_triplets()), tasks)
    result = read_cell(cell, cache) or run_cell(cell, tasks, cache)  # arms may differ in their triplets only
    items = sum(len(values) for values in result.predictions.values())
    return f"{_STEPS} steps of {result.batch}, {items:,} test items scored"


def _stand_in_triplets() -> list[Triplet]:
    return [Triplet(f"The number is {n}.", f"It is number {n}.", f"There is no number {n}.") for n in range(40)]
