"""Judges by name: each gives a pair of sentences a raw value, larger for closer meaning."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.errors import InputError
from pipeline.generation.llms.entries import LLMEntry, entry_for

LIKELIHOOD = "likelihood:smollm2-135m"
GUIDE = "guide:all-MiniLM-L6-v2"
LLM_KINDS = ("likelihood", "entailment", "digit")
"""Kinds of judges that ask an LLM."""
EMBEDDED_JUDGES = (LIKELIHOOD, GUIDE)
"""The judges whose weights are installed with the project and whose calibration is shipped."""


class Judge(Protocol):
    """Anything that scores pairs of sentences; `judge_id` is `<kind>:<model>` and is stored with every score."""

    judge_id: str

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return one raw value per pair, float64 (n,)."""


def load_judge(judge_id: str, entry: LLMEntry | None = None, *, vectors: Path | None = None) -> Judge:
    """Load the model behind `digit:<llm>`, `likelihood:<llm>`, `entailment:<llm>` or `guide:<encoder>`.

    vectors: folder where a guide's vectors are kept; None keeps none.
    entry: where the LLM is, for one that a registry knows by name; else the name says it (embedded, or a path).
    Raises InputError for any other kind, and for an LLM that cannot be asked in this way.
    """
    kind, _, model = judge_id.partition(":")
    if kind == "guide" and model:
        from pipeline.curation.guide_judge import GuideJudge
        from pipeline.training.encoders import load_encoder
        from pipeline.vectors import CachedEncoder

        return GuideJudge(CachedEncoder(load_encoder(model), vectors), name=model)
    if kind not in LLM_KINDS or not model:
        known = ", ".join([*(f"{name}:LLM" for name in LLM_KINDS), "guide:ENCODER"])
        raise InputError(f"Judge {judge_id!r} is not known: write {known}.")
    entry = entry or entry_for(model)
    if entry.kind in ("embedded", "gguf"):
        return _llama_judge(kind, model, entry)
    if kind not in kinds_for(entry):
        raise InputError(f"{model} is a server, which can be asked for a digit only: choose digit:{model}.")
    return _remote_judge(judge_id, entry) if entry.kind == "remote" else _folder_judge(kind, judge_id, entry)


def kinds_for(entry: LLMEntry) -> tuple[str, ...]:
    """Return the kinds of judges that this LLM is capable of: a server does not show what every reply costs."""
    return ("digit",) if entry.kind == "remote" else LLM_KINDS


def _llama_judge(kind: str, model: str, entry: LLMEntry) -> Judge:
    from pipeline.curation.costs import EngineCosts
    from pipeline.curation.digit import DigitJudge
    from pipeline.curation.likelihood import EntailmentJudge, LikelihoodJudge
    from pipeline.generation.fastest import load_fastest
    from pipeline.generation.loading import load_llama

    llm = load_fastest(model) if entry.kind == "embedded" else load_llama(entry.location, name=model)
    if kind == "digit":
        return DigitJudge(llm)
    made = LikelihoodJudge if kind == "likelihood" else EntailmentJudge
    return made(EngineCosts(llm), name=model)


def _remote_judge(judge_id: str, entry: LLMEntry) -> Judge:
    from pipeline.curation.remote_digit import RemoteDigitJudge

    return RemoteDigitJudge(entry, judge_id=judge_id)


def _folder_judge(kind: str, judge_id: str, entry: LLMEntry) -> Judge:
    from pipeline.curation.costs import FolderCosts
    from pipeline.curation.folder_digit import FolderDigitJudge
    from pipeline.curation.likelihood import EntailmentJudge, LikelihoodJudge
    from pipeline.curation.seq2seq_digit import Seq2SeqDigitJudge
    from pipeline.generation.llms.encoder_decoder import EncoderDecoderLLM
    from pipeline.generation.llms.opening import open_llm

    llm = open_llm(entry)
    if kind != "digit":
        made = LikelihoodJudge if kind == "likelihood" else EntailmentJudge
        return made(FolderCosts(llm), name=judge_id.partition(":")[2])  # type: ignore[arg-type]
    if isinstance(llm, EncoderDecoderLLM):
        return Seq2SeqDigitJudge(llm, judge_id=judge_id)
    return FolderDigitJudge(llm, judge_id=judge_id)  # type: ignore[arg-type]
