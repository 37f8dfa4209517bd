"""One LLM at work: its check, previews of a few premises, a free prompt, token counts."""

import time
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

from pipeline.config import GenerationConfig
from pipeline.durable import write_json
from pipeline.generation import lens, outcomes, prompt_sets, triplets
from pipeline.generation.contrast import TokenChoice
from pipeline.generation.llms import check, loading, registry
from pipeline.generation.llms.protocol import LLM
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.prompts import FewShot, one_line
from pipeline.generation.token_probabilities import answer, open_reader, prompt_as_read, token_llm
from pipeline.hub import HubName, fetch
from pipeline.records import GeneratedTriplet, InputError, Premise
from workbench.jobs.context import JobContext
from workbench.jobs.handlers.generation import engine_of
from workbench.jobs.kinds import AskSpec, CheckSpec, GridSpec, HubModel, LensSpec, TokensSpec
from workbench.journal import Row, now


def run_grid(context: JobContext[GridSpec]) -> None:
    """Write out/grid.json after every reply: a cell per premise and omega, both sides with their outcomes."""
    config = context.spec.config
    prompts = context.spec.prompts or prompt_sets.prompt_set(config.prompt_set)
    premises = [Premise.from_text(text) for text in context.spec.premises]
    total = len(premises) * len(context.spec.omegas)
    context.progress(0, total, message=loading.loading_words(context.spec.llm, config.llm))
    cells: list[dict[str, Any]] = []
    with closing(loading.open_llm(context.spec.llm, for_many=True, precision=config.precision)) as llm:
        context.progress(0, total, message="Writing", engine=engine_of(llm))
        for omega in context.spec.omegas:
            settings = replace(config, omega=omega)
            stream = triplets.generate(
                premises, settings, llm, prompts=prompts, should_stop=lambda: context.stop_requested() is not None
            )
            for item in stream:
                cells.append(cell(omega, item))
                write_json(context.out / "grid.json", cells, sync=False)
                context.progress(len(cells), total, message=f"omega {omega:g}")
            if context.stop_requested():
                return


def cell(omega: float, item: GeneratedTriplet) -> dict[str, Any]:
    """Return what one premise gave at one omega."""
    return {
        "omega": omega,
        "premise": item.premise.text,
        "positive": asdict(item.positive),
        "hard_negative": asdict(item.hard_negative),
    }


_SHOWN_EVERY_TOKENS = 8


def run_ask(context: JobContext[AskSpec]) -> None:
    """Keep out/answer.json up to date: text so far, tokens of prompt (where known) and answer, seconds."""
    config = context.spec.config
    context.progress(0, config.max_new_tokens, message=f"Loading {config.llm}")
    with closing(loading.open_llm(context.spec.llm)) as llm:
        context.progress(0, config.max_new_tokens, message="Writing", engine=engine_of(llm))
        page = _Page(context, config.max_new_tokens)
        if isinstance(llm, RemoteLLM):
            text, tokens, cut = llm.answer(context.spec.prompt, config)
            page.keep(text, tokens, ended=not cut)
        else:
            _write(llm, context.spec.prompt, config, page)
    if context.stop_seen is None:
        context.progress(config.max_new_tokens, config.max_new_tokens, message="Answered")


class _Page:
    """The file of the answer, rewritten as it grows."""

    def __init__(self, context: JobContext, limit: int) -> None:
        self.context = context
        self.prompt_tokens: int | None = None
        self._limit = limit
        self._since = time.monotonic()

    def keep(self, text: str, tokens: int, *, ended: bool) -> None:
        seconds = round(time.monotonic() - self._since, 2)
        record = {"text": text, "prompt_tokens": self.prompt_tokens, "tokens": tokens, "seconds": seconds}
        write_json(self.context.out / "answer.json", record | {"ended": ended}, sync=False)
        self.context.progress(tokens, self._limit, message="Writing")


def _write(llm: LLM, prompt: str, config: GenerationConfig, page: _Page) -> None:
    """Write token by token; line breaks belong to the answer, so only the model's own end token ends it."""
    model = token_llm(llm)
    is_chat = model.form.name == "chat"
    reader = open_reader(llm, model.prompt_tokens(FewShot(""), prompt) if is_chat else prompt)
    page.prompt_tokens = reader.prompt_tokens

    def is_end(token: int) -> bool:
        return model.is_end(token) and (is_chat or "\n" not in model.detokenize([token]))

    how = TokenChoice.of(config)
    tokens: list[int] = []
    stream = answer(reader, how, seed=config.seed, max_new_tokens=config.max_new_tokens, is_end=is_end)
    for token in stream:
        tokens.append(token)
        if len(tokens) % _SHOWN_EVERY_TOKENS == 0:
            page.keep(model.detokenize(tokens), len(tokens), ended=False)
        if page.context.stop_requested():
            break
    ended = page.context.stop_seen is None and len(tokens) < config.max_new_tokens
    page.keep(model.detokenize(tokens), len(tokens), ended=ended)


def run_lens(context: JobContext[LensSpec]) -> None:
    """Write out/lens.json: the record of the reply, its cleaned text and outcome."""
    spec = context.spec
    config = spec.config
    prompts, side, limit = spec.prompts or prompt_sets.prompt_set(config.prompt_set), spec.side, config.max_new_tokens
    context.progress(0, limit, message=loading.loading_words(spec.llm, config.llm))
    with closing(loading.open_llm(spec.llm, for_many=True, precision=config.precision)) as llm:
        context.progress(0, limit, message="Writing", engine=engine_of(llm))
        model = token_llm(llm)
        own, opposite = (
            open_reader(llm, model.prompt_tokens(prompt.few_shot, one_line(spec.premise)), row=row)
            for row, prompt in enumerate((prompts.own(side), prompts.opposite(side)))
        )
        stream = lens.record_reply(
            (own, opposite),
            TokenChoice.of(config),
            max_new_tokens=limit,
            is_end=model.is_end,
            text_of=lambda token: model.detokenize([token]),
        )
        steps: list[lens.LensStep] = []
        for step in stream:
            steps.append(step)
            context.progress(min(len(steps), limit - 1), limit, message="Writing")
            if context.stop_requested():
                return
        taken = [step.candidates[step.chosen].token for step in steps if not step.ends]
        raw = model.detokenize(taken)
    result = outcomes.classify(raw, spec.premise, side, prompts, cut=not steps[-1].ends, tokens=len(taken))
    record = lens.LensRecord(config.omega, config.plausibility, tuple(steps)).to_json()
    record |= {"text": result.text, "outcome": str(result.outcome)}
    write_json(context.out / "lens.json", record)
    context.progress(limit, limit, message="Recorded")


def run_tokens(context: JobContext[TokensSpec]) -> None:
    """Write out/tokens.json: both prompts as the LLM reads them, with their tokens, and its window.

    The window is null where it is not known, numbers and pieces of tokens where a server cuts its texts itself.
    """
    spec = context.spec
    context.progress(0, 1, message="Loading the LLM")
    with closing(loading.open_llm(spec.llm)) as llm:
        prompts = spec.prompts or prompt_sets.prompt_set("default")
        pair = (prompts.own(spec.side), prompts.opposite(spec.side))
        read = [asdict(prompt_as_read(llm, prompt.few_shot, one_line(spec.premise))) for prompt in pair]
        write_json(context.out / "tokens.json", {"prompts": read, "window": llm.context_length})
    context.progress(1, 1, message="Counted")


def run_check(context: JobContext[CheckSpec]) -> None:
    """Check one LLM; a failed check is recorded too, and fails the job with its sentence."""
    entry = context.spec.entry
    if context.done("llms", "check_id"):
        return
    if context.spec.hub:
        entry = _fetched_model(context, entry, context.spec.hub)
    context.progress(0, 1, message=f"Checking {entry.name}")
    try:
        facts = check.check(entry, tell=lambda message: context.progress(0, 1, message=message))
    except InputError as error:
        context.write([_check_row(context, entry, state="failed", message=str(error))])
        raise
    found = {
        "contrast": str(facts.contrast),
        "context_length": facts.context_length,
        "tokens_per_s": facts.tokens_per_s,
        "load_s": facts.load_s,
        "sample": facts.sample,
    }
    context.write([_check_row(context, facts.entry, state="ok", message="", **found)])
    context.progress(1, 1, message=f"{entry.name} is ready")


def _fetched_model(context: JobContext[CheckSpec], entry: registry.LLMEntry, hub: HubModel) -> registry.LLMEntry:
    """Fetch the model of the hub that the job names; returns the entry of its local copy."""
    context.progress(0, 1, message="Asking the hub")
    found = fetch(HubName.parse(hub.name, hub.revision))
    local = registry.entry_for(str(found.path))
    return replace(entry, kind=local.kind, location=local.location, source=str(found.name))


def _check_row(context: JobContext, entry: registry.LLMEntry, **facts: Any) -> Row:
    return {
        "table": "llms",
        "check_id": context.job_id,
        "name": entry.name,
        "entry": entry.to_json(),
        "checked_at": now(),
        **facts,
    }
