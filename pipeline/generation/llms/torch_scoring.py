"""Log-probabilities of given replies under a model of transformers, many read together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.generation.engines.engine import is_out_of_memory
from pipeline.generation.llms.torch_llm import TorchLLM
from pipeline.generation.llms.torch_writing import Prompt

_SCORED_AT_ONCE = 64
"""Given replies whose log-probabilities are read together."""


def reply_log_probabilities(
    llm: TorchLLM, prompts: Sequence[Prompt], replies: Sequence[Sequence[int]], *, batch_size: int = _SCORED_AT_ONCE
) -> NDArray[np.float64]:
    """Return log p(reply | prompt) of each pair in nats, summed over the reply's tokens: float64 (n,).

    What prompts share is read once per batch. When memory does not suffice the batch is halved and read again; a
    single pair that does not fit is nan.
    """
    found = np.full(len(prompts), np.nan)
    waiting = sorted(range(len(prompts)), key=lambda row: len(prompts[row]) + len(replies[row]))
    while waiting:
        size = llm.limits.at_most(batch_size)
        batch, waiting = waiting[:size], waiting[size:]
        try:
            found[batch] = _of_batch(llm, [prompts[row] for row in batch], [replies[row] for row in batch])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) > 1:
                llm.limits.shrink(len(batch))
                waiting = batch + waiting
    return found


def _of_batch(llm: TorchLLM, prompts: Sequence[Prompt], replies: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    import torch

    total = np.zeros(len(prompts))
    lengths = np.array([len(reply) for reply in replies])
    rows = np.arange(len(prompts))
    columns = [np.asarray(reply, dtype=np.int64) for reply in replies]
    with torch.inference_mode():
        steps = llm.begin(prompts)
        logits = steps.first()
        for place in range(lengths.max()):
            still = np.flatnonzero(lengths[rows] > place)
            if len(still) < len(rows):
                steps.keep(still)
                rows, logits = rows[still], logits[torch.from_numpy(still).to(logits.device)]
            tokens = np.array([columns[row][place] for row in rows])
            chosen = torch.from_numpy(tokens)[:, None].to(logits.device)
            total[rows] += logits.float().log_softmax(-1).gather(1, chosen)[:, 0].double().cpu().numpy()
            if place + 1 < lengths.max():
                logits = steps.next(tokens)
    return total
