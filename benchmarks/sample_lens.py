"""The shipped lens recording, made anew: one reply of each side by the embedded LLM, every step with its candidates.

    python -m benchmarks.sample_lens [--premise SENTENCE]

Writes assets/lens_sample.json, which the lens shows until somebody records a reply.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.config import GenerationConfig
from pipeline.durable import write_text
from pipeline.records import Side
from workbench.actions.generation import start_lens
from workbench.jobs.kinds import LensSpec
from workbench.paths import LENS_SAMPLE
from workbench.workspace import Workspace

PREMISE = "The weather is very cold in the Northern Hemisphere."
_WAIT_S = 1800
_DECIMALS = 4


def main() -> None:
    """Record both sides and write the file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--premise", default=PREMISE)
    premise = options.parse_args().premise
    config, replies = GenerationConfig(), {}
    with tempfile.TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        for side in Side:
            job_id = start_lens(workspace, premise=premise, side=side, config=asdict(config))["job_id"]
            workspace.wait(job_id, timeout_s=_WAIT_S)
            record = json.loads(workspace.jobs.output(job_id, "lens.json").read_bytes())
            print(f"{side}: {record['text']} ({record['outcome']})")
            replies[side] = rounded(record)
        [spec, *_] = [job.spec for job in workspace.jobs.of(LensSpec)]
    sample = {"llm": spec.llm.name, "prompt_set": spec.config.prompt_set, "premise": premise, "replies": replies}
    write_text(LENS_SAMPLE, json.dumps(sample, separators=(",", ":"), ensure_ascii=False) + "\n")


def rounded(value: Any) -> Any:
    """Return the record with log-probabilities of four decimals, which halves the file."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, _DECIMALS) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
