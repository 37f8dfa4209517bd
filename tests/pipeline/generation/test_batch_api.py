"""The Batch API over a provider in OpenAI's shapes: submitted, polled, resumed after a kill, paid for once."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config import GenerationConfig
from pipeline.generation.llms import batches
from pipeline.generation.llms.batches import LEDGER, BatchLLM
from pipeline.generation.llms.costs import expected_usage
from pipeline.generation.llms.meter import BudgetError
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.retries import Patience
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.triplets import generate
from pipeline.records import Contrast, InputError, Outcome, Premise
from tests.servers.batch_server import Provider, provider

QUICK = Patience(attempts=3, first_wait_s=0.01, longest_wait_s=0.05)
PREMISES = [Premise.from_text(f"The dog number {number} runs along the wide beach.") for number in range(6)]
CONFIG = GenerationConfig(omega=0.6, max_new_tokens=20)


def about(body: dict) -> dict | None:
    """Reply with something of the premise, which is the last turn."""
    return {"content": f"There was an animal outside, as {len(body['messages'][-1]['content'])} people said."}


def entry_at(url: str) -> LLMEntry:
    return LLMEntry(
        *("far", "remote", url), model="m", api="chat", speaks="chat", batch_api=True, price_in=2.0, price_out=10.0
    )


def opened(url: str, folder: Path, told: list[str] | None = None) -> BatchLLM:
    tell = (lambda _words: None) if told is None else told.append
    return BatchLLM(entry_at(url), folder, run="job-1", tell=tell, patience=QUICK, poll_s=0.01)


def numbers(kept: Provider) -> list[int]:
    return [batch["request_counts"]["total"] for batch in kept.batches.values()]


def test_a_run_is_answered_in_batches_at_half_the_price(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(batches, "_MOST_CALLS", 8)
    told: list[str] = []
    with provider(about) as (url, kept), closing(opened(url, tmp_path, told)) as llm:
        made = list(generate(PREMISES, CONFIG, llm))
        usage = llm.usage
    assert {item.premise for item in made} == set(PREMISES) and len(made) == len(PREMISES)
    assert {item.positive.outcome for item in made} == {Outcome.OK}
    assert {item.contrast for item in made} == {Contrast.NONE}
    assert numbers(kept) == [8, 4] and len(set(kept.charged)) == len(kept.charged) == 12
    assert (usage.calls, usage.prompt_tokens, usage.reply_tokens) == (12, 1200, 120)
    assert usage.money == pytest.approx(0.5 * (1200 * 2 + 120 * 10) / 1e6)
    assert any("0 of 8 calls answered" in words for words in told)
    call = json.loads(kept.files["file-0"].splitlines()[0])
    assert call["body"]["model"] == "m" and call["body"]["max_tokens"] == 20
    assert [turn["role"] for turn in call["body"]["messages"]][-1] == "user"
    entries = (replace(entry_at(url), batch_api=is_batch) for is_batch in (False, True))
    full, half = (expected_usage(one, CONFIG, prompt_set("default"), ["A dog."]).money for one in entries)
    assert half == full / 2 > 0


def test_a_killed_run_finds_its_batches_again_and_pays_for_no_call_twice(tmp_path) -> None:
    with provider(about, polls=1) as (url, kept):
        llm = opened(url, tmp_path)
        stream = generate(PREMISES, CONFIG, llm)
        done = [next(stream), next(stream)]  # then the process dies
        llm.close()
        rest = [premise for premise in PREMISES if premise not in {item.premise for item in done}]
        with closing(opened(url, tmp_path)) as again:
            made = list(generate(rest, CONFIG, again))
        assert [item.premise for item in made] == rest
        assert len(kept.batches) == 1 and len(kept.charged) == len(set(kept.charged)) == 12


def test_a_kill_between_creation_and_its_answer_leaves_one_batch(tmp_path) -> None:
    with provider(about) as (url, kept):
        kept.drop_next_creation = True
        with closing(opened(url, tmp_path)) as llm:  # the same process tries again
            assert len(list(generate(PREMISES[:2], CONFIG, llm))) == 2
        assert len(kept.batches) == 1
        ledger = json.loads((tmp_path / LEDGER).read_text())
        (tmp_path / LEDGER).write_text(json.dumps([ledger[0] | {"batch_id": ""}]))
        with closing(opened(url, tmp_path)) as llm:  # another process, which knows no id
            assert len(list(generate(PREMISES[:2], CONFIG, llm))) == 2
        assert len(kept.batches) == 1
        kept.batches.clear()  # it never reached the provider
        (tmp_path / LEDGER).write_text(json.dumps([ledger[0] | {"batch_id": ""}]))
        with closing(opened(url, tmp_path)) as llm:
            assert len(list(generate(PREMISES[:2], CONFIG, llm))) == 2
        assert len(kept.batches) == 1


def test_what_was_not_answered_says_why(tmp_path) -> None:
    def some(body: dict) -> dict | None:
        text = body["messages"][-1]["content"]
        if "number 1 " in text:
            return None
        if "number 2 " in text:
            return {"error": {"message": "This model's maximum context length is 10 tokens.", "code": "x"}}
        return about(body)

    with provider(some, ends=lambda _batch: "expired") as (url, kept), closing(opened(url, tmp_path)) as llm:
        found = {item.premise: item.positive for item in generate(PREMISES[:3], CONFIG, llm)}
    assert [found[premise].outcome for premise in PREMISES[:3]] == [Outcome.OK, Outcome.FAILED, Outcome.TOO_LONG]
    assert found[PREMISES[1]].reason == "the provider did not answer within its day"
    assert llm.usage.calls == len(kept.charged) == 2


def test_a_batch_that_the_provider_refuses_ends_the_run_and_is_handed_in_again(tmp_path) -> None:
    with provider(about, ends=lambda batch: "failed" if batch["id"] == "batch_0" else "completed") as (url, kept):
        with closing(opened(url, tmp_path)) as llm, pytest.raises(InputError, match="Enqueued token limit reached"):
            list(generate(PREMISES, CONFIG, llm))
        with closing(opened(url, tmp_path)) as llm:
            assert len(list(generate(PREMISES, CONFIG, llm))) == len(PREMISES)
    assert numbers(kept) == [12, 12] and len(kept.charged) == 12


def test_a_budget_is_kept_a_stop_leaves_and_a_cancel_ends_what_is_open(tmp_path) -> None:
    small = GenerationConfig(omega=0.0, max_new_tokens=20, token_budget=4_000)
    with provider(about) as (url, kept), closing(opened(url, tmp_path / "a")) as llm:
        (tmp_path / "a").mkdir()
        with pytest.raises(BudgetError):
            list(generate(PREMISES, small, llm))
        assert 0 < len(kept.charged) < 12
    (tmp_path / "b").mkdir()
    with provider(about, polls=10**6) as (url, kept), closing(opened(url, tmp_path / "b")) as llm:
        looks = iter([False] * 3)
        assert list(generate(PREMISES, CONFIG, llm, should_stop=lambda: next(looks, True))) == []
        assert [batch["status"] for batch in kept.batches.values()] == ["in_progress"]
        llm.cancel()
        assert [batch["status"] for batch in kept.batches.values()] == ["cancelling"]
