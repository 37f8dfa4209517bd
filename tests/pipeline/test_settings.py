"""Every field of every config: declared whole, checked by its declaration, and in a key or in a list of those not."""

import dataclasses
import math
from itertools import product
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pytest

from pipeline.config import CONFIGS, NOT_SENT, CurationRule, GenerationConfig, ScratchConfig
from pipeline.generation.contrast import TokenChoice
from pipeline.generation.llms.protocol import Reply
from pipeline.generation.llms.registry import LLMEntry, entry_for
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.text_key import text_key
from pipeline.generation.written_premises import write_premises
from pipeline.mask_thresholds import MASK_THRESHOLDS
from pipeline.records import InputError, Side, Triplet
from pipeline.settings import from_fields, setting_of, settings_of
from pipeline.studies.cells import NOT_IN_A_CELL, StudyTasks, _cell
from pipeline.train_config import NOT_LEARNED, TrainConfig
from pipeline.training.trainer import run_fingerprint

NAMES = ("llm", "prompt_set")
"""What is behind a name is in the key, the name itself is not."""
EVERY = [(kind, item) for kind in (*CONFIGS, LLMEntry) for item in dataclasses.fields(kind)]
DECLARED = [(kind, item) for kind, item in EVERY if item.name in settings_of(kind)]


def name_of(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else value.name


def other(kind: type, item: dataclasses.Field) -> Any:
    """A value that is not the default and that the field can have."""
    declared, parts = setting_of(kind, item.name), get_args(item.type)
    if item.name in ("device", "positives"):
        return {"device": "cpu", "positives": "word_deletion"}[item.name]
    if get_origin(item.type) is Literal:
        return next(part for part in parts if part != item.default)
    if get_origin(item.type) is tuple:
        return {"topics": ("dogs",), "genres": ("news",), "lengths": ("short",)}[item.name]
    if item.type is bool:
        return not item.default
    if item.type is str:
        return f"{item.default} x"
    bounds = [bound for bound in (declared.le, declared.lt) if bound is not None]
    step = 1 if item.type is int else 0.05
    start = item.default or 0
    return start + step if not bounds or start + step < min(bounds) else start - step


def changed(kind: type, item: dataclasses.Field, **base: Any) -> Any:
    return dataclasses.replace(kind(**base), **{item.name: other(kind, item)})


@pytest.mark.parametrize(("kind", "item"), [pair for pair in EVERY if pair[0] is not LLMEntry], ids=name_of)
def test_every_field_is_declared_with_a_sentence_a_unit_and_bounds(kind, item):
    declared = setting_of(kind, item.name)
    assert declared.help.endswith(".") and (declared.unit or declared.range())
    if item.type in (int, float) and item.name != "mask_threshold":
        assert declared.ge is not None or declared.gt is not None, "a number without a least value"
    if declared.slider:
        assert declared.step and declared.slider[0] <= item.default <= declared.slider[1]


@pytest.mark.parametrize(("kind", "item"), DECLARED, ids=name_of)
def test_a_value_of_another_type_or_out_of_range_is_one_sentence_that_names_the_field(kind, item):
    declared, types = setting_of(kind, item.name), (item.type, *get_args(item.type))
    wrong: list[Any] = [object(), {"a": 1}]
    if float in types or int in types:
        wrong += ["3", True, math.nan, math.inf, -math.inf, 10**400, 10**5000]
        wrong += [] if NoneType in types else [None]
        wrong += [declared.ge - 1] if declared.ge is not None else []
        wrong += [declared.gt] if declared.gt is not None else []
        wrong += [declared.le + 1] if declared.le is not None else []
        wrong += [declared.lt] if declared.lt is not None else []
    if item.type is int:
        wrong += [0.5, 1e308, 10**22]
    if item.type is str:
        wrong += [3, "x" * 100_000, "a\nb"] + ([""] if item.default else [])
    if get_origin(item.type) is Literal:
        wrong += ["no such choice", ["phi"], 1]
    base = {"name": "a", "kind": "remote", "location": "http://127.0.0.1:1"} if kind is LLMEntry else {}
    for value in wrong:
        with pytest.raises(InputError) as caught:
            from_fields(kind, base | {item.name: value})
        message = str(caught.value)
        assert message.startswith(item.name) and message.endswith(".") and len(message) < 400, message


def test_whole_numbers_are_floats_where_a_float_is_meant_and_lists_are_tuples():
    assert repr(CurationRule(alpha=3).alpha) == "3.0"
    assert ScratchConfig(topics=["dogs ", "dogs"]).topics == ("dogs",)


@pytest.mark.parametrize("item", dataclasses.fields(GenerationConfig), ids=name_of)
def test_a_field_of_generation_is_in_the_text_key_or_is_listed_as_not(item):
    base = {"temperature": 0.5} if item.name == "candidates" else {}
    default, config = GenerationConfig(**base), changed(GenerationConfig, item, **base)
    form = "chat" if item.name == "reasoning_tokens" else "auto"  # what a completion never spends
    entry, prompts = dataclasses.replace(entry_for("smollm2-135m"), form=form), prompt_set("default")
    same = text_key(default, prompts, entry) == text_key(config, prompts, entry)
    # What becomes of a precision is told by the backend, which here has one; see test_text_key.
    assert same == (item.name in (*NOT_SENT, *NAMES, "precision"))


class Recorder:
    """Stands for an LLM: keeps what it is asked, answers with sentences some of which are alike."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def continuations(self, shared, asks, config, should_stop):
        for ask in asks:
            fields = {k: v for k, v in dataclasses.asdict(config).items() if k not in NOT_SENT and k != "llm"}
            self.asked.append((shared, ask.premise, ask.seed, fields))
            number = len(self.asked) // 4
            text = f"Dog{number} runs{number} fast{number}" + (" home." if len(self.asked) % 4 else " away.")
            yield Reply(ask.key, Side.POSITIVE, text)


def scratch_result(config: ScratchConfig) -> tuple[Any, Any]:
    llm = Recorder()
    return [(str(attempt.outcome), attempt.text) for attempt in write_premises(config, llm)], llm.asked


@pytest.mark.parametrize("item", dataclasses.fields(ScratchConfig), ids=name_of)
def test_a_field_of_premises_from_scratch_changes_what_is_asked_or_kept_or_is_listed_as_not(item):
    base = {"topics": ("trains", "cats"), "per_cell": 1, "near_duplicate": 0.6}
    config = dataclasses.replace(ScratchConfig(**base), **{item.name: other(ScratchConfig, item)})
    if item.name == "near_duplicate":
        config = dataclasses.replace(config, near_duplicate=1.0)
    same = scratch_result(ScratchConfig(**base)) == scratch_result(config)
    assert same == (item.name in (*NOT_SENT, "llm"))


@pytest.mark.parametrize("item", dataclasses.fields(CurationRule), ids=name_of)
def test_a_field_of_the_rule_changes_what_is_kept(item):
    def kept(rule: CurationRule) -> list[bool]:
        scores = [step / 40 for step in range(201)]
        pairs = product(scores, scores)
        return [a >= rule.alpha and b <= rule.beta and a >= b + rule.gamma for a, b in pairs]

    assert kept(CurationRule()) != kept(changed(CurationRule, item))


TRIPLETS = [Triplet("A dog runs.", "A dog is running.", "A dog sleeps.")]
TASKS = StudyTasks()


@pytest.mark.parametrize("item", dataclasses.fields(TrainConfig), ids=name_of)
def test_a_field_of_training_is_in_the_keys_of_a_run_and_of_a_cell_or_is_listed_as_not(item):
    base = {"steps": 300, "eval_every": 10} if item.name in ("warmup_steps", "patience") else {}
    base |= {"encoder": "all-MiniLM-L6-v2"} if item.name == "lora_rank" else {}
    default, config = TrainConfig(**base), changed(TrainConfig, item, **base)
    assert (run_fingerprint(TRIPLETS, default) == run_fingerprint(TRIPLETS, config)) == (item.name in NOT_LEARNED)
    cells = [_cell("arm", 0, one, TRIPLETS, TASKS).cell_id for one in (default, config)]
    assert (cells[0] == cells[1]) == (item.name in NOT_IN_A_CELL)


def test_the_lists_name_fields_that_there_are():
    assert set(NOT_SENT) <= settings_of(GenerationConfig).keys() & settings_of(ScratchConfig).keys()
    assert set(NOT_LEARNED) < set(NOT_IN_A_CELL) <= settings_of(TrainConfig).keys()


def test_every_setting_of_the_choice_of_tokens_is_taken_from_the_config():
    config = GenerationConfig(omega=0.25, plausibility=0.2, temperature=0.75, top_p=0.5)
    how = TokenChoice.of(config)
    assert dataclasses.asdict(how) == {name: getattr(config, name) for name in TokenChoice.__slots__}
    assert TokenChoice.of(ScratchConfig()).omega == 0.0


@pytest.mark.parametrize(
    ("fields", "is_fine"),
    [
        ({"mask_rule": "phi", "mask_threshold": -1}, False),
        ({"mask_rule": "phi", "mask_threshold": 0}, False),
        ({"mask_rule": "phi", "mask_threshold": 1}, True),
        ({"mask_rule": "released", "mask_threshold": 1.01}, False),
        ({"mask_rule": "gist_absolute", "mask_threshold": -1}, True),
        ({"mask_rule": "gist_relative", "mask_threshold": 1.01}, False),
        ({"mask_rule": "phi", "threshold_unit": "random_pairs", "mask_threshold": 1}, False),
        ({"mask_rule": "phi", "threshold_unit": "random_pairs", "mask_threshold": 0.001}, True),
        ({"mask_rule": "none", "mask_threshold": -1}, True),
    ],
)
def test_the_range_of_the_threshold_is_that_of_its_rule(fields, is_fine):
    if is_fine:
        assert TrainConfig(**fields).mask_threshold == fields["mask_threshold"]
        return
    with pytest.raises(InputError, match=f"mask_threshold of the rule {fields['mask_rule']} must be"):
        TrainConfig(**fields)


def test_every_meaning_of_a_threshold_has_bounds_on_both_sides():
    for meaning, declared in MASK_THRESHOLDS.items():
        for beyond in (-1.5, 1.5):
            with pytest.raises(InputError, match=meaning):
                declared.check(meaning, beyond)
