"""`curate`: deciding triplets, undo and redo, rules and guidelines, and freezing the result, without a browser."""

import argparse
import json
from pathlib import Path
from typing import Any, get_type_hints

from pipeline.config import CurationRule
from pipeline.records import InputError
from pipeline.settings import from_fields
from workbench.cli.main import Call, access, ask, print_line, print_table, require_file, settings, watch, write_json
from workbench.store.filters import TripletFilter, filter_from

_SENTENCES = ("premise", "positive", "hard_negative")


def judge(options: argparse.Namespace) -> None:
    """Score the triplets of the chosen generation runs."""
    gold_dir = str(options.gold_dir.resolve()) if options.gold_dir else None
    with access(options) as call:
        attempts = options.attempt or all_runs(call)
        started = call("start_judge", attempt_ids=attempts, judges=options.judge, gold_dir=gold_dir, on=options.on)
        watch(call, started["job_id"], label="Judging")
    write_json(options.json, started)


def all_runs(call: Call) -> list[str]:
    """Return every generation run and import. Raises InputError for an empty workspace."""
    attempts = [row["attempt_id"] for row in call("attempts")["attempts"]]
    if not attempts:
        raise InputError("This workspace holds no generated or imported triplets: run generate or import first.")
    return attempts


def decide(options: argparse.Namespace) -> None:
    """Decide the named triplets as one step."""
    has_text = options.edit_positive is not None or options.edit_hard_negative is not None
    if has_text == bool(options.action):
        raise InputError("Choose --accept, --reject, --swap or --reset, or edit with --edit-positive TEXT.")
    answer = ask(
        options,
        "decide",
        triplet_ids=options.triplet,
        action=options.action or "edit",
        annotator=options.by,
        positive=options.edit_positive,
        hard_negative=options.edit_hard_negative,
        reason=options.reason,
        settles=options.settle,
    )
    print_line(f"{answer['decided']} decided by {options.by}; `curate undo` reverts it.")
    write_json(options.json, answer)


def bulk(options: argparse.Namespace) -> None:
    """Decide all triplets that match a filter as one step, or with --dry-run print how many match."""
    chosen = filter_fields(options)
    with access(options) as call:
        total = call("list_triplets", filter=chosen, limit=1)["total"]
        if options.dry_run:
            print_line(f"{total} triplets match; nothing was decided.")
            write_json(options.json, {"total": total})
            return
        answer = call(
            "decide_all",
            filter=chosen,
            action=options.action,
            annotator=options.by,
            reason=options.reason,
            expected=total if options.expected is None else options.expected,
        )
    states = sorted(answer["before"] | answer["after"])
    rows = [(state, answer["before"].get(state, 0), answer["after"].get(state, 0)) for state in states]
    print_table("Triplets by decision", ("decision", "before", "after"), rows)
    print_line(f"{options.action}: {answer['decided']} triplets by {options.by}; `curate undo` reverts it.")
    write_json(options.json, answer)


def step(options: argparse.Namespace) -> None:
    """Undo the last step of an annotator, or redo the one that was undone last."""
    action, done = options.step, {"undo": "Undone", "redo": "Redone"}[options.step]
    answer = ask(options, action, annotator=options.by)
    batch_id = answer["batch_id"]
    print_line(f"{done}: {batch_id}." if batch_id else f"{options.by} has no decision to {action}.")
    write_json(options.json, answer)


def show_next(options: argparse.Namespace) -> None:
    """Show the next triplets of an annotator's queue."""
    with access(options) as call:
        answer = call(
            "queue",
            annotator=options.by,
            attempt_ids=options.attempt or [],
            order=options.order,
            judge_id=options.judge or "",
            rule=chosen_rule(call, options),
            disputed=options.disputed,
            uncertain=options.uncertain,
            skipped=options.skip or [],
            limit=options.limit,
        )
    for triplet in answer["triplets"]:
        _print_triplet(triplet)
    print_line(f"{answer['left']} of {answer['total']} triplets are left for {options.by}.")
    write_json(options.json, answer)


def show_list(options: argparse.Namespace) -> None:
    """List the triplets that match a filter."""
    answer = ask(options, "list_triplets", filter=filter_fields(options), order=options.order, limit=options.limit)
    for triplet in answer["triplets"]:
        _print_triplet(triplet, triplet["decision"])
    print_line(f"{len(answer['triplets'])} of {answer['total']} matching triplets.")
    write_json(options.json, answer)


def history(options: argparse.Namespace) -> None:
    """Show one triplet and every decision ever made on it."""
    answer = ask(options, "decision_history", triplet_id=options.triplet)
    _print_triplet(answer["triplet"])
    rows = [
        (row["created_at"], row["annotator"], row["step"], row["action"], row["reason"]) for row in answer["history"]
    ]
    print_table("History", ("when", "annotator", "step", "decision", "reason"), rows)
    write_json(options.json, answer)


def regenerate(options: argparse.Namespace) -> None:
    """Regenerate one side of a triplet and show the result."""
    with access(options) as call:
        started = call("start_regenerate", triplet_id=options.triplet, side=options.side)
        watch(call, started["job_id"], label="Regenerating")
        [made] = call("list_triplets", filter={"attempt_ids": [started["job_id"]]})["triplets"]
    print_line(f"{made[f'{options.side}_outcome']}: {made[options.side]}")
    write_json(options.json, started | {"triplet": made})


def rules(options: argparse.Namespace) -> None:
    """List the presets and the saved rules."""
    answer = ask(options, "curation_notes")
    rows = [(name, rule["alpha"], rule["beta"], rule["gamma"]) for name, rule in answer["rules"].items()]
    print_table("Rules", ("name", "alpha", "beta", "gamma"), rows)
    write_json(options.json, answer["rules"])


def save_rule(options: argparse.Namespace) -> None:
    """Save a rule under a name."""
    answer = ask(options, "save_rule", name=options.name, rule=settings(options))
    print_line(f"Saved {answer['name']}: " + ", ".join(f"{name} {value:g}" for name, value in answer["rule"].items()))
    write_json(options.json, answer)


def guidelines(options: argparse.Namespace) -> None:
    """Show the guidelines and the share that every annotator decides, or change them."""
    text = None if options.file is None else require_file(options.file).read_text(encoding="utf-8")
    with access(options) as call:
        if text is None and options.shared is None and options.judge is None:
            answer = call("curation_notes")
        else:
            answer = call("save_guidelines", guidelines=text, shared=options.shared, judge=options.judge)
    print_line(answer["guidelines"] or "There are no guidelines yet: give a file of Markdown to set them.")
    print_line(f"Every annotator decides {answer['shared']:.0%} of the triplets.")
    write_json(options.json, answer)


def freeze(options: argparse.Namespace) -> None:
    """Apply the rule and people's decisions, and freeze the result under a name."""
    from_fields(CurationRule, settings(options))
    with access(options) as call:
        attempts = options.attempt or all_runs(call)
        rule = chosen_rule(call, options)
        answer = call(
            "curate",
            attempt_ids=attempts,
            judge_id=options.judge,
            rule=rule,
            name=options.name,
            review_margin=options.review_margin,
        )
    print_table(f"Snapshot {answer['name']}", ("why", "triplets"), sorted(answer["reasons"].items()))
    write_json(options.json, answer)


def chosen_rule(call: Call, options: argparse.Namespace) -> dict[str, Any]:
    """Return the rule that --rule names, overridden by the thresholds given as options."""
    if options.rule is None:
        return settings(options)
    known = call("curation_notes")["rules"]
    if options.rule not in known:
        raise InputError(f"There is no rule {options.rule!r}; there are {', '.join(known)}.")
    return known[options.rule] | settings(options)


def filter_fields(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of the TripletFilter that --filter, --where and --attempt describe together."""
    fields: dict[str, Any] = _filter_file(options.filter) if options.filter else {}
    for condition in options.where or []:
        name, separator, value = condition.partition("=")
        if not separator:
            raise InputError(f"--where takes FIELD=VALUE, such as decision=undecided; got {condition}.")
        fields[name.strip()] = _typed(name.strip(), value)
    if options.attempt:
        fields["attempt_ids"] = options.attempt
    filter_from(fields)  # says what is wrong before a workspace is opened
    return fields


def _filter_file(given: str) -> dict[str, Any]:
    text = given if given.lstrip().startswith(("{", "[")) else require_file(Path(given)).read_text(encoding="utf-8")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"--filter takes a JSON object or the name of a file that holds one: {error}.") from error
    if not isinstance(fields, dict):
        raise InputError('--filter takes a JSON object of fields, such as {"decision": "undecided"}.')
    return fields


def _typed(name: str, value: str) -> Any:
    """Return the value of a condition in the type of its field; the parts of a list are separated by commas."""
    kind = str(get_type_hints(TripletFilter).get(name, str))
    if "tuple" in kind:
        parts = [part.strip() for part in value.split(",") if part.strip()]
        return [_number(part) for part in parts] if "float" in kind else parts
    if "bool" in kind:
        return {"true": True, "false": False}.get(value.lower(), value)
    return _number(value) if "float" in kind else value


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _print_triplet(triplet: dict[str, Any], decision: str | None = None) -> None:
    print_line(f"{triplet['triplet_id']}, {decision}" if decision else triplet["triplet_id"])
    for side in _SENTENCES:
        print_line(f"  {side.replace('_', ' ')}: {triplet[side] or ''}")
    for judge_id, scores in triplet.get("scores", {}).items():
        print_line(
            f"  {judge_id}: "
            + ", ".join(f"{name} {value:.2f}" for name, value in scores.items() if value is not None)
        )
