"""Stage 1: from premises to triplets, every premise with exactly one outcome per side."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pipeline.config import GenerationConfig
from pipeline.errors import InputError
from pipeline.generation.contrast import TokenChoice
from pipeline.generation.llama import WINDOW, LlamaLLM
from pipeline.generation.lockstep import Lockstep, RawReply, Request
from pipeline.generation.outcomes import classify
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.prompts import PromptSet
from pipeline.records import Contrast, GeneratedTriplet, Outcome, Premise, Side, SideResult, text_id
from pipeline.weights import fast_gguf

EMBEDDED = "smollm2-135m"
"""Name of the LLM that comes with the installation."""
_LONGEST_TOKEN_BYTES = 32


def never() -> bool:
    """Answer that nobody asked to stop."""
    return False


def load_llm(name_or_path: str, *, cache: Path | None = None, threads: int | None = None) -> LlamaLLM:
    """Load the embedded LLM by name or any decoder from a GGUF file; close it after use.

    cache: folder for the faster copy of the embedded weights; threads: cores to use, None for all. Raises
    WeightsError if the weights are missing, damaged or of another kind, InputError for an unknown name.
    """
    if name_or_path == EMBEDDED:
        return LlamaLLM(fast_gguf(cache), name=EMBEDDED, threads=threads)
    path = Path(name_or_path).expanduser()
    if path.suffix.lower() != ".gguf" and not path.exists():
        raise InputError(f"There is no LLM {name_or_path!r}: name {EMBEDDED} or the path of a GGUF file.")
    return LlamaLLM(path, name=path.stem, threads=threads)


def generate(
    premises: Iterable[Premise],
    config: GenerationConfig,
    llm: LlamaLLM,
    *,
    prompts: PromptSet | None = None,
    should_stop: Callable[[], bool] = never,
) -> Iterator[GeneratedTriplet]:
    """Yield a positive and a hard negative for each premise, in the order in which they are finished.

    Premises are drawn from the iterable as room appears in the batch. Each is yielded exactly once, whatever it
    holds; only a stop (asked for between two tokens) leaves premises out. `prompts` are used instead of the shipped
    set that the config names. InputError for an unknown prompt set.
    """
    return _Run(config, llm, prompts or prompt_set(config.prompt_set)).triplets(iter(premises), should_stop)


class _Run:
    """One call of generate: the premises in flight and what is already known of each."""

    def __init__(self, config: GenerationConfig, llm: LlamaLLM, prompts: PromptSet) -> None:
        self._config = config
        self._llm = llm
        self._prompts = prompts
        own = {str(side): prompts.own(side) for side in Side}
        self._by_key = prompts.by_key() if config.omega > 0 else own
        how = TokenChoice(config.omega, config.plausibility, config.temperature, config.top_p)
        prefixes = {key: llm.tokenize(prompt.prefix()) for key, prompt in self._by_key.items()}
        self._lockstep = Lockstep(
            llm,
            prefixes,
            how,
            slots=config.batch_size,
            max_new_tokens=config.max_new_tokens,
            opposites={side: prompts.opposite_key(side) for side in Side},
        )
        self._contrast = Contrast.TOKEN if config.omega > 0 else Contrast.NONE
        self._premises: dict[int, Premise] = {}
        self._sides: dict[int, dict[Side, SideResult]] = {}
        self._unfit: deque[GeneratedTriplet] = deque()

    def triplets(self, premises: Iterator[Premise], should_stop: Callable[[], bool]) -> Iterator[GeneratedTriplet]:
        for reply in self._lockstep.run(self._requests(premises), should_stop):
            yield from self._flush()
            sides = self._sides[reply.key]
            sides[reply.side] = self._result(reply)
            if len(sides) == len(Side):
                del self._sides[reply.key]
                premise = self._premises.pop(reply.key)
                yield GeneratedTriplet(premise, sides[Side.POSITIVE], sides[Side.HARD_NEGATIVE], self._contrast)
        yield from self._flush()

    def _requests(self, premises: Iterator[Premise]) -> Iterator[Request]:
        for key, premise in enumerate(premises):
            request = self._request(key, premise)
            if isinstance(request, Outcome):
                failed = SideResult(text="", raw="", outcome=request)
                self._unfit.append(GeneratedTriplet(premise, failed, failed, self._contrast))
                continue
            self._premises[key], self._sides[key] = premise, {}
            yield request

    def _request(self, key: int, premise: Premise) -> Request | Outcome:
        """Return the request for a premise, or the outcome of one that cannot be asked about."""
        if not premise.text.strip():
            return Outcome.FAILED
        if len(premise.text) > WINDOW * _LONGEST_TOKEN_BYTES:
            return Outcome.TOO_LONG  # not worth tokenizing: a pasted book, or a line of megabytes
        tails = {key: self._llm.tokenize(prompt.tail(premise.text)) for key, prompt in self._by_key.items()}
        # The seed depends on the premise, not on its place, so that resumed and reordered runs draw the same.
        request = Request(key, tails, seed=_seed(self._config.seed, premise))
        return request if self._lockstep.fits(request) else Outcome.TOO_LONG

    def _result(self, reply: RawReply) -> SideResult:
        raw = self._llm.detokenize(reply.tokens)
        if reply.problem is not None:
            return SideResult(text="", raw=raw, outcome=reply.problem, tokens=len(reply.tokens))
        premise = self._premises[reply.key].text
        return classify(raw, premise, reply.side, self._prompts, cut=reply.cut, tokens=len(reply.tokens))

    def _flush(self) -> Iterator[GeneratedTriplet]:
        while self._unfit:
            yield self._unfit.popleft()


def _seed(seed: int, premise: Premise) -> int:
    printable = premise.text.encode("utf-8", errors="replace").decode()
    return int(text_id(f"{seed}\n{printable}"), 16)
