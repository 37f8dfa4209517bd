"""A study's report as one HTML file: no script, no network, readable in light and dark and on paper."""

from collections.abc import Sequence
from html import escape
from math import ceil, floor, isfinite, log10
from typing import Any

from pipeline.evaluation.leaderboard import PUBLISHED, Published
from pipeline.statistics import BETTER, WORSE
from pipeline.studies import wording
from pipeline.studies.report import Effect, Report

_WIDTH, _ROW, _TOP, _BOTTOM, _RIGHT = 800, 30, 14, 40, 190
_CHAR_WIDTH, _MAX_LABEL = 7.2, 260


def effect_plot(effects: Sequence[Effect], task: str, *, zero: str) -> str:
    """Draw one line per effect: the interval, a dot at the difference, and the figures beside them.

    zero: what the line at nought stands for. A settled difference is drawn in colour, the others in grey.
    """
    left = min(_MAX_LABEL, max(len(item.name) for item in effects) * _CHAR_WIDTH) + 20
    shown = [item.tasks[task] for item in effects]
    ends = [0.0, *(end for one in shown for end in (one.low, one.value, one.high) if isfinite(end))]
    step = tick_step(max(ends) - min(ends))
    lowest, highest = floor(min(ends) / step) * step, ceil(max(ends) / step) * step
    if highest == lowest:
        highest = lowest + step
    bottom = _TOP + _ROW * len(effects)

    def x(value: float) -> float:
        return left + (value - lowest) / (highest - lowest) * (_WIDTH - left - _RIGHT)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {bottom + _BOTTOM}" role="img" '
        f'aria-label="Differences on {escape(task)} with 95 % intervals">'
    ]
    for number in range(round((highest - lowest) / step) + 1):
        value = lowest + number * step
        kind = "zero" if abs(value) < step / 2 else "grid"
        parts.append(f'<line class="{kind}" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{_TOP - 6}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x(value):.1f}" y="{bottom + 16}">{_tick(value, step)}</text>')
    parts.append(f'<text class="axis" x="{x(0):.1f}" y="{bottom + 34}">0 = {escape(zero)}</text>')
    for number, item in enumerate(effects):
        parts.append(_line(item, task, _TOP + _ROW * (number + 0.5), x, left))
    return "".join([*parts, "</svg>"])


def tick_step(span: float, ticks: int = 6) -> float:
    """Return a step of 1, 2 or 5 times a power of ten that divides a span into about this many parts."""
    if span <= 0:
        return 1.0
    rough = span / ticks
    power = 10.0 ** floor(log10(rough))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= rough))


def _tick(value: float, step: float) -> str:
    return "0" if abs(value) < step / 2 else f"{value:+.3g}"


def settled_class(effect: Effect, task: str) -> str:
    """Return the style class of a difference: better, worse or open."""
    return {BETTER: "better", WORSE: "worse"}.get(effect.verdict(task), "open")


def _line(effect: Effect, task: str, y: float, x, left: float) -> str:  # noqa: ANN001  (a function of a float)
    found = effect.tasks[task]
    name = effect.name if len(effect.name) * _CHAR_WIDTH <= _MAX_LABEL else effect.name[:34] + "…"
    figures = found.words()
    interval = (
        f'<line class="interval" x1="{x(found.low):.1f}" x2="{x(found.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        if found.is_known
        else ""
    )
    return (
        f'<g class="{settled_class(effect, task)}"><title>{escape(effect.name)}: {figures}</title>'
        f'<text class="label" x="{left - 12:.1f}" y="{y + 4:.1f}">{escape(name)}</text>{interval}'
        f'<circle cx="{x(found.value):.1f}" cy="{y:.1f}" r="4.5"/>'
        f'<text class="figures" x="{_WIDTH - _RIGHT + 12}" y="{y + 4:.1f}">{figures}</text></g>'
    )


_STYLE = """
:root { color-scheme: light dark; --ink: #1b1d22; --quiet: #5c6270; --line: #d9dce3; --paper: #ffffff;
  --tint: #f4f5f8; --better: #005a8e; --worse: #a14600; --open: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaf0; --quiet: #a3a9b8; --line: #3a3f4b; --paper: #14161b;
  --tint: #1d2027; --better: #6cbcf0; --worse: #ff9a5c; --open: #9aa1b0; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  padding: 2rem 1.25rem 4rem; max-width: 76rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
p { max-width: 46rem; margin: .4rem 0; } .quiet, caption { color: var(--quiet); font-size: .9rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .92rem; margin: .4rem 0; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th:first-child, td:first-child, th.text { text-align: left; } thead th { border-bottom: 2px solid var(--line); }
tr.baseline { background: var(--tint); } td.best { font-weight: 700; }
td.text { text-align: left; white-space: normal; }
.better { color: var(--better); } .worse { color: var(--worse); } .open { color: var(--open); }
svg { width: 100%; max-width: 54rem; height: auto; font: 12.5px system-ui, sans-serif; display: block; }
svg .grid { stroke: var(--line); } svg .zero { stroke: var(--ink); stroke-width: 1.4; }
svg text { fill: var(--ink); } svg .tick, svg .axis { text-anchor: middle; fill: var(--quiet); }
svg .label { text-anchor: end; } svg g { color: var(--open); } svg g.better { color: var(--better); }
svg g.worse { color: var(--worse); } svg .interval { stroke: currentColor; stroke-width: 2.5; stroke-linecap: round; }
svg circle { fill: currentColor; } svg .figures { font-variant-numeric: tabular-nums; fill: var(--quiet); }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--quiet); } code { font-size: .9em; }
"""

_SMALL_ARMS = (
    "An arm with no more triplets than a batch holds takes them all in every step: then seeds change next to nothing."
)


def as_page(report: Report, *, command: str = "") -> str:
    """Return the whole file. Every text that came from outside is escaped."""
    last = report.tasks[-1]
    sections = [
        f"<h1>{escape(report.title)}</h1>",
        f"<p>{escape(report.about)}</p>" if report.about else "",
        f'<p class="quiet">{escape(wording.setting_line(report))}</p>',
        _deviations(report),
        _search(report),
        "<h2>What it found</h2>",
        _findings(report, last),
        f"<h2>Effect of each arm on the {escape(last)}</h2>",
        effect_plot(report.against_baseline, last, zero=report.baseline) if report.against_baseline else "",
        _more_plots(report),
        "<h2>Contrasts</h2>" + effect_plot(report.contrasts, last, zero="no difference") if report.contrasts else "",
        f"<h2>Scores, {escape(report.metric)}</h2>",
        _score_table(report),
        f"<h2>Differences to {escape(report.baseline)}</h2>",
        _effect_table(report, [*report.against_baseline, *report.contrasts]),
        _best_step(report, last),
        f'<p class="quiet">{escape(wording.interval_line(report))} {_SMALL_ARMS}</p>',
        "<h2>Cost</h2>",
        _cost_table(report),
        _published(report),
        "<h2>Settings</h2>",
        _settings(report),
        f"<h2>Repeat it</h2><p><code>{escape(command)}</code></p>" if command else "",
    ]
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head><body>"
    )
    return head + "\n".join(section for section in sections if section) + "</body></html>\n"


def findings(report: Report) -> list[tuple[str, str]]:
    """Return one sentence per effect with its class: settled ones as verdicts, the others as open questions."""
    last = report.tasks[-1]
    found = []
    for item in [*report.contrasts, *report.against_baseline]:
        against = report.baseline if item.minus == [report.baseline] else "its absence"
        word = {BETTER: "is better than", WORSE: "is worse than"}.get(item.verdict(last), "cannot be told from")
        found.append(
            (settled_class(item, last), f"{item.name} {word} {against}: {wording.verdict_line(item, last)}.")
        )
    return found


def _findings(report: Report, last: str) -> str:
    items = "".join(f'<li class="{kind}">{escape(text)}</li>' for kind, text in findings(report))
    return f"<ul>{items}</ul>" if items else '<p class="quiet">One arm alone has nothing to be compared with.</p>'


def _deviations(report: Report) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in report.deviations)
    return f"<h2>{wording.DEVIATIONS}</h2><ul>{items}</ul>" if items else ""


def _search(report: Report) -> str:
    if not report.candidates:
        return ""
    rows = [f"<tr>{''.join(_td(cell) for cell in row)}</tr>" for row in wording.candidate_rows(report)]
    table = _table(["arm", "dev score", "per seed"], rows)
    return f"<h2>Search</h2><p>{escape(wording.search_line(report))}</p>{table}"


def _best_step(report: Report, last: str) -> str:
    best = report.best_step
    if best is None:
        return ""
    rows = [f"<tr>{''.join(_td(cell) for cell in row)}</tr>" for row in wording.best_rows(report)]
    return (
        f"<h2>At each run's best step</h2><p>{escape(wording.best_line(report))}</p>"
        + _table(["arm", "step", "dev", *report.tasks], rows)
        + (effect_plot(best.against_baseline, last, zero=report.baseline) if best.against_baseline else "")
        + _effect_table(report, [*best.against_baseline, *best.contrasts])
    )


def _more_plots(report: Report) -> str:
    if len(report.items) < 2 or not report.against_baseline:
        return ""
    plots = "".join(
        f"<h3>{escape(task)}</h3>{effect_plot(report.against_baseline, task, zero=report.baseline)}"
        for task in report.items
    )
    return f"<details><summary>The same for each task</summary>{plots}</details>"


def _score_table(report: Report) -> str:
    rows = []
    for row in report.rows:
        *single, last = (wording.score_text(row.scores[task]) for task in report.tasks)
        cells = [*map(_td, single), _td(last, "best" if row.arm in report.tied else "")]
        kind = ' class="baseline"' if row.arm == report.baseline else ""
        rows.append(f"<tr{kind}>{_td(row.arm)}{_td(wording.count_text(row.triplets))}{''.join(cells)}</tr>")
    note = f"Bold: the best {report.tasks[-1]} and those whose difference to it is not settled."
    return _table(["arm", "triplets", *report.tasks], rows) + f'<p class="quiet">{escape(note)}</p>'


def _effect_table(report: Report, effects: Sequence[Effect]) -> str:
    *single, last = report.tasks
    # What the verdict is about comes first: a wide table ends outside a narrow window.
    tasks = [last, *single]
    rows = [
        f"<tr>{_td(item.name)}"
        + _td(item.verdict(last), settled_class(item, last))
        + "".join(_td(wording.verdict_line(item, task), settled_class(item, task)) for task in tasks)
        + "</tr>"
        for item in effects
    ]
    return _table(["difference", f"verdict on the {last}", *tasks], rows)


def _cost_table(report: Report) -> str:
    rows = [f"<tr>{''.join(map(_td, cells))}</tr>" for cells in wording.cost_rows(report)]
    note = (
        '<p class="quiet">Generation and judging are made once and shared by the arms that use them; 0 where they '
        "were at hand, as those of the sample corpus are. Training counts loading, and in the first run on some "
        "triplets with a guide the vectors of the guide.</p>"
    )
    return _table(wording.COST_HEAD, rows) + note


def _published(report: Report) -> str:
    """Rows of the literature on the same tasks; empty where no task is a published one."""
    rows = [(row, row.by_task()) for row in PUBLISHED]
    tasks = [task for task in report.items if any(task in scores for _, scores in rows)]
    if not tasks:
        return ""
    lines = [_published_line(row, scores, tasks) for row, scores in rows if any(task in scores for task in tasks)]
    head = ["encoder", *tasks, *(["average of these"] if len(tasks) > 1 else []), "read at"]
    return (
        "<h2>For scale: published encoders on the same tasks</h2>"
        + _table(head, lines, last_is_text=True)
        + '<p class="quiet">Full-size encoders on much more data; only figures that were read at their source.</p>'
    )


def _published_line(row: Published, scores: dict[str, float], tasks: Sequence[str]) -> str:
    cells = [_td(f"{scores[task]:.2f}" if task in scores else "") for task in tasks]
    if len(tasks) > 1:
        whole = all(task in scores for task in tasks)
        cells.append(_td(f"{sum(scores[task] for task in tasks) / len(tasks):.2f}" if whole else ""))
    name = f"{row.name} ({row.base})" if row.base else row.name
    return f"<tr>{_td(name)}{''.join(cells)}{_td(row.source, 'text')}</tr>"


def _settings(report: Report) -> str:
    rows = []
    for arm, changed in report.settings.items():
        told = ", ".join(f"{name} = {_plain(value)}" for name, value in changed.items())
        rows.append(f"<tr>{_td(arm)}{_td(told or 'the baseline itself', 'text')}</tr>")
    seeds = ", ".join(map(str, report.seeds))
    table = _table(["arm", "differs from the baseline in"], rows, last_is_text=True)
    return table + f'<p class="quiet">Seeds {seeds}.</p>'


def _plain(value: Any) -> str:
    return "none" if value is None else str(value)


def _table(head: Sequence[str], rows: Sequence[str], *, last_is_text: bool = False) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    if last_is_text:
        cells = '<th class="text">'.join(cells.rsplit("<th>", 1))
    body = f"<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="wide"><table>{body}</table></div>'


def _td(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"
