"""Prompt sets of a workspace: which there are, and saving another version."""

from typing import Any

from pipeline.generation.prompts import PromptSet
from workbench.prompt_sets import PromptSets
from workbench.workspace import Workspace


def prompt_sets(workspace: Workspace) -> dict[str, Any]:
    """Return the newest version of every prompt set: those that come with the workbench, then the saved ones."""
    return {"prompt_sets": [prompts.to_json() for prompts in PromptSets(workspace.root).newest()]}


def save_prompt_set(workspace: Workspace, *, prompts: dict[str, Any]) -> dict[str, Any]:
    """Save prompts as the next version of their name; earlier versions and the runs that used them stay."""
    saved = PromptSets(workspace.root).save(PromptSet.from_json({"version": 0} | prompts))
    return {"prompt_set": saved.ref, "version": saved.version}
