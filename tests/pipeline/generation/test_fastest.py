"""The trial of engines: made once, remembered, and survived when an engine cannot run."""

import json
import signal
import subprocess
import sys

import pytest

from pipeline.generation.engines import fastest
from pipeline.generation.engines.engine import usable_threads
from pipeline.generation.llms.loading import loading_words
from pipeline.generation.llms.registry import EMBEDDED_ENTRY, LLMEntry
from pipeline.records import InputError
from tests.conftest import DRILL, PROJECT


@pytest.fixture
def rates(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTICSR_CACHE", str(tmp_path))
    monkeypatch.delenv(fastest.FORCED, raising=False)
    asked = []
    given = {fastest.LLAMA: 2.0, fastest.TORCH: 5.0, fastest.TORCH_BF16: 0.0}
    monkeypatch.setattr(fastest, "trial", lambda engine, threads: asked.append(engine) or given[engine])
    return given, asked


def test_the_fastest_engine_is_remembered_for_its_number_of_threads(rates):
    given, asked = rates
    assert fastest.fastest(2) == fastest.TORCH
    given[fastest.TORCH] = 1.0
    assert fastest.fastest(2) == fastest.TORCH, "remembered"
    assert fastest.fastest(1) == fastest.LLAMA, "another number of threads is another trial"
    assert asked == [*fastest.ENGINES] * 2


def test_a_precision_chooses_among_the_engines_that_compute_it(rates, monkeypatch):
    given, asked = rates
    given[fastest.TORCH_BF16] = 9.0
    assert fastest.fastest(2) == fastest.TORCH_BF16
    assert fastest.fastest(2, "fp32") == fastest.TORCH
    assert (fastest.cpu_precision("auto", 2), fastest.cpu_precision("fp32", 2)) == ("bf16", "fp32")
    assert len(asked) == len(fastest.ENGINES), "one trial answers all of it"
    given[fastest.TORCH_BF16] = 1.0
    assert fastest.fastest(3, "bf16") == fastest.TORCH_BF16, "asked for"
    assert fastest.cpu_precision("auto", 3) == "fp32"
    with pytest.raises(InputError, match="fp16 is for GPUs"):
        fastest.cpu_precision("fp16")
    with pytest.raises(InputError, match="fp16 is for GPUs"):
        fastest.fastest(3, "fp16")
    monkeypatch.setenv(fastest.FORCED, fastest.TORCH_BF16)
    assert (fastest.fastest(4), fastest.cpu_precision("auto", 4)) == (fastest.TORCH_BF16, "bf16")
    assert fastest.fastest(4, "fp32") == fastest.TORCH


def test_bfloat16_is_not_tried_where_the_processor_does_not_announce_it(monkeypatch):
    monkeypatch.setattr(fastest, "_cpu_field", lambda *_names: "sse2 avx2")
    monkeypatch.setattr(fastest.subprocess, "run", lambda *_, **__: pytest.fail("tried"))
    assert fastest.trial(fastest.TORCH_BF16, 1) == 0.0


def test_a_damaged_record_is_measured_again(rates, tmp_path):
    _, asked = rates
    fastest.fastest(2)
    [record] = tmp_path.glob("engines-*.json")
    assert json.loads(record.read_text())["sentences_per_processor_s"] == {
        "llama.cpp": 2.0,
        "torch": 5.0,
        "torch-bf16": 0.0,
    }
    for damage in ("", "[]", '{"sentences_per_processor_s": {"torch": 1}}'):
        record.write_text(damage)
        assert fastest.fastest(2) == fastest.TORCH
    assert len(asked) == 4 * len(fastest.ENGINES)


def test_when_nothing_runs_llama_cpp_is_tried_and_nothing_remembered(rates, tmp_path):
    given, _ = rates
    given.update({fastest.LLAMA: 0.0, fastest.TORCH: 0.0})
    assert fastest.fastest(2) == fastest.LLAMA
    assert not list(tmp_path.glob("engines-*"))


def test_an_engine_can_be_named(rates, monkeypatch):
    _, asked = rates
    monkeypatch.setenv(fastest.FORCED, fastest.LLAMA)
    assert fastest.fastest(2) == fastest.LLAMA
    assert not asked


def test_a_job_says_that_engines_are_tried_until_they_have_been(rates):
    far = LLMEntry("far", "remote", "http://127.0.0.1:1/v1")
    assert loading_words(EMBEDDED_ENTRY, "the LLM").startswith("Trying which engine is fastest")
    assert loading_words(far, "far") == "Loading far", "nothing is tried for a server"
    fastest.fastest()
    assert loading_words(EMBEDDED_ENTRY, "the LLM") == "Loading the LLM"


def test_an_engine_that_cannot_start_has_rate_zero():
    assert fastest.trial("abacus", 1) == 0.0


def test_a_trial_that_takes_too_much_of_the_processor_is_ended():
    """The limit was one of the clock: on a busy machine all trials failed, and every job repeated them."""
    code = "from pipeline.generation.trial import limit_processor_time; limit_processor_time(1)\nwhile True: pass"
    ended = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, timeout=120, check=False)
    assert ended.returncode in (-signal.SIGXCPU, -signal.SIGKILL)


@pytest.mark.drill
def test_the_trial_measures_a_real_engine():
    assert fastest.trial(fastest.TORCH if DRILL else fastest.LLAMA, 1) > 0


def test_a_limit_of_threads_that_torch_keeps_is_kept_by_every_engine(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 3})
    for limit, expected in (("", 4), ("1", 1), ("3,2", 3), ("64", 4), ("0", 4), ("many", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
        assert usable_threads() == expected, limit
