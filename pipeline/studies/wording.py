"""A study's report in words: sentences, cells of tables, and Markdown."""

import numpy as np

from pipeline.files.cells import escape_markdown
from pipeline.statistics import AVERAGE
from pipeline.studies.report import Effect, Report, Score

DEVIATIONS = "Where this departs from the published study"
COST_HEAD = ["arm", "triplets", "batch", "generation s", "judging s", "training s per seed", "masked %"]


def as_markdown(report: Report) -> str:
    """Table of arms, differences with intervals and verdicts, and cost."""
    parts = [
        f"# {escape_markdown(report.title)}",
        escape_markdown(report.about),
        escape_markdown(setting_line(report)),
        *_deviations(report),
        *_search(report),
        "## Scores",
        _table(["arm", "triplets", *report.tasks], _score_rows(report)),
        f"## Against {escape_markdown(report.baseline)}",
        _effects(report, report.against_baseline),
    ]
    if report.contrasts:
        parts += ["## Contrasts", _effects(report, report.contrasts)]
    if report.best_step is not None:
        best = report.best_step
        parts += [
            "## Scores at each run's best step",
            escape_markdown(best_line(report)),
            _table(["arm", "step", "dev", *report.tasks], best_rows(report)),
            f"### Against {escape_markdown(report.baseline)}",
            _effects(report, best.against_baseline),
        ]
        if best.contrasts:
            parts += ["### Contrasts", _effects(report, best.contrasts)]
    parts += [
        interval_line(report),
        "## Cost",
        _table(COST_HEAD, cost_rows(report)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def verdict_line(effect: Effect, task: str = AVERAGE) -> str:
    """Return a difference with its interval."""
    return effect.tasks[task].words()


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


def interval_line(report: Report) -> str:
    """Say what the intervals and verdicts rest on."""
    halves = (
        f"the spread over {report.halves} runs on random halves of the corpus (Student's t)"
        if report.halves
        else "nothing for another corpus, because the study has no halves: a verdict is about this one"
    )
    seeds = "the spread over seeds (Student's t)" if len(report.seeds) > 1 else "nothing for another seed"
    return (
        f"An interval is the middle 95 % of {report.resamples:,} draws of each difference. A draw has the test items "
        "that share sentences drawn together with replacement, the same ones for every arm, and on top of it "
        f"{seeds} and {halves}. Verdicts take the arms, or the contrasts, of a table together (Holm): "
        "of twenty tables in which nothing differs one shows a difference."
    )


def best_line(report: Report) -> str:
    """Say how the best steps were chosen."""
    best = report.best_step
    if best is None:
        return ""
    dev = ", ".join(f"{name} {count:,} pairs" for name, count in best.dev.items())
    apart = "; pairs that share a sentence with a test task are left out" if best.apart else ""
    return f"Each run as it was at its best dev score, taken every {best.every} steps ({dev}{apart})."


def best_rows(report: Report) -> list[list[str]]:
    """Return arm, mean best step, mean dev score and test scores of every arm at its best steps."""
    best, rows = report.best_step, []
    for row in best.rows if best else []:
        steps, dev = (of.get(row.arm) for of in (best.steps, best.scores)) if best else (None, None)
        chosen = [f"{np.mean(steps):.0f}", f"{np.mean(dev):.2f}"] if steps and dev else ["", ""]
        rows.append([row.arm, *chosen, *(score_text(row.scores[task]) for task in report.tasks)])
    return rows


def search_line(report: Report) -> str:
    """Say how the arm was chosen."""
    apart = ", without the pairs that share a sentence with a task below" if report.search_apart else ""
    return (
        f"{len(report.candidates)} arms were scored on the dev tasks{apart}; the best one other than "
        f"{report.baseline} was chosen by its mean over seeds and then scored, once, on the tasks below. Its dev "
        "score is too high by being the best of many; the scores below are not."
    )


def candidate_rows(report: Report) -> list[list[str]]:
    """Return arm, mean and seeds of every candidate."""
    return [[c.arm, f"{c.mean:.2f}", ", ".join(f"{score:.2f}" for score in c.per_seed)] for c in report.candidates]


def _deviations(report: Report) -> list[str]:
    if not report.deviations:
        return []
    return [f"## {DEVIATIONS}", "\n".join(f"- {escape_markdown(text)}" for text in report.deviations)]


def _search(report: Report) -> list[str]:
    if not report.candidates:
        return []
    return [
        "## Search",
        escape_markdown(search_line(report)),
        _table(["arm", "dev score", "per seed"], candidate_rows(report)),
    ]


def _score_rows(report: Report) -> list[list[str]]:
    return [
        [row.arm, count_text(row.triplets), *(score_text(row.scores[task]) for task in report.tasks)]
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
    return "\n".join(f"| {' | '.join(escape_markdown(cell) for cell in line)} |" for line in lines)


def cost_rows(report: Report) -> list[list[str]]:
    """Return the cells of COST_HEAD for every arm."""
    return [
        [
            *(row.arm, count_text(row.triplets), count_text(row.batch)),
            *(f"{row.generation_s:.0f}", f"{row.judging_s:.0f}", f"{row.train_s:.1f}"),
            "" if row.masked_share is None else f"{100 * row.masked_share:.2f}",
        ]
        for row in report.rows
    ]


def count_text(value: int | None) -> str:
    """Return a count with separators; empty for None."""
    return "" if value is None else f"{value:,}"
