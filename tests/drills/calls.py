"""Calls of actions that succeed on the workspace of the drill, one per line, and mutations of them.

Left out are the actions that would queue a job: a worker that loads a model is no business of this drill. What they
refuse before a job is queued is tried by the commands and by `start_` calls that name what is not there.
"""

import json
from collections.abc import Callable
from random import Random
from typing import Any

Mutated = Callable[[Any, Random], Any]
"""Gives a mutation of a JSON value."""
VALID: tuple[tuple[str, dict[str, Any]], ...] = (
    ("overview", {}),
    ("attempts", {}),
    ("curation_notes", {}),
    ("encoders", {}),
    ("jobs", {}),
    ("llms", {}),
    ("prompt_sets", {}),
    ("scores", {}),
    ("delete_vectors", {}),
    ("open_sample", {}),
    ("set_visit", {"step": 2}),
    ("job", {"job_id": "ATTEMPT"}),
    ("delete_weights", {"run_id": "RUN"}),
    ("add_encoder", {"folder": "FOLDER/model", "name": "mine"}),
    ("add_note", {"text": "worth a look", "about": "task STSB-test"}),
    ("backup", {"path": "FOLDER/own/copy.duckdb"}),
    ("curate", {"attempt_ids": ["ATTEMPT"], "name": "set"}),
    ("curate", {"attempt_ids": ["ATTEMPT"], "name": "set", "judge_id": "JUDGE", "rule": {"alpha": 1.0, "gamma": 0}}),
    ("decide", {"triplet_ids": ["TRIPLET"], "action": "accept", "annotator": "ann", "reason": "fine"}),
    ("decide", {"triplet_ids": ["TRIPLET"], "action": "edit", "annotator": "ann", "positive": "A dog is out."}),
    ("decide_all", {"filter": {"attempt_ids": ["ATTEMPT"], "text": "river"}, "action": "reject", "annotator": "ann"}),
    ("decision_history", {"triplet_id": "TRIPLET"}),
    ("export_triplets", {"path": "FOLDER/own/out.csv", "snapshot_id": "SNAPSHOT", "form": "simcse"}),
    ("export_triplets", {"path": "FOLDER/own/out.jsonl", "snapshot_id": "SNAPSHOT", "form": "argilla"}),
    ("generation_cost", {"corpus_id": "CORPUS", "config": {"omega": 0.5, "seed": 1}, "limit": 3}),
    ("import_pairs", {"path": "FOLDER/pairs.csv", "first": "a", "second": "b", "score": "s", "name": "pairs"}),
    ("import_premises", {"path": "FOLDER/premises.txt", "name": "lines", "encoding": "cp1252"}),
    ("import_premises", {"text": "A dog runs.\nIt rains.", "name": "pasted"}),
    ("import_triplets", {"path": "FOLDER/triplets.tsv", "name": "rows", "columns": ["sent0", "sent1", "hard_neg"]}),
    ("keep_one", {"groups": [["TRIPLET", "SECOND"]], "annotator": "ann"}),
    (
        "list_triplets",
        {
            "filter": {"attempt_ids": ["ATTEMPT"], "judge_id": "JUDGE", "a_min": 0.5, "pattern": "riv.r"},
            "order": "border",
            "rule": {"alpha": 3.0},
            "limit": 5,
        },
    ),
    ("list_triplets", {"filter": {"text": "river", "outcome": "ok", "duplicates": True}, "after": [0, 1]}),
    ("queue", {"annotator": "ann", "attempt_ids": ["ATTEMPT"], "order": "random", "limit": 3, "skipped": ["SECOND"]}),
    ("redo", {"annotator": "ann"}),
    ("undo", {"annotator": "ann"}),
    ("reject_all", {"triplet_ids": ["TRIPLET", "SECOND"], "reason": "unfit", "annotator": "ann"}),
    ("retract_behaviour_test", {"case_id": "CASE"}),
    ("save_guidelines", {"guidelines": "Reject what is broken.", "shared": 0.2}),
    ("save_pair_slice", {"name": "slice", "pairs": [["a b", "a c"]], "task": "STSB-test"}),
    ("save_prompt_set", {"prompts": {}}),
    ("save_rule", {"name": "mine", "rule": {"alpha": 2, "beta": 3, "gamma": 0.5}}),
    ("save_map_view", {"name": "view", "projection_id": "MAP", "colour": "role", "layers": [], "roles": ["premise"]}),
    ("save_slice", {"name": "slice", "triplet_ids": ["TRIPLET"], "origin": "map"}),
    ("score_intervals", {"encoder": "static-minilm"}),
    ("seed_corpus", {"texts": ["A dog runs.", "It rains."], "name": "seeds"}),
    ("worst_slices", {"encoder": "static-minilm", "task": "STSB-test", "slices": 3, "pairs": 2}),
)
TO_REFUSE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("start_generate", {"corpus_id": "gone", "config": {"omega": 0.5}, "limit": 1}),
    ("move", {"job_id": "ATTEMPT", "places": 1}),
    ("resume", {"job_id": "ATTEMPT"}),
    ("start_judge", {"attempt_ids": ["gone"], "judges": ["guide:all-MiniLM-L6-v2"]}),
    ("start_train", {"snapshot_id": "gone", "config": {"steps": 3}}),
    ("start_evaluate", {"encoder": "gone", "sts_dir": "FOLDER/sts"}),
    ("start_regenerate", {"triplet_id": "gone", "side": "positive"}),
    ("add_llm", {"name": "n", "path": "FOLDER/absent.gguf"}),
)
"""Calls that end in a refusal whatever else is changed in them."""


def named(value: Any, words: dict[str, Any]) -> Any:
    """Return a JSON value with the words of the drill's workspace put in."""
    if isinstance(value, dict):
        return {name: named(item, words) for name, item in value.items()}
    if isinstance(value, list):
        return [named(item, words) for item in value]
    if isinstance(value, str):
        return words.get(value, value.replace("FOLDER", str(words["FOLDER"])))
    return value


def valid_calls(words: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return every call that has to succeed."""
    calls = [(name, named(arguments, words)) for name, arguments in VALID]
    return [(name, {"prompts": words["PROMPTS"]} if name == "save_prompt_set" else given) for name, given in calls]


def call(random: Random, words: dict[str, Any], mutated: Mutated) -> tuple[str, str]:
    """Return name and arguments (JSON) of a call: three in ten as they are, the others mutated."""
    if random.random() < 0.1:
        name, given = random.choice(TO_REFUSE)
        return name, json.dumps(mutated(named(given, words), random))
    name, given = random.choice(valid_calls(words))
    return name, json.dumps(given if random.random() < 0.3 else mutated(given, random))
