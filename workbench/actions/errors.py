"""From an error to better data: explaining a pair, behavioural tests, triplets like the failing pairs, notes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import InputError
from pipeline.evaluation.behaviour import Case
from pipeline.records import text_id
from workbench.actions.evaluation import find_encoder
from workbench.actions.generation import start_generate
from workbench.jobs.folder import USABLE
from workbench.jobs.kinds import BehaviourSpec, ExplainSpec
from workbench.notes import Notes
from workbench.own_tests import OwnTests
from workbench.workspace import Workspace

_NEIGHBOURS = 5


def start_explain(workspace: Workspace, *, encoder: str, first: str, second: str, pairs: str) -> dict[str, Any]:
    """Queue the explanation of one pair; `pairs` is the file of its task. One that exists already is answered."""
    if not Path(pairs).is_file():
        raise InputError("The predictions behind this score are no longer in the workspace: evaluate again.")
    found = find_encoder(workspace, encoder)
    spec = ExplainSpec(found.folder, found.encoder_id, first, second, pairs, _NEIGHBOURS)
    if known := workspace.jobs.latest(ExplainSpec, lambda other: other == spec, states=USABLE):
        return {"job_id": known.job_id}
    return {"job_id": workspace.jobs.submit(spec, title=f"Explain: {first[:50]}")}


def start_behaviour(workspace: Workspace, *, encoder: str) -> dict[str, Any]:
    """Queue the behavioural suite on an encoder, with the tests added in this workspace."""
    found = find_encoder(workspace, encoder)
    spec = BehaviourSpec(found.folder, found.encoder_id, tuple(OwnTests(workspace.root).list()))
    return {"job_id": workspace.jobs.submit(spec, title=f"Behavioural tests of {encoder}")}


def add_behaviour_test(
    workspace: Workspace, *, capability: str, kind: str, sentence: str, other: str, third: str = ""
) -> dict[str, Any]:
    """Add a test of one's own to the suite; it takes part from the next run on."""
    case = Case.of(capability.strip(), kind, sentence.strip(), other.strip(), third.strip() or None)  # type: ignore[arg-type]
    return {"case_id": case.case_id, "added": OwnTests(workspace.root).add(case)}


def retract_behaviour_test(workspace: Workspace, *, case_id: str) -> dict[str, Any]:
    """Take back a test of one's own; results that it took part in stay."""
    OwnTests(workspace.root).retract(case_id)
    return {"case_id": case_id}


def generate_like(
    workspace: Workspace,
    *,
    texts: Sequence[str],
    origin: str,
    config: dict[str, Any],
    limit: int | None = None,
) -> dict[str, Any]:
    """Make a corpus of these sentences and queue triplets for them; corpus, job and triplets keep the origin."""
    unique = list(dict.fromkeys(" ".join(text.split()) for text in texts if text.strip()))[:limit]
    if not unique:
        raise InputError("There is no sentence to start from: select pairs first.")
    frame = pd.DataFrame({"premise_id": [text_id(text) for text in unique], "text": unique})
    corpus = workspace.store.premises.add_corpus(f"like {origin}", origin, frame, {}, 0)
    started = start_generate(workspace, corpus_id=corpus.corpus_id, config=config, origin=origin)
    return {"corpus_id": corpus.corpus_id} | started


def add_note(workspace: Workspace, *, text: str, about: str) -> dict[str, Any]:
    """Keep a note on what was seen."""
    return {"note_id": Notes(workspace.root).add(text, about=about).note_id}
