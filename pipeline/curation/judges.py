"""Judges by name: each gives a pair of sentences a raw value, larger for closer meaning."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pipeline.errors import InputError

LIKELIHOOD = "likelihood:smollm2-135m"
GUIDE = "guide:all-MiniLM-L6-v2"
EMBEDDED_JUDGES = (LIKELIHOOD, GUIDE)
"""The judges whose weights are installed with the project and whose calibration is shipped."""


class Judge(Protocol):
    """Anything that scores pairs of sentences; `judge_id` is `<kind>:<model>` and is stored with every score."""

    judge_id: str

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return one raw value per pair, float64 (n,)."""


def load_judge(judge_id: str) -> Judge:
    """Load the model behind `digit:<llm>`, `likelihood:<llm>`, `entailment:<llm>` or `guide:<encoder>`.

    Raises InputError for any other kind.
    """
    kind, _, model = judge_id.partition(":")
    if kind == "likelihood" and model:
        from pipeline.curation.likelihood import LikelihoodJudge
        from pipeline.generation.loading import load_llama

        return LikelihoodJudge(load_llama(model))
    if kind == "entailment" and model:
        from pipeline.curation.likelihood import EntailmentJudge
        from pipeline.generation.loading import load_llama

        return EntailmentJudge(load_llama(model))
    if kind == "digit" and model:
        from pipeline.curation.digit import DigitJudge
        from pipeline.generation.loading import load_llama

        return DigitJudge(load_llama(model))
    if kind == "guide" and model:
        from pipeline.curation.guide_judge import GuideJudge
        from pipeline.training.encoders import load_encoder

        return GuideJudge(load_encoder(model), name=model)
    raise InputError(
        f"Judge {judge_id!r} is not known: write digit:LLM, likelihood:LLM, entailment:LLM or guide:ENCODER."
    )
