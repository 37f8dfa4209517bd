"""Arms: encoders that differ in their training seed alone count as one, drawn with its interval against the best."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.statistics import AVERAGE, Interval, clusters, holm, resample
from workbench import theme
from workbench.components.elements import counted, for_chart, plain, shorten
from workbench.components.encoder_comparison import load_pairs, pairs_path, same_pairs, scored_name
from workbench.components.evaluate.leaderboard_view import tasks_of_the_mean
from workbench.jobs.kinds import TrainSpec
from workbench.workspace import Workspace

_RESAMPLES: Final = 300
_SHOWN: Final = 20
_SEED: Final = re.compile(r",? *seed \d+$")


@dataclass(frozen=True, slots=True)
class Arm:
    """One training set-up: its mean over compared tasks and seeds x 100, and how far it is behind the best."""

    name: str
    encoder_ids: tuple[str, ...]
    mean: float
    behind: Interval
    """This arm minus the best one, all arms judged together (Holm); for the best itself zero."""

    @property
    def is_tied(self) -> bool:
        """Whether this arm is the best or has no clear difference to it."""
        return not self.behind.is_settled


def arms_of(workspace: Workspace, encoder_ids: Sequence[str], names: dict[str, str]) -> dict[str, list[str]]:
    """Return name -> encoders of every arm: runs with the same settings and snapshot, whatever their seed."""
    specs = {job.job_id: job.spec for job in workspace.jobs.of(TrainSpec)}
    members: dict[object, list[str]] = {}
    for encoder_id in encoder_ids:
        spec = specs.get(encoder_id)
        key = encoder_id if spec is None else (replace(spec.config, seed=0), spec.snapshot_id)
        members.setdefault(key, []).append(encoder_id)
    found: dict[str, list[str]] = {}
    for ids in members.values():
        name = _SEED.sub("", scored_name(ids[0], names))
        while name in found:
            name += "'"
        found[name] = ids
    return found


def measured_arms(workspace: Workspace, scores: pd.DataFrame, names: dict[str, str]) -> list[Arm]:
    """Return the arms that have every compared task and whose pairs are still here, best first."""
    tasks = tasks_of_the_mean(scores)
    wide = scores[scores["task"].isin(tasks)].pivot(index="encoder_id", columns="task", values="job_id").dropna()
    files = tuple(
        (str(encoder_id), task, str(job_id), path.stat().st_mtime)
        for encoder_id, row in wide.iterrows()
        for task, job_id in row.items()
        if (path := pairs_path(workspace, str(job_id), str(task))).exists()
    )
    arms = arms_of(workspace, [str(key) for key in wide.index], names)
    return _measured(files, tuple((name, tuple(ids)) for name, ids in arms.items()), workspace) if files else []


@st.cache_data(max_entries=4, show_spinner="Resampling the pairs of every arm …")
def _measured(
    files: tuple[tuple[str, str, str, float], ...],
    arms: tuple[tuple[str, tuple[str, ...]], ...],
    _workspace: Workspace,
) -> list[Arm]:
    tasks = list(dict.fromkeys(task for _, task, _, _ in files))
    read = {(encoder, task): load_pairs(_workspace, job, task) for encoder, task, job, _ in files}
    pairs = {key: found for key, found in read.items() if found is not None}
    first = {task: next(found for (_, name), found in pairs.items() if name == task) for task in tasks}

    def usable(encoder: str) -> bool:
        return all((encoder, task) in pairs and same_pairs(first[task], pairs[encoder, task]) for task in tasks)

    kept = {name: seeds for name, ids in arms if (seeds := [one for one in ids if usable(one)])}
    # Resampling pairs the seeds of all arms: an arm with more of them than the others gives its first ones.
    fewest = min((len(seeds) for seeds in kept.values() if len(seeds) > 1), default=1)
    predictions: dict[str, list[dict[str, np.ndarray]]] = {
        name: [{task: pairs[one, task]["predicted"].to_numpy() for task in tasks} for one in seeds[:fewest]]
        for name, seeds in kept.items()
    }
    if not predictions:
        return []
    drawn = resample(
        predictions,
        {task: found["gold"].to_numpy() for task, found in first.items()},
        linked={name: clusters(of["sentence1"].tolist(), of["sentence2"].tolist()) for name, of in first.items()},
        seed=0,
        resamples=_RESAMPLES,
    )
    means = {name: float(np.mean(drawn.scores[name][AVERAGE])) for name in drawn.scores}
    names = sorted(means, key=lambda name: -means[name])
    best = names[0]
    behind = holm([drawn.difference([name], [best])[AVERAGE].times(100) for name in names[1:]])
    found = zip(names, [Interval(0.0, 0.0, 0.0), *behind], strict=True)
    return [Arm(name, tuple(kept[name]), 100 * means[name], change) for name, change in found]


def arms_figure(arms: list[Arm]) -> theme.Figure:
    """Draw each arm's difference to the best with its interval, best first; grey is tied with it."""
    rows = [(f"{for_chart(shorten(arm.name, 44), 50)}{_seeds(arm)}  {arm.mean:.2f}", arm.behind) for arm in arms]
    return theme.interval_chart("Arms, best first", x="Spearman x 100, mean of the tasks, minus the best", rows=rows)


def _seeds(arm: Arm) -> str:
    return f" ({len(arm.encoder_ids)} seeds)" if len(arm.encoder_ids) > 1 else ""


def arms_view(workspace: Workspace, scores: pd.DataFrame, names: dict[str, str]) -> set[str]:
    """Draw the arms with their intervals, say which are tied with the best and return the ids of their encoders.

    With fewer than two arms nothing is drawn and nothing tied.
    """
    arms = measured_arms(workspace, scores, names)
    if len(arms) < 2:
        return set()
    theme.draw(arms_figure(arms[:_SHOWN]), key="arms", alt="Difference of each arm to the best with its interval")
    tied = [arm.name for arm in arms[1:] if arm.is_tied]
    words = f"No clear difference to {', '.join(map(plain, tied))}." if tied else "All others are clearly behind."
    tasks = tasks_of_the_mean(scores)
    st.caption(
        f"Best: {plain(arms[0].name)}. {words} Means over {counted(len(tasks), 'task')}; an arm is all runs that "
        "differ in their seed alone, whose mean stands beside it. Intervals (95 %) cover pairs, in groups that share "
        "sentences, and seeds; a grey one is no clear difference to the best, all arms being judged together (Holm)."
    )
    return {encoder_id for arm in arms if arm.is_tied for encoder_id in arm.encoder_ids}
