"""Differences with their intervals as inline SVG; colours come from the page's style sheet."""

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10

from pipeline.studies.report import Effect

_WIDTH, _ROW, _TOP, _BOTTOM, _RIGHT = 800, 30, 14, 40, 190
_CHAR_WIDTH, _MAX_LABEL = 7.2, 260


def effect_plot(effects: Sequence[Effect], task: str, *, zero: str) -> str:
    """Draw one line per effect: the interval, a dot at the difference, and the figures beside them.

    zero: what the line at nought stands for. A settled difference is drawn in colour, the others in grey.
    """
    left = min(_MAX_LABEL, max(len(item.name) for item in effects) * _CHAR_WIDTH) + 20
    ends = [end for item in effects for end in (item.tasks[task].low, item.tasks[task].high, 0.0)]
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
    return {"better": "better", "worse": "worse"}.get(effect.verdict(task), "open")


def _line(effect: Effect, task: str, y: float, x, left: float) -> str:  # noqa: ANN001  (a function of a float)
    found = effect.tasks[task]
    name = effect.name if len(effect.name) * _CHAR_WIDTH <= _MAX_LABEL else effect.name[:34] + "…"
    figures = f"{found.value:+.2f}  ({found.low:+.2f} to {found.high:+.2f})"
    return (
        f'<g class="{settled_class(effect, task)}"><title>{escape(effect.name)}: {figures}</title>'
        f'<text class="label" x="{left - 12:.1f}" y="{y + 4:.1f}">{escape(name)}</text>'
        f'<line class="interval" x1="{x(found.low):.1f}" x2="{x(found.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<circle cx="{x(found.value):.1f}" cy="{y:.1f}" r="4.5"/>'
        f'<text class="figures" x="{_WIDTH - _RIGHT + 12}" y="{y + 4:.1f}">{figures}</text></g>'
    )
