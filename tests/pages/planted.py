"""A workspace in which every name and text that a person, a file or a model can give is full of markup."""

import json
from dataclasses import asdict
from functools import partial

import pandas as pd

from pipeline.config import CurationRule
from pipeline.generation.prompt_sets import SHIPPED
from tests.pages.filled import JUDGE, fill, finished_job, judgement_row
from workbench.actions import ACTIONS
from workbench.workspace import Workspace

NAME = "=1+1 <b>zq :red[zq] $zq$ `zq` *zq* ~~zq~~ :smile: [zq](x:y) ->zq"
"""At most as long as names may be; without a slash, as some become files."""
TEXT = f"{NAME} <img src=x onerror=zq()> ![zq](http://127.0.0.1/zq) www.zq.example zq@zq.example :material/home:"
TASK = "zq <b>zq $zq$"
RAW = (
    *("<b>zq", ":red[zq", "$zq$", "`zq`", "*zq*", "~~zq", ":smile:", "[zq](", "->zq", "<img src=x", "www.zq"),
    *("zq@zq", ":material/home:zq"),
)
"""Pieces that are markup wherever a reader of Markdown meets them as they are."""
RAW_HTML = ("<b>zq", "<img src=x")


def plant(workspace: Workspace) -> dict[str, str]:
    """Fill every stage and give every name and text markup; return the ids of what was made."""
    made = fill(workspace)
    call = {name: partial(action, workspace) for name, action in ACTIONS.items()}
    corpus = call["import_premises"](text=f"{TEXT}\nIt rains.", name=NAME)["corpus_id"]
    path = workspace.root.parent / f"{NAME}.jsonl"
    texts = {"premise": TEXT, "positive": f"{TEXT} indeed", "hard_negative": f"no {TEXT}"}
    path.write_text(json.dumps(texts) + "\n")
    attempt = call["import_triplets"](path=str(path), name=NAME)["attempt_id"]
    triplet = f"{attempt}-0"
    scores = [judgement_row(triplet, 8) | {"judge_id": judge} for judge in (JUDGE, f"digit:{NAME}")]
    settings = {"attempt_ids": [attempt]}
    finished_job(workspace, "20260103-000000-000-judge-zq", "judge", scores, total=1, settings=settings, title=NAME)
    call["decide"](triplet_ids=[triplet], action="accept", annotator=NAME[:40], reason=TEXT)
    call["decide"](triplet_ids=[triplet], action="edit", annotator="b", positive=f"{TEXT} indeed")
    call["undo"](annotator="b")
    slice_id = call["save_slice"](name=NAME, triplet_ids=[triplet], origin=TEXT)["slice_id"]
    call["save_rule"](name=NAME[:40], rule=asdict(CurationRule()))
    call["save_prompt_set"](prompts=SHIPPED[0].to_json() | {"prompt_set_id": "zq", "about": TEXT})
    call["add_note"](text=TEXT, about=TEXT)
    case = {"capability": NAME, "kind": "different", "sentence": TEXT, "other": f"not {TEXT}"}
    call["add_behaviour_test"](**case)
    snapshot = call["curate"](attempt_ids=[attempt], name=NAME)["snapshot_id"]
    run = "20260103-000100-000-train-zq"
    step = {"table": "train_steps", "run_id": run, "step": 20, "steps": 20, "loss": 1.0, "learning_rate": 0.1}
    encoder = {"table": "encoders", "encoder_id": run, "name": NAME, "folder": "out", "run_id": run}
    encoder |= {"snapshot_id": snapshot, "base": "static-minilm"}
    settings = {"config": {"encoder": "static-minilm", "steps": 20, "seed": 1}, "snapshot_id": snapshot}
    finished_job(workspace, run, "train", [step, encoder], total=20, settings=settings, title=NAME)
    score = {"table": "scores", "encoder_id": run, "task": "STSB-test", "spearman": 0.9, "pairs": 20}
    job = "20260103-000200-000-evaluate-zq"
    rows = [score | {"job_id": job}, score | {"job_id": job, "task": TASK}]
    folder = finished_job(workspace, job, "evaluate", rows, total=2)
    pairs = pd.DataFrame({"sentence1": [TEXT] * 20, "sentence2": [f"{n} {TEXT}" for n in range(20)], "subset": NAME})
    pairs = pairs.assign(gold=[n / 4 for n in range(20)], predicted=[(n * 7 % 20) / 20 for n in range(20)])
    for task in ("STSB-test", TASK):
        pairs.to_parquet(folder.out / f"pairs-{task}.parquet", index=False)
    call["save_pair_slice"](name=NAME, pairs=[[TEXT, f"1 {TEXT}"]], task="STSB-test", origin=TEXT)
    for job_view in workspace.jobs.list():
        workspace.wait(job_view.job_id, timeout_s=20)
    return made | {"attempt": attempt, "run": run, "slice": slice_id, "corpus": corpus, "planted": snapshot}
