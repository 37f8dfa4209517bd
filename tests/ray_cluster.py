"""A Ray cluster of several nodes on this machine, and an LLM for its actors whose every row takes the same time."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.config import GenerationConfig
from pipeline.generation.llms.protocol import Ask, Reply
from pipeline.records import Contrast, Side
from workbench.jobs.row_makers import GenerateMaker, WriteMaker

COST_S = 0.02
_STORE_BYTES = 80 << 20


class Nodes:
    """Nodes at loopback addresses of their own; the driver joins at the first, which does no work."""

    def __init__(self, count: int, *, cpus: int = 1, gpus: int = 0) -> None:
        from ray.cluster_utils import Cluster

        self._cpus, self._gpus, self._given = cpus, gpus, 1  # Ray replaces 127.0.0.1 by the address in the network
        self._cluster = Cluster(
            initialize_head=True, head_node_args=self._arguments(0) | {"include_dashboard": False}
        )
        self.address = self._cluster.address
        self.workers: list[Any] = []
        for _ in range(count):
            self.add()

    def _arguments(self, cpus: int, gpus: int = 0) -> dict[str, Any]:
        self._given += 1
        return {
            "num_cpus": cpus,
            "num_gpus": gpus,
            "object_store_memory": _STORE_BYTES,
            "node_ip_address": f"127.0.0.{self._given}",
        }

    def add(self, tries: int = 5) -> None:
        """Let another node join; on a busy machine Ray may give up on one that starts slowly."""
        for left in reversed(range(tries)):
            try:
                self.workers.append(self._cluster.add_node(**self._arguments(self._cpus, self._gpus)))
                return
            except Exception:  # Ray raises no other type
                if not left:
                    raise

    def kill(self, node: Any) -> None:
        """End a node and all that runs on it at once."""
        self._cluster.remove_node(node, allow_graceful=False)
        self.workers.remove(node)

    def close(self) -> None:
        """End all of them."""
        self._cluster.shutdown()


@contextmanager
def ray_nodes(count: int, *, cpus: int = 1, gpus: int = 0) -> Iterator[Nodes]:
    """A cluster for as long as the block lasts. gpus: of each node, pretended: Ray counts them and hands them out."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_agent_register_timeout_ms": "120000"}
    os.environ["RAY_worker_niceness"] = (
        "0"  # Ray lets its workers yield to everything else, which tests at once would starve
    )
    nodes = Nodes(count, cpus=cpus, gpus=gpus)
    try:
        yield nodes
    finally:
        nodes.close()


class SleepingLLM:
    """Writes one premise after the other, each in `cost_s` seconds."""

    name, contrast, context_length = "sleeping", Contrast.NONE, None

    def __init__(self, cost_s: float = COST_S) -> None:
        self._cost_s = cost_s

    def replies(
        self, asks: Iterator[Ask], _prompts: Any, _config: GenerationConfig, _should_stop: Any
    ) -> Iterator[Reply]:
        for ask in asks:
            time.sleep(self._cost_s)
            for side, word in zip(Side, ("some", "no"), strict=True):
                yield Reply(ask.key, side, f"{word} way {ask.seed}", tokens=4)

    def continuations(
        self, _asked: Any, asks: Iterator[Ask], _config: GenerationConfig, _should_stop: Any
    ) -> Iterator[Reply]:
        for ask in asks:
            time.sleep(self._cost_s)
            digits = f"{ask.seed:016x}"
            # Sentences without a word in common: none is a near duplicate of another.
            yield Reply(ask.key, Side.POSITIVE, f" A{digits[:5]} b{digits[5:10]} c{digits[10:]}.", tokens=4)

    def close(self) -> None:
        pass


class SleepingMaker(GenerateMaker):
    """What an actor holds in the tests of clusters."""

    def identity(self) -> str:
        return "sleeping"

    def opened(self) -> Any:
        return SleepingLLM()


class SleepingWriteMaker(WriteMaker):
    """The same, for premises."""

    def identity(self) -> str:
        return "sleeping"

    def opened(self) -> Any:
        return SleepingLLM()


class DeviceMaker:
    """Answers with the GPU that its actor was given, and with its process."""

    def identity(self) -> str:
        return "device"

    def results(self, block: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        time.sleep(0.2)
        yield from ((key, (os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid())) for key, _ in block)
