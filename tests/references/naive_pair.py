"""Contrastive decoding the obvious way: two high-level `Llama` objects stepped token by token, one reply at a time.

The independent reference for the batched engine's texts, and the slow side of benchmarks/generation.py. It shares the
prompts and the formula with the project, but neither its context nor its scheduler.
"""

from pathlib import Path

import numpy as np

from pipeline.generation.prompts import PromptSet
from pipeline.records import Side


class NaivePair:
    """Own and opposite prompt in a `Llama` of their own."""

    def __init__(self, path: Path, prompts: PromptSet, *, omega: float, plausibility: float = 0.1, threads: int = 2):
        from llama_cpp import Llama

        settings = {"n_ctx": 1024, "logits_all": False, "verbose": False, "n_threads": threads}
        self._own = Llama(str(path), n_threads_batch=threads, **settings)
        self._opposite = Llama(str(path), n_threads_batch=threads, **settings)
        self._prompts, self._omega, self._plausibility = prompts, omega, plausibility

    def reply(self, premise: str, side: Side, max_new_tokens: int = 48) -> tuple[str, int]:
        """Return one greedy reply and its number of tokens."""
        self.start(premise, side)
        tokens: list[int] = []
        while len(tokens) < max_new_tokens:
            token = int(self.z().argmax())
            if token == self._own.token_eos() or b"\n" in self._own.detokenize([token]):
                break
            tokens.append(token)
            self.push(token)
        return self._own.detokenize(tokens).decode("utf-8", errors="replace"), len(tokens)

    def start(self, premise: str, side: Side) -> None:
        """Read both prompts of a premise anew, as a plain loop would do."""
        for llama, prompt in ((self._own, self._prompts.own(side)), (self._opposite, self._prompts.opposite(side))):
            llama.reset()
            parts = prompt.prefix(), prompt.tail(premise)
            llama.eval([token for part in parts for token in llama.tokenize(part.encode(), add_bos=False)])

    def push(self, token: int) -> None:
        """Continue both prompts by one token."""
        self._own.eval([token])
        self._opposite.eval([token])

    def z(self) -> np.ndarray:
        """Return z = l - omega * l^ of the next token, with true log-probabilities."""
        own, opposite = self.rows()
        z = own - self._omega * opposite
        z[np.exp(own) < self._plausibility * np.exp(own.max())] = -np.inf
        return z

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return l and l^: the log-probabilities of every next token under both prompts."""
        return self._next(self._own), self._next(self._opposite)

    def close(self) -> None:
        self._own.close()
        self._opposite.close()

    @staticmethod
    def _next(llama) -> np.ndarray:
        import llama_cpp

        pointer = llama_cpp.llama_get_logits_ith(llama.ctx, -1)
        row = np.ctypeslib.as_array(pointer, shape=(llama.n_vocab(),)).astype(np.float64)
        return row - row.max() - np.log(np.exp(row - row.max()).sum())
