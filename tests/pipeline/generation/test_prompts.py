"""Prompt sets: own and opposite prompts, one line per premise, few-shots that show what they ask for, plain data."""

import json
from dataclasses import replace

import pytest

from pipeline.curation.likelihood import JUDGE_PROMPTS
from pipeline.generation.outcomes import words
from pipeline.generation.prompt_sets import SHIPPED, prompt_set
from pipeline.generation.prompts import LINE_END, CleanUp, PromptSet, SidePrompt
from pipeline.records import InputError, Side

ALL = [*SHIPPED, JUDGE_PROMPTS]
REPEAT = SidePrompt("Repeat it.", "Text", "Again", (("One.", "One."),), stop=("###",), clean_up=CleanUp(quotes=False))


@pytest.mark.parametrize("prompts", ALL, ids=lambda prompts: prompts.prompt_set_id)
def test_each_side_has_an_opposite_that_is_another_prompt(prompts):
    for side, other in (tuple(Side), tuple(Side)[::-1]):
        chosen = prompts.against(side)
        assert prompts.opposite(side) is (prompts.own(other) if chosen is None else chosen)
        assert prompts.opposite(side) != prompts.own(side)


@pytest.mark.parametrize("prompts", ALL, ids=lambda prompts: prompts.prompt_set_id)
@pytest.mark.parametrize("side", list(Side))
def test_examples_are_single_lines_and_no_copies(prompts, side):
    prompt = prompts.own(side)
    for premise, reply in prompt.examples:
        assert words(premise) != words(reply)
    # Instruction, then two lines per example: a reply can end at the first line break.
    assert prompt.prefix().count(LINE_END) == 1 + 2 * len(prompt.examples)


def test_one_side_can_be_given_an_opposite_of_its_own():
    prompts = replace(prompt_set("default"), against_positive=REPEAT)
    assert prompts.opposite(Side.POSITIVE) is REPEAT
    assert prompts.opposite(Side.HARD_NEGATIVE) is prompts.positive
    assert set(prompts.by_key()) == {"positive", "hard_negative", "against_positive"}
    assert prompts.by_key()[prompts.opposite_key(Side.HARD_NEGATIVE)] is prompts.positive


def test_line_breaks_in_a_premise_cannot_end_the_prompt():
    tail = prompt_set("default").positive.tail("one\ntwo\r\n three")
    assert "one two three\n" in tail
    assert tail.count("\n") == 1


@pytest.mark.parametrize("prompts", [*ALL, replace(ALL[0], against_hard_negative=REPEAT, about="x")], ids=str)
def test_a_set_survives_json(prompts):
    assert PromptSet.from_json(json.loads(json.dumps(prompts.to_json()))) == prompts


def test_names_and_versions_are_found_and_unknown_ones_told():
    second = replace(prompt_set("default"), prompt_set_id="mine", version=2)
    mine = [replace(second, version=1), second]
    assert prompt_set("mine", mine) is second
    assert prompt_set("mine@1", mine).version == 1
    with pytest.raises(InputError, match="default"):
        prompt_set("nonsense")
    with pytest.raises(InputError, match="mine@1, mine@2"):
        prompt_set("mine@9", mine)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"examples": [["a", "b\nc"]]}, "single lines"),
        ({"examples": [["a", " "]]}, "single lines"),
        ({"examples": [["a"]]}, "not a prompt set"),
        ({"reply_label": " "}, "label"),
        ({"stop": [""]}, "stop string"),
        ({"instruction": "x" * 2001}, "2,000"),
        ({"mood": "good"}, "mood"),
        ({"clean_up": {"magic": True}}, "magic"),
    ],
)
def test_what_cannot_be_a_prompt_is_refused_in_one_sentence(change, said):
    record = prompt_set("default").to_json()
    record["positive"] |= change
    with pytest.raises(InputError, match=said):
        PromptSet.from_json(record)


@pytest.mark.parametrize(
    "part", ["instruction", "premise_label", "reply_label", "examples", "hard_negative", "version"]
)
def test_a_set_that_lacks_a_part_is_told_which(part):
    record = prompt_set("default").to_json()
    if part in record:
        del record[part]
    else:
        del record["positive"][part]
    with pytest.raises(InputError, match=f"needs {part}"):
        PromptSet.from_json(record)


@pytest.mark.parametrize("name", ["", "../up", "Big", "a@1", "x" * 61])
def test_a_name_that_could_mislead_is_refused(name):
    with pytest.raises(InputError, match="called"):
        replace(prompt_set("default"), prompt_set_id=name)
