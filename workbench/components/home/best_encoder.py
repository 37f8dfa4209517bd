"""The encoder that leads the score matrix, and what it gained."""

from dataclasses import dataclass

from workbench.components.encoder_names import encoder_names, scored_name
from workbench.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Best:
    """Leading encoder. Averages are fractions over `tasks` tasks; `gain` is over the same tasks of its base."""

    encoder_id: str
    name: str
    average: float
    tasks: int
    base: str | None
    gain: float | None
    snapshot: str | None


def best_encoder(workspace: Workspace) -> Best | None:
    """Highest mean among the encoders with the most tasks: means over different tasks cannot be compared."""
    matrix = workspace.store.scores.matrix()
    if matrix.empty:
        return None
    wide = matrix.pivot(index="encoder_id", columns="task", values="spearman")
    covered = wide.notna().sum(axis=1)
    means = wide[covered == covered.max()].mean(axis=1)
    leader = str(means.idxmax())
    stored = {encoder.encoder_id: encoder for encoder in workspace.store.encoders.list()}.get(leader)
    base = stored.base if stored else None
    tasks = wide.loc[leader].dropna().index
    gain = None
    if base in wide.index and wide.loc[base, tasks].notna().all():
        gain = float(means[leader] - wide.loc[base, tasks].mean())
    snapshots = {snapshot.snapshot_id: snapshot.name for snapshot in workspace.store.snapshots.list()}
    return Best(
        encoder_id=leader,
        name=scored_name(leader, encoder_names(workspace)),
        average=float(means[leader]),
        tasks=len(tasks),
        base=base,
        gain=gain,
        snapshot=snapshots.get(stored.snapshot_id or "") if stored else None,
    )
