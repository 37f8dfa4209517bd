"""The step of the engine in torch: one graph of few shapes, few waits for the device, and its number formats."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from test_engine_families import GREEDY, PREMISES, SAMPLED, folder_of, texts
from torch._dynamo.utils import counters

from pipeline.generation.contrast import TokenChoice
from pipeline.generation.engines.decoder import Packed, packed, product
from pipeline.generation.engines.engine import PREFIXES, Piece
from pipeline.generation.engines.step import Step
from pipeline.generation.engines.torch_llama import TorchLlama
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.token_choice import choose
from tests.references.host_work import HostWork

SAMPLING = TokenChoice(omega=0.5, temperature=0.8, top_p=0.9, min_p=0.01)
ROWS = 6


@pytest.fixture(scope="module", params=["llama", "gemma2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(request.param, tmp_path_factory.mktemp("step") / request.param)


@pytest.fixture
def engine(folder: Path) -> Iterator[TorchLlama]:
    with TorchLlama(folder, name="tiny", threads=1) as loaded:
        yield loaded


def opened(engine: TorchLlama) -> list[Piece]:
    """Open rows behind two prefixes of different lengths and return their prompts."""
    numbers = np.random.default_rng(0)
    prefixes = [numbers.integers(1000, 30_000, length).tolist() for length in (30, 21)]
    for row in range(ROWS):
        engine.share(engine.prefix(prefixes[row % 2]), PREFIXES + row)
    return [
        Piece(PREFIXES + row, len(prefixes[row % 2]), numbers.integers(1000, 30_000, 5 + row).tolist())
        for row in range(ROWS)
    ]


@torch.no_grad()
def test_step_and_choice_are_one_graph_each_for_prompts_and_for_tokens(engine):
    """fullgraph: whatever needed a value on the host, or a shape that depends on one, would be an error."""

    def computed(step: Step, draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = engine._logits(step)
        return choose(logits[0:ROWS:2], logits[1:ROWS:2], SAMPLING, draws), logits

    torch._dynamo.reset()
    counters.clear()
    compiled = torch.compile(computed, fullgraph=True, dynamic=False, backend="aot_eager")
    pieces, draws = opened(engine), torch.rand(ROWS // 2, dtype=torch.float64)
    for number in range(5):
        step = Step(engine._cache, pieces, grain=16)
        expected, logits = computed(step, draws)
        tokens, found = compiled(step, draws)
        torch.testing.assert_close(found, logits, atol=1e-5, rtol=1e-5)
        assert tokens.tolist() == expected.tolist()
        step.finish()
        pieces = [Piece(piece.sequence, piece.position + len(piece.tokens), [2000 + number]) for piece in pieces]
    assert counters["stats"]["unique_graphs"] == 2


@pytest.mark.parametrize("config", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_tokens_chosen_ahead_give_the_same_texts_with_one_wait_for_several(engine, config):
    """A GPU chooses four tokens of each reply before the host looks at them."""
    found, waits, copies = [], [], []
    for ahead in (1, 4):
        engine.ahead = ahead
        steps, logits = [], engine.logits
        engine.logits = lambda *given, made=logits, steps=steps: (steps.append(1), made(*given))[1]
        llm = GgufLLM(engine)
        texts(llm, config, PREMISES[:1])  # reads the shared prompts
        steps.clear()
        with HostWork() as work:
            found.append(texts(llm, config))
        del engine.logits
        waits.append(work.waits / len(steps))
        copies.append(work.copies / len(steps))
    assert found[0] == found[1]
    per_step = 1 if config.temperature == 0 else 2  # on a CPU a sampled choice asks how many tokens survive the cut
    assert waits[0] <= per_step
    assert waits[1] <= per_step - 1 + 1 / 4 + 0.01
    assert max(copies) <= 3, "the plan of the step, the rows of the logits, the draws"


def test_layers_in_bfloat16_are_near_those_in_float32(engine, folder):
    """A factor has eight bits: products err by some thousandths, and more than float32 ever would."""
    tokens = np.random.default_rng(3).integers(1000, 30_000, 40).tolist()
    piece = Piece(PREFIXES, 0, tokens, outputs=30)
    with TorchLlama(folder, name="rounded", threads=1, precision="bf16") as rounded:
        assert rounded.kind == "torch, bfloat16"
        found, expected = rounded.decode([piece]), engine.decode([piece])
    apart = np.abs(found - expected) / expected.std()
    assert 1e-4 < apart.mean() < 0.05
    assert found.dtype == np.float32
    assert len(np.unique(found[0])) > 0.9 * len(found[0]), "logits are not rounded to bfloat16, which would tie"


@pytest.mark.parametrize(
    ("number_format", "apart"), [(torch.float32, 1e-5), (torch.bfloat16, 0.01), (torch.float16, 0.001)]
)
@pytest.mark.parametrize("rows", [0, 1, 5, 200])
@pytest.mark.parametrize("biased", [False, True])
def test_packed_matrices_hold_the_same_values_and_give_the_same_products(number_format, apart, rows, biased):
    """oneDNN chooses its blocks for a number of rows; every other number has to be right all the same."""
    numbers = torch.Generator().manual_seed(0)
    matrix = torch.randn(70, 33, generator=numbers).to(number_format)
    bias = torch.randn(70, generator=numbers).to(number_format) if biased else None
    values = torch.randn(rows, 33, generator=numbers)
    blocks = packed(matrix, 124)
    if isinstance(blocks, Packed):
        assert torch.equal(blocks.blocks.to_dense(), matrix)
    expected = values.to(number_format).double() @ matrix.double().T + (0.0 if bias is None else bias.double())
    for found in (product(values, blocks, bias), product(values, matrix, bias)):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, atol=apart * 10, rtol=apart)


def test_the_cache_grows_rarely(engine):
    before = engine.allocations
    llm = GgufLLM(engine)
    texts(llm, GREEDY)
    grown = engine.allocations
    assert grown - before <= 2
    texts(llm, GREEDY)
    assert engine.allocations == grown
