"""How an LLM goes on from any text, before a prompt set is made for it."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pipeline.generation.contrast import TokenChoice, pick
from pipeline.generation.reading import Reader


def answer(
    reader: Reader,
    how: TokenChoice,
    *,
    seed: int,
    max_new_tokens: int,
    is_end: Callable[[int], bool],
) -> Iterator[int]:
    """Yield the tokens that follow a prompt, up to the model's own end or the limit; line breaks belong to it.

    Of `how` temperature and top_p count: a single prompt has no opposite.
    """
    draws = np.random.default_rng(seed)
    following: Sequence[int] = ()
    for _ in range(max_new_tokens):
        token = pick(reader.read(following), how, draws.random() if how.temperature > 0 else None)
        if is_end(token):
            return
        yield token
        following = (token,)
