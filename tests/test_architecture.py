"""The layers, checked on the source itself: which module imports which, and what loads when."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
OURS = ("pages", "workbench", "pipeline")
ENTRY = "streamlit_app"
HEAVY = {"torch", "transformers", "sentence_transformers", "llama_cpp", "umap", "sklearn", "scipy", "datasets"}
MAY_USE_STREAMLIT = (
    "pages",
    ENTRY,
    "workbench.shell",
    "workbench.state",
    "workbench.theme",
    "workbench.components",
    "workbench.server",
    "workbench.page_messages",
    "workbench.sign_in",
)
MAY_LOAD_MODELS = ("workbench.jobs.handlers", "workbench.doctor.probe")
LONGEST_FILE_LINES = 350


def module_name(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def sources() -> dict[str, Path]:
    files = [path for folder in OURS for path in sorted((PROJECT / folder).rglob("*.py"))]
    return {module_name(path): path for path in [*files, PROJECT / f"{ENTRY}.py"] if path.exists()}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def import_nodes(node: ast.AST, *, top_level: bool) -> list[ast.Import | ast.ImportFrom]:
    """Import statements below a node; at top level without functions and `if TYPE_CHECKING` blocks."""
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            found.append(child)
        elif top_level and (isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or is_type_checking(child)):
            continue
        else:
            found += import_nodes(child, top_level=top_level)
    return found


@cache
def imports(module: str, *, top_level: bool = False) -> frozenset[str]:
    """Absolute names of the modules that a module imports: its own ones as modules, others as written."""
    path = sources()[module]
    names = set()
    for node in import_nodes(ast.parse(path.read_text(encoding="utf-8")), top_level=top_level):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"{module} imports relatively"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in sources() else str(node.module) for name in whole}
    return frozenset(names)


def loaded_with(module: str) -> dict[str, str]:
    """Return everything that importing a module loads, each with the module that asks for it."""
    loaded = {module: ""}
    waiting = [module]
    while waiting:
        current = waiting.pop()
        parents = [current.rsplit(".", n)[0] for n in range(1, current.count(".") + 1)]
        for name in (*imports(current, top_level=True), *parents):
            if name not in loaded:
                loaded[name] = current
                if name in sources():
                    waiting.append(name)
    return loaded


def package(name: str) -> str:
    return name.split(".")[0]


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)


def test_the_walk_sees_the_project():
    """An empty walk would pass every test below."""
    assert {"pipeline.config", "pipeline.premises", "workbench.doctor"} <= set(sources())
    assert "pipeline.files.rows" in imports("pipeline.premises")
    assert "pyarrow.parquet" in imports("pipeline.files.parquet")
    assert "pyarrow.parquet" not in imports("pipeline.files.parquet", top_level=True)
    assert loaded_with("workbench.doctor")["psutil"] == "workbench.doctor.checks"


def test_arrows_point_from_pages_to_workbench_to_pipeline():
    forbidden = {"pipeline": {"pages", "workbench", ENTRY}, "workbench": {"pages", ENTRY}, "pages": {ENTRY}}
    wrong = [
        f"{module} imports {name}"
        for module in sources()
        for name in imports(module)
        if package(name) in forbidden.get(package(module), set())
    ]
    assert wrong == []


def test_nothing_shipped_imports_the_tests():
    assert [module for module in sources() if any(package(name) == "tests" for name in imports(module))] == []


def test_pipeline_knows_no_user_interface_and_no_database():
    wrong = [
        f"{module} imports {name}"
        for module in sources()
        if package(module) == "pipeline"
        for name in imports(module)
        if package(name) in {"streamlit", "duckdb", "plotly"}
    ]
    assert wrong == []


def test_streamlit_is_imported_by_the_user_interface_only():
    wrong = [
        f"{module} imports {name}"
        for module in sources()
        if not within(module, MAY_USE_STREAMLIT)
        for name in imports(module)
        if package(name) == "streamlit"
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", ["workbench.store", "workbench.jobs", "workbench.actions", "workbench.cli"])
def test_this_folder_runs_without_streamlit(folder):
    for module in sources():
        if within(module, (folder,)):
            loaded = loaded_with(module)
            assert "streamlit" not in {package(name) for name in loaded}, f"{module} loads streamlit"


def test_the_server_side_loads_no_model_library():
    """A table must not wait for torch, nor a command for scipy.stats, which was more than half of its start.

    Such imports happen in workers, or inside the function that needs them.
    """
    wrong = []
    for module in sources():
        if package(module) == "pipeline" or within(module, MAY_LOAD_MODELS):
            continue
        loaded = loaded_with(module)
        wrong += [f"{module} loads {name} through {loaded[name]}" for name in loaded if package(name) in HEAVY]
    assert wrong == []


def test_only_the_owner_of_the_database_imports_it():
    """DuckDB's lock is lost when anything else in the process opens and closes the file."""
    users = {module for module in sources() if any(package(name) == "duckdb" for name in imports(module))}
    assert users, "nobody imports duckdb: the walk is broken"
    assert {user for user in users if not within(user, ("workbench.store", "workbench.doctor.probe"))} == set()


def on_the_way_round(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the names from which the arrows lead back to where they began."""

    def comes_back(start: str) -> bool:
        seen: set[str] = set()
        waiting = list(arrows.get(start, ()))
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += arrows.get(name, ())
        return start in seen

    return sorted(name for name in arrows if comes_back(name))


def neighbours(module: str, other: str) -> tuple[str, str]:
    """Return where two modules part: the two entries, folder or module, of the innermost folder that holds both."""
    one, two = module.split("."), other.split(".")
    depth = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    return ".".join(one[: depth + 1]), ".".join(two[: depth + 1])


def test_no_folder_comes_back_to_itself():
    """Entries of one folder, at any depth, import each other one way only; imports inside functions count."""
    arrows = defaultdict(set)
    for module in sources():
        for name in imports(module) & set(sources()):
            one, other = neighbours(module, name)
            if one != other:
                arrows[one].add(other)
    assert "workbench.store" in arrows["workbench.jobs"], "the walk is broken"
    assert on_the_way_round(arrows) == []


def test_no_module_comes_back_to_itself():
    """A circle works only in a lucky order, and one that an import inside a function hides is still one to read."""
    assert on_the_way_round({module: imports(module) & set(sources()) for module in sources()}) == []


def test_no_file_is_too_long():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in sources().items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE_LINES} == {}


def test_no_module_is_called_after_nothing():
    empty_words = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert [name for name in sources() if name.rsplit(".", 1)[-1] in empty_words] == []
