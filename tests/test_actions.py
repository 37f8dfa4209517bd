"""Every write is an action: each has a caller, nobody goes past them, and none runs on arguments of a wrong type."""

import ast
import inspect
from functools import cache
from typing import get_type_hints

import pytest

from tests.test_architecture import sources, within
from workbench import server
from workbench.actions import ACTIONS
from workbench.actions.call import call_action
from workbench.workspace import Workspace

SHOWN = ("pages", "workbench.components", "workbench.shell", "workbench.state")
"""What draws: it may read the store, and writes by actions alone."""
FILE_STORES = {"Slices", "PairSlices", "Notes", "OwnTests", "PromptSets", "MapViews", "Votes"}
_DURABLE = {
    "write_bytes",
    "write_text",
    "write_json",
    "write_table",
    "write_array",
    "whole_path",
    "whole_file",
    "whole_folder",
}
WRITING_FUNCTIONS = _DURABLE | {"write_notes", "Journal", "append_rows"}
READS_OF_JOBS = {"get", "latest", "list", "log", "of", "output", "set_aside", "waiting"}
_PRIMITIVES = WRITING_FUNCTIONS | {"write", "ingest_all", "mkdir", "unlink", "copy_database", "_keep"}


@cache
def trees(*folders: str) -> dict[str, ast.Module]:
    return {
        name: ast.parse(path.read_text(encoding="utf-8")) for name, path in sources().items() if within(name, folders)
    }


def called_name(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@cache
def writing_methods() -> dict[str, set[str]]:
    """Class -> methods that reach a primitive of writing, themselves or by another method of theirs."""
    found: dict[str, set[str]] = {}
    for tree in trees("workbench.store").values():
        for kind in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            calls = {
                method.name: {called_name(node) for node in ast.walk(method) if isinstance(node, ast.Call)}
                for method in kind.body
                if isinstance(method, ast.FunctionDef)
            }
            writing = {name for name, called in calls.items() if called & _PRIMITIVES}
            imports = {name for name in calls if "self._imports.add" in ast.unparse(_method(kind, name))}
            writing |= imports
            while more := {name for name, called in calls.items() if called & writing} - writing:
                writing |= more
            found[kind.name] = {name for name in writing if not name.startswith("_")} | {"insert"}  # inherited or own
    return found


def _method(kind: ast.ClassDef, name: str) -> ast.FunctionDef:
    return next(node for node in kind.body if isinstance(node, ast.FunctionDef) and node.name == name)


@cache
def tables() -> dict[str, str]:
    """Attribute of the store -> its class."""
    tree = trees("workbench.store.store")["workbench.store.store"]
    return {
        node.targets[0].attr: called_name(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Attribute)
        and isinstance(node.value, ast.Call)
    }


def writes_past_actions(tree: ast.Module) -> list[str]:
    """What a module that draws does to the store, its files or its jobs without an action."""
    of_class, kind_of, wrong = writing_methods(), tables(), []
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            wrong += [alias.name for alias in node.names if alias.name in WRITING_FUNCTIONS]
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value
        if isinstance(owner, ast.Attribute) and owner.attr == "store" and node.attr in kind_of:
            used = parents[node]
            if not isinstance(used, ast.Attribute):
                wrong.append(f"{ast.unparse(node)} is handed on")
            elif used.attr in of_class.get(kind_of[node.attr], set()):
                wrong.append(ast.unparse(used))
        if isinstance(owner, ast.Call) and called_name(owner) in FILE_STORES:
            wrong += [ast.unparse(node)] if node.attr in of_class[called_name(owner)] else []
        if isinstance(owner, ast.Name) and node.attr in ("jobs", "ingester") and owner.id == "workspace":
            used = parents[node]
            if not isinstance(used, ast.Attribute) or used.attr not in READS_OF_JOBS:
                wrong.append(
                    ast.unparse(used) if isinstance(used, ast.Attribute) else f"{ast.unparse(node)} is handed on"
                )
    return wrong


def test_the_walk_knows_what_writes():
    """An empty list of writing methods would let everything pass."""
    found = writing_methods()
    assert {"append", "decide_all", "undo", "redo", "insert", "catch_up"} <= found["Decisions"]
    assert not {"latest", "history", "counts", "rejected"} & found["Decisions"]
    assert {"create"} <= found["Snapshots"] and not {"list", "get", "rows"} & found["Snapshots"]
    assert "import_rows" in found["Triplets"] and "page" not in found["Triplets"]
    assert {"add_corpus"} <= found["Premises"] and {"remove"} <= found["LLMs"]
    assert all("add" in found[name] for name in FILE_STORES - {"PromptSets"}) and "save" in found["PromptSets"]
    assert tables()["decisions"] == "Decisions"


@pytest.mark.parametrize(
    "source",
    [
        "workspace.store.decisions.undo(state.annotator())",
        "decisions = workspace.store.decisions",
        "PairSlices(workspace.root).add(name, pairs)",
        "workspace.jobs.cancel(job.job_id)",
        "act = workspace.jobs.pause",
        "from workbench.store.files import write_notes",
    ],
)
def test_the_walk_sees_a_write(source):
    assert writes_past_actions(ast.parse(source)) != []


def test_what_draws_writes_by_actions_alone():
    wrong = {name: found for name, tree in trees(*SHOWN).items() if (found := writes_past_actions(tree))}
    assert wrong == {}


def test_store_methods_that_write_are_called_by_actions_jobs_and_the_store():
    """The same over everything else of the workbench: a command may no more go past the actions than a page."""
    allowed = ("workbench.actions", "workbench.jobs", "workbench.store", "workbench.workspace")
    kind_of, of_class, wrong = tables(), writing_methods(), []
    for name, tree in trees("workbench", "pages").items():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Attribute)
                and not within(name, allowed)
            ):
                table = node.value
                if isinstance(table.value, ast.Attribute) and table.value.attr == "store":
                    wrong += (
                        [f"{name}: {node.attr}"] if node.attr in of_class.get(kind_of.get(table.attr, ""), ()) else []
                    )
    assert wrong == []


def test_every_action_has_a_command_or_a_page():
    called: set[str] = set()
    for tree in trees("workbench.cli").values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                called.add(node.value)
    for tree in trees("pages", "workbench.components").values():
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workbench.actions")
            for alias in node.names
        }
        called |= imported
    assert set(ACTIONS) - called == set()


def test_every_annotator_is_named_by_the_caller():
    deciding = {"decide", "decide_all", "undo", "redo", "queue", "keep_one", "reject_all"}
    for name in deciding:
        assert inspect.signature(ACTIONS[name]).parameters["annotator"].default is inspect.Parameter.empty, name


WRONG = {
    "action": ["", "accepted", 1, None, ["accept"]],
    "order": ["", "any", 1, None, ["arrival"]],
    "typing.Literal['auto', 'completion', 'chat']": ["", "chats", 1, None, ["chat"]],
    "str": [1, 1.5, True, None, [], {}],
    "int": ["1", 1.5, True, None, [], 10**30],
    "float": ["1", True, None, [], {}, float("nan"), float("inf"), 10**400],
    "bool": [0, "true", None, []],
    "dict[str, typing.Any]": [1, "x", None, [], [["a", 1]]],
    "list[str]": ["x", 1, None, {}, [1], [None], [["x"]]],
    "collections.abc.Sequence[str]": ["x", 1, None, {}, [1], [None]],
    "collections.abc.Sequence[float]": ["x", 1, None, {}, ["1"], [True]],
    "collections.abc.Sequence[collections.abc.Sequence[str]]": ["x", 1, None, {}, ["x"], [[1]], [None]],
}
"""Annotation without `| None` -> values that it excludes, written down apart from the check itself."""
RIGHT = {
    "str": "x",
    "action": "accept",
    "order": "arrival",
    "typing.Literal['auto', 'completion', 'chat']": "chat",
    "int": 1,
    "float": 1.0,
    "bool": False,
    "dict[str, typing.Any]": {},
    "list[str]": ["x"],
    "collections.abc.Sequence[str]": ["x"],
    "collections.abc.Sequence[float]": [1.0],
    "collections.abc.Sequence[collections.abc.Sequence[str]]": [["x", "y"]],
}


def arguments_of(action) -> dict[str, tuple[str, bool]]:
    """Argument -> its annotation as a word of WRONG, and whether None is allowed."""
    found = {}
    for name, kind in get_type_hints(action).items():
        if name in ("action", "order"):  # words of a Literal
            found[name] = (name, False)
        elif name not in ("workspace", "return"):
            text = (
                kind.__name__
                if isinstance(kind, type) and not hasattr(kind, "__origin__") and "[" not in str(kind)
                else str(kind)
            )
            bare = text.replace(" | None", "")
            found[name] = (bare, bare != text)
    return found


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_a_wrong_type_is_refused_before_the_action_runs(name):
    """Over all arguments of all actions; there is no workspace, so an action that did run would fail otherwise."""
    kinds = arguments_of(ACTIONS[name])
    for wrong, (kind, optional) in kinds.items():
        given = {other: RIGHT[kinds[other][0]] for other in kinds if other != wrong}
        for value in WRONG[kind]:
            if value is None and optional:
                continue
            with pytest.raises(server.InputError, match=rf"^{wrong} of the action {name} must be "):
                call_action(None, name, ACTIONS[name], given | {wrong: value})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory):
    """A workspace that starts no job; what one action leaves in it the next one finds."""
    with Workspace(tmp_path_factory.mktemp("actions") / "ws") as opened, pytest.MonkeyPatch.context() as patched:
        patched.setattr(opened.jobs, "submit", lambda *_, **__: "20260101-000000-000-nothing-aaaa")
        yield opened


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_right_types_with_senseless_values_answer_or_refuse(name, empty, monkeypatch, tmp_path):
    """Whatever is typed as it should be ends in an answer or in one sentence, never in a server's failure."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server, "current_workspace", lambda: empty)
    kinds = arguments_of(ACTIONS[name])
    given = {argument: RIGHT[kind] for argument, (kind, _) in kinds.items()}
    required = [n for n, p in inspect.signature(ACTIONS[name]).parameters.items() if p.default is p.empty][1:]
    for arguments in (given, {argument: given[argument] for argument in required}):
        for senseless in ("x", "", "\0", "a" * 5000, "\ud800", "../..", "[("):
            odd = {a: _with_text(value, senseless) for a, value in arguments.items()}
            answer = server._run(name, odd)
            assert answer.status_code in (200, 400), (odd, answer.body)
            assert b"Traceback" not in answer.body


def _with_text(value, text: str):
    if isinstance(value, list):
        return [_with_text(item, text) for item in value]
    return text if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("start_generate", {"corpus_id": "x", "config": {"omega": "high"}}),
        ("start_generate", {"corpus_id": "x", "config": {"llm": 3}}),
        ("start_train", {"snapshot_id": "x", "config": {"steps": [1]}}),
        ("start_write_premises", {"config": {"topics": "animals"}}),
        ("curate", {"attempt_ids": [], "name": "x", "judge_id": "j", "rule": {"alpha": "3"}}),
        ("save_rule", {"name": "x", "rule": {"alpha": None}}),
        ("decide_all", {"filter": {"attempt_ids": "x"}, "action": "accept", "annotator": "ann"}),
        ("decide_all", {"filter": {"rule": [1, 2]}, "action": "accept", "annotator": "ann"}),
        ("decide_all", {"filter": {"decision": "perhaps"}, "action": "accept", "annotator": "ann"}),
        ("list_triplets", {"filter": {"a_min": "2"}}),
        ("list_triplets", {"after": [1.0]}),
        ("save_prompt_set", {"prompts": {"positive": 3}}),
    ],
)
def test_wrong_types_inside_settings_are_refused(name, arguments, empty, monkeypatch):
    monkeypatch.setattr(server, "current_workspace", lambda: empty)
    answer = server._run(name, arguments)
    assert answer.status_code == 400, answer.body
