"""Rows of a job from the nodes of a Ray cluster: the result of every item comes back once, whatever dies meanwhile.

The driver is the job's worker. It gives blocks of items to actors, each of which holds one LLM, and takes in results
as they are finished. Only the driver writes: the job keeps its one journal with its one writer, a row that the driver
has written is on the disk of the workspace, and the owner, resume and rebuild know nothing of clusters. Shards on the
nodes would save the driver's fsync, a fraction of a millisecond per batch, and cost a shared disk.

A block belongs to one actor. When an actor dies, what it had not answered goes to another one; an answer for an item
that the actor no longer owes is dropped.
"""

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic
from typing import Any, Protocol

from pipeline.records import InputError, Stopped, StorageError
from workbench.jobs.flushing import in_batches

Item = tuple[str, Any]
"""A key, unique within the job, and what an actor needs for it."""
Result = tuple[str, Any]
"""The key of an item, and what became of it."""
_LARGEST, _SMALLEST, _SHARES = 512, 8, 4
"""Items of a block: a share of what is left per actor, so that all end at about the same time."""
_POLL_S, _LOOK_EVERY_S, _ANSWER_S = 0.2, 1.0, 5.0
_MOST_LOSSES = 8
"""Actors that may die over one item before it is held to be the cause, and one after the other before one begins."""
_OBJECT_STORE_BYTES = 100 << 20
_NOT_OWED = object()
_ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""With 0, Ray's setting for machines that join no others, its parts listen on 127.0.0.1 alone; else it takes the
machine's address in the network and listens on all of them, and lets in who has its token."""


class RowMaker(Protocol):
    """What an actor holds. It travels to the node before anything is loaded."""

    def identity(self) -> str:
        """Return what decides the results: actors that differ from the first one get no work. Loads no LLM."""

    def results(self, block: Sequence[Item]) -> Iterator[Result]:
        """Yield the result of every item, in any order; the first call loads the weights."""


class _Holder:
    """The actor."""

    def __init__(self, maker: RowMaker) -> None:
        self._maker = maker

    def identity(self) -> str:
        return self._maker.identity()

    def results(self, block: Sequence[Item]) -> Iterator[list[Result]]:
        yield from in_batches(self._maker.results(block))


@dataclass(slots=True)
class _Actor:
    handle: Any
    node: str
    """Id of its node."""
    pending: Any
    """Its answer to `identity`, then the stream of results of its block; None while it has nothing to do."""
    is_ready: bool = False
    owed: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Node:
    address: str
    room: int
    """Actors that it holds."""
    rows: int = 0
    since: float = field(default_factory=monotonic)

    def rate(self) -> float:
        """Return rows per second since its first actor was started."""
        return self.rows / max(monotonic() - self.since, 1e-9)


class RayRows:
    """The actors of one job on a cluster; close it after use."""

    def __init__(self, address: str, maker: RowMaker, *, cores: int = 0) -> None:
        """Connect to a cluster, or start one on this machine when the address is empty.

        cores: CPUs of an actor where no node has a GPU; 0 gives each node one actor with all of its CPUs. With GPUs
        there is an actor per GPU.
        """
        self._temporary = ""
        self._ray = self._connected(address)
        self._maker, self._cores = maker, cores
        self._actors: list[_Actor] = []
        self._nodes: dict[str, _Node] = {}
        self._again: deque[Item] = deque()
        self._losses: Counter[str] = Counter()
        self._identity: str | None = None
        self._left_out: dict[str, str] = {}
        self._lost_actors = self._never_began = 0
        self._looked_at = -_LOOK_EVERY_S

    def _connected(self, address: str) -> Any:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_agent_register_timeout_ms", "120000")  # a busy machine starts its agents slowly
        if not address:
            os.environ[_ALONE] = "0"
        import ray

        if address:
            _require_answer(address)
        here: dict[str, Any] = {"address": address}
        if not address:
            self._temporary = tempfile.mkdtemp(prefix="ray-")
            here = {
                "address": "local",
                "num_cpus": len(os.sched_getaffinity(0)),
                "object_store_memory": _OBJECT_STORE_BYTES,
                "include_dashboard": False,
                "_node_ip_address": "127.0.0.1",
                "_temp_dir": self._temporary,
            }
        on_terminate = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**here, log_to_driver=False, logging_level=logging.WARNING)
        except (ConnectionError, ray.exceptions.RayError, RuntimeError, ValueError) as error:
            first = str(error).strip().partition("\n")[0]
            raise InputError(f"No Ray cluster answers at {address or 'this machine'} ({first[:200]}).") from error
        signal.signal(signal.SIGTERM, on_terminate)  # Ray puts its own in place, which ends the process at once
        return ray

    def close(self) -> None:
        """End all actors and leave the cluster; one of this machine ends with it."""
        for actor in self._actors:
            self._ray.kill(actor.handle)
        self._ray.shutdown()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def identity(self, should_stop: Callable[[], bool]) -> str | None:
        """Return the identity of the first actor that answers; None when asked to stop before."""
        while self._identity is None and not should_stop():
            self._look(most=1)
            self._taken()
        return self._identity

    def ready(self, wanted: int) -> int:
        """Start actors where there is room, wait a moment, and return how many of those wanted are ready."""
        self._look()
        self._taken()
        return min(wanted, sum(actor.is_ready for actor in self._actors))

    def results(self, items: Iterator[Item], total: int, should_stop: Callable[[], bool]) -> Iterator[list[Result]]:
        """Yield what became of the items, in batches, in the order in which they are finished.

        items: with keys that differ. total: their number, which decides the size of blocks. On a stop the actors end
        at once; results that are on their way are lost, and made again by a resumed job.

        Raises what an actor raised for a reason of its own (InputError, WeightsError), and StorageError when actors
        keep dying over one item.
        """
        left = total
        self._losses.clear()
        while not should_stop():
            self._look()
            left = self._give(items, left)
            if not left and not self._again and not any(actor.owed for actor in self._actors):
                return
            found, fault = self._taken()
            if found:
                yield found
            if fault:
                raise fault

    def in_order(self, payloads: Sequence[Any], should_stop: Callable[[], bool]) -> list[Any]:
        """Return what became of each of these, in their order. Raises Stopped when asked to stop; see `results`."""
        items = ((str(place), payload) for place, payload in enumerate(payloads))
        found = [item for batch in self.results(items, len(payloads), should_stop) for item in batch]
        if len(found) < len(payloads):
            raise Stopped
        by_key = dict(found)
        return [by_key[str(place)] for place in range(len(payloads))]

    def _look(self, most: int | None = None) -> None:
        """Start actors where there is room: on new nodes, and in place of those that died."""
        if monotonic() - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = monotonic()
        ray = self._ray
        alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        has_gpus = any(node["Resources"].get("GPU") for node in alive.values())
        holder = ray.remote(_Holder)
        for node_id, node in alive.items():
            cpus, gpus = (int(node["Resources"].get(name, 0)) for name in ("CPU", "GPU"))
            room = gpus if has_gpus else cpus // self._cores if self._cores else min(cpus, 1)
            needs = {"num_gpus": 1, "num_cpus": 1} if has_gpus else {"num_cpus": self._cores or cpus}
            known = self._nodes.setdefault(node_id, _Node(node["NodeManagerAddress"], room))
            where = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id, soft=False)
            while sum(actor.node == node_id for actor in self._actors) < known.room and node_id not in self._left_out:
                if most is not None and len(self._actors) >= most:
                    return
                handle = holder.options(scheduling_strategy=where, **needs).remote(self._maker)
                self._actors.append(_Actor(handle, node_id, handle.identity.remote()))

    def _give(self, items: Iterator[Item], left: int) -> int:
        """Give a block to every idle actor; return how many items are left to be drawn."""
        idle = [actor for actor in self._actors if actor.is_ready and actor.pending is None]
        for actor in idle:
            size = min(_LARGEST, max(_SMALLEST, (left + len(self._again)) // (_SHARES * len(self._actors))))
            block = [self._again.popleft() for _ in range(min(size, len(self._again)))]
            new = list(islice(items, size - len(block)))
            left = max(0, left - len(new)) if len(block) + len(new) == size else 0
            block += new
            if not block:
                break
            actor.owed = dict(block)
            actor.pending = actor.handle.results.options(num_returns="streaming").remote(block)
        return left

    def _taken(self) -> tuple[list[Result], Exception | None]:
        """Wait a moment for answers; return the results among them, and why the job has to end, if it has to."""
        found: list[Result] = []
        fault: Exception | None = None
        by_pending = {actor.pending: actor for actor in self._actors if actor.pending is not None}
        waits = list(by_pending)
        ready = self._ray.wait(waits, num_returns=1, timeout=_POLL_S)[0] if waits else []
        if ready:
            ready = self._ray.wait(waits, num_returns=len(waits), timeout=0)[0]
        for pending in ready:
            actor = by_pending[pending]
            try:
                answer = self._ray.get(next(pending) if actor.is_ready else pending)
            except StopIteration:
                self._ended(actor)
            except self._ray.exceptions.RayTaskError as error:
                fault = _cause(error)
            except self._ray.exceptions.RayError as error:  # the actor, its node, or the object on it is gone
                fault = self._lost(actor, error) or fault
            else:
                if actor.is_ready:
                    found += self._owed(actor, answer)
                else:
                    self._greeted(actor, answer)
        return found, fault

    def _greeted(self, actor: _Actor, identity: str) -> None:
        self._identity = self._identity or identity
        self._never_began = 0
        if identity == self._identity:
            actor.is_ready, actor.pending = True, None
            return
        reason = "other weights, packages or device: it would write other texts"
        self._left_out[actor.node] = f"{self._nodes[actor.node].address} is left out ({reason})"
        self._drop(actor)

    def _owed(self, actor: _Actor, answer: list[Result]) -> list[Result]:
        found = [item for item in answer if actor.owed.pop(item[0], _NOT_OWED) is not _NOT_OWED]
        self._nodes[actor.node].rows += len(found)
        return found

    def _ended(self, actor: _Actor) -> None:
        if actor.owed:
            raise RuntimeError(f"An actor ended its block with {len(actor.owed)} items unanswered.")
        actor.pending = None

    def _lost(self, actor: _Actor, error: Exception) -> Exception | None:
        """Give what the actor owed to others; return why the job has to end, if too many died in the same way."""
        self._lost_actors += 1
        self._never_began += not actor.is_ready
        self._losses.update(actor.owed.keys())
        self._again.extend(actor.owed.items())
        self._drop(actor)
        blamed = next((key for key in actor.owed if self._losses[key] >= _MOST_LOSSES), "")
        if not blamed and self._never_began < _MOST_LOSSES:
            return None
        over = f"over {blamed}" if blamed else "before they could begin"
        first = " ".join(str(error).split())[:300]
        return StorageError(f"{_MOST_LOSSES} actors died {over} ({first}); Ray's logs on the nodes have more.")

    def _drop(self, actor: _Actor) -> None:
        self._ray.kill(actor.handle)
        self._actors.remove(actor)

    def details(self) -> dict[str, Any]:
        """Return, as the detail `cluster`, rows per second by node, actors at work and lost, and nodes left out."""
        nodes = {
            f"{node.address} {node_id[:6]}": {"rows": node.rows, "rows_per_s": round(node.rate(), 2)}
            for node_id, node in self._nodes.items()
            if node.room
        }
        ready = sum(actor.is_ready for actor in self._actors)
        lost = {"lost_actors": self._lost_actors, "left_out": sorted(self._left_out.values())}
        return {"cluster": {"nodes": nodes, "actors": ready} | lost}


def _require_answer(address: str) -> None:
    """Raise InputError where nothing listens: Ray itself goes on trying for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"No Ray cluster answers at {address} ({error}): start it with `ray start --head`, and name host:port."
        ) from error


def _cause(error: Any) -> Exception:
    """Return what an actor raised, as it was raised there."""
    return error.cause if isinstance(error.cause, Exception) else error
