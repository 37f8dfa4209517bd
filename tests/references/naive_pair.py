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
        self._start(self._own, premise, side_prompt=self._prompts.own(side))
        self._start(self._opposite, premise, side_prompt=self._prompts.opposite(side))
        tokens: list[int] = []
        while len(tokens) < max_new_tokens:
            token = int(self.z().argmax())
            if token == self._own.token_eos() or b"\n" in self._own.detokenize([token]):
                break
            tokens.append(token)
            self._own.eval([token])
            self._opposite.eval([token])
        return self._own.detokenize(tokens).decode("utf-8", errors="replace"), len(tokens)

    def z(self) -> np.ndarray:
        """Return z = l - omega * l^ of the next token, with true log-probabilities."""
        own, opposite = self._next(self._own), self._next(self._opposite)
        z = own - self._omega * opposite
        z[np.exp(own) < self._plausibility * np.exp(own.max())] = -np.inf
        return z

    def close(self) -> None:
        self._own.close()
        self._opposite.close()

    def _start(self, llama, premise: str, *, side_prompt) -> None:
        # Llama.eval keeps nothing between premises here: the prompt is read anew, as a plain loop would do.
        llama.reset()
        text = side_prompt.prefix(), side_prompt.tail(premise)
        llama.eval([token for part in text for token in llama.tokenize(part.encode(), add_bos=False)])

    @staticmethod
    def _next(llama) -> np.ndarray:
        import llama_cpp

        pointer = llama_cpp.llama_get_logits_ith(llama.ctx, -1)
        row = np.ctypeslib.as_array(pointer, shape=(llama.n_vocab(),)).astype(np.float64)
        return row - row.max() - np.log(np.exp(row - row.max()).sum())
