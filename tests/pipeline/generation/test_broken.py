"""300 randomly broken premises, model files and servers: no crash, and each is accounted for."""

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from pipeline import weights
from pipeline.config import GenerationConfig
from pipeline.generation.llms.loading import open_llm
from pipeline.generation.llms.registry import LLMEntry, entry_for
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.llms.retries import Patience
from pipeline.generation.triplets import generate
from pipeline.records import InputError, Outcome, Premise
from pipeline.weights import embedded_gguf
from tests.servers.scripted_server import Answer, completion, serving

EACH = 100
PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tiny decoder as a person would have it on the disk."""
    torch.manual_seed(5)
    found = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = AutoTokenizer.from_pretrained(weights.minilm_folder(), local_files_only=True)
    config = LlamaConfig(
        vocab_size=30522, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=256, eos_token_id=tokenizer.sep_token_id, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(found)
    tokenizer.save_pretrained(found)
    return found


def broken_text(chance: random.Random) -> str:
    alphabets = (
        *("abc xyz.", "\x00\x07\x1b\n\r\t", "😀🏳️‍🌈é̂", "שלום عربي 中文"),
        *("\ud800\udfff", "<|im_end|></s>[SEP]", "\u202e\ufeff\u200b"),
    )
    parts = "".join(chance.choice(alphabets) for _ in range(chance.randrange(0, 6)))
    length = chance.choice([0, 1, 5, 40, 400, 40_000])
    return "".join(chance.choice(parts) for _ in range(length)) if parts else " " * length


def test_broken_premises(folder):
    chance = random.Random(7)
    texts = [broken_text(chance) for _ in range(EACH)]
    assert len(set(texts)) > EACH / 2
    config = GenerationConfig(omega=0.5, max_new_tokens=3, batch_size=16)
    with open_llm(entry_for(str(folder)), device="cpu") as llm:
        made = list(generate((Premise(str(i), text) for i, text in enumerate(texts)), config, llm))
    assert sorted(int(item.premise.premise_id) for item in made) == list(range(EACH))
    outcomes = Counter(item.positive.outcome for item in made)
    assert sum(outcomes.values()) == EACH and {Outcome.TOO_LONG, Outcome.FAILED} < set(outcomes)


def damaged_bytes(data: bytes, chance: random.Random) -> bytes:
    how = chance.randrange(4)
    if how == 0:
        return data[: chance.randrange(len(data) + 1)]
    if how == 1:
        return b""
    garbled = bytearray(data)
    for _ in range(chance.choice([1, 10, 200])):
        garbled[chance.randrange(min(len(garbled), 4096))] = chance.randrange(256)
    return bytes(garbled) if how == 2 else data + bytes(chance.randrange(256) for _ in range(50))


def test_broken_model_folders(folder, tmp_path):
    """Half of the files: a folder with one file damaged, removed, or joined by one that does not belong there."""
    chance = random.Random(11)
    ends: Counter[str] = Counter()
    for number in range(EACH // 2):
        copy = tmp_path / str(number)
        shutil.copytree(folder, copy)
        victim = copy / chance.choice(["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
        if chance.random() < 0.15:
            victim.unlink()
        elif chance.random() < 0.1:
            (copy / "pytorch_model.bin").write_bytes(b"\x80\x02c__builtin__\nprint\n.")
            (copy / "model.safetensors").unlink()
        elif chance.random() < 0.1:
            config = json.loads((copy / "config.json").read_text())
            (copy / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
        else:
            victim.write_bytes(damaged_bytes(victim.read_bytes(), chance))
        ends[opened(copy)] += 1
        shutil.rmtree(copy)
    assert sum(ends.values()) == EACH // 2
    assert ends["refused"] > EACH // 5, ends


def opened(path: Path) -> str:
    """Return how a model ends: refused with one sentence, or answering each premise with an outcome."""
    try:
        llm = open_llm(entry_for(str(path)), device="cpu")
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 500
        return "refused"
    with llm:
        made = list(generate([Premise("0", "A dog runs.")], GenerationConfig(omega=0.0, max_new_tokens=2), llm))
    assert len(made) == 1
    return "answered"


CHILD = """
import sys
from collections import Counter
from pathlib import Path
sys.path.insert(0, {project!r})
from pipeline.records import InputError
from pipeline.generation.llms.registry import entry_for
from pipeline.generation.llms.loading import open_llm
for path in sorted(Path({folder!r}).glob("*.gguf")):
    try:
        open_llm(entry_for(str(path))).close()
        print("opened", flush=True)
    except InputError as error:
        print("refused" if "\\n" not in str(error) else "two lines", flush=True)
"""


def test_broken_gguf_files_in_a_process_of_their_own(tmp_path):
    """The other half: heads of a GGUF, cut and garbled. Native code reads them, so a child does, as a job would."""
    chance = random.Random(13)
    head = embedded_gguf().open("rb").read(300_000)
    for number in range(EACH // 2):
        (tmp_path / f"{number:02d}.gguf").write_bytes(damaged_bytes(head, chance))
    code = CHILD.format(project=str(PROJECT), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert Counter(done.stdout.split("\n")) == {"refused": EACH // 2, "": 1}


def broken_answer(chance: random.Random) -> Answer:
    how = chance.randrange(9)
    garbage = bytes(chance.randrange(256) for _ in range(chance.randrange(200)))
    if how == 0:
        return Answer(raw=garbage)
    if how == 1:
        return Answer(chance.choice([400, 408, 413, 422, 429, 500, 502, 503, 529]), raw=garbage)
    if how == 2:
        return Answer(body=chance.choice([None, 5, "text", [], {}, {"choices": None}, {"choices": [None]}]))
    if how == 3:
        return Answer(body={"choices": [{"text": chance.choice([None, 3, [], {}, "\ud800", ""])}], "usage": "none"})
    if how == 4:
        return Answer(body={"choices": [{"text": "cut"}]}, cut=True)
    if how == 5:
        return Answer(
            429, {"error": {"message": "x"}}, {"Retry-After": chance.choice(["0.01", "-1", "soon", "", "1e400"])}
        )
    if how == 6:
        return Answer(delay_s=0.6, body={"choices": [{"text": "late"}]})
    if how == 7:
        usage = {"prompt_tokens": chance.choice([-1, 10**30, "many", None, True]), "completion_tokens": 1.5}
        return Answer(body={"choices": [{"text": " All is well here."}], "usage": usage})
    return completion(" Something else entirely is said here.")


def test_broken_servers():
    chance = random.Random(17)
    premises = [Premise.from_text(f"Premise {i} about boat {i}.") for i in range(EACH)]

    def script(number, asked):
        # Two of three calls go wrong, never so often that the server is taken to be down.
        return broken_answer(chance) if number % 3 else completion(" Something else entirely is said here.")

    with serving(script) as server:
        entry = LLMEntry("far", "remote", server.url, model="m", api="completions", timeout_s=0.3, concurrency=8)
        llm = RemoteLLM(entry, patience=Patience(attempts=2, first_wait_s=0.001, longest_wait_s=0.05))
        made = list(generate(premises, GenerationConfig(omega=0.0), llm))
        llm.close()
    assert sorted(item.premise.text for item in made) == sorted(one.text for one in premises)
    outcomes = Counter(side.outcome for item in made for side in (item.positive, item.hard_negative))
    assert sum(outcomes.values()) == 2 * EACH
    assert outcomes[Outcome.OK] > EACH / 2 and outcomes[Outcome.FAILED] > 5, outcomes
    for item in made:
        for side in (item.positive, item.hard_negative):
            assert (side.outcome in (Outcome.FAILED, Outcome.TOO_LONG)) == bool(side.reason)
