"""What is shipped with the sample corpus: its triplets and judgements, as a study keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config import NOT_SENT, SAMPLED_ONLY, GenerationConfig
from pipeline.records import Outcome, text_id

RECIPE = GenerationConfig(
    llm="smollm2-135m", prompt_set="default", plausibility=0.1, temperature=0.0, max_new_tokens=48
)
"""Settings of the sample corpus, except omega."""
JUDGE = "likelihood:smollm2-135m"
_GREEDY_IGNORES = (*SAMPLED_ONLY, *NOT_SENT, "batch_size")
"""Settings that do not change the embedded LLM's replies at temperature 0."""


@dataclass(frozen=True, slots=True)
class SampleResults:
    """Triplets and judgements shipped with the sample corpus, as cache lines that cost no time."""

    triplets: Mapping[float, Mapping[str, dict[str, Any]]] = field(default_factory=dict)
    """omega -> premise id -> line."""
    raw: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Pair id -> line with the judge's raw value."""

    def generated(self, config: GenerationConfig) -> dict[str, dict[str, Any]]:
        """Return the lines for these settings by premise id; empty unless they match the recipe."""
        same = {name: getattr(RECIPE, name) for name in (*_GREEDY_IGNORES, "omega")}
        if replace(config, **same) != RECIPE:
            return {}
        return dict(self.triplets.get(config.omega, {}))

    def judged(self, judge_id: str) -> dict[str, dict[str, Any]]:
        """Return this judge's raw values by pair id."""
        return dict(self.raw) if judge_id == JUDGE else {}


def read_sample(corpus: Path) -> SampleResults:
    """Read the sample corpus; empty for a file with premises only."""
    if corpus.suffix != ".parquet":
        return SampleResults()
    triplets: dict[float, dict[str, dict[str, Any]]] = {}
    raw: dict[str, dict[str, Any]] = {}
    for row in pd.read_parquet(corpus).to_dict("records"):
        outcomes = [row["positive_outcome"], row["hard_negative_outcome"]]
        premise_id = text_id(row["premise"])
        triplets.setdefault(float(row["omega"]), {})[premise_id] = {
            "id": premise_id,
            "positive": row["positive"],
            "hard_negative": row["hard_negative"],
            "outcomes": outcomes,
            "ok": outcomes == [Outcome.OK, Outcome.OK],
            "s": 0.0,
        }
        for side, column in (("positive", "a_raw"), ("hard_negative", "b_raw")):
            if row[column] == row[column]:  # NaN if not judged
                pair = pair_id((row["premise"], row[side]))
                raw[pair] = {"pair": pair, "raw": float(row[column]), "s": 0.0}
    return SampleResults(triplets, raw)


def pair_id(pair: tuple[str, str]) -> str:
    """Return the id of a pair of sentences."""
    return text_id("\x00".join(pair))
