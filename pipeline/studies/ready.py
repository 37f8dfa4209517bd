"""What the sample corpus brings along: triplets and judgements of its own recipe, so no study makes them again."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.config import NOT_SENT, SAMPLED_ONLY, GenerationConfig
from pipeline.records import Outcome, text_id

RECIPE = GenerationConfig(
    llm="smollm2-135m", prompt_set="default", plausibility=0.1, temperature=0.0, max_new_tokens=48
)
"""How the corpus was written, omega aside."""
JUDGE = "likelihood:smollm2-135m"
_GREEDY_IGNORES = (*SAMPLED_ONLY, *NOT_SENT, "batch_size")
"""Settings that change no word of a reply of the embedded LLM at temperature 0."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Work that is done: by premise or pair, as the shelf would hold it. It cost this machine nothing."""

    written: Mapping[float, Mapping[str, dict[str, Any]]] = field(default_factory=dict)
    """omega -> premise id -> line."""
    raw: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Pair id -> line with the judge's raw value."""

    def triplets(self, config: GenerationConfig) -> dict[str, dict[str, Any]]:
        """Return what is there for these settings, by premise id; empty for settings other than the recipe's."""
        same = {name: getattr(RECIPE, name) for name in (*_GREEDY_IGNORES, "omega")}
        if replace(config, **same) != RECIPE:
            return {}
        return dict(self.written.get(config.omega, {}))

    def judged(self, judge_id: str) -> dict[str, dict[str, Any]]:
        """Return this judge's raw values by pair id."""
        return dict(self.raw) if judge_id == JUDGE else {}


def read_ready(corpus: Path) -> Ready:
    """Read the sample corpus; a list of premises alone brings nothing along."""
    if corpus.suffix != ".parquet":
        return Ready()
    import pandas as pd

    written: dict[float, dict[str, dict[str, Any]]] = {}
    raw: dict[str, dict[str, Any]] = {}
    for row in pd.read_parquet(corpus).to_dict("records"):
        outcomes = [row["positive_outcome"], row["hard_negative_outcome"]]
        premise_id = text_id(row["premise"])
        written.setdefault(float(row["omega"]), {})[premise_id] = {
            "id": premise_id,
            "positive": row["positive"],
            "hard_negative": row["hard_negative"],
            "outcomes": outcomes,
            "ok": outcomes == [Outcome.OK, Outcome.OK],
            "s": 0.0,
        }
        for side, column in (("positive", "a_raw"), ("hard_negative", "b_raw")):
            if row[column] == row[column]:  # NaN where nobody judged
                pair = pair_id((row["premise"], row[side]))
                raw[pair] = {"pair": pair, "raw": float(row[column]), "s": 0.0}
    return Ready(written, raw)


def pair_id(pair: tuple[str, str]) -> str:
    """Name of a pair of sentences."""
    return text_id("\x00".join(pair))
