"""The judges of stage 2: how well each ranks gold pairs, and how fast against one question at a time.

    python -m benchmarks.judges [--sts-dir FOLDER] [--pairs N] [--loop-pairs N] [--only KIND ...]

Quality is Spearman x100 on STSB-dev and SICKR-train, and for each judge the mean raw value of SICK's three relations.
Speed is the digit judge against the same question put to a `Llama` object, one pair and one order at a time, with the
same weights: once reading the whole prompt anew, as a loop over completions does, and once with the few-shot part
kept in the object's cache. The physical limit is the model's rows per second; it is printed beside.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.generation import SHIPPED_PREMISES, Rate, products_alone
from pipeline.config import GenerationConfig
from pipeline.curation.digit import DIGITS, DigitJudge, digit_tokens, expected_digit
from pipeline.curation.judges import load_judge
from pipeline.curation.likelihood import DIGIT_PROMPT
from pipeline.evaluation.sts import StsTask, find_tasks, read_task
from pipeline.generation.engines.engine import Engine
from pipeline.generation.engines.fastest import ENGINES, load_llama
from pipeline.statistics import spearman
from pipeline.weights import embedded_gguf

KINDS = ("guide", "digit", "entailment", "likelihood")
RELATIONS = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")
Pairs = Sequence[tuple[str, str]]


def main() -> None:
    """Time the judges, then score them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sts-dir", type=Path, help="without it the speed alone, on the sample premises")
    parser.add_argument("--pairs", type=int, help="N pairs of each task, drawn with a fixed seed; all if left out")
    parser.add_argument("--quality-only", action="store_true", help="leave the speed out")
    parser.add_argument("--loop-pairs", type=int, default=8, help="pairs given to the slow loops")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--raw", type=Path, help="write the raw values to this JSON file")
    options = parser.parse_args()
    tasks: list[StsTask] = []
    if options.sts_dir:
        found = find_tasks(options.sts_dir, for_tuning=True)
        tasks = [drawn(read_task(name, found[name]), options.pairs) for name in ("STSB-dev", "SICKR-train")]
    if not options.quality_only:
        compare_speed((texts(tasks[0]) if tasks else sample_pairs())[:200], options.loop_pairs, options.threads)
    if not tasks:
        return
    raw: dict[str, dict[str, list[float]]] = {}
    for kind in options.only:
        raw[kind] = compare_quality(kind, tasks)
        if options.raw:
            options.raw.write_text(json.dumps(raw), encoding="utf-8")


def compare_speed(pairs: Pairs, loop_pairs: int, threads: int) -> None:
    """Print pairs per second of the digit judge and of the two loops."""
    path = embedded_gguf()
    slow = {keep: loop(path, pairs[:loop_pairs], threads, keep_prefix=keep) for keep in (False, True)}
    print(f"digit judge, {len(pairs)} pairs in both orders, {threads} threads; the loops answer {loop_pairs}")
    print(
        f"loop, whole prompt read anew     {slow[False]}\nloop, few-shot part kept         {slow[True]}", flush=True
    )
    report_speed("llama.cpp, packaged file", load_llama(str(path), threads=threads), pairs, slow)
    for engine, load in ENGINES.items():
        report_speed(f"{engine}, as installed", load(engine, threads), pairs, slow)


def report_speed(label: str, llm: Engine, pairs: Pairs, slow: dict[bool, Rate]) -> None:
    """Print what the digit judge reaches on one engine beside the loops and the limit of its products."""
    fast = Rate(items=len(pairs))
    judge = DigitJudge(llm)
    judge.scores(pairs[:1])
    with fast.measured():
        judge.scores(pairs)
    rows = Rate(items=question_tokens(llm, pairs), clock_s=fast.clock_s, cpu_s=fast.cpu_s)
    limit = products_alone(llm)
    llm.close()
    print(f"{label:33}{fast}")
    print(f"    prompt read anew: {fast.times(slow[False])}\n    few-shot part kept: {fast.times(slow[True])}")
    print(f"    rows of questions {rows}\n    products alone    {limit}", flush=True)


def loop(path: Path, pairs: Pairs, threads: int, *, keep_prefix: bool) -> Rate:
    """Ask one question after the other; `keep_prefix` winds a `Llama` back to the end of the few-shot part."""
    from llama_cpp import Llama

    with load_llama(str(path), threads=threads) as llm:
        digits = digit_tokens(llm, DIGIT_PROMPT)
    llama = Llama(str(path), n_ctx=1024, verbose=False, n_threads=threads, n_threads_batch=threads, logits_all=False)
    prefix = llama.tokenize(DIGIT_PROMPT.prefix().encode(), add_bos=False)
    llama.eval(prefix)
    rate = Rate(items=len(pairs))
    with rate.measured():
        for a, b in pairs:
            for first, second in ((a, b), (b, a)):
                question = f"{DIGIT_PROMPT.tail(first, second)} {DIGITS[0]}"
                tail = llama.tokenize(question.encode(), add_bos=False)[:-1]
                llama.n_tokens = len(prefix) if keep_prefix else 0
                llama.eval(tail if keep_prefix else prefix + tail)
                logits = np.ctypeslib.as_array(llama._ctx.get_logits_ith(-1), (llama.n_vocab(),))
                expected_digit(logits[None, digits])
    llama.close()
    return rate


def question_tokens(llm: Engine, pairs: Pairs) -> int:
    """Return how many tokens the questions have, few-shot part left out: what no judge can save."""
    asked = {ordered for a, b in pairs for ordered in ((a, b), (b, a))}
    return sum(len(llm.tokenize(DIGIT_PROMPT.tail(a, b))) for a, b in asked)


def compare_quality(kind: str, tasks: Sequence[StsTask]) -> dict[str, list[float]]:
    """Print one judge's Spearman on every task, and its order of SICK's relations."""
    model = "all-MiniLM-L6-v2" if kind == "guide" else GenerationConfig().llm
    judge = load_judge(f"{kind}:{model}")
    raw: dict[str, list[float]] = {}
    for task in tasks:
        pairs = texts(task)
        rate = Rate(items=len(pairs))
        with rate.measured():
            values = judge.scores(pairs)
        raw[task.name] = values.tolist()
        score = 100 * spearman(values, np.asarray(task.gold, dtype=float))
        print(f"{judge.judge_id:28}{task.name:12}{len(pairs):6,} pairs   Spearman {score:6.2f}   {rate}", flush=True)
        means = relation_means(values, list(task.subset))
        if means:
            rises = all(low < high for low, high in zip(means.values(), list(means.values())[1:], strict=False))
            print(f"    mean raw value: {means}   {'in order' if rises else 'not in order'}", flush=True)
    return raw


def drawn(task: StsTask, count: int | None) -> StsTask:
    """Return some pairs of a task, the same ones each time."""
    rows = np.sort(np.random.default_rng(0).permutation(len(task.gold))[:count])
    first, second, subset = (
        [values[row] for row in rows] for values in (task.sentence1, task.sentence2, task.subset)
    )
    return replace(task, gold=task.gold[rows], sentence1=first, sentence2=second, subset=subset)


def relation_means(values: np.ndarray, relations: list[str]) -> dict[str, float]:
    """Return the mean of each relation that the pairs have, contradiction first; {} without relations."""
    labels = np.array(relations)
    present = [relation for relation in RELATIONS if (labels == relation).any()]
    return {relation: round(float(values[labels == relation].mean()), 4) for relation in present}


def sample_pairs() -> list[tuple[str, str]]:
    """Return each sample premise with the next one: the speed does not depend on what they say."""
    lines = [line.strip() for line in SHIPPED_PREMISES.read_text(encoding="utf-8").splitlines() if line.strip()]
    return list(pairwise(lines))


def texts(task: StsTask) -> list[tuple[str, str]]:
    """Return the pairs of a task as tuples."""
    return list(zip(task.sentence1, task.sentence2, strict=True))


if __name__ == "__main__":
    main()
