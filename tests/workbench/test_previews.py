"""Short jobs of the Generate page: asked twice they are made once, and what they cannot be asked is told."""

import pytest

from pipeline.generation.prompt_sets import prompt_set
from pipeline.records import InputError
from workbench.actions import ACTIONS
from workbench.jobs.kinds import AskSpec, GridSpec, LensSpec
from workbench.workspace import Workspace

LLM = "smollm2-135m"


def test_tokens_are_counted_once_and_a_failed_count_is_not_tried_again_at_every_drawing(workspace: Workspace):
    for premise, state in (("One two.", "finished"), ("unreadable", "failed")):
        asked = {"llm": LLM, "prompts": prompt_set("default").to_json(), "premise": premise, "side": "positive"}
        job_id = ACTIONS["count_tokens"](workspace, **asked)["job_id"]
        assert workspace.wait(job_id, timeout_s=60).state == state
        assert ACTIONS["count_tokens"](workspace, **asked)["job_id"] == job_id
    assert len(workspace.jobs.list()) == 2
    other = ACTIONS["count_tokens"](workspace, **asked, form="chat")["job_id"]
    assert other != job_id and workspace.jobs.get(other).spec.llm.form == "chat"


def test_settings_and_prompts_are_part_of_what_is_looked_at(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    submitted: list = []
    monkeypatch.setattr(workspace.jobs, "submit", lambda spec, title: submitted.append(spec) or "x")
    ACTIONS["start_lens"](
        workspace, premise=" A  dog. ", side="positive", config={"prompt_set": "short", "omega": 0.3}
    )
    ACTIONS["start_grid"](workspace, premises=["A.", "A.", " "], omegas=[0.6, 0, 0.6], config={})
    ACTIONS["start_ask"](workspace, prompt="Say:\n", config={"llm": LLM, "max_new_tokens": 5})
    lens, grid, ask = submitted
    assert (type(lens), lens.premise, lens.prompts.prompt_set_id) == (LensSpec, "A dog.", "short")
    assert lens.config.omega == 0.3 and lens.llm.name == LLM
    assert (type(grid), grid.premises, grid.omegas) == (GridSpec, ("A.",), (0, 0.6))
    assert (type(ask), ask.prompt, ask.config.max_new_tokens) == (AskSpec, "Say:\n", 5)


@pytest.mark.parametrize(
    ("action", "given", "said"),
    [
        ("start_lens", {"premise": " ", "side": "positive", "config": {}}, "no premise"),
        ("start_lens", {"premise": "A.", "side": "neutral", "config": {}}, "no side"),
        ("start_lens", {"premise": "A.", "side": "positive", "config": {"prompt_set": "gone"}}, "no prompt set"),
        ("start_grid", {"premises": ["A."], "omegas": [], "config": {}}, "omega"),
        ("start_grid", {"premises": ["A."], "omegas": [1.0], "config": {}}, "below 1"),
        ("start_ask", {"config": {"llm": LLM}, "prompt": "\n"}, "empty"),
        ("start_ask", {"config": {"llm": "no such"}, "prompt": "x"}, "no LLM"),
        ("start_retry", {"attempt_id": "gone", "outcome": "copy", "config": {}}, "nothing to retry"),
        ("start_retry", {"attempt_id": "gone", "outcome": "ok", "config": {}}, "other than ok"),
        ("start_retry", {"attempt_id": "gone", "outcome": "bad", "config": {}}, "other than ok"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_sentence(workspace: Workspace, action: str, given: dict, said: str):
    with pytest.raises(InputError, match=said) as caught:
        ACTIONS[action](workspace, **given)
    assert "\n" not in str(caught.value)
    assert workspace.jobs.list() == []
