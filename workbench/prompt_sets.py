"""Prompt sets of a workspace: one line each, appended and fsynced, never changed afterwards."""

import logging
from dataclasses import replace
from pathlib import Path
from threading import Lock

from pipeline.errors import InputError
from pipeline.generation.prompt_sets import PROMPT_SETS, SHIPPED, prompt_set
from pipeline.generation.prompts import PromptSet
from workbench.ids import now
from workbench.journal import Journal, read_rows

PromptSetList = list[PromptSet]
_TABLE = "prompt_sets"
_writing = Lock()
_log = logging.getLogger(__name__)


class PromptSets:
    """What was saved in this workspace, beside what comes with the workbench."""

    def __init__(self, workspace_root: Path) -> None:
        self.path = workspace_root / "prompt_sets.jsonl"

    def own(self) -> PromptSetList:
        """Return every saved version, oldest first; the file is the only place they are kept."""
        found = []
        for row in read_rows(self.path):
            try:
                found.append(PromptSet.from_json(row["prompts"]))
            except (InputError, KeyError) as error:
                _log.warning("A line of %s is no prompt set of this version: %s", self.path.name, error)
        return found

    def newest(self) -> PromptSetList:
        """Return the newest version of every set: the shipped ones, then those saved here, latest first."""
        latest = {prompts.prompt_set_id: prompts for prompts in self.own()}
        return [*SHIPPED, *reversed(latest.values())]

    def find(self, ref: str) -> PromptSet:
        """Return the set of this name, or name@version; InputError naming the known ones."""
        return prompt_set(ref, self.own())

    def save(self, prompts: PromptSet) -> PromptSet:
        """Keep these prompts as the next version of their name; the names of shipped sets are taken."""
        if prompts.prompt_set_id in PROMPT_SETS:
            raise InputError(
                f"{prompts.prompt_set_id!r} is a set that comes with the workbench: save yours under another name."
            )
        with _writing:
            versions = [one.version for one in self.own() if one.prompt_set_id == prompts.prompt_set_id]
            saved = replace(prompts, version=max(versions, default=0) + 1)
            journal = Journal(self.path)
            try:
                journal.append([{"table": _TABLE, "created_at": now(), "prompts": saved.to_json()}])
            finally:
                journal.close()
        return saved
