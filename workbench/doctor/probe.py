"""Probes that may kill their process (illegal instructions, aborts in native code), so each runs in a child.

`python -m workbench.doctor.probe NAME [ARGUMENT]` prints one JSON object as its last line.
"""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The answer of a probe, or how its process ended without one."""

    answer: dict[str, Any]
    failure: str = ""
    is_illegal_instruction: bool = False


def run_probe(name: str, argument: str = "", *, timeout_s: float = 120.0) -> ProbeResult:
    """Run one probe in a child process; a crash becomes part of the result."""
    command = [sys.executable, "-m", __name__, name, argument]
    try:
        child = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return ProbeResult({}, f"no answer within {timeout_s:.0f} s")
    if child.returncode < 0:
        ended_by = signal.Signals(-child.returncode)
        return ProbeResult({}, f"killed by {ended_by.name}", ended_by is signal.SIGILL)
    if child.returncode:
        return ProbeResult({}, (child.stderr.strip().splitlines() or ["no message"])[-1])
    return ProbeResult(json.loads(child.stdout.strip().splitlines()[-1]))


def probe_torch() -> dict[str, Any]:
    """Version of torch and the GPUs it can use, memory in bytes."""
    import torch

    gpus = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(index)
        gpus.append({"name": torch.cuda.get_device_name(index), "free": free, "total": total})
    return {"version": torch.__version__, "threads": torch.get_num_threads(), "gpus": gpus}


def probe_bfloat16() -> dict[str, Any]:
    """Multiply bfloat16 matrices on the CPU: virtual machines may announce AMX and not have it."""
    import torch

    left = torch.full((256, 256), 0.5, dtype=torch.bfloat16)
    return {"is_right": bool((left @ left == 64).all())}


def probe_llama(path: str) -> dict[str, Any]:
    """Load a GGUF file and evaluate a few tokens."""
    import llama_cpp

    llm = llama_cpp.Llama(model_path=path, n_ctx=32, n_batch=32, n_threads=1, logits_all=False, verbose=False)
    tokens = llm.tokenize(b"A short test.")
    llm.eval(tokens)
    return {"version": llama_cpp.__version__, "tokens": len(tokens), "vocabulary": llm.n_vocab()}


def probe_database(path: str) -> dict[str, Any]:
    """Read all tables of a DuckDB file; never in a process that might own it (closing drops its lock)."""
    import duckdb

    table = ""
    try:
        with duckdb.connect(path, read_only=True) as connection:
            tables = [name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()]
            for table in tables:  # damage behind the header shows only where the blocks are read
                rows = connection.execute(f'select * from "{table}"')
                while rows.fetchmany(10_000):
                    pass
    except (duckdb.Error, UnicodeDecodeError) as error:
        return {"error": f"the table {table} cannot be read: {error}" if table else str(error)}
    return {"tables": len(tables)}


def probe_snapshots(path: str) -> dict[str, Any]:
    """Read the descriptions in a folder of snapshots."""
    from workbench.store.files import read_descriptions

    found, set_aside = read_descriptions(Path(path))
    lost = [f"{path}/{row['file']} is missing." for row in found if not (Path(path) / row["file"]).is_file()]
    return {"snapshots": len(found), "wrong": [*set_aside.values(), *lost]}


def main(arguments: list[str]) -> int:
    """Run the named probe and print its answer."""
    name, argument = arguments
    alone = {"torch": probe_torch, "bfloat16": probe_bfloat16}
    on_file = {"llama": probe_llama, "database": probe_database, "snapshots": probe_snapshots}
    answer = alone[name]() if name in alone else on_file[name](argument)
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
