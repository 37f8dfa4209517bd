"""Stage 2 of a study: what a judge says of its pairs, kept as it comes."""

from pathlib import Path
from time import monotonic
from typing import Any

from pipeline.curation.judges import Judge, load_judge
from pipeline.studies.hub import Hub
from pipeline.studies.ready import Ready, pair_id
from pipeline.studies.shelf import Progress, Shelf, content_key, model_key
from pipeline.studies.written import transformers_folder

_JUDGED_TOGETHER = 32


def judged_lines(
    pairs: list[tuple[str, str]], judge_id: str, ready: Ready, shelf: Shelf, *, hub: Hub | None, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Return a line with the raw value per pair, by pair id; the judge is loaded only for pairs without one."""
    lines = shelf.lines("judged", content_key(judge_id, model_key(judge_id.partition(":")[2])))
    done = {line["pair"]: line for line in lines.read()} | ready.judged(judge_id)
    waiting = [pair for pair in dict.fromkeys(pairs) if pair_id(pair) not in done]
    judge = judge_named(judge_id, hub, shelf.vectors) if waiting else None
    for start in range(0, len(waiting), _JUDGED_TOGETHER):
        assert judge is not None
        batch = waiting[start : start + _JUDGED_TOGETHER]
        since = monotonic()
        values = judge.scores(batch)
        each = round((monotonic() - since) / len(batch), 5)
        rows = [
            {"pair": pair_id(pair), "raw": float(raw), "s": each} for pair, raw in zip(batch, values, strict=True)
        ]
        lines.append(rows)
        done |= {str(row["pair"]): row for row in rows}
        progress(f"Judging with {judge_id}", start + len(batch), len(waiting))
    return done


def judge_named(judge_id: str, hub: Hub | None, vectors: Path | None = None) -> Judge:
    """Load a judge; the digit judge of an encoder-decoder may be a folder or a name of the hub."""
    kind, _, model = judge_id.partition(":")
    folder = transformers_folder(model, hub) if kind == "digit" else None
    if folder is None:
        return load_judge(judge_id, vectors=vectors)
    from pipeline.curation.seq2seq_digit import Seq2SeqDigitJudge
    from pipeline.generation.llms.encoder_decoder import EncoderDecoderLLM
    from pipeline.training.encoders import resolve_device

    llm = EncoderDecoderLLM.load(Path(folder), name=model, device=resolve_device("auto"))
    return Seq2SeqDigitJudge(llm, judge_id=judge_id)
