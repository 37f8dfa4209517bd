"""A provider's Batch API, in OpenAI's shapes: files of calls at half the price, answered within a day.

A ledger in a folder says which calls went out in which batch. It is written before a batch is created and never
shortened, and every batch bears its run and number at the provider: whatever dies when, a resumed run finds its
batches again and pays for no call twice.
"""

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

from pipeline.config import GenerationConfig
from pipeline.durable import write_json
from pipeline.generation.llms.costs import BATCH_SHARE
from pipeline.generation.llms.meter import BudgetError, Usage
from pipeline.generation.llms.protocol import Ask, Reply, ShouldStop
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.llms.responses import Written, read_reply
from pipeline.generation.llms.retries import (
    CallError,
    Calls,
    ErrorBodyError,
    MalformedError,
    Parsed,
    Patience,
    ServerError,
    kind_of_refusal,
    plain,
)
from pipeline.generation.prompts import PromptSet, one_line
from pipeline.records import Contrast, InputError, Outcome, Side

LEDGER = "batches.json"
_MOST_CALLS = 10_000
"""In a batch; providers take 50,000, but an answer has to fit into memory."""
_MOST_OPEN = 20
_PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
_ENDED = ("completed", "expired", "cancelled")
_POLL_S = 30.0
_LOOK_S = 0.2
Job = tuple[Ask, Side]


@dataclass(slots=True)
class _Batch:
    """One batch: its number in the run, its id at the provider (empty before it has one), the ids of its calls."""

    number: int
    batch_id: str
    ids: list[str]


class BatchLLM(RemoteLLM):
    """A model that answers whole runs in batches."""

    price_share = BATCH_SHARE

    def __init__(
        self,
        entry: LLMEntry,
        folder: Path,
        *,
        run: str,
        tell: Callable[[str], None] = lambda _words: None,
        patience: Patience | None = None,
        poll_s: float = _POLL_S,
    ) -> None:
        """folder: where the ledger lies. run: names the run at the provider. tell: is told what is waited for."""
        super().__init__(entry, patience=patience)
        self.contrast = Contrast.NONE
        self._ledger, self._run, self._tell, self._poll_s = folder / LEDGER, run, tell, poll_s
        self._batches: list[_Batch] = self._read()
        self._reserved: dict[str, Usage] = {}

    def replies(
        self, asks: Iterator[Ask], prompts: PromptSet, config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield both sides of each ask as its batch ends; see LLM.replies and RemoteLLM.replies."""
        self._meter = self._new_meter(config)
        calls = self._calls(Event()).uncharged()
        self._look_again(calls)
        jobs = ((_id(ask, side), (ask, side)) for ask in asks for side in Side)
        sent = {one for batch in self._batches for one in batch.ids}
        waiting = dict(islice(jobs, len(sent)))  # holds all that was sent and has no row yet: the order is the same
        loose = [one for one in waiting if one not in sent]
        is_open = [batch for batch in self._batches if any(one in waiting for one in batch.ids)]
        spent: BudgetError | None = None
        try:
            while not should_stop():
                while spent is None and len(is_open) < _MOST_OPEN:
                    more = dict(islice(jobs, max(0, _MOST_CALLS - len(loose))))
                    waiting |= more
                    loose += more
                    part, loose = loose[:_MOST_CALLS], loose[_MOST_CALLS:]
                    lines, spent = self._lines({one: waiting[one] for one in part}, prompts, config)
                    if not lines:
                        break
                    is_open.append(self._submitted(calls, lines))
                if not is_open:
                    break
                ended = False
                for batch in list(is_open):
                    answers = self._answers(calls, batch)
                    if answers is not None:
                        is_open.remove(batch)
                        yield from self._replies_of(batch, answers, waiting)
                        ended = True
                if not ended:
                    self._wait(should_stop)
            if spent is not None:
                raise spent
        except (CallError, ServerError) as error:
            raise InputError(f"The Batch API of {self.name} could not be used: {str(error).rstrip('.')}.") from error

    def cancel(self) -> None:
        """Cancel at the provider whatever is not answered yet; what was answered stays charged for."""
        for batch in self._batches:
            try:
                self.client.batches.cancel(batch.batch_id)
            except Exception:
                continue

    def _lines(
        self, jobs: dict[str, Job], prompts: PromptSet, config: GenerationConfig
    ) -> tuple[dict[str, str], BudgetError | None]:
        """Return the lines of a batch's file by their ids, up to the one for which there is no money left."""
        lines: dict[str, str] = {}
        for one, (ask, side) in jobs.items():
            prompt, settings = self.asked_by(prompts.own(side).few_shot, one_line(ask.premise), config, ask.seed)
            try:
                self._reserved[one] = self._meter.reserve(prompt, settings["max_tokens"], waits=False)
            except BudgetError as error:
                return lines, error
            body, more = self.sent(**settings)
            call = {"custom_id": one, "method": "POST", "url": _PATHS[self.entry.api], "body": body | more}
            lines[one] = json.dumps(call, ensure_ascii=False)
        return lines, None

    def _submitted(self, calls: Calls, lines: dict[str, str]) -> _Batch:
        """Hand in a batch. It is in the ledger first, and is looked for at the provider where its id is not."""
        batch = _Batch(len(self._batches), "", list(lines))
        self._batches.append(batch)
        self._write()
        data = ("\n".join(lines.values()) + "\n").encode()
        name = f"{self._run}-{batch.number}.jsonl"
        self._tell(f"Handing in a batch of {len(lines):,} calls")
        file_id = self._made(
            calls, lambda: self.client.files.create(file=(name, io.BytesIO(data)), purpose="batch"), "id"
        )
        batch.batch_id = self._made(calls, partial(self._created, batch, file_id), "id")
        self._write()
        return batch

    def _look_again(self, calls: Calls) -> None:
        """Find the batches that were being handed in when the run was killed; those that never were go out again."""
        for batch in self._batches:
            if batch.ids and not batch.batch_id:
                found = calls.make(
                    partial(self._found, batch), lambda answer: Parsed(answer, 0, 0), prompt="", reply_tokens=0
                )
                batch.batch_id, batch.ids = (found.id, batch.ids) if found else ("", [])
                self._write()

    def _created(self, batch: _Batch, file_id: str) -> Any:
        return self._found(batch) or self.client.batches.create(
            input_file_id=file_id,
            endpoint=_PATHS[self.entry.api],  # type: ignore[arg-type]
            completion_window="24h",
            metadata=self._marks(batch),
        )

    def _marks(self, batch: _Batch) -> dict[str, str]:
        return {"run": self._run, "number": str(batch.number)}

    def _found(self, batch: _Batch) -> Any:
        """Return the batch of this run and number at the provider: a kill or a cut line came before its id."""
        alike = (one for one in self.client.batches.list(limit=100) if one.metadata == self._marks(batch))
        return next((one for one in alike if one.status != "failed"), None)

    def _made(self, calls: Calls, call: Callable[[], Any], name: str) -> str:
        return str(calls.make(call, lambda answer: Parsed(plain(answer)[name], 0, 0), prompt="", reply_tokens=0))

    def _answers(self, calls: Calls, batch: _Batch) -> dict[str, dict[str, Any]] | None:
        """Return the answered lines of a batch by their ids, None while it is not done."""
        call = partial(self.client.batches.retrieve, batch.batch_id)
        about = calls.make(call, lambda answer: Parsed(plain(answer), 0, 0), prompt="", reply_tokens=0)
        state, counts = about.get("status"), about.get("request_counts") or {}
        if state == "failed":
            said = (about.get("errors") or {}).get("data") or [{}]
            batch.ids = []
            self._write()
            raise InputError(f"The provider refused the batch ({said[0].get('message', 'it does not say why')}).")
        if state not in _ENDED:
            of = f"{counts.get('completed', 0):,} of {counts.get('total', len(batch.ids)):,}"
            self._tell(f"Waiting for the provider's batch {batch.number + 1}: {of} calls answered")
            return None
        lines: dict[str, dict[str, Any]] = {}
        for file_id in filter(None, (about.get("output_file_id"), about.get("error_file_id"))):
            content = calls.make(partial(self.client.files.content, file_id), _lines_of, prompt="", reply_tokens=0)
            lines |= {str(line.get("custom_id")): line for line in content}
        return {one: lines.get(one) or {"error": {"code": f"batch_{state}"}} for one in batch.ids}

    def _replies_of(
        self, batch: _Batch, answers: dict[str, dict[str, Any]], waiting: dict[str, Job]
    ) -> Iterator[Reply]:
        for one in batch.ids:
            if one in waiting:
                ask, side = waiting.pop(one)
                yield self._reply(ask, side, answers[one], self._reserved.pop(one, Usage()))

    def _reply(self, ask: Ask, side: Side, line: dict[str, Any], reserved: Usage) -> Reply:
        """Return the reply in one line of a batch's output or errors, and settle what it cost."""
        response = line.get("response") or {}
        body, error = response.get("body") or {}, line.get("error") or {}
        try:
            if error or response.get("status_code") != 200:
                raise ErrorBodyError(_words(error or body.get("error") or {}), response.get("status_code"))
            parsed = read_reply(body)
        except (ErrorBodyError, MalformedError) as said:
            self._meter.release(reserved)
            return Reply(ask.key, side, "", problem=kind_of_refusal(str(said)), reason=str(said)[:160])
        self._meter.settle(reserved, parsed.prompt_tokens or 0, parsed.reply_tokens or 0)
        found: Written = parsed.value
        problem, reason = (Outcome.REFUSED, "the content filter ended it") if found.is_filtered else (None, "")
        return Reply(ask.key, side, found.text, found.tokens, cut=found.cut, problem=problem, reason=reason)

    def _wait(self, should_stop: ShouldStop) -> None:
        until = time.monotonic() + self._poll_s
        while not should_stop() and (left := until - time.monotonic()) > 0:
            time.sleep(min(_LOOK_S, left))

    def _read(self) -> list[_Batch]:
        if not self._ledger.is_file():
            return []
        return [_Batch(**one) for one in json.loads(self._ledger.read_text(encoding="utf-8"))]

    def _write(self) -> None:
        write_json(self._ledger, [asdict(batch) for batch in self._batches])


def _id(ask: Ask, side: Side) -> str:
    """Return what a call is called: its seed comes from the premise, so a resumed run asks under the same name."""
    return f"{ask.seed:016x}-{side}"


def _lines_of(answer: Any) -> Parsed:
    """Read a file of JSON lines."""
    lines: Sequence[str] = answer.text.splitlines()
    try:
        found = [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise MalformedError("a line that is no JSON") from error
    return Parsed([line for line in found if isinstance(line, dict)], 0, 0)


def _words(error: dict[str, Any]) -> str:
    code, said = str(error.get("code") or ""), str(error.get("message") or "")
    if code == "batch_expired":
        return "the provider did not answer within its day"
    return said or code or "the provider gave no answer"
