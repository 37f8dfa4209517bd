"""Where a reply is cut: at its longest, with a thought in front of it counted by itself."""

from collections.abc import Sequence
from typing import Protocol

from pipeline.config import GenerationConfig
from pipeline.generation.clean_up import without_reasoning
from pipeline.generation.forms import Form, Spelling
from pipeline.generation.prompts import FewShot


class Spoken(Spelling, Protocol):
    """What turns texts into tokens and back."""

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        ...


class ReplyLimit:
    """The limit of one run: max_new_tokens of a reply, and before it reasoning_tokens of a thought."""

    def __init__(self, config: GenerationConfig, form: Form, spoken: Spoken) -> None:
        self._reply = config.max_new_tokens
        self._thought = config.reasoning_tokens if form.thinks else 0
        self._opening = form.began(FewShot(""))
        self._spoken = spoken
        self.longest = self._reply + self._thought
        """Most tokens that are ever written."""

    def is_reached(self, tokens: Sequence[int]) -> bool:
        """Whether nothing more is written after these tokens; an unfinished thought ends where its budget does."""
        if len(tokens) < self._reply:
            return False
        if not self._thought or len(tokens) >= self.longest:
            return True
        said, is_open = without_reasoning(self._opening + self._spoken.detokenize(tokens))
        return len(tokens) >= self._thought if is_open else len(self._spoken.tokenize(said)) >= self._reply
