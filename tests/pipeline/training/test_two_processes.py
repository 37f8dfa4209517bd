"""Two processes that share a batch (gloo, CPU) against one process with the whole of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer

from tests.pipeline.training import two_processes
from tests.pipeline.training.two_processes import RULES

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def together(triplets, tiny_bert, tiny_static, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two-processes")
    rows = [json.dumps([t.premise, t.positive, t.hard_negative]) for t in triplets]
    (folder / "triplets.jsonl").write_text("\n".join(rows))
    module = "tests.pipeline.training.two_processes"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", module]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(
        [*launch, str(folder), str(tiny_bert), str(tiny_static)],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return folder


@pytest.mark.parametrize("rule", RULES)
def test_gradients_equal_those_of_one_process_with_all_negatives(together, triplets, tiny_bert, tiny_static, rule):
    alone, report = two_processes.gradients(triplets, tiny_bert, tiny_static, rule)
    shared = torch.load(together / f"{rule}.pt", weights_only=False)  # written by this test
    assert shared["gradients"].keys() == alone.keys() and len(alone) > 20
    largest = max(gradient.abs().max().item() for gradient in alone.values())
    assert largest > 1e-6
    for name, gradient in alone.items():
        torch.testing.assert_close(shared["gradients"][name], gradient, atol=1e-10 * largest, rtol=1e-9, msg=name)
    assert shared["report"].loss == pytest.approx(report.loss, rel=1e-12)
    assert shared["report"].info_nce == pytest.approx(report.info_nce, rel=1e-12)
    assert shared["report"].masked_own == report.masked_own
    assert shared["report"].masked_positives == report.masked_positives
    assert rule == "none" or report.masked_share > 0


def test_a_run_of_two_processes_is_that_of_one(together, triplets, tiny_static, tmp_path):
    result, events = two_processes.whole_run(triplets, tiny_static, tmp_path)
    first, second = (json.loads((together / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert (first["status"], second["status"]) == ("finished", "finished")
    assert second["events"] == [], "only the first process reports"
    alone = [[e.step, e.loss, e.info_nce, e.masked_share, e.masked_own, e.dev_score] for e in events]
    assert len(first["events"]) == 4
    for told, expected in zip(first["events"], alone, strict=True):
        assert told == pytest.approx(expected, abs=1e-5)
    tables = [
        SentenceTransformer(str(folder), device="cpu")[0].embedding.weight
        for folder in (together / "run" / "model", result.encoder_folder)
    ]
    torch.testing.assert_close(tables[0], tables[1], atol=1e-5, rtol=0)
    assert not (together / "run" / "checkpoints").exists()
