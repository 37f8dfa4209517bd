"""The tokenizer of a GGUF file, as llama.cpp reads it: the same tokens whichever engine computes the logits."""

import ctypes
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import WeightsError


class TokenizeError(Exception):
    """llama.cpp needed more tokens for a text than the text can have."""


class Vocabulary:
    """Tokens and their texts. Borrows the model it is given; `of_file` loads the tokens alone and owns them."""

    def __init__(self, model: ctypes.c_void_p, *, owned: bool = False) -> None:
        self._model: ctypes.c_void_p | None = model if owned else None
        self._vocab = llama_cpp.llama_model_get_vocab(model)
        self.size: int = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self.ends = self._ends()

    @classmethod
    def of_file(cls, path: Path) -> "Vocabulary":
        """Read the tokens of a GGUF file without its weights; WeightsError when llama.cpp cannot."""
        logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)  # its callback prints every line otherwise
        settings = llama_cpp.llama_model_default_params()
        settings.vocab_only = True
        model = llama_cpp.llama_model_load_from_file(os.fsencode(path), settings)
        if not model:
            raise WeightsError(f"llama.cpp cannot read the tokens of {path}: the file is damaged.")
        return cls(model, owned=True)

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text; special tokens written in the text stay plain text."""
        data = text.encode("utf-8", errors="replace")
        room = len(data) + 8
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._vocab, data, len(data), tokens, room, False, False)
        if count < 0:
            raise TokenizeError(f"tokenizing needs {-count} tokens where {room} were expected")
        return list(tokens[:count])

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; bytes of a cut character become U+FFFD."""
        return b"".join(self._piece(token) for token in tokens).decode("utf-8", errors="replace")

    def close(self) -> None:
        """Free the tokens if they were loaded here; calling it twice is harmless."""
        if self._model is not None:
            llama_cpp.llama_model_free(self._model)
            self._model = None

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        length = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[: max(length, 0)]

    def _ends(self) -> NDArray[np.bool_]:
        """Return which tokens end a reply: the model's own end tokens and all that hold a line break."""
        return np.array(
            [
                llama_cpp.llama_vocab_is_eog(self._vocab, token) or b"\n" in self._piece(token)
                for token in range(self.size)
            ]
        )
