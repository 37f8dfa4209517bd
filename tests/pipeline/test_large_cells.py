"""One cell of many megabytes costs its own row, and little memory, in every format."""

import gzip
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq

MEGABYTES = 20
READ = """
import sys
from pathlib import Path
from pipeline.premises import read_premises

for path in map(Path, sys.argv[1:]):
    found = read_premises(path)
    print(path.name, len(found.premises), [row.reason for row in found.rejected])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_a_cell_of_many_megabytes_is_rejected_and_the_rest_is_read(tmp_path):
    texts = ["A dog runs.", "word " * (MEGABYTES * 200_000), "A cat sits."]
    lines = "\n".join(["premise", *texts])
    (tmp_path / "rows.csv").write_text(lines)
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(lines.encode(), 1))
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"premise": text}) for text in texts))
    (tmp_path / "rows.json").write_text(json.dumps([{"premise": text} for text in texts]))
    pq.write_table(pa.table({"premise": texts}), tmp_path / "rows.parquet")
    paths = sorted(map(str, tmp_path.iterdir()))
    run = subprocess.run([sys.executable, "-c", READ, *paths], capture_output=True, text=True, check=True)
    *found, memory_kb = run.stdout.splitlines()
    assert [line.split(" ", 1)[1] for line in found] == [
        *(["2 ['line too long']"] * 2),
        "2 ['cell too long']",
        "2 ['line too long']",
        "2 ['cell too long']",
    ]
    assert int(memory_kb) < 300_000
