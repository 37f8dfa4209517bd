"""The commands and their options; the settings of a config become options, with their own help."""

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import shtab

from pipeline.config import CurationRule, GenerationConfig, ScratchConfig
from pipeline.exchange import FORMS
from pipeline.generation.llms.presets import PRESETS
from pipeline.generation.llms.registry import LLMEntry
from pipeline.train_config import TrainConfig
from workbench import __version__
from workbench.cli.options import (
    Words,
    add_place,
    add_settings,
    at_least_one,
    command,
    complete_files,
    port_number,
    words_between_commas,
)
from workbench.store.decisions import BULK_ACTIONS
from workbench.store.filters import Order, TripletFilter

_PLACES_OF_ROWS = "gpu:NUMBER, gpu:0,1,2 (a model each), ray (all of this machine) or ray:ADDRESS of a cluster"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command carries `run`, a function of the parsed options."""
    is_script = Path(sys.argv[0]).name == "multicsr"
    parser = Words(
        prog="multicsr" if is_script else "python -m workbench",
        description="The MultiCSR workbench without a browser.",
    )
    parser.add_argument("--version", action="version", version=f"multicsr {__version__}")
    shtab.add_argument_to(parser, "--print-completion", help="print the completion for this shell and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_application(commands)
    add_stages(commands)
    add_exchange(commands)
    complete_files(parser)
    return parser


def add_application(commands: Any) -> None:
    """Commands about the application itself."""
    demo = command(commands, "demo", "demo:run", "run the main job on the embedded models and print its table")
    demo.add_argument("--sts-dir", type=Path, help="folder of STS tasks; without it held-out triplets are used")
    demo.add_argument("--limit", type=at_least_one, help="premises to write triplets for live (default: 12)")
    demo.add_argument("--seeds", type=at_least_one, default=3, help="seeds of the study (default: 3)")
    # Options of the command study; halves would triple the demo's time.
    demo.set_defaults(file=Path("stages"), out=None, halves=0, dry_run=False, download=False)
    serve = command(commands, "serve", "workspace:serve", "serve the app on this workspace")
    serve.add_argument("--port", type=port_number, default=8501)
    serve.add_argument("--address", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument("--no-token", action="store_true", help="let everybody in who reaches the address")
    serve.add_argument(
        "--host", action="append", metavar="NAME", help="name of the app at a reverse proxy, repeatable"
    )
    serve.add_argument("--base-path", default="", metavar="PATH", help="path of the app behind a proxy: lab/app")
    agents = command(commands, "mcp", "workspace:serve_agents", "serve an agent: MCP on standard input and output")
    agents.add_argument("--print-skill", action="store_true", help="print the SKILL.md that teaches the loop")
    command(commands, "doctor", "workspace:doctor", "check Python, CPU, GPU, disk, weights and the workspace")
    add_llms(commands)
    add_encoders(commands)
    command(commands, "jobs", "workspace:list_jobs", "list the jobs of the workspace")
    command(commands, "resume", "workspace:resume", "resume a job").add_argument("job_id")
    for name, help in (
        ("pause", "pause a job"),
        ("finish", "end a training run, or premises from scratch, early and keep the result so far"),
        ("cancel", "stop a job for good"),
    ):
        steered = command(commands, name, "workspace:steer", help)
        steered.set_defaults(steering=name)
        steered.add_argument("job_id")
    move = command(commands, "move", "workspace:move", "move a waiting job up or down its queue")
    move.add_argument("job_id")
    places = move.add_mutually_exclusive_group(required=True)
    places.add_argument("--up", type=at_least_one, metavar="N", help="N places up")
    places.add_argument("--down", type=at_least_one, metavar="N", help="N places down")
    call = command(commands, "call", "workspace:call_action", "call any action by name, as the HTTP interface does")
    call.add_argument("action", help="name of the action; a wrong one lists them all")
    call.add_argument("arguments", nargs="?", default="{}", help="JSON object, or - to read it from standard input")
    backup = command(commands, "backup", "workspace:backup", "copy the database into a new file")
    backup.add_argument("file", type=Path)
    command(commands, "rebuild", "workspace:rebuild", "build a fresh database from journals and decisions")


def add_llms(commands: Any) -> None:
    """Commands of the registry of LLMs."""
    llms = commands.add_parser("llms", help="the LLMs of the workspace: list, add, check, remove").add_subparsers(
        required=True, metavar="COMMAND"
    )
    command(llms, "list", "generate:show_llms", "list the LLMs with the result of their last check")
    add = command(llms, "add", "generate:add_llm", "check an LLM and add it under a name")
    add.add_argument("name")
    add.add_argument("--preset", choices=tuple(PRESETS), default="", help="kind of server, for its usual address")
    where = add.add_mutually_exclusive_group()
    where.add_argument("--path", type=Path, help="GGUF file, or folder of a transformers model")
    where.add_argument("--url", help="base URL of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1")
    where.add_argument("--hub", help="OWNER/NAME of a model on the hub, or OWNER/NAME/FILE.gguf")
    add.add_argument("--revision", help="commit, tag or branch on the hub (default: main, pinned at its commit)")
    add_settings(add, LLMEntry)
    command(llms, "check", "generate:check_llm", "check an LLM again").add_argument("name")
    removal = command(
        llms, "remove", "generate:remove_llm", "take an LLM out of the list; its files and triplets stay"
    )
    removal.add_argument("name")


def add_encoders(commands: Any) -> None:
    """Commands about the encoders and the prompt sets of a workspace."""
    encoders = commands.add_parser(
        "encoders", help="the encoders of the workspace: list, add, delete their weights"
    ).add_subparsers(required=True, metavar="COMMAND")
    prompts = commands.add_parser("prompts", help="the prompt sets of the workspace: list, save").add_subparsers(
        required=True, metavar="COMMAND"
    )
    command(prompts, "list", "generate:show_prompts", "list the newest version of every prompt set")
    saved = command(prompts, "save", "generate:save_prompts", "save prompts as the next version of their name")
    saved.add_argument("file", type=Path, help="JSON of one set, as `prompts list --json FILE` writes it")
    command(
        encoders, "list", "train:show_encoders", "list the encoders that can be trained, evaluated and mapped by name"
    )
    add = command(
        encoders, "add", "train:add_encoder", "add an encoder that was trained elsewhere, from a folder or the hub"
    )
    deletion = command(
        encoders, "delete-weights", "train:delete_weights", "delete the weights of a run for good; its figures stay"
    )
    deletion.add_argument("run", help="id of the run; `encoders list --json FILE` and `jobs` show it")
    add.add_argument(
        "folder", help="folder of sentence-transformers or transformers with safetensors, or OWNER/NAME on the hub"
    )
    add.add_argument("--name", default="", help="name of the encoder (default: that of the folder or on the hub)")


def add_stages(commands: Any) -> None:
    """Commands of the pipeline."""
    scratch = command(
        commands,
        "write-premises",
        "generate:write_premises",
        "let an LLM write a corpus of premises by topic, genre and length",
    )
    scratch.add_argument("--name", default="from scratch", help="name of the corpus (default: from scratch)")
    add_settings(scratch, ScratchConfig, on=_PLACES_OF_ROWS)

    generate = command(commands, "generate", "generate:run_generate", "stage 1: write positives and hard negatives")
    generate.add_argument("--corpus", help="name of a corpus of the workspace")
    generate.add_argument("--premises", type=Path, help="file of premises; with --out no workspace is needed")
    generate.add_argument("--column", help="column of the premises in a csv, tsv, jsonl or parquet file")
    generate.add_argument("--out", type=Path, help="JSON lines, one per premise")
    generate.add_argument("--limit", type=at_least_one, help="take only the first N premises")
    add_settings(generate, GenerationConfig, on=_PLACES_OF_ROWS)

    judge = command(commands, "judge", "curate:judge", "stage 2: score generated triplets on the 0-5 scale")
    judge.add_argument("--attempt", action="append", help="generation run, repeatable (default: all)")
    kinds = "KIND:LLM, guide:ENCODER, cross:FOLDER or ensemble:NAME, repeatable"
    judge.add_argument("--judge", action="append", help=kinds)
    judge.add_argument("--gold-dir", type=Path, help="folder with gold pairs to calibrate on")
    add_place(judge, _PLACES_OF_ROWS)

    add_curation(commands)
    train = command(commands, "train", "train:run_train", "stage 3: train an encoder on triplets")
    train.add_argument("--snapshot", help="snapshot of the workspace")
    train.add_argument(
        "--triplets", type=Path, help="csv, jsonl or parquet of triplets; with --out no workspace is needed"
    )
    train.add_argument("--out", type=Path, help="folder that receives the encoder")
    train.add_argument("--sts-dir", type=Path, help="folder of STS tasks to score the encoder on")
    train.add_argument("--hold-out", action="store_true", help="keep a fifth of the premises for the dev score")
    add_settings(train, TrainConfig, on="gpu:NUMBER or torchrun:PROCESSES, which share every batch")

    study = command(
        commands, "study", "train:run_study", "run arms x seeds at equal steps from a YAML file and report them"
    )
    study.add_argument("file", type=Path, help="study file, or the name of a shipped study (stages, paper)")
    study.add_argument("--sts-dir", type=Path, help="folder of STS tasks, in place of the file's own")
    study.add_argument("--seeds", type=at_least_one, help="so many seeds, in place of the file's own")
    study.add_argument(
        "--halves", type=int, help="so many random halves of the corpus, 0 for none, in place of the file's own"
    )
    study.add_argument("--out", type=Path, help="folder of studies (default: studies in the workspace)")
    study.add_argument("--dry-run", action="store_true", help="print the plan and try every part on small stand-ins")
    study.add_argument("--download", action="store_true", help="fetch what the file names on the hub")

    fetch = command(commands, "fetch", "evaluate:fetch", "fetch STS or retrieval tasks from the hub")
    fetch.add_argument("kind", choices=("sts", "retrieval"))
    fetch.add_argument("--task", action="append", help="only this one (repeat for several)")

    evaluate = command(
        commands, "evaluate", "evaluate:run_evaluate", "score an encoder on STS, retrieval or transfer tasks"
    )
    evaluate.add_argument(
        "--encoder", required=True, help="built-in name, encoder of the workspace, folder, or OWNER/NAME on the hub"
    )
    folder = evaluate.add_mutually_exclusive_group(required=True)
    folder.add_argument("--sts-dir", type=Path, help="folder of TSV files or in SentEval's layout")
    folder.add_argument("--retrieval-dir", type=Path, help="folder of retrieval tasks in BEIR's layout")
    folder.add_argument("--transfer-dir", type=Path, help="SentEval's data folder, for its transfer tasks")
    folder.add_argument("--mteb", metavar="NAME", help="a task or benchmark of mteb; its data come from the hub")
    scores = command(commands, "scores", "evaluate:show_scores", "show scores, those of one encoder with intervals")
    scores.add_argument("--encoder", help="an encoder with scores: its name, id or folder")
    scores.add_argument("--against", metavar="ENCODER", help="another one, for what the first gains over it")
    slices = command(commands, "slices", "evaluate:show_slices", "show the kinds of pairs that cost an encoder most")
    slices.add_argument("--encoder", required=True, help="an encoder with a score on the task")
    slices.add_argument("--task", required=True)
    slices.add_argument("--slice", metavar="TITLE", help="only this one (default: the ten most costly)")
    slices.add_argument("--pairs", type=at_least_one, default=5, help="worst pairs shown of each (default: 5)")
    slices.add_argument("--premises", type=Path, help="file that receives the sentences of the first slice's pairs")


def add_curation(commands: Any) -> None:
    """Commands of curation: everything that the page Curate writes."""
    group = commands.add_parser("curate", help="stage 2: decide triplets, set the rule, freeze a snapshot")
    curate = group.add_subparsers(required=True, metavar="COMMAND")

    decide = command(curate, "decide", "curate:decide", "accept, reject, swap or edit triplets as one step")
    decide.add_argument("triplet", nargs="+", help="id of a triplet; `curate next` and `curate list` show them")
    action = decide.add_mutually_exclusive_group()
    for name in BULK_ACTIONS:
        action.add_argument(f"--{name}", dest="action", action="store_const", const=name)
    decide.add_argument("--edit-positive", metavar="TEXT", help="new text of the positive")
    decide.add_argument("--edit-hard-negative", metavar="TEXT", help="new text of the hard negative")
    decide.add_argument("--settle", action="store_true", help="settle a disagreement of annotators")

    bulk = command(curate, "bulk", "curate:bulk", "decide all triplets that match a filter as one step")
    bulk.add_argument("action", choices=BULK_ACTIONS)
    bulk.add_argument("--expected", type=int, metavar="N", help="decide only if exactly N triplets match")
    bulk.add_argument("--dry-run", action="store_true", help="only print how many match")
    for parser in (decide, bulk):
        parser.add_argument("--reason", default="", help="reason, as free text")

    steps = [
        command(curate, "undo", "curate:step", "undo the last step of an annotator"),
        command(curate, "redo", "curate:step", "redo the step that was undone last"),
    ]
    for parser, step in zip(steps, ("undo", "redo"), strict=True):
        parser.set_defaults(step=step)
    queue = command(curate, "next", "curate:show_next", "show the next triplets of an annotator's queue")
    queue.add_argument("--disputed", action="store_true", help="triplets on which annotators differ")
    queue.add_argument("--skip", action="append", metavar="TRIPLET", help="skip this one for now, repeatable")
    for parser in (decide, bulk, queue, *steps):
        parser.add_argument("--by", required=True, metavar="NAME", help="annotator; undo and redo go by this name")

    listed = command(curate, "list", "curate:show_list", "list the triplets that match a filter")
    for parser in (bulk, listed):
        parser.add_argument("--where", action="append", metavar="FIELD=VALUE", help=_where_help())
        parser.add_argument("--filter", metavar="JSON", help="the same fields as a JSON object, or a file with one")
    for parser, rows in ((queue, 1), (listed, 50)):
        parser.add_argument("--order", choices=get_args(Order), default="arrival", help="(default: arrival)")
        parser.add_argument(
            "--limit", type=at_least_one, default=rows, metavar="N", help=f"triplets to show (default: {rows})"
        )

    freeze = command(curate, "freeze", "curate:freeze", "apply rule and decisions, freeze a snapshot")
    freeze.add_argument("--name", required=True, help="name of the snapshot")
    freeze.add_argument(
        "--review-margin",
        type=float,
        metavar="DISTANCE",
        help="leave out undecided triplets this near to the rule's border, or on which judges differ",
    )
    queue.add_argument(
        "--uncertain",
        type=float,
        metavar="DISTANCE",
        help="only triplets this near to the rule's border, or on which judges differ; needs --judge",
    )
    for parser in (freeze, queue):
        parser.add_argument("--judge", help="judge whose scores the rule reads; without it every ok triplet is kept")
        parser.add_argument(
            "--rule", metavar="NAME", help="a preset or saved rule; thresholds given here override it"
        )
        add_settings(parser, CurationRule)
    for parser in (freeze, queue, bulk, listed):
        parser.add_argument("--attempt", action="append", help="generation run, repeatable (default: all)")

    command(curate, "history", "curate:history", "show every decision on a triplet").add_argument("triplet")
    redone = command(curate, "regenerate", "curate:regenerate", "regenerate one side of a triplet")
    redone.add_argument("triplet")
    redone.add_argument("--side", choices=("positive", "hard_negative"), required=True)
    rule = curate.add_parser("rule", help="saved rules").add_subparsers(required=True, metavar="COMMAND")
    command(rule, "list", "curate:rules", "list presets and saved rules")
    save = command(rule, "save", "curate:save_rule", "save a rule under a name")
    save.add_argument("name")
    add_settings(save, CurationRule)
    notes = command(curate, "guidelines", "curate:guidelines", "show or set the guidelines and the shared part")
    notes.add_argument("file", type=Path, nargs="?", help="Markdown that becomes the guidelines")
    notes.add_argument("--shared", type=float, metavar="SHARE", help="share that every annotator decides, 0 to 1")
    notes.add_argument("--judge", help="judge whose scores the page Curate begins with")


def _where_help() -> str:
    known = ", ".join(field.name for field in fields(TripletFilter))
    return f"condition, repeatable, such as decision=undecided or a_max=2; fields: {known}"


def add_exchange(commands: Any) -> None:
    """Commands that move data in and out."""
    premises = command(
        commands, "import-premises", "workspace:import_premises", "import a file of premises as a corpus"
    )
    premises.add_argument("file", help="file, or with --hub wiki1m, nli or OWNER/NAME/FILE of a data set")
    premises.add_argument("--hub", action="store_true", help="fetch the file from the hub")
    premises.add_argument("--revision", help="commit, tag or branch on the hub (default: main, pinned at its commit)")
    premises.add_argument("--limit", type=at_least_one, help="with --hub: keep only the first N premises")
    premises.add_argument("--column", help="column of a csv, tsv, jsonl or parquet file")
    premises.add_argument("--name", help="name of the corpus (default: the file's)")
    premises.add_argument("--encoding", help="encoding of text that is not UTF-8, such as cp1252")
    triplets = command(commands, "import", "workspace:import_triplets", "import triplets (sent0, sent1, hard_neg)")
    triplets.add_argument("file", type=Path, help="csv, tsv, jsonl, json, parquet, xlsx, or a datasets folder")
    triplets.add_argument(
        "--columns",
        type=words_between_commas,
        metavar="A,B,C",
        help="columns of premise, positive and each hard negative, where their names do not say so",
    )
    triplets.add_argument("--name", help="name of the import (default: the file's)")
    triplets.add_argument("--encoding", help="encoding of text that is not UTF-8, such as cp1252")
    pairs = command(commands, "import-pairs", "workspace:import_pairs", "make a task of a file of scored pairs")
    pairs.add_argument("file", type=Path, help="csv, tsv, jsonl or parquet")
    for name, held in (("first", "one sentence"), ("second", "the other sentence"), ("score", "the score")):
        pairs.add_argument(f"--{name}", required=True, metavar="COLUMN", help=f"column of {held}")
    pairs.add_argument("--name", help="name of the task (default: the file's)")
    pairs.add_argument("--encoding", help="encoding of text that is not UTF-8, such as cp1252")
    export = command(
        commands, "export", "workspace:export", "write a snapshot or generation runs to a file or folder"
    )
    export.add_argument(
        "file", type=Path, help="name.csv, .jsonl, .json (also .gz, .zst), .parquet, .xlsx; else a datasets folder"
    )
    export.add_argument("--form", choices=[form for form in FORMS if form], help="whose names the columns have")
    export.add_argument("--snapshot", help="snapshot of the workspace")
    export.add_argument("--attempt", action="append", help="generation run, repeatable")
    push = command(commands, "push", "train:push", "push an encoder or a snapshot to the hub, with its card")
    push.add_argument("repository", help="OWNER/NAME on the hub; made where there is none")
    what = push.add_mutually_exclusive_group(required=True)
    what.add_argument("--encoder", help="an encoder of the workspace")
    what.add_argument("--snapshot", help="snapshot of the workspace")
    push.add_argument("--public", action="store_true", help="anyone may read a repository that is made now")
    push.add_argument("--licence", default="", help="as the hub names it, such as apache-2.0 or cc-by-4.0")
    push.add_argument("--dataset", action="append", help="data set on the hub that an encoder was trained on")
