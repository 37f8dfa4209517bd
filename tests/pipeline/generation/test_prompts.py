"""Prompt sets: opposite sides, one line per premise, and few-shots that show what they ask for."""

import pytest

from pipeline.errors import InputError
from pipeline.generation.outcomes import words
from pipeline.generation.prompts import JUDGE_PROMPTS, PROMPT_SETS, prompt_set
from pipeline.records import Side

ALL = [*PROMPT_SETS.values(), JUDGE_PROMPTS]


@pytest.mark.parametrize("prompts", ALL, ids=lambda prompts: prompts.prompt_set_id)
def test_each_side_is_the_other_ones_opposite(prompts):
    for side, other in (tuple(Side), tuple(Side)[::-1]):
        assert prompts.opposite(side) is prompts.own(other)
        assert prompts.own(side) is not prompts.own(other)


@pytest.mark.parametrize("prompts", ALL, ids=lambda prompts: prompts.prompt_set_id)
@pytest.mark.parametrize("side", list(Side))
def test_examples_are_single_lines_and_no_copies(prompts, side):
    prompt = prompts.own(side)
    assert len(prompt.examples) >= 2
    for premise, reply in prompt.examples:
        assert words(premise) != words(reply)
        assert prompts.stop not in premise + reply
    # Instruction, then two lines per example: a reply can end at the first line break.
    assert prompt.prefix().count(prompts.stop) == 1 + 2 * len(prompt.examples)


def test_line_breaks_in_a_premise_cannot_end_the_prompt():
    tail = prompt_set("default").positive.tail("one\ntwo\r\n three")
    assert "one two three\n" in tail
    assert tail.count("\n") == 1


def test_an_unknown_set_is_told_with_the_known_ones():
    with pytest.raises(InputError, match="default"):
        prompt_set("nonsense")
