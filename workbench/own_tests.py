"""Behavioural tests that people added to a workspace: a line each, appended and fsynced, never changed afterwards."""

import logging
from dataclasses import asdict
from pathlib import Path
from threading import Lock

from pipeline.errors import InputError
from pipeline.evaluation.behaviour import Case, built_in_cases, case_of
from workbench.ids import now
from workbench.journal import Journal, read_rows

CaseList = list[Case]
_ADDED, _RETRACTED = "behaviour_tests", "retracted_behaviour_tests"
_writing = Lock()
_log = logging.getLogger(__name__)


class OwnTests:
    """The file of own tests of a workspace; a test that was taken back stays in it, with the line that says so."""

    def __init__(self, workspace_root: Path) -> None:
        self.path = workspace_root / "behaviour_tests.jsonl"

    def list(self) -> CaseList:
        """Return the tests in the order in which they were added, without those taken back."""
        found: dict[str, Case] = {}
        for row in read_rows(self.path):
            try:
                if row["table"] == _ADDED:
                    case = case_of(row["case"])
                    found[case.case_id] = case
                elif row["table"] == _RETRACTED:
                    found.pop(row["case_id"], None)
            except (InputError, KeyError, TypeError) as error:
                _log.warning("A line of %s is no behavioural test of this version: %s", self.path.name, error)
        return list(found.values())

    def add(self, case: Case) -> bool:
        """Add one; False when it is there already, among these or among the built-in ones."""
        with _writing:
            if case in self.list() or case in built_in_cases():
                return False
            self._append({"table": _ADDED, "created_at": now(), "case": asdict(case)})
        return True

    def retract(self, case_id: str) -> None:
        """Take one back. Raises InputError for one that is not there."""
        with _writing:
            if case_id not in {case.case_id for case in self.list()}:
                raise InputError(
                    "This test is not among those of the workspace: it may have been taken back already."
                )
            self._append({"table": _RETRACTED, "created_at": now(), "case_id": case_id})

    def _append(self, row: dict[str, object]) -> None:
        journal = Journal(self.path)
        try:
            journal.append([row])
        finally:
            journal.close()
