"""Chat models in every engine: contrast, judges, premises from scratch and free text in the model's own template.

The same random weights run in llama.cpp, in the torch engine and in transformers, which must agree; transformers'
own guidance on the rendered prompts is the oracle of the contrast.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from chat_templates import TEMPLATES
from tiny_models import folder_of, gguf_of

from pipeline.config import GenerationConfig, ScratchConfig
from pipeline.curation.digit import DigitJudge, FolderDigitJudge
from pipeline.curation.likelihood import EngineCosts, EntailmentJudge, FolderCosts, LikelihoodJudge
from pipeline.generation.engines.torch_llama import TorchLlama
from pipeline.generation.forms import ChatForm, ChatTemplate
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.llms.loading import open_llm
from pipeline.generation.llms.protocol import Ask
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.templates import form_for, form_of, template_of
from pipeline.generation.llms.transformers_llm import DecoderLLM
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.prompts import FewShot
from pipeline.generation.reply_limit import ReplyLimit
from pipeline.generation.text_key import text_key
from pipeline.generation.token_probabilities import prompt_as_read
from pipeline.generation.triplets import generate
from pipeline.generation.written_premises import write_premises
from pipeline.records import Contrast, InputError, Outcome, Premise, Side

PREMISES = [Premise.from_text(text) for text in ("Two dogs bark.", "How far is it?")]
PAIRS = [("Two dogs bark.", "Dogs are barking."), ("A cat sleeps.", "He is late.")]
TOKENS = 6


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LLMEntry]:
    folder = folder_of("chatml", tmp_path_factory.mktemp("tiny") / "tiny-instruct")
    gguf = gguf_of("chatml", folder)
    return {
        "folder": LLMEntry("tiny-instruct", "decoder", str(folder)),
        "llama.cpp": LLMEntry("tiny-instruct", "gguf", str(gguf)),
    }


@pytest.fixture(scope="module")
def llms(entries: dict[str, LLMEntry]) -> Iterator[dict]:
    opened = {name: open_llm(entry, threads=1) for name, entry in entries.items()}
    gguf = entries["llama.cpp"]
    engine = TorchLlama(Path(gguf.location), name="torch", threads=1)
    opened["torch"] = GgufLLM(engine, form_for(gguf, engine, engine.start))
    folder = entries["folder"]
    opened["transformers"] = DecoderLLM.load(
        Path(folder.location), name="reference", device="cpu", form_of=partial(form_for, folder)
    )
    yield opened
    for llm in opened.values():
        llm.close()


def raws(llm, omega: float) -> list[tuple[str, str]]:
    config = GenerationConfig(omega=omega, plausibility=0.0, max_new_tokens=TOKENS)
    made = sorted(generate(PREMISES, config, llm), key=lambda item: item.premise.text)
    assert {item.contrast for item in made} == {Contrast.TOKEN if omega else Contrast.NONE}
    # Bytes that are no character are spelled differently by the two tokenizers.
    return [tuple(side.raw.replace("\ufffd", "") for side in (item.positive, item.hard_negative)) for item in made]


@pytest.mark.parametrize("omega", [0.0, 0.5])
def test_every_engine_writes_the_same_in_chat_form(llms: dict, omega: float) -> None:
    assert all(isinstance(llm.form, ChatForm) for llm in llms.values())
    found = {name: raws(llm, omega) for name, llm in llms.items()}
    assert found["torch"] == found["transformers"] == found["folder"]
    assert len({raw for pair in found["torch"] for raw in pair}) > 1
    # llama.cpp keeps keys and values in half precision, which may turn a near tie.
    asked = prompt_set("default").positive.few_shot
    tokens = {name: llm.prompt_tokens(asked, "Two dogs bark.") for name, llm in llms.items()}
    assert tokens["llama.cpp"] == tokens["transformers"] == tokens["torch"] == tokens["folder"]
    rows = {name: llm.next_log_probabilities(tokens[name], [])[0] for name, llm in llms.items()}
    likely = rows["transformers"] > -8
    np.testing.assert_allclose(rows["llama.cpp"][likely], rows["transformers"][likely], atol=0.15)


def test_the_contrast_equals_transformers_own_guidance_on_the_rendered_prompts(llms: dict) -> None:
    llm = llms["transformers"]
    prompts = prompt_set("default")
    config = GenerationConfig(omega=0.5, plausibility=0.0, max_new_tokens=TOKENS)
    changed = 0
    for item in generate(PREMISES, config, llm):
        for side, raw in ((Side.POSITIVE, item.positive.raw), (Side.HARD_NEGATIVE, item.hard_negative.raw)):
            own, other = (
                llm.tokenizer.apply_chat_template(
                    [
                        {"role": "system", "content": prompt.instruction},
                        *(
                            {"role": role, "content": text}
                            for pair in prompt.examples
                            for role, text in zip(("user", "assistant"), pair, strict=True)
                        ),
                        {"role": "user", "content": item.premise.text},
                    ],
                    add_generation_prompt=True,
                    return_tensors="pt",
                    return_dict=True,
                )["input_ids"]
                for prompt in (prompts.own(side), prompts.opposite(side))
            )
            settings = {"do_sample": False, "max_new_tokens": TOKENS, "pad_token_id": 0}
            with torch.inference_mode():
                made = llm.model.generate(own, guidance_scale=2.0, negative_prompt_ids=other, **settings)
                plain = llm.model.generate(own, **settings)
            assert raw == llm.tokenizer.decode(made[0, own.shape[1] :], skip_special_tokens=True)
            changed += made[0].tolist() != plain[0].tolist()
    assert changed, "guidance must have had something to change"


def test_judges_agree_between_engines(llms: dict) -> None:
    folder = llms["transformers"]
    for made in (LikelihoodJudge, EntailmentJudge):
        wanted = made(FolderCosts(folder), name="x").scores(PAIRS)
        assert np.ptp(wanted) > 0
        for name in ("llama.cpp", "torch", "folder"):
            llm = llms[name]
            found = made(EngineCosts(llm.llama, llm.form), name="x").scores(PAIRS)
            np.testing.assert_allclose(found, wanted, atol=2e-2)
    wanted = FolderDigitJudge(folder, judge_id="digit:x").scores(PAIRS)
    for name in ("llama.cpp", "torch", "folder"):
        llm = llms[name]
        np.testing.assert_allclose(DigitJudge(llm.llama, form=llm.form).scores(PAIRS), wanted, atol=2e-2)


def test_premises_from_scratch_and_a_free_question_are_turns_as_well(llms: dict) -> None:
    config = ScratchConfig(topics=("dogs",), genres=("news",), per_cell=1, tries=1, max_new_tokens=8)
    for llm in llms.values():
        attempts = list(write_premises(config, llm))
        assert len(attempts) == 3
        text = "".join(llm.form.texts(FewShot(""), "Who are you?"))
        assert text == "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n"
        [reply] = llm.continuations(FewShot(""), iter([Ask(0, "Who?", 1)]), GenerationConfig(), lambda: False)
        assert reply.problem is None


def test_auto_takes_the_chat_form_by_name_and_the_key_holds_the_rendered_prompts(
    entries: dict[str, LLMEntry], tmp_path: Path
) -> None:
    prompts, config = prompt_set("default"), GenerationConfig()
    for entry in entries.values():
        assert form_of(entry) == "chat" and template_of(entry) is not None
        base = replace(entry, form="completion")
        keys = {text_key(config, prompts, one) for one in (entry, replace(entry, form="chat"), base)}
        assert len(keys) == 2, "auto and chat are the same here"
        shorter = replace(config, reasoning_tokens=5)
        assert text_key(shorter, prompts, base) == text_key(config, prompts, base)
    nothing = LLMEntry("x", "gguf", str(tmp_path / "none.gguf"), form="chat")
    with pytest.raises(InputError, match="no chat template"):
        form_for(nothing, None)
    assert form_of(replace(nothing, form="auto")) == "completion"


@pytest.mark.parametrize("form", ["chat", "completion"])
def test_a_prompt_is_shown_in_both_forms_as_it_is_read_token_for_token(
    entries: dict[str, LLMEntry], form: str
) -> None:
    asked, question = prompt_set("default").positive.few_shot, "Two dogs bark."
    for entry in entries.values():
        with closing(open_llm(replace(entry, form=form), threads=1)) as llm:  # type: ignore[arg-type]
            found = prompt_as_read(llm, asked, question)
            assert found.counts is not None and found.pieces is not None
            assert sum(found.counts) == len(found.pieces) == len(llm.prompt_tokens(asked, question))
        assert "".join(found.pieces) == found.shared + found.own
        assert found.pieces.count("<|im_start|>") == (9 if form == "chat" else 0)


class Letters:
    """A token per letter."""

    def tokenize(self, text: str, *, marked: bool = False) -> list[int]:
        return list(map(ord, text))

    def detokenize(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))


@pytest.mark.parametrize(
    ("family", "text", "is_reached"),
    [
        ("chatml", "abcd", False),
        ("chatml", "abcde", True),
        ("r1", "x" * 19, False),
        ("r1", "x" * 20, True),
        ("r1", "hm, so it is</think>abcd", False),
        ("r1", "hm, so it is</think>abcde", True),
        ("r1", "x" * 10 + "</think>" + "\n" * 7, True),
    ],
)
def test_a_thought_has_a_budget_of_its_own(family: str, text: str, is_reached: bool) -> None:
    form = ChatForm(ChatTemplate(TEMPLATES[family], {"bos_token": "", "eos_token": ""}))
    limit = ReplyLimit(GenerationConfig(max_new_tokens=5, reasoning_tokens=20), form, Letters())
    assert limit.is_reached(Letters().tokenize(text)) is is_reached


def test_an_unfinished_thought_is_truncated_in_every_engine(tmp_path: Path) -> None:
    folder = folder_of("r1", tmp_path / "tiny-r1")
    entries = (
        LLMEntry("tiny-r1", "decoder", str(folder)),
        LLMEntry("tiny-r1", "gguf", str(gguf_of("r1", folder))),
    )
    for entry in entries:
        with closing(open_llm(entry, threads=1)) as llm:
            assert llm.form.thinks
            config = GenerationConfig(omega=0.5, max_new_tokens=3, reasoning_tokens=8)
            for item in generate(PREMISES, config, llm):
                for side in (item.positive, item.hard_negative):
                    assert side.raw.startswith("<think>\n") and side.outcome is Outcome.TRUNCATED
                    assert 0 < side.tokens <= 8 and side.text == ""


@pytest.mark.parametrize("has_bos", [True, False])
def test_a_gguf_file_is_asked_in_one_text_that_begins_as_its_vocabulary_says(tmp_path: Path, has_bos: bool) -> None:
    from llama_cpp import Llama

    path = gguf_of("chatml", folder_of("chatml", tmp_path / "base"), has_bos=has_bos)
    asked = prompt_set("default").positive.few_shot
    wanted = Llama(str(path), vocab_only=True, verbose=False).tokenize(
        (asked.prefix() + asked.tail("Two dogs bark.")).encode(), add_bos=True
    )
    with closing(open_llm(LLMEntry("base", "gguf", str(path), form="completion"), threads=1)) as llm:
        assert llm.prompt_tokens(asked, "Two dogs bark.") == wanted
        assert len(raws(llm, 0.5)) == len(PREMISES)
