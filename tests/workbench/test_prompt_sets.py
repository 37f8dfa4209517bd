"""Prompt sets of a workspace: versions are appended, survive a rebuild and a torn write, and go whole into a run."""

from dataclasses import replace

import pandas as pd
import pytest

from pipeline.generation.prompt_sets import SHIPPED, prompt_set
from pipeline.records import InputError, text_id
from workbench.actions import ACTIONS
from workbench.store.files import PromptSets
from workbench.workspace import Workspace, rebuild

MINE = replace(prompt_set("default"), prompt_set_id="mine", about="Test words.")


def reworded(words: str):
    return replace(MINE, positive=replace(MINE.positive, instruction=words))


def test_versions_are_added_and_none_is_lost(workspace: Workspace):
    sets = PromptSets(workspace.root)
    assert sets.newest() == list(SHIPPED)
    first = ACTIONS["save_prompt_set"](workspace, prompts=reworded("One.").to_json())
    second = ACTIONS["save_prompt_set"](workspace, prompts=reworded("Two.").to_json())
    assert (first["prompt_set"], second["prompt_set"]) == ("mine@1", "mine@2")
    with sets.path.open("ab") as file:
        file.write(b'{"table": "prompt_sets", "prompts": {"prompt')  # a write cut by a kill
    assert [found.positive.instruction for found in sets.own()] == ["One.", "Two."]
    assert ACTIONS["save_prompt_set"](workspace, prompts=reworded("Three.").to_json())["version"] == 3
    workspace.close()
    rebuild(workspace.root)
    assert [found.positive.instruction for found in sets.own()] == ["One.", "Two.", "Three."]
    assert sets.find("mine").version == 3
    assert sets.find("mine@1").positive.instruction == "One."
    assert [found.ref for found in sets.newest()[len(SHIPPED) :]] == ["mine@3"]


def test_shipped_names_are_taken(workspace: Workspace):
    with pytest.raises(InputError, match="another name"):
        PromptSets(workspace.root).save(prompt_set("default"))


def test_a_run_holds_its_prompts_whole(workspace: Workspace):
    frame = pd.DataFrame({"premise_id": [text_id("A.")], "text": ["A."]})
    corpus = workspace.store.premises.add_corpus("c", "c", frame, {}, 0)
    PromptSets(workspace.root).save(reworded("One."))
    started = ACTIONS["start_generate"](workspace, corpus_id=corpus.corpus_id, config={"prompt_set": "mine"})
    PromptSets(workspace.root).save(reworded("Two."))
    spec = workspace.jobs.get(started["job_id"]).spec
    assert spec.config.prompt_set == "mine@1"
    assert spec.prompts.positive.instruction == "One."
    with pytest.raises(InputError, match="no prompt set"):
        ACTIONS["start_generate"](workspace, corpus_id=corpus.corpus_id, config={"prompt_set": "gone"})
