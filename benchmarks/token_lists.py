"""The contrast from two lists of the best twenty tokens against the full one, over llama-cpp-python's own server.

    python -m benchmarks.token_lists PREMISES.txt [NUMBER]

The server shows its best 2,000 tokens here: the first twenty of both lists choose, as over any server, and the long
lists, which hold every plausible token, say what the full contrast would have chosen. Rows of another process would
differ in their last digits, as llama.cpp rounds by the shape of a batch. Two servers keep a prompt each.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import GenerationConfig
from pipeline.generation.contrast import TokenChoice
from pipeline.generation.llms.check import explored
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.llms.responses import best_tokens, first_choice, usage_of
from pipeline.generation.llms.retries import Calls, Parsed, plain
from pipeline.generation.llms.token_lists import LISTED, TokenList, chosen_from, lowest
from pipeline.generation.token_choice import choose
from pipeline.generation.triplets import generate
from pipeline.records import Premise
from pipeline.weights import embedded_gguf

LONG = 2_000
CONFIG = GenerationConfig(omega=0.6, max_new_tokens=12, prompt_set="short")


@dataclass(frozen=True, slots=True)
class Step:
    """One token."""

    plausible: int
    """Tokens above the plausibility cut."""
    is_equal: bool | None
    """Whether the short lists chose as the long ones do; None where a long list lacks a plausible token."""
    is_short: bool
    """Whether a short list was too short to be certain."""


class LongLists(RemoteLLM):
    """Sees long lists and chooses by their first twenty tokens; one call at a time, own and opposite in turn."""

    def __init__(self, entry: LLMEntry, opposite: LLMEntry, config: GenerationConfig) -> None:
        super().__init__(entry)
        self.seen: list[Step] = []
        self._how, self._opposite = TokenChoice.of(config), RemoteLLM(opposite)
        self._own: TokenList | None = None

    def best_tokens(self, calls: Calls, prompt: str) -> TokenList:
        """Return the best twenty tokens after a text; every second list is compared with the one before."""
        server = self if self._own is None else self._opposite
        settings = {"max_tokens": 1, "logprobs": LONG, "temperature": 0}
        call = partial(server.create, "completions", prompt=prompt, **settings)
        row = calls.make(call, _list, prompt=prompt, reply_tokens=1)
        if self._own is None:
            self._own = row
        else:
            self.seen.append(step(self._own, row, self._how))
            self._own = None
        return row[:LISTED]

    def close(self) -> None:
        """Close the connections to both servers."""
        self._opposite.close()
        super().close()


def step(own: TokenList, opposite: TokenList, how: TokenChoice) -> Step:
    """Compare the choice from short lists with that from long ones, the best first."""
    chosen = chosen_from(own[:LISTED], opposite[:LISTED], how, None)
    known = dict(opposite)
    plausible = [(text, log_p) for text, log_p in own if log_p >= lowest(own, how)]
    is_equal = None
    if len(plausible) < len(own) and all(text in known for text, _ in plausible):
        own_row = np.array([[log_p for _, log_p in plausible]], dtype=np.float32)
        opposite_row = np.array([[known[text] for text, _ in plausible]], dtype=np.float32)
        place = int(choose(own_row, opposite_row, how)[0])
        is_equal = chosen is not None and chosen.text == plausible[place][0]
    return Step(len(plausible), is_equal, chosen is None or chosen.is_short)


def _list(answer: Any) -> Parsed:
    found = plain(answer)
    return Parsed(best_tokens(first_choice(found)) or [("", 0.0)], *usage_of(found))


@contextmanager
def served(*, window: int = 512) -> Iterator[str]:
    """Serve the embedded weights with llama-cpp-python's own server; gives its base URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "llama_cpp.server", "--model", str(embedded_gguf()), "--model_alias", "smollm2"),
        *("--port", str(port), "--n_ctx", str(window), "--logits_all", "true", "--n_threads", "1"),
        *("--verbose", "false"),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise RuntimeError("The server died; it needs the packages of tests/requirements.txt.")
            try:
                urllib.request.urlopen(f"{url}/models", timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        process.kill()
        process.wait()


@contextmanager
def two_servers(config: GenerationConfig) -> Iterator[LongLists]:
    """Serve twice; gives the LLM as its check explores it."""
    with served() as url, served() as other:
        entry = LLMEntry("far", "remote", url, token_contrast=True, concurrency=1, timeout_s=120.0)
        found, _ = explored(entry)
        with closing(LongLists(found, replace(found, location=other), config)) as llm:
            yield llm


def main(path: Path, number: int) -> None:
    """Write both sides of premises taken evenly from the file and print the shares."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    premises = [Premise.from_text(text) for text in lines[:: max(1, len(lines) // number)][:number]]
    with two_servers(CONFIG) as llm:
        since = time.monotonic()
        for done, _ in enumerate(generate(premises, CONFIG, llm), start=1):
            print(f"{done} premises, {time.monotonic() - since:.0f} s: {shares(llm.seen)}", flush=True)


def shares(steps: list[Step]) -> str:
    """Return the shares in words."""
    known = [one for one in steps if one.is_equal is not None]
    equal, short = sum(bool(one.is_equal) for one in known), sum(one.is_short for one in steps)
    wrong = sum(not one.is_equal and not one.is_short for one in known)
    numbers = np.array([one.plausible for one in steps])
    return (
        f"{len(steps)} steps, {equal} of {len(known)} known as the full contrast ({equal / len(known):.1%}), {short} "
        f"with a list too short ({short / len(steps):.1%}), {wrong} wrong unnoticed; plausible tokens: median "
        f"{np.median(numbers):g}, at most {LISTED} in {(numbers <= LISTED).mean():.1%}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 16)
