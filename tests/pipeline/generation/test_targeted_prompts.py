"""Which prompts suit which failing pairs."""

import numpy as np

from pipeline.analysis.slices import slice_members
from pipeline.evaluation.behaviour import CAPABILITIES
from pipeline.generation.prompt_sets import _FITTING, PROMPT_SETS, fitting_set


def test_every_set_and_every_slice_named_exists():
    """A slice that was renamed would silently fall back to the default prompts."""
    slices = {name for _, name in slice_members(["a"], ["b"], np.zeros(0), [""])}
    assert set(_FITTING) <= set(PROMPT_SETS)
    named = {name for names in _FITTING.values() for name in names}
    assert named <= slices | set(CAPABILITIES)


def test_a_slice_takes_its_set_and_questions_take_theirs():
    assert fitting_set("negation on one side", ["Is it?"]) == "negation"
    assert fitting_set("role swap", []) == "roles"
    assert fitting_set("All pairs", ["Who is it?", "Why?", "He came."]) == "questions"
    assert fitting_set("gold 0 to 1", ["He came.", "Who is it?"]) == "default"
    assert fitting_set("", []) == "default"
