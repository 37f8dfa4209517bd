"""Where a job runs: on this machine, on some of its GPUs, in several processes, or on the nodes of a Ray cluster.

The one place that turns a kind of job and the words after `--on` into the worker's command, its environment and the
lanes it takes. A place is stored in the job's spec, so a resumed job runs where it ran.
"""

import os
import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from pipeline.records import InputError

Engine = Literal["local", "gpu", "torchrun", "ray"]
LOCAL = "local"
ON_RAY: Final = ("generate", "write_premises", "judge", "project", "margins", "hygiene")
ON_TORCHRUN: Final = ("train",)
"""Kinds of jobs that run there; a GPU of this machine serves every kind that waits in the lane of models."""
MODELS = "models"
_CARDS = Path("/proc/driver/nvidia/gpus")
_MOST_PROCESSES = 64
_FORMS = "local, gpu:NUMBER, gpu:0,1,2, torchrun:PROCESSES, ray, ray:ADDRESS"


@dataclass(frozen=True, slots=True)
class Place:
    """An engine, and what it is given."""

    engine: Engine = "local"
    processes: int = 0
    """Of torchrun."""
    gpus: tuple[int, ...] = ()
    """GPUs of this machine by number, from 0; several of them are a Ray cluster of this machine."""
    address: str = ""
    """Of a Ray cluster, such as 10.0.0.1:6379; empty for one that lives as long as the job, on this machine."""

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read local, gpu:2, gpu:0,1, torchrun:4, ray or ray:10.0.0.1:6379. InputError for anything else."""
        engine, _, rest = text.strip().partition(":")
        if engine == "local" and not rest:
            return cls()
        if engine == "ray" and not re.search(r"\s", rest):
            return cls("ray", address=rest)
        if engine == "torchrun" and re.fullmatch(r"\d{1,2}", rest) and 1 <= int(rest) <= _MOST_PROCESSES:
            return cls("torchrun", processes=int(rest))
        if engine == "gpu" and re.fullmatch(r"\d{1,2}(,\d{1,2})*", rest):
            numbers = sorted({int(number) for number in rest.split(",")})
            return cls("gpu" if len(numbers) == 1 else "ray", gpus=tuple(numbers))
        raise InputError(f"{text!r} is no place to run a job; write {_FORMS}.")


def gpu_count(cards: Path = _CARDS) -> int:
    """Return the number of NVIDIA GPUs of this machine, by its driver."""
    return len(list(cards.glob("*/information")))


def missing(engine: Engine) -> str:
    """Return what this installation lacks for an engine, as a sentence; empty when nothing is."""
    if engine == "ray" and find_spec("ray") is None:
        return "Ray is not installed: pip install 'multicsr-workbench[ray]' on every node, or run on local."
    return ""


def checked(kind: str, on: str, *, lane: str = MODELS, gpus: int | None = None) -> str:
    """Return the words for a place after checking that this kind of job can run there.

    gpus: of this machine, counted by default. Raises InputError with the reason otherwise.
    """
    place = Place.parse(on)
    gpus = gpu_count() if gpus is None else gpus
    if place.engine == "ray" and kind not in ON_RAY:
        raise InputError(f"A job of the kind {kind} does not run on Ray, as {on} asks; {', '.join(ON_RAY)} do.")
    if place.engine == "torchrun" and kind not in ON_TORCHRUN:
        raise InputError(f"torchrun is for training; run {kind} on local, gpu:NUMBER or ray.")
    if place.engine == "torchrun" and 0 < gpus < place.processes:
        raise InputError(f"{on} needs a GPU per process, and this machine has {gpus}: choose torchrun:{gpus}.")
    if place.gpus and (place.gpus[-1] >= gpus or lane != MODELS):
        there = f"GPUs 0 to {gpus - 1}" if gpus else "no GPU"
        raise InputError(f"{on} is not there: this machine has {there}; choose local.")
    if reason := missing(place.engine):
        raise InputError(reason)
    return on.strip()


def require_own_llm(on: str, kind: str) -> None:
    """Raise InputError for an LLM on a server in a run on Ray: its limits of money and calls hold in one process."""
    if kind == "remote" and Place.parse(on).engine == "ray":
        raise InputError(
            "An LLM on a server is asked from one process, which keeps its limits; run on local. The server itself "
            "may use as many machines as it likes."
        )


def lanes(on: str, lane: str, *, gpus: int | None = None) -> tuple[str, ...]:
    """Return the lanes that a job takes while it runs, the one it waits in first.

    A GPU beyond the first is a lane of its own, so that jobs on different GPUs run side by side; several processes
    and a Ray cluster of this machine take them all. A cluster elsewhere has a lane of its own: it plans for itself.
    """
    place = Place.parse(on)
    others = tuple(f"cuda:{number}" for number in range(1, gpu_count() if gpus is None else gpus))
    if place.gpus:
        return tuple(f"cuda:{number}" if number else lane for number in place.gpus)
    if place.engine == "torchrun":
        return lane, *others[: place.processes - 1]
    if place.engine == "ray":
        return (f"ray:{place.address}",) if place.address else (lane, *others)
    return (lane,)


def command(on: str, folder: Path) -> list[str]:
    """Return the command of a job's worker."""
    place, worker = Place.parse(on), ["-m", "workbench.jobs.worker", str(folder)]
    if place.engine == "torchrun":
        several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={place.processes}"]
        return [sys.executable, *several, *worker]
    return [sys.executable, *worker]


def environment(on: str) -> dict[str, str]:
    """Return the variables of a job's worker that depend on where it runs."""
    place = Place.parse(on)
    if place.gpus:
        return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, place.gpus))}
    if place.engine == "torchrun":
        threads = max(1, len(os.sched_getaffinity(0)) // place.processes)  # torchrun's own choice is 1
        return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}
    return {}


def offered(kind: str) -> list[str]:
    """Return the places worth offering for a kind of job on this machine, local first."""
    gpus, cores = gpu_count(), len(os.sched_getaffinity(0))
    found = [LOCAL, *(f"gpu:{number}" for number in range(gpus) if gpus > 1)]
    if kind in ON_TORCHRUN and max(gpus, 0 if gpus else cores) > 1:
        found += [f"torchrun:{number}" for number in (2, 4, 8) if number <= (gpus or cores)]
    if kind in ON_RAY and not missing("ray"):
        found.append("ray")
    return found
