"""Error analysis and embedding maps: explanations, behavioural tests, maps and their search, slices, notes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import pandas as pd

from pipeline.analysis.projection import LEAST_TO_ALIGN
from pipeline.analysis.slices import rank_losses
from pipeline.config import GenerationConfig
from pipeline.evaluation.behaviour import Case
from pipeline.records import InputError, text_id
from pipeline.train_config import TrainConfig
from workbench.actions.call import Answer, action
from workbench.actions.evaluation import find_snapshot, scored_encoder, scored_pairs
from workbench.actions.generation import start_generate, started_once
from workbench.actions.models import find_encoder
from workbench.jobs import places
from workbench.jobs.folder import USABLE, State
from workbench.jobs.kinds import BehaviourSpec, ExplainSpec, JobSpec, MapEncoder, MarginsSpec, ProjectSpec, SearchSpec
from workbench.maps import OUTCOMES, PAIR_COLUMNS, PAIR_ROLES, TRIPLET_ROLES, MapFiles, long_form, task_corpus
from workbench.results import linked_pairs, members_of, slices_of, title_of
from workbench.store.files import Notes, OwnTests, PairSlices, Slices, pair_ids
from workbench.store.filters import TripletFilter
from workbench.store.map_views import MapView, MapViews
from workbench.store.premises import Corpus
from workbench.workspace import Workspace

_NEIGHBOURS = 5
_MOST_SHOWN = 1000
_MOST_TO_ALIGN = 10_000
"""Aligning takes minutes for ten thousand sentences, and its neighbour tables grow with the square."""
_USABLE: frozenset[State] = USABLE | {"paused"}
CURRENT = "current"
"""All triplets of the workspace that are ok and not rejected, with people's decisions applied."""
_COLUMNS = ["triplet_id", "premise", "positive", "hard_negative", "source"]


@action
def start_explain(workspace: Workspace, *, encoder: str, first: str, second: str, pairs: str) -> Answer:
    """Queue the explanation of one pair, or return the one that exists; `pairs` is the file of its task."""
    if not Path(pairs).is_file():
        raise InputError("The predictions behind this score are no longer in the workspace: evaluate again.")
    found = find_encoder(workspace, encoder)
    spec = ExplainSpec(found.folder, found.encoder_id, first, second, pairs, _NEIGHBOURS)
    return started_once(workspace, spec, f"Explain: {first[:50]}")


@action
def start_behaviour(workspace: Workspace, *, encoder: str) -> Answer:
    """Queue the behavioural suite on an encoder, with the tests added in this workspace."""
    found = find_encoder(workspace, encoder)
    spec = BehaviourSpec(found.folder, found.encoder_id, tuple(OwnTests(workspace.root).list()))
    return {"job_id": workspace.jobs.submit(spec, title=f"Behavioural tests of {encoder}")}


@action
def add_behaviour_test(
    workspace: Workspace, *, capability: str, kind: str, sentence: str, other: str, third: str = ""
) -> Answer:
    """Add a test of your own to the suite, starting with its next run."""
    case = Case.of(capability.strip(), kind, sentence.strip(), other.strip(), third.strip() or None)  # type: ignore[arg-type]
    return {"case_id": case.case_id, "added": OwnTests(workspace.root).add(case)}


@action
def retract_behaviour_test(workspace: Workspace, *, case_id: str) -> Answer:
    """Remove a test of your own; earlier results that include it stay."""
    OwnTests(workspace.root).retract(case_id)
    return {"case_id": case_id}


@action
def generate_like(
    workspace: Workspace,
    *,
    texts: Sequence[str],
    origin: str,
    config: Annotated[dict[str, Any], GenerationConfig],
    limit: int | None = None,
) -> Answer:
    """Make a corpus of these sentences and queue triplets for them; corpus, job and triplets keep the origin."""
    unique = list(dict.fromkeys(" ".join(text.split()) for text in texts if text.strip()))[:limit]
    corpus = _corpus_of(workspace, unique, f"like {origin}", origin, 0)
    started = start_generate(workspace, corpus_id=corpus.corpus_id, config=config, origin=origin)
    return {"corpus_id": corpus.corpus_id} | started


@action
def add_note(workspace: Workspace, *, text: str, about: str) -> Answer:
    """Keep a note; `about` names what it is about."""
    return {"note_id": Notes(workspace.root).add(text, about=about).note_id}


@action
def start_projection(
    workspace: Workspace,
    *,
    encoder: str,
    attempt_id: str | None = None,
    snapshot_id: str | None = None,
    task: str | None = None,
    every_outcome: bool = False,
    method: str = "umap",
    limit: int = 5000,
    compare_with: Sequence[str] = (),
    guide: str | None = None,
    seed: int = 0,
    on: str = places.LOCAL,
) -> Answer:
    """Queue a 2-D map of the sentences of a generation run, a snapshot, or a task with a score of the last encoder.

    With `compare_with` (encoders that come after `encoder`, for example checkpoints) all are drawn on one aligned
    map. With a `guide` the map also holds the pairs that a mask threshold would treat as false negatives. With
    `every_outcome` a generation run's failed replies are drawn too. If a map of the same sentences and settings
    exists or is being drawn, that one is returned. `on`: local, gpu:NUMBER, gpu:0,1, ray or ray:ADDRESS, where the
    encoders embed.
    """
    found = [find_encoder(workspace, name) for name in (encoder, *compare_with)]
    if len({item.encoder_id for item in found}) < len(found):
        raise InputError("A comparison needs different encoders; choose each one once.")
    if task:
        frame, corpus = pair_sentences(workspace, task=task, encoder_id=found[-1].encoder_id)
        guide = None
    else:
        frame, corpus = triplet_sentences(
            workspace, attempt_id=attempt_id, snapshot_id=snapshot_id, every_outcome=every_outcome, limit=limit
        )
    frame = frame.head(min(limit, _MOST_TO_ALIGN) if compare_with else limit)
    if compare_with and (sentences := long_form(frame)["text"].nunique()) < LEAST_TO_ALIGN:
        raise InputError(
            f"{task or corpus} holds {sentences} different sentences; an aligned map needs at least {LEAST_TO_ALIGN}."
        )
    spec = ProjectSpec(
        encoders=tuple(
            MapEncoder(item.encoder_id, item.folder, name)
            for item, name in zip(found, (encoder, *compare_with), strict=True)
        ),
        method="aligned" if compare_with else method,
        corpus=corpus,
        seed=seed,
        guide=find_encoder(workspace, guide).folder if guide else None,
        on=places.checked("project", on),
    )
    spec = replace(spec, key=_key(spec, frame))
    known = workspace.jobs.latest(ProjectSpec, lambda other: other.key == spec.key, states=_USABLE)
    title = f"Map of {len(frame)} {'pairs' if task else 'triplets'}, {spec.method}"
    job_id = known.job_id if known else workspace.jobs.submit(spec, frame, title=title)
    return {"job_id": job_id, "projection_id": job_id}


def triplet_sentences(
    workspace: Workspace, *, attempt_id: str | None, snapshot_id: str | None, every_outcome: bool, limit: int
) -> tuple[pd.DataFrame, str]:
    """Return the first triplets of a generation run or a snapshot, and the name its map is stored under.

    With `every_outcome` a run's copies, truncated and other failed replies are kept too, as long as both sides hold a
    text to draw. Raises InputError when there is nothing to draw.
    """
    columns = ["triplet_id", *TRIPLET_ROLES]
    if snapshot_id:
        frame, corpus = workspace.store.snapshots.rows(snapshot_id, limit), snapshot_id
    elif attempt_id:
        chosen = TripletFilter(attempt_ids=(attempt_id,), outcome="" if every_outcome else "ok")
        frame, corpus = workspace.store.triplets.rows(chosen, limit), attempt_id
        if every_outcome:
            columns += OUTCOMES.values()
            frame = frame[frame["positive"].str.strip().ne("") & frame["hard_negative"].str.strip().ne("")]
    else:
        raise InputError("A map needs sentences: name a generation run, a snapshot or a task.")
    if frame.empty:
        raise InputError(f"{corpus} holds no triplet with both sides ok: generate some first.")
    return frame[columns], corpus


def pair_sentences(workspace: Workspace, *, task: str, encoder_id: str) -> tuple[pd.DataFrame, str]:
    """Return the pairs of a task with the rank errors of an encoder, and the name its map is stored under.

    Raises InputError when the encoder has no score on the task, or its predictions are gone.
    """
    pairs = scored_pairs(workspace, encoder_id=encoder_id, task=task)
    pairs["triplet_id"] = pair_ids(zip(pairs["sentence1"], pairs["sentence2"], strict=True))
    frame = pairs.drop_duplicates("triplet_id")
    return frame[["triplet_id", *PAIR_ROLES, *PAIR_COLUMNS]], task_corpus(task)


@action
def worst_slices(workspace: Workspace, *, encoder: str, task: str, slices: int = 10, pairs: int = 5) -> Answer:
    """Return the slices of a task under an encoder, the most costly first, each with its worst pairs.

    `difference`: score of the slice minus that of all other pairs, with its 95 % interval; `cost`: what the task's
    Spearman would gain if the slice were like the rest. Both are fractions. `p` takes all slices of the task together
    (Holm): from 0.05 on a slice may differ by chance.
    """
    if min(slices, pairs) < 0 or max(slices, pairs) > _MOST_SHOWN:
        raise InputError(f"The numbers of slices and pairs must lie between 0 and {_MOST_SHOWN}.")
    encoder_id = scored_encoder(workspace, encoder)
    frame = scored_pairs(workspace, encoder_id=encoder_id, task=task)
    losses = rank_losses(frame["predicted"].to_numpy(), frame["gold"].to_numpy())
    members = members_of(frame, tuple(PairSlices(workspace.root).list(task)))
    found = slices_of(members, losses, linked_pairs(frame))
    frame = frame.assign(loss=losses).sort_values("loss", ascending=False, kind="stable")
    listed = []
    for row in found.scores[:slices]:
        title = title_of(row.group, row.name)
        inside = frame[found.members[title][frame.index]].head(pairs)
        worst = inside[["sentence1", "sentence2", "gold", "predicted", "error"]].to_dict("records")
        listed.append(asdict(row) | {"title": title, "worst": worst})
    return {"encoder_id": encoder_id, "task": task, "pairs": len(frame), "slices": listed}


@action
def start_search(workspace: Workspace, *, projection_id: str, text: str, count: int = 50) -> Answer:
    """Queue the search for the sentences nearest to a typed one, under the last encoder of a map."""
    if not text.strip():
        raise InputError("The search is empty: type a sentence.")
    maps = workspace.store.projections.list().set_index("projection_id")
    if projection_id not in maps.index:
        raise InputError(f"There is no map {projection_id}; draw one first.")
    files = MapFiles(Path(str(maps.loc[projection_id, "path"])))
    if not files.about_path.exists():
        raise InputError("This map keeps no vectors, as it was drawn by an earlier version: draw it again.")
    encoders = json.loads(files.about_path.read_bytes())["encoders"]
    last = len(encoders) - 1
    spec = SearchSpec(text.strip(), encoders[last]["folder"], str(files.vectors_path(last)), count)
    return started_once(workspace, replace(spec, key=_key(spec)), f"Search: {spec.text[:60]}", usable=_USABLE)


@action
def save_slice(workspace: Workspace, *, name: str, triplet_ids: Sequence[str], origin: str = "") -> Answer:
    """Save a list of triplets under a name."""
    saved = Slices(workspace.root).add(name, triplet_ids, origin=origin)
    return {"slice_id": saved.slice_id, "triplets": len(saved.triplet_ids)}


@action
def save_pair_slice(
    workspace: Workspace, *, name: str, pairs: Sequence[Sequence[str]], task: str, origin: str = ""
) -> Answer:
    """Save a list of pairs of a task (two sentences each) under a name; it applies to every encoder on that task."""
    if any(len(pair) != 2 for pair in pairs):
        raise InputError("A pair has two sentences.")
    chosen = [(first, second) for first, second in pairs]
    saved = PairSlices(workspace.root).add(name, chosen, task=task, origin=origin)
    return {"slice_id": saved.slice_id, "pairs": len(saved.pair_ids)}


@action
def save_map_view(
    workspace: Workspace,
    *,
    name: str,
    projection_id: str,
    colour: str,
    layers: Sequence[str] = (),
    text: str = "",
    roles: Sequence[str] = (),
    triplet_id: str = "",
) -> Answer:
    """Save what a map shows under a name: colour, layers, filter by text and roles, chosen triplet."""
    view = MapView("", name, projection_id, colour, tuple(layers), text, tuple(roles), triplet_id)
    return {"view_id": MapViews(workspace.root).add(view).view_id}


@action
def seed_corpus(workspace: Workspace, *, texts: Sequence[str], name: str) -> Answer:
    """Make a corpus of these sentences, to generate triplets from."""
    unique = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    corpus = _corpus_of(workspace, unique, name, "embedding map", len(texts) - len(unique))
    return {"corpus_id": corpus.corpus_id, "premises": corpus.premises}


def _corpus_of(workspace: Workspace, texts: list[str], name: str, origin: str, duplicates: int) -> Corpus:
    if not texts:
        raise InputError("There is no sentence to start from: select some first.")
    frame = pd.DataFrame({"premise_id": [text_id(text) for text in texts], "text": texts})
    return workspace.store.premises.add_corpus(name, origin, frame, {}, duplicates)


def default_guide() -> str:
    """Return the guide that training uses by default."""
    return TrainConfig().guide


def _key(spec: JobSpec, frame: pd.DataFrame | None = None) -> str:
    """Hash a job's settings and sentences: equal content gives an equal key, wherever it is computed."""
    asked = {name: value for name, value in asdict(spec).items() if name not in ("key", "on")}
    digest = hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=16)
    if frame is not None:
        digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


@action
def start_margins(workspace: Workspace, *, encoder: str, corpus: str = CURRENT, on: str = places.LOCAL) -> Answer:
    """Queue the cosines (premise, positive) and (premise, hard negative) of triplets under an encoder.

    `corpus` is a snapshot's id or name, or "current". A measurement that is queued or running is not started twice.
    `on`: local, gpu:NUMBER, gpu:0,1, ray or ray:ADDRESS, where the encoder embeds.
    """
    found = find_encoder(workspace, encoder)
    frame, corpus_id, title = _triplets(workspace, corpus)
    spec = MarginsSpec(found.folder, found.encoder_id, corpus_id, on=places.checked("margins", on))
    live = workspace.jobs.latest(MarginsSpec, lambda other: other == spec, states=("queued", "running"))
    title = f"Hard negatives of {title}, {encoder}"
    job_id = live.job_id if live else workspace.jobs.submit(spec, frame[_COLUMNS], title=title)
    return {"job_id": job_id, "triplets": len(frame)}


def _triplets(workspace: Workspace, corpus: str) -> tuple[pd.DataFrame, str, str]:
    """Return rows, id and title of a snapshot or of the current triplets."""
    if corpus == CURRENT:
        known = workspace.store.triplets.rows(TripletFilter(outcome="ok"))
        frame, corpus_id, title = known[known["decision"] != "reject"], CURRENT, "all triplets"
    else:
        snapshot = find_snapshot(workspace, corpus)
        corpus_id, title = snapshot.snapshot_id, snapshot.name
        frame = workspace.store.snapshots.rows(corpus_id)
        known = workspace.store.triplets.rows(TripletFilter(triplet_ids=tuple(frame["triplet_id"])))
    if frame.empty:
        raise InputError("There is no triplet with both sides ok: generate or import some first.")
    sources = dict(zip(known["triplet_id"], _source(known), strict=True))
    return frame.assign(source=frame["triplet_id"].map(sources).fillna("unknown")), corpus_id, title


def _source(triplets: pd.DataFrame) -> list[str]:
    """Return the origin of each triplet: LLM and omega, or `import`."""
    pairs = zip(triplets["llm"], triplets["omega"], strict=True)
    return ["import" if pd.isna(llm) or not llm else f"{llm}, omega {omega:g}" for llm, omega in pairs]
