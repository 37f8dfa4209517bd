"""The contrast lens as a job: one reply written greedily, every step kept with its candidates."""

from contextlib import closing

from pipeline.durable import write_json
from pipeline.generation.contrast import TokenChoice
from pipeline.generation.lens import LensRecord, LensStep
from pipeline.generation.lens_recording import record_reply
from pipeline.generation.llms.opening import open_llm
from pipeline.generation.outcomes import classify
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.reading import open_reader, token_llm
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import LensSpec


def run(context: JobContext[LensSpec]) -> None:
    """Write out/lens.json: the record of the reply, its cleaned text and outcome."""
    spec = context.spec
    config = spec.config
    prompts, side, limit = spec.prompts or prompt_set(config.prompt_set), spec.side, config.max_new_tokens
    context.progress(0, limit, message=f"Loading {config.llm}")
    with closing(open_llm(spec.llm, for_many=True)) as llm:
        spoken = token_llm(llm)
        own, opposite = (
            open_reader(llm, prompt.prefix(), prompt.tail(spec.premise), row=row)
            for row, prompt in enumerate((prompts.own(side), prompts.opposite(side)))
        )
        stream = record_reply(
            (own, opposite),
            TokenChoice.of(config),
            max_new_tokens=limit,
            is_end=spoken.is_end,
            text_of=lambda token: spoken.detokenize([token]),
        )
        steps: list[LensStep] = []
        for step in stream:
            steps.append(step)
            context.progress(min(len(steps), limit - 1), limit, message="Writing")
            if context.stop_requested():
                return
        taken = [step.candidates[step.chosen].token for step in steps if not step.ends]
        raw = spoken.detokenize(taken)
    result = classify(raw, spec.premise, side, prompts, cut=not steps[-1].ends, tokens=len(taken))
    record = LensRecord(config.omega, config.plausibility, tuple(steps)).to_json()
    record |= {"text": result.text, "outcome": str(result.outcome)}
    write_json(context.out / "lens.json", record)
    context.progress(limit, limit, message="Recorded")
