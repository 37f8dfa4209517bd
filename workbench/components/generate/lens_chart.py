"""The picture that explains the contrast: ten candidates for one token, as bars of l, l^ and z beside each other."""

from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pipeline.generation.lens import Candidate, LensStep
from workbench import theme
from workbench.components.text import for_chart

SHOWN: Final = 10
_CUT_OPACITY: Final = 0.25
_TITLES: Final = ("own, l", "opposite, l̂", "z = l − {omega:g} l̂")
_LEAST_WIDTH: Final = 0.02


@dataclass(frozen=True, slots=True)
class _Picture:
    """What one step shows at one omega."""

    rows: list[Candidate]
    plain: Candidate
    refined: Candidate
    pushed: tuple[Candidate, ...]
    alive: tuple[Candidate, ...]
    """Candidates that the plausibility cut leaves."""
    colour: str
    """Colour of the side."""

    def colour_of(self, one: Candidate, panel: int) -> str:
        """Grey, but for what was pushed away and, in the panel of z, for what was chosen."""
        if one is self.refined and (panel == 2 or self.refined is self.plain):
            return self.colour
        return theme.WARNING if one in self.pushed else theme.INK


def shown_candidates(step: LensStep, omega: float, plausibility: float) -> list[Candidate]:
    """Ten candidates, the likeliest under the own prompt first; taken, plain and refined choice are always there."""
    needed = dict.fromkeys(
        [step.candidates[step.chosen], step.candidates[0], step.choice(omega, plausibility), *step.candidates]
    )
    return sorted(list(needed)[:SHOWN], key=lambda one: -one.own)


def lens_figure(step: LensStep, *, omega: float, plausibility: float, colour: str, height: int = 430) -> go.Figure:
    """Three aligned bar charts. A bar begins at the least value shown, so that longer means likelier in each."""
    picture = _Picture(
        shown_candidates(step, omega, plausibility),
        step.candidates[0],
        step.choice(omega, plausibility),
        step.pushed_away(omega, plausibility),
        step.plausible(plausibility),
        colour,
    )
    titles = [title.format(omega=omega) for title in _TITLES]
    figure = make_subplots(cols=3, shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    rows = picture.rows
    values = ([one.own for one in rows], [one.opposite for one in rows], [one.z(omega) for one in rows])
    for panel, of_panel in enumerate(values):
        _bars(figure, picture, panel, of_panel)
    _mark(figure, picture)
    heads = {picture.plain, picture.refined}
    named = [(one, for_chart(token_name(one))) for one in rows]
    labels = [f"<b>{name}</b>" if one in heads else name for one, name in named]
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=labels, autorange="reversed", tickfont={"size": 15})
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 44, "b": 8},
        showlegend=False,
        bargap=0.25,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"font": {"size": 15}, "align": "left"},
    )
    return figure


def token_name(candidate: Candidate) -> str:
    """How a token is written on screen: a continued word with ##, an end and blanks in words."""
    text = candidate.text
    if "\n" in text or not text:
        return "end of reply"
    if not text.strip():
        return "blank"
    return text.strip() if text[0] == " " or not text[0].isalnum() else f"##{text}"


def _bars(figure: go.Figure, picture: _Picture, panel: int, values: list[float]) -> None:
    rows = picture.rows
    floor, reach = _span(values, [value for value, one in zip(values, rows, strict=True) if one in picture.alive])
    said = ["" if one in picture.alive else "<br>cut: too unlikely under the own prompt" for one in rows]
    figure.add_bar(
        x=[max(value - floor, _LEAST_WIDTH * reach) for value in values],
        base=floor,
        y=list(range(len(rows))),
        orientation="h",
        marker={
            "color": [picture.colour_of(one, panel) for one in rows],
            "opacity": [1.0 if one in picture.alive else _CUT_OPACITY for one in rows],
        },
        customdata=[
            [value, for_chart(token_name(one)), words] for value, one, words in zip(values, rows, said, strict=True)
        ],
        hovertemplate="<b>%{customdata[1]}</b>: %{customdata[0]:.2f} nats%{customdata[2]}<extra></extra>",
        row=1,
        col=panel + 1,
    )
    title = {"text": "nats" if panel == 2 else "log p (nats)", "font": {"size": 13}}
    figure.update_xaxes(range=[floor, floor + 1.06 * reach], title=title, col=panel + 1)


def _span(values: list[float], plausible: list[float]) -> tuple[float, float]:
    """Where the bars of a panel begin, and how far they reach: implausible ones may be cut off at the left."""
    low, high = min(plausible), max(values)
    reach = max(high - low, 0.5)
    floor = max(min(values), low - reach) - 0.1 * reach
    return floor, high - floor


def _mark(figure: go.Figure, picture: _Picture) -> None:
    """Say at the bars what plain decoding takes, what the contrast takes, and what was pushed away."""
    marks = [(one, 1, "pushed away", theme.WARNING) for one in picture.pushed if one in picture.rows]
    if picture.plain is picture.refined:
        marks.append((picture.plain, 0, "plain and refined choice", picture.colour))
    else:
        marks.append((picture.plain, 0, "plain choice", theme.WARNING))
        marks.append((picture.refined, 2, "refined choice", picture.colour))
    for one, panel, text, colour in marks:
        figure.add_annotation(
            x=0.02,
            xref=f"x{panel + 1 if panel else ''} domain",
            y=picture.rows.index(one),
            yref="y",
            text=f"<b>{text}</b>",
            showarrow=False,
            xanchor="left",
            font={"size": 13, "color": "white"},
            bgcolor=colour,
            borderpad=2,
        )
