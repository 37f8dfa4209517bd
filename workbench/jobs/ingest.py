"""The ingester: stores whole journal lines of every job in the database."""

import logging
import time
from pathlib import Path

from workbench.jobs.folder import JobFolder
from workbench.store.journals import Reading
from workbench.store.store import Store

_RETRY_AFTER_S = 2.0
_log = logging.getLogger(__name__)


class Ingester:
    """Reads what is new in the journals, in one thread; an error in one journal does not stop the others."""

    def __init__(self, store: Store, jobs: Path) -> None:
        self._store = store
        self._jobs = jobs
        self._errors: dict[str, tuple[str, float]] = {}

    def tick(self) -> int:
        """Store what is new now, at most one chunk per journal; return the number of lines."""
        lines = 0
        for path in self._jobs.iterdir():
            if not path.name.startswith(".") and self._may_try(path.name):
                lines += self._ingest(path.name)
        self._store.catch_up()
        return lines

    def is_behind(self, job_id: str) -> bool:
        """Whether the journal holds lines that are not in the database yet."""
        return self._store.journals.is_behind(_source(job_id), self._journal(job_id))

    def error(self, job_id: str) -> str:
        """Return why this job's journal could not be stored; empty when it could."""
        return self._errors.get(job_id, ("", 0.0))[0]

    def retry(self, job_id: str) -> None:
        """Try this journal again at once, for a job that was resumed."""
        self._errors.pop(job_id, None)

    def reading(self, job_id: str) -> Reading:
        """Return how far this job's journal has been read and what was unusable in it."""
        return self._store.journals.reading(_source(job_id))

    def _ingest(self, job_id: str) -> int:
        try:
            if not self.is_behind(job_id):
                return 0
            lines = self._store.journals.ingest(_source(job_id), self._journal(job_id))
        except Exception as error:  # recorded and shown with the job; the other jobs go on
            if job_id not in self._errors:
                _log.exception("The journal of job %s could not be stored.", job_id)
            self._errors[job_id] = (str(error), time.monotonic())
            return 0
        self._errors.pop(job_id, None)
        return lines

    def _may_try(self, job_id: str) -> bool:
        return job_id not in self._errors or time.monotonic() - self._errors[job_id][1] > _RETRY_AFTER_S

    def _journal(self, job_id: str) -> Path:
        return JobFolder(self._jobs / job_id).journal


def _source(job_id: str) -> str:
    return f"jobs/{job_id}"
