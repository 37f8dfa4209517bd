"""Digit judges beyond llama.cpp: a transformers decoder against a naive loop, a server against a scripted one."""

import json
import math
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from pipeline import weights
from pipeline.curation.digit import DigitJudge, FolderDigitJudge
from pipeline.curation.judges import load_judge
from pipeline.curation.likelihood import DIGIT_PROMPT
from pipeline.curation.number_reading import number_in_words
from pipeline.curation.remote_digit import RemoteDigitJudge
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.retries import Patience
from pipeline.generation.llms.transformers_llm import DecoderLLM
from pipeline.records import InputError
from pipeline.studies.data import judge_named

PAIRS = [("A man plays.", "Someone plays the piano."), ("It rains.", "The sun is out."), ("It rains.", "It rains.")]


@pytest.fixture(scope="module")
def tiny() -> DecoderLLM:
    torch.manual_seed(3)
    tokenizer = AutoTokenizer.from_pretrained(weights.minilm_folder(), local_files_only=True)
    config = LlamaConfig(
        vocab_size=30522, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, eos_token_id=tokenizer.sep_token_id, bos_token_id=None,
        initializer_range=0.3,
    )  # fmt: skip
    return DecoderLLM(LlamaForCausalLM(config).eval(), tokenizer, name="tiny")


def test_a_folder_answers_as_one_question_at_a_time(tiny):
    digits = [tiny.tokenize(str(digit))[0] for digit in range(6)]

    def naive(a, b):
        tokens = tiny.tokenize(DIGIT_PROMPT.prefix()) + tiny.tokenize(f"{DIGIT_PROMPT.tail(a, b)} 0")[:-1]
        with torch.inference_mode():
            logits = tiny.model(input_ids=torch.tensor([tokens])).logits[0, -1][digits]
        return float(logits.double().softmax(0) @ torch.arange(6).double())

    expected = [(naive(a, b) + naive(b, a)) / 2 for a, b in PAIRS]
    found = FolderDigitJudge(tiny, judge_id="digit:tiny", batch_size=2).scores(PAIRS)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(found) > 1e-3


def test_a_study_judges_with_the_folder_of_a_decoder(tiny, tmp_path):
    """Studies loaded every `digit:FOLDER` as an encoder-decoder, so a decoder could not judge."""
    folder = tmp_path / "decoder"
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    judge = judge_named(f"digit:{folder}", hub=None)
    assert isinstance(judge, DigitJudge) and judge.judge_id == f"digit:{folder}"
    np.testing.assert_allclose(judge.scores(PAIRS), FolderDigitJudge(tiny, judge_id="").scores(PAIRS), atol=1e-4)


class Scripted(BaseHTTPRequestHandler):
    """Answers a chat by rules on its text; `modes` says what the server is capable of."""

    modes: ClassVar[set] = set()
    seen: ClassVar[Counter] = Counter()

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][0]["content"].rsplit("First:", 1)[1]
        Scripted.seen["form" if "response_format" in asked else "log_p"] += 1
        choice = {"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}
        if "log_p" in self.modes and asked.get("logprobs"):
            first = {"token": " 4", "logprob": math.log(0.6)}
            top = [first, {"token": "1", "logprob": math.log(0.2)}, {"token": "x", "logprob": math.log(0.2)}]
            choice["logprobs"] = {"content": [first | {"top_logprobs": top}]}
        elif "response_format" in asked:
            choice["message"]["content"] = "no idea" if "sun" in text else '{"score": 3.5}'
        status = 500 if "broken" in self.modes and "sun" in text else 200
        body = json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
                           "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}})  # fmt: skip
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def judge():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Scripted.seen.clear()
    entry = LLMEntry("far", "remote", f"http://127.0.0.1:{server.server_port}/v1", model="m", api="chat")

    def made(*modes):
        Scripted.modes = set(modes)
        return RemoteDigitJudge(entry, judge_id="digit:far", patience=Patience(2, 0.01, 0.05))

    yield made
    server.shutdown()
    server.server_close()


def test_a_server_that_tells_log_probabilities(judge):
    expected = (4 * 0.6 + 1 * 0.2) / 0.8
    np.testing.assert_allclose(judge("log_p").scores(PAIRS), [expected] * 3)
    assert Scripted.seen == {"log_p": 5}, "both orders of two pairs, and one of a pair that is the same both ways"


def test_a_server_that_tells_none_is_asked_for_a_form(judge):
    asked = judge()
    found = asked.scores(PAIRS)
    assert found[0] == found[2] == 3.5 and np.isnan(found[1])
    assert asked.unscored == {"unparsable": 1}


def test_a_pair_whose_calls_fail_spoils_no_other(judge):
    asked = judge("broken")
    found = asked.scores(PAIRS)
    assert found[0] == 3.5 and np.isnan(found[1])
    assert asked.unscored == {"failed": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("4.25", 4.25),
        ("4,5", 4.5),
        ("Score: 3/5.", 3),
        ("3 / 5", 3),
        ('{"score": 2}', 2),
        ("5.0", 5),
        ("7", None),
        ("", None),
        ("about 45 of them", None),
        ("100 %", None),
        ('{"score": 9}', None),
        ("true", None),
        ('{"score": "4"}', 4),
        ("5.5", None),
        ("Rating (0-5): 4", 4),
        ("On a scale of 0 to 5, I would give 4.", 4),
        ('<think>\nSentence 1 has two verbs.\n</think>\n\n{"score": 4}', 4),
        ("4/5", 4),
        ("4.5", 4.5),
        ("Score: 4 out of 5", 4),
        ("**4**", 4),
        ("four", 4),
        ("Four.", 4),
        ("I would give it a four.", 4),
        ("On a scale of 0 (unrelated) to 5 (same meaning), I would give 4.", 4),
        ("Sentence 1 and sentence 2 differ. Score: 3", 3),
        ("3 or 4", None),
        ("3-4", None),
        ("Score: 3-4", None),
        ("between 3 and 4", None),
        ("Score: -1", None),
        ("8/10", None),
        ("Both mention 2 dogs. Score: 4", 4),
        ("Both mention 2 dogs.\n\n4", 4),
        ("4\n\nBoth mention 2 dogs.", 4),
        ("0", 0),
        ("0/5", 0),
        ("5 out of 5", 5),
        ("<think>I think 3", None),
        ("The similarity is 4.", 4),
        ("Similarity: **4.5**", 4.5),
        ("4 out of 5 stars", 4),
        ("1. Both are about dogs.\n2. The verbs differ.\n\nScore: 3", 3),
        ("The two sentences are unrelated: 0", 0),
        ("The two sentences mean the same: five.", 5),
        ("4½", 4.5),
        ("four and a half", 4.5),
        ("４", 4),
        ("I'd rate these two sentences a 4.", 4),
        ("Score: 4\nConfidence: 5", 4),
        ("Score: 2, later score: 3", None),
        ("I'd say 4, 80% sure", 4),
        ("My answer is 4 (0 = unrelated, 5 = same meaning).", 4),
        ("The score is 3 on a scale from 0-5.", 3),
        ("\\boxed{4}", 4),
        ("4 - very similar", 4),
        ('```json\n{"score": 4}\n```', 4),
        ("<|im_start|>assistant\n4<|im_end|>", 4),
        ('{"sentence1": 2, "score": 4}', 4),
        ("5 sentences of 3 words", None),
        ("Score: three", 3),
        ("one", 1),
        ("Answer: 2 (out of 5)", 2),
        ("The rating is 4 out of 5, as 3 of the words match.", 4),
        ("4 of 5", 4),
        ("Similarity score: 3.5/5.0", 3.5),
        ("zero", 0),
        ("It is a 4.", 4),
        ("Rating: 4/10", None),
        ("rating 0 to 5: 0", 0),
        ("**Rating:** 4", 4),
        ("Similarity (0–5) = 2", 2),
        ("score 1 to 5: 3", 3),
        ("no idea", None),
        ("four out of five", 4),
        ("Score: 4.", 4),
        ("Final answer: 4", 4),
        ("2.0", 2.0),
        ("two point five", 2.5),
        ("[3]", 3),
        ("I give 4 because 2 words differ", 4),
        ('{"reason": "a score of 3 is low", "score": 4}', 4),
    ],
)
def test_numbers_are_read_with_patience(text, value):
    assert number_in_words(text) == value


def test_only_the_digit_can_be_asked_of_other_llms():
    far = LLMEntry("far", "remote", "http://127.0.0.1:9/v1", model="m", api="chat")
    with pytest.raises(InputError, match="choose digit:far"):
        load_judge("likelihood:far", far)
    with pytest.raises(InputError, match="write likelihood:LLM"):
        load_judge("opinion:far")


def test_a_folder_is_also_asked_for_likelihoods():
    folder = LLMEntry("mine", "decoder", str(weights.smollm2_safetensors_folder()))
    for kind in ("likelihood", "entailment"):
        judge = load_judge(f"{kind}:mine", folder)
        close, far = judge.scores([("It rains.", "Rain is falling."), ("It rains.", "The king reads a letter.")])
        assert judge.judge_id == f"{kind}:mine"
        assert kind == "entailment" or close > far
