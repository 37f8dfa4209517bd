"""The paper's study on stand-ins: an encoder-decoder that writes and judges, and models named on the hub."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.config import GenerationConfig
from pipeline.curation.seq2seq_digit import Seq2SeqDigitJudge, digit_prompt
from pipeline.errors import InputError
from pipeline.generation.generate import generate
from pipeline.generation.llms.encoder_decoder import EncoderDecoderLLM
from pipeline.generation.prompt_sets import prompt_set
from pipeline.records import Contrast, Premise, Side
from pipeline.studies.dry_run import dry_run, tiny_bert, tiny_t5
from pipeline.studies.hub import Hub, hub_names, pooled_copy, safetensors_copy
from pipeline.studies.spec_file import read_study

PROJECT = Path(__file__).parents[3]
TEXTS = ["A dog runs along the beach.", "How far is it?", "The orchestra waits for the very last train of the day."]
PREMISES = [Premise.from_text(text) for text in TEXTS]


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    torch.manual_seed(3)
    found = EncoderDecoderLLM.load(tiny_t5(tmp_path_factory.mktemp("models") / "t5"), name="tiny", device="cpu")
    # Tied random weights say the last token again for ever; these say many words, and say them clearly.
    found.model.lm_head.weight = torch.nn.Parameter(torch.randn_like(found.model.lm_head.weight))
    return found


def asked(side, premise, *, opposite=False):
    prompts = prompt_set("default")
    prompt = prompts.opposite(side) if opposite else prompts.own(side)
    return prompt.prefix() + prompt.tail(premise.text)


def naive_reply(llm, premise, side, config):
    """One token at a time, both prompts decoded from the start at every step, no cache and no batch."""
    chosen = [llm.start]
    for _ in range(config.max_new_tokens):
        rows = []
        for opposite in (False, True):
            encoded = llm.tokenizer(asked(side, premise, opposite=opposite), return_tensors="pt")
            with torch.no_grad():
                out = llm.model(
                    input_ids=encoded["input_ids"],
                    attention_mask=encoded["attention_mask"],
                    decoder_input_ids=torch.tensor([chosen]),
                )
            rows.append(out.logits[0, -1].log_softmax(-1))
        own, other = rows
        z = own - config.omega * other
        z[own.exp() < config.plausibility * own.exp().max()] = -torch.inf
        token = int(z.argmax())
        if token == llm.model.config.eos_token_id:
            break
        chosen.append(token)
    return llm.tokenizer.decode(chosen[1:], skip_special_tokens=True)


@pytest.mark.parametrize("config", [
    GenerationConfig(omega=0.0, plausibility=0.0, max_new_tokens=6, batch_size=4),
    GenerationConfig(omega=0.6, plausibility=0.0, max_new_tokens=6, batch_size=4),
    GenerationConfig(omega=0.6, plausibility=0.1, max_new_tokens=6, batch_size=4),
])  # fmt: skip
def test_batched_generation_equals_a_naive_loop(llm, config):
    found = list(generate(PREMISES, config, llm))
    assert sorted(item.premise.text for item in found) == sorted(TEXTS)
    for item in found:
        for side, result in ((Side.POSITIVE, item.positive), (Side.HARD_NEGATIVE, item.hard_negative)):
            assert result.raw == naive_reply(llm, item.premise, side, config)
            assert result.raw
        assert item.contrast is (Contrast.TOKEN if config.omega else Contrast.NONE)


def test_plain_generation_equals_transformers_own(llm):
    config = GenerationConfig(omega=0.0, plausibility=0.0, max_new_tokens=6)
    for item in generate(PREMISES, config, llm):
        encoded = llm.tokenizer(asked(Side.POSITIVE, item.premise), return_tensors="pt")
        encoded.pop("token_type_ids", None)
        with torch.no_grad():
            tokens = llm.model.generate(
                **encoded, max_new_tokens=6, do_sample=False,
                decoder_start_token_id=llm.start, eos_token_id=llm.model.config.eos_token_id, pad_token_id=llm.start,
            )  # fmt: skip
        assert item.positive.raw == llm.tokenizer.decode(tokens[0, 1:], skip_special_tokens=True)


def test_sampling_follows_the_seed_and_not_the_place_in_the_batch(llm):
    config = GenerationConfig(omega=0.3, temperature=1.5, plausibility=0.0, max_new_tokens=5)
    texts = {item.premise: item.positive.raw for item in generate(PREMISES, config, llm)}
    again = {item.premise: item.positive.raw for item in generate(PREMISES[::-1], config, llm)}
    assert texts == again and len(set(texts.values())) == len(PREMISES)


def test_the_digit_judge_is_the_expected_digit(llm):
    pairs = [(TEXTS[0], TEXTS[1]), (TEXTS[2], TEXTS[2]), (TEXTS[1], TEXTS[0])]
    judge = Seq2SeqDigitJudge(llm, judge_id="digit:x", batch_size=2)
    scores = judge.scores(pairs)
    for pair, score in zip(pairs, scores, strict=True):
        encoded = llm.tokenizer(digit_prompt(*pair), return_tensors="pt")
        with torch.no_grad():
            logits = llm.model(
                input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"],
                decoder_input_ids=torch.tensor([[llm.start]]),
            ).logits[0, -1]  # fmt: skip
        share = logits.softmax(-1)[llm.tokenizer.convert_tokens_to_ids(list("012345"))].double()
        assert score == pytest.approx(float((share * torch.arange(6)).sum() / share.sum()), abs=1e-5)
    assert np.ptp(scores) > 1e-6 and (scores >= 0).all() and (scores <= 5).all()


def test_the_shipped_study_names_the_papers_models_and_passes_its_dry_run():
    study = read_study(PROJECT / "assets" / "studies" / "paper.yaml")
    assert hub_names(study) == [
        "hub-data:princeton-nlp/datasets-for-simcse/nli_for_simcse.csv",
        "hub:google-bert/bert-base-uncased",
        "hub:google/flan-t5-xl",
        "hub:princeton-nlp/unsup-simcse-bert-base-uncased@cls",
    ]
    parts = {check.part: check.told for check in dry_run(study, PROJECT / "assets" / "premises.txt")}
    assert parts["generation, omega 0.6, hub:google/flan-t5-xl"] == "4 premises written"
    assert parts["judge digit:hub:google/flan-t5-xl"] == "4 pairs scored"
    assert {f"arm {arm.name}" for arm in study.arms} <= set(parts)


def test_what_is_not_on_this_machine_is_fetched_only_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    hub = Hub(tmp_path)
    for name in ("hub:nobody/nothing", "hub-data:nobody/nothing/x.csv"):
        with pytest.raises(InputError, match="is not on this machine; add --download"):
            hub.path(name)
    for name in ("hub:nothing", "hub:a/../b", "hub-data:a/b", "hub-data:a/b/../../c"):
        with pytest.raises(InputError, match="write hub"):
            hub.path(name)
    assert hub.path("static-minilm") == "static-minilm"


def test_a_pickle_of_tensors_becomes_safetensors_and_a_pickle_of_code_is_refused(tmp_path):
    from pipeline.training.encoders import load_encoder

    source = tiny_bert(tmp_path / "whole")
    wanted = load_encoder(source, pooling="cls").encode(TEXTS)
    weights = load_encoder(source)[0].auto_model.state_dict()
    torch.save(weights, source / "pytorch_model.bin")
    (source / "model.safetensors").unlink()
    copy = pooled_copy(safetensors_copy(source, tmp_path / "copy"), tmp_path / "cls", "cls")
    np.testing.assert_allclose(load_encoder(copy).encode(TEXTS), wanted, atol=1e-6)
    assert not list(copy.rglob("*.bin"))

    class Code:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"weight": Code()}, source / "pytorch_model.bin")
    with pytest.raises(Exception, match=r"weights_only|Unsupported"):
        safetensors_copy(source, tmp_path / "other")
