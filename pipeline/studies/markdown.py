"""A study's report as Markdown."""

from pipeline.statistics import AVERAGE
from pipeline.studies.report import Effect, Report, Score


def as_markdown(report: Report) -> str:
    """Table of arms, differences with intervals and verdicts, and cost."""
    parts = [
        f"# {_cell(report.title)}",
        _cell(report.about),
        _setting(report),
        *_search(report),
        "## Scores",
        _table(["arm", "triplets", *report.tasks], _score_rows(report)),
        f"## Against {_cell(report.baseline)}",
        _effects(report, report.against_baseline),
    ]
    if report.contrasts:
        parts += ["## Contrasts", _effects(report, report.contrasts)]
    parts += [
        "An interval is the middle 95 % of a paired bootstrap "
        f"({report.resamples:,} resamples of seeds and test items, the same for every arm). "
        "A verdict stands only where it excludes zero; each difference is looked at by itself.",
        "## Cost",
        _table(
            ["arm", "triplets", "batch", "generation s", "judging s", "training s per seed", "masked %"],
            [
                [
                    row.arm,
                    _count(row.triplets),
                    _count(row.batch),
                    f"{row.generation_s:.0f}",
                    f"{row.judging_s:.0f}",
                    f"{row.train_s:.1f}",
                    "" if row.masked_share is None else f"{100 * row.masked_share:.2f}",
                ]
                for row in report.rows
            ],
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def verdict_line(effect: Effect, task: str = AVERAGE) -> str:
    """Return a difference with its interval."""
    found = effect.tasks[task]
    return f"{found.value:+.2f} ({found.low:+.2f} to {found.high:+.2f})"


def score_text(score: Score) -> str:
    """Return mean ± sd."""
    return f"{score.mean:.2f}" if score.sd is None else f"{score.mean:.2f} ± {score.sd:.2f}"


def setting_line(report: Report) -> str:
    """Say what was measured, in plain words."""
    items = ", ".join(f"{name} {count:,}" for name, count in report.items.items())
    return (
        f"{report.encoder}, {report.steps} steps in every arm, {len(report.seeds)} seeds; "
        f"scores are {report.metric}, mean ± standard deviation over seeds; test items: {items}."
    )


def search_line(report: Report) -> str:
    """Say how the arm was chosen."""
    return (
        f"{len(report.candidates)} arms were scored on the dev tasks; the best one other than {report.baseline} was "
        "chosen by its mean over seeds and then scored, once, on the tasks below. Its dev score is too high by being "
        "the best of many; the scores below are not."
    )


def candidate_rows(report: Report) -> list[list[str]]:
    """Return arm, mean and seeds of every candidate."""
    return [[c.arm, f"{c.mean:.2f}", ", ".join(f"{score:.2f}" for score in c.per_seed)] for c in report.candidates]


def _search(report: Report) -> list[str]:
    if not report.candidates:
        return []
    return ["## Search", search_line(report), _table(["arm", "dev score", "per seed"], candidate_rows(report))]


def _setting(report: Report) -> str:
    return setting_line(report)


def _score_rows(report: Report) -> list[list[str]]:
    return [
        [row.arm, _count(row.triplets), *(score_text(row.scores[task]) for task in report.tasks)]
        for row in report.rows
    ]


def _effects(report: Report, effects: list[Effect]) -> str:
    last = report.tasks[-1]
    head = ["difference", *report.tasks, "verdict"]
    return _table(
        head, [[e.name, *(verdict_line(e, task) for task in report.tasks), e.verdict(last)] for e in effects]
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *(["---:"] * (len(head) - 1))], *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return "".join(f"\\{mark}" if mark in "\\|*_`<>[]" else mark for mark in " ".join(text.split()))


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
