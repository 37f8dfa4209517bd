"""Stage 1 of a study: what an LLM writes for its premises, kept line by line as it comes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from pipeline.config import GenerationConfig
from pipeline.errors import InputError
from pipeline.generation.llms.entries import entry_for
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.text_key import text_key
from pipeline.records import GeneratedTriplet, Premise
from pipeline.studies.hub import MODEL, Hub
from pipeline.studies.ready import Ready
from pipeline.studies.shelf import Lines, Progress, Shelf

_KEEP_EVERY_S = 2.0


def written_lines(
    premises: Sequence[Premise],
    config: GenerationConfig,
    ready: Ready,
    shelf: Shelf,
    *,
    hub: Hub | None,
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """Return a line per premise, by its id; the LLM is loaded only for premises without one."""
    done = ready.triplets(config)
    if all(premise.premise_id in done for premise in premises):
        return done  # no LLM is asked for, not even its weights
    lines = _lines(shelf, config, hub)
    done = {line["id"]: line for line in lines.read()} | done
    waiting = [premise for premise in premises if premise.premise_id not in done]
    if not waiting:
        return done
    batch: list[dict[str, Any]] = []
    finished, kept = len(premises) - len(waiting), monotonic()
    mark = kept
    for item in generated(waiting, config, hub):
        now = monotonic()
        line = _line(item, seconds=now - mark)
        mark = now
        batch.append(line)
        done[item.premise.premise_id] = line
        if now - kept >= _KEEP_EVERY_S:
            lines.append(batch)
            batch, kept = [], now
        finished += 1
        progress(f"Generating, omega {config.omega:g}", finished, len(premises))
    lines.append(batch)
    return done


def left_to_write(
    premises: Sequence[Premise], config: GenerationConfig, ready: Ready, shelf: Shelf, *, hub: Hub | None = None
) -> list[Premise]:
    """Return the premises that have no line yet. Raises InputError or WeightsError for an LLM that is not here."""
    done = {line["id"] for line in _lines(shelf, config, hub).read()} | ready.triplets(config).keys()
    return [premise for premise in premises if premise.premise_id not in done]


def generated(
    premises: Sequence[Premise], config: GenerationConfig, hub: Hub | None, *, for_many: bool = True
) -> Iterator[GeneratedTriplet]:
    """Yield what an LLM writes for these premises: a GGUF file or built-in name, else a folder or the hub.

    With `for_many` the embedded LLM's fastest engine is looked for first.
    """
    from pipeline.generation.generate import generate
    from pipeline.generation.llms.opening import open_llm

    llm = open_llm(entry_for(transformers_folder(config.llm, hub) or config.llm), for_many=for_many)
    try:
        yield from generate(premises, config, llm)
    finally:
        llm.close()


def transformers_folder(name: str, hub: Hub | None) -> str | None:
    """Return the folder of a transformers model, or None for the LLMs that llama.cpp runs."""
    if name.startswith(MODEL):
        if hub is None:
            raise InputError(f"{name} is a name of the hub, which this run does not look at.")
        return hub.path(name)
    return name if Path(name).is_dir() else None


def _lines(shelf: Shelf, config: GenerationConfig, hub: Hub | None) -> Lines:
    """Return the lines of everything that would write the same texts; see `text_key`."""
    entry = entry_for(transformers_folder(config.llm, hub) or config.llm)
    return shelf.lines("generated", text_key(config, prompt_set(config.prompt_set), entry))


def _line(item: GeneratedTriplet, *, seconds: float) -> dict[str, Any]:
    return {
        "id": item.premise.premise_id,
        "positive": item.positive.text,
        "hard_negative": item.hard_negative.text,
        "outcomes": [str(item.positive.outcome), str(item.hard_negative.outcome)],
        "ok": item.is_ok,
        "s": round(seconds, 4),
    }
