"""Size and structure of the code, for one or more revisions side by side.

    python -m benchmarks.structure f706876 HEAD

prints a Markdown table of `pipeline/` and `workbench/`; without a revision it measures the working tree.
"""

import argparse
import ast
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).resolve().parent.parent
MEASURED = ("pipeline", "workbench")
READ = (*MEASURED, "pages", "benchmarks", "tests")
KEYED_READ = re.compile(r"""\bspec(?:\.get\(|\[)["']""")
"""How a job's settings were read by name: spec["config"], job.spec.get("corpus")."""


class Tree:
    """The Python sources of one folder that holds the project."""

    def __init__(self, root: Path) -> None:
        self.root = root
        found = [path for name in READ for path in sorted((root / name).rglob("*.py"))]
        self.texts = {_module(path.relative_to(root)): path.read_text(encoding="utf-8") for path in found}
        self.parsed = {name: ast.parse(text) for name, text in self.texts.items()}
        self.faces = {_module(path.relative_to(root)) for path in found if path.name == "__init__.py"}
        self.measured = [name for name in self.texts if name.split(".")[0] in MEASURED]

    def figures(self) -> dict[str, str]:
        """Return what is measured, by name, ready to print."""
        lines = {name: len(self.texts[name].splitlines()) for name in self.measured}
        rooms = sorted(count for name, count in lines.items() if name not in self.faces)
        total = sum(lines.values())
        longest, where = max(self._functions())
        untyped = sum(text.count("dict[str, Any]") for text in self._texts("workbench"))
        keyed = [len(KEYED_READ.findall(text)) for text in self._texts("workbench")]
        return {
            "Python files": f"{len(self.measured):,}",
            "lines": f"{total:,}",
            "lines per file, median": f"{median(rooms):.0f}",
            "lines per file, 90th percentile": f"{rooms[int(0.9 * len(rooms))]}",
            "share of import lines": f"{100 * sum(map(self._import_lines, self.measured)) / total:.2f} %",
            "modules with one importer": f"{sum(len(users) == 1 for users in self._importers().values())}",
            "`dict[str, Any]` in workbench": f"{untyped}",
            "reads of a job's settings by string key": f"{sum(keyed)} in {sum(map(bool, keyed))} files",
            "circles between folders": f"{self._circles()}",
            "longest function": f"{longest} lines, `{where}`",
            "mypy errors, all packages": self._type_errors(),
        }

    def _of(self, package: str) -> list[str]:
        return [name for name in self.texts if name.split(".")[0] == package]

    def _texts(self, package: str) -> list[str]:
        return [self.texts[name] for name in self._of(package)]

    def _import_lines(self, module: str) -> int:
        nodes = [node for node in ast.walk(self.parsed[module]) if isinstance(node, ast.Import | ast.ImportFrom)]
        return sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in nodes)

    def _imports(self, module: str) -> Iterator[str]:
        for node in ast.walk(self.parsed[module]):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    yield whole if whole in self.texts else node.module

    def _importers(self) -> dict[str, set[str]]:
        users: dict[str, set[str]] = defaultdict(set)
        for module in [*self.measured, *self._of("pages")]:
            for name in self._imports(module):
                if name in self.texts and name != module and name not in self.faces:
                    users[name].add(module)
        return users

    def _circles(self) -> int:
        """Pairs of folders that import each other, lazily or not; a folder and one inside it are no pair."""
        needs: dict[str, set[str]] = defaultdict(set)
        for module in self.measured:
            for name in self._imports(module):
                if name in self.texts:
                    needs[self._folder(module)].add(self._folder(name))
        return sum(
            one < other and other in needs[one] and one in needs.get(other, set())
            for one in list(needs)
            for other in needs[one]
            if not other.startswith(f"{one}.") and not one.startswith(f"{other}.")
        )

    def _folder(self, module: str) -> str:
        return module if module in self.faces else module.rpartition(".")[0]

    def _functions(self) -> Iterator[tuple[int, str]]:
        for module in self.measured:
            for node in ast.walk(self.parsed[module]):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield (node.end_lineno or node.lineno) - node.lineno + 1, f"{module}.{node.name}"

    def _type_errors(self) -> str:
        packages = [argument for name in (*MEASURED, "pages") for argument in ("-p", name)]
        command = [sys.executable, "-m", "mypy", *packages, "--cache-dir", str(self.root / ".mypy_cache")]
        printed = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False).stdout
        found = re.search(r"Found (\d+) errors? in (\d+) files?", printed)
        return f"{found[1]} in {found[2]} files" if found else "0" if "Success" in printed else "not measured"


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def at_revision(revision: str) -> dict[str, str]:
    """Measure the project as git has it at a revision."""
    archive = subprocess.run(["git", "archive", revision], cwd=PROJECT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(folder, filter="data")
        return Tree(Path(folder)).figures()


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", nargs="*", help="what git knows; none measures the working tree")
    chosen = parser.parse_args().revision
    columns = {name: at_revision(name) for name in chosen} or {"working tree": Tree(PROJECT).figures()}
    print(f"| | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for name in next(iter(columns.values())):
        print(f"| {name} | {' | '.join(figures[name] for figures in columns.values())} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
