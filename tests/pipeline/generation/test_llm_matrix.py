"""Every kind of LLM against everything it can be asked: each cell works, or says in a sentence why not.

Models of this machine are chats of different families: a system's role, a thinking switch, turns that alternate.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import folder_of, gguf_of

from pipeline.config import GenerationConfig, ScratchConfig
from pipeline.curation.digit import DigitJudge
from pipeline.curation.judges import Judge, kinds_for, load_judge
from pipeline.curation.likelihood import EngineCosts, EntailmentJudge, LikelihoodJudge
from pipeline.generation.engines.torch_llama import TorchLlama
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.llms.loading import open_llm
from pipeline.generation.llms.protocol import LLM
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.templates import form_for
from pipeline.generation.triplets import generate
from pipeline.generation.written_premises import PremiseOutcome, write_premises
from pipeline.records import Contrast, InputError, Outcome, Premise
from pipeline.studies.run import tiny_t5
from tests.servers.scripted_server import Answer, chat, completion, serving

PREMISES = [Premise.from_text("Two dogs bark at a cat."), Premise.from_text("How far is it?")]
PAIRS = [("Two dogs bark.", "Dogs are barking."), ("A cat sleeps.", "He is late.")]
SENTENCE = "The two animals make a lot of noise."
LOCAL = ("llama.cpp", "torch engine", "transformers decoder", "encoder-decoder")
SERVERS = ("server completions", "server completions that score", "server top tokens", "server chat")


@dataclass
class Case:
    """An entry, and the contrast it must write."""

    entry: LLMEntry
    contrast: Contrast
    judges: dict[str, str] = field(default_factory=dict)
    """Kind of judge -> words of the refusal."""


def script(_number: int, asked: dict) -> Answer:
    """Answer like vLLM: completions with echo and top log-probabilities, and chats."""
    if asked["path"].endswith("/chat/completions"):
        answer = chat("4" if asked.get("max_tokens") == 1 else SENTENCE)
        top = [{"token": "4", "logprob": -0.2}, {"token": "3", "logprob": -1.8}]
        answer.body["choices"][0]["logprobs"] = {"content": [{"token": "4", "logprob": -0.2, "top_logprobs": top}]}
        return answer
    prompt = asked["prompt"]
    if asked.get("echo"):
        tokens = prompt.split(" ")
        logs = {"tokens": [f" {one}" for one in tokens], "token_logprobs": [None, *[-0.5] * (len(tokens) - 1)]}
        return completion("", logprobs=logs)
    digit = prompt.endswith("Similarity:")
    best = {" 4": -0.2, " 3": -1.8} if digit else {" word": -0.5, " other": -1.5, "\n": -1.6 + prompt.count(" word")}
    token = max(best, key=lambda text: best[text])
    logs = {"tokens": [token], "token_logprobs": [best[token]], "top_logprobs": [best]}
    return completion(token if asked["max_tokens"] == 1 else f" {SENTENCE}", logprobs=logs)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    folders = {
        family: folder_of(family, tmp_path_factory.mktemp("matrix") / f"tiny-{family}-instruct")
        for family in ("llama3", "qwen3", "gemma")
    }
    ggufs = {family: str(gguf_of(family, folders[family])) for family in ("llama3", "qwen3")}
    t5 = tiny_t5(tmp_path_factory.mktemp("matrix") / "t5")
    only_digits = dict.fromkeys(("likelihood", "entailment"), "can be asked for a digit only")
    found = {
        "llama.cpp": Case(LLMEntry("a", "gguf", ggufs["llama3"]), Contrast.TOKEN),
        "torch engine": Case(LLMEntry("t", "gguf", ggufs["qwen3"]), Contrast.TOKEN),
        "transformers decoder": Case(LLMEntry("b", "decoder", str(folders["gemma"])), Contrast.TOKEN),
        "encoder-decoder": Case(LLMEntry("c", "encoder-decoder", str(t5)), Contrast.TOKEN),
    }
    with serving(script) as server:
        far = {"model": "m", "timeout_s": 10.0, "concurrency": 2}
        for name, api, settings, contrast in (
            ("server completions", "completions", {}, Contrast.NONE),
            ("server completions that score", "completions", {"scores_prompts": True}, Contrast.SEQUENCE),
            ("server top tokens", "completions", {"token_contrast": True}, Contrast.TOKEN_TOP20),
            ("server chat", "chat", {"speaks": "chat"}, Contrast.NONE),
        ):
            entry = LLMEntry(name, "remote", server.url, api=api, **far, **settings)  # type: ignore[arg-type]
            found[name] = Case(entry, contrast, only_digits)
        yield found


def engine_of(kind: str, entry: LLMEntry) -> GgufLLM | None:
    """Return the LLM in the torch engine, which an entry alone chooses for the embedded weights only."""
    if kind != "torch engine":
        return None
    engine = TorchLlama(Path(entry.location), name=entry.name, threads=1)
    return GgufLLM(engine, form_for(entry, engine, engine.start))


def opened(kind: str, entry: LLMEntry) -> LLM:
    llm = engine_of(kind, entry) or open_llm(entry, threads=1)
    if kind in ("llama.cpp", "torch engine", "transformers decoder"):
        assert llm.form.name == "chat", "the templates are to be used"  # type: ignore[attr-defined]
    return llm


def judge_of(kind: str, entry: LLMEntry, judge: str) -> Judge:
    if (llm := engine_of(kind, entry)) is None:
        return load_judge(f"{judge}:{entry.name}", entry)
    if judge == "digit":
        return DigitJudge(llm.llama, form=llm.form)
    made = LikelihoodJudge if judge == "likelihood" else EntailmentJudge
    return made(EngineCosts(llm.llama, llm.form), name=entry.name)


@pytest.mark.parametrize("kind", [*LOCAL, *SERVERS])
@pytest.mark.parametrize("omega", [0.0, 0.6])
def test_both_sides_are_written_with_the_contrast_that_is_promised(cases: dict[str, Case], kind: str, omega: float):
    case = cases[kind]
    draws = {"candidates": 2, "temperature": 0.7} if case.contrast is Contrast.SEQUENCE else {}
    config = GenerationConfig(omega=omega, max_new_tokens=5, **draws)
    with closing(opened(kind, case.entry)) as llm:
        made = list(generate(PREMISES, config, llm))
    assert {item.contrast for item in made} == {case.contrast if omega else Contrast.NONE}
    for item in made:
        for side in (item.positive, item.hard_negative):
            assert side.outcome not in (Outcome.FAILED, Outcome.TOO_LONG), side


@pytest.mark.parametrize("judge", ["likelihood", "entailment", "digit"])
@pytest.mark.parametrize("kind", [*LOCAL, *SERVERS])
def test_a_judge_scores_or_says_why_not(cases: dict[str, Case], kind: str, judge: str):
    case = cases[kind]
    if judge in case.judges:
        with pytest.raises(InputError, match=case.judges[judge]):
            judge_of(kind, case.entry, judge)
        return
    assert judge in kinds_for(case.entry)
    scores = judge_of(kind, case.entry, judge).scores(PAIRS)
    assert scores.shape == (2,) and np.isfinite(scores).all()


@pytest.mark.parametrize("kind", [*LOCAL, *SERVERS])
def test_premises_from_scratch_are_written(cases: dict[str, Case], kind: str):
    config = ScratchConfig(
        topics=("dogs",), genres=("news",), lengths=("short",), per_cell=1, tries=1, max_new_tokens=8
    )
    with closing(opened(kind, cases[kind].entry)) as llm:
        [attempt] = write_premises(config, llm)
    assert attempt.outcome is not PremiseOutcome.FAILED


def test_what_has_no_template_says_so(cases: dict[str, Case]):
    with pytest.raises(InputError, match="no chat template"):
        open_llm(replace(cases["encoder-decoder"].entry, form="chat"))
