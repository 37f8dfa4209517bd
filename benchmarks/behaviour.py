"""What encoders do with the behavioural suite: passed tests per capability, one column per encoder, as Markdown.

Run: python -m benchmarks.behaviour [ENCODER ...]      built-in names or folders; without any, the two quick ones
"""

import sys
from pathlib import PurePath

from pipeline.encoders import load_encoder
from pipeline.evaluation.behaviour import built_in_cases, by_capability, run_cases


def main() -> None:
    """Print the table."""
    names = sys.argv[1:] or ["static-minilm", "all-MiniLM-L6-v2"]
    cases = built_in_cases()
    columns = [by_capability(run_cases(cases, load_encoder(name))) for name in names]
    print(f"| capability | expectation | tests | {' | '.join(PurePath(name).name for name in names)} |")
    print(f"|---|---|---:|{'---:|' * len(names)}")
    for scores in zip(*columns, strict=True):
        first = scores[0]
        passed = " | ".join(str(score.passed) for score in scores)
        print(f"| {first.capability} | {first.kind} | {first.cases} | {passed} |")
    totals = " | ".join(str(sum(score.passed for score in column)) for column in columns)
    print(f"| **all** | | {len(cases)} | {totals} |")


if __name__ == "__main__":
    main()
