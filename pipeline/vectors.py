"""A cache of text vectors: one small database per encoder, looked up by text.

It is keyed by text and not by list of texts: a guide, a map and an evaluation use different lists that share most of
their texts, and each text is embedded only once. SQLite commits one chunk of texts at a time. A killed run therefore
keeps what it has embedded, and two processes can write at the same time. Reading 1,000,000 texts holds their vectors
and one chunk of rows in memory.
"""

import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from pipeline.records import StorageError

logger = logging.getLogger(__name__)

Route = Literal["", "query", "document"]
"""Any text, or one side of a search, which may have its own prompt and modules."""
Embed = Callable[[list[str]], np.ndarray]
"""Computes the vectors of texts, float32 (texts, d)."""
_CHUNK_TEXTS = 1024
_TIMES_ELSEWHERE = 16
"""A cluster gets so many chunks at once: all its workers wait for the last text of what they were given."""
_WAIT_S = 300
"""Longest wait in seconds for another process that is writing."""
_PROMPT_NAMES = {"": (), "query": ("query",), "document": ("document", "passage", "corpus")}
_NOT_OF_VECTORS = ("_name_or_path", "transformers_version")
"""Parts of a model's configuration that do not affect its vectors."""


def _ignore(done: int, total: int) -> None:
    pass


@dataclass(slots=True)
class CachedEncoder:
    """An encoder that computes the unit vector of each text once and shares it through a folder.

    It replaces a sentence-transformers encoder wherever cosines are needed. The encoder's weights and settings must
    not change while it is in use.
    """

    encoder: SentenceTransformer
    folder: Path | None
    """Cache folder for all encoders; None disables the cache."""
    on_texts: Callable[[int, int], None] = _ignore
    """Called before and after every chunk with the number of texts done and in all; may raise to stop."""
    elsewhere: Embed | None = None
    """Embeds texts without a prompt of their own in the encoder's place, for example on the nodes of a cluster."""
    computed: int = 0
    """Number of texts that were not cached and were computed by this object."""
    _identities: dict[tuple[Route, str], str] = field(default_factory=dict)

    def encode(
        self,
        sentences: Sequence[str],
        *,
        prompt: str | None = None,
        batch_size: int = 64,
        show_progress_bar: bool = False,
    ) -> np.ndarray:
        """Return unit vectors, float32 (sentences, d); a zero row stays zero.

        prompt: prefix of every text; None takes the encoder's default prompt.
        """
        if prompt is None and (embed := self.elsewhere):
            return self._vectors(sentences, self._store(""), lambda texts, **_: embed(texts))
        options: dict[str, Any] = {} if prompt is None else {"prompt": prompt}
        return self._vectors(
            sentences, self._store("", prompt), self.encoder.encode, batch_size=batch_size, **options
        )

    def encode_query(self, queries: Sequence[str], *, batch_size: int = 64, **_: Any) -> np.ndarray:
        """Return unit vectors of queries, float32 (queries, d), with the encoder's prompt and modules for them."""
        return self._vectors(queries, self._store("query"), self.encoder.encode_query, batch_size=batch_size)

    def encode_document(self, documents: Sequence[str], *, batch_size: int = 64, **_: Any) -> np.ndarray:
        """Return unit vectors of documents, float32 (documents, d); see `encode_query`."""
        return self._vectors(documents, self._store("document"), self.encoder.encode_document, batch_size=batch_size)

    def _vectors(
        self, texts: Sequence[str], path: Path | None, encode: Callable[..., Any], **options: Any
    ) -> np.ndarray:
        row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        unique = list(row_of)
        dimension = self.encoder.get_embedding_dimension() or len(self.encoder.encode("", show_progress_bar=False))
        unit_ud = np.zeros((len(unique), dimension), dtype=np.float32)
        compute = partial(self._compute, unique, unit_ud, partial(encode, show_progress_bar=False, **options))
        if path is None:
            compute(range(len(unique)), lambda rows: None)
        else:
            try:
                _fill(path, unique, unit_ud, compute)
            except sqlite3.OperationalError as error:
                raise StorageError(
                    f"The vectors in {path.parent} cannot be used ({error}): free space, or delete the folder."
                ) from error
        return unit_ud if len(unique) == len(texts) else unit_ud[[row_of[text] for text in texts]]

    def _compute(
        self,
        texts: list[str],
        unit_ud: np.ndarray,
        encode: Callable[[list[str]], Any],
        missing: Sequence[int],
        keep: Callable[[list[int]], None],
    ) -> None:
        """Embed the texts of the missing rows into unit_ud, float32 (texts, d); each finished chunk is stored."""
        # Longest first: little padding per batch, and a lack of memory shows at once.
        order = sorted(missing, key=lambda row: len(texts[row]), reverse=True)
        size = _CHUNK_TEXTS * (_TIMES_ELSEWHERE if self.elsewhere else 1)
        for start in range(0, len(order), size):
            self.on_texts(len(texts) - len(order) + start, len(texts))
            rows = order[start : start + size]
            vectors = np.asarray(encode([texts[row] for row in rows]), dtype=np.float32)
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            unit_ud[rows] = vectors / np.where(lengths > 0, lengths, 1.0)
            keep(rows)
            self.computed += len(rows)
        self.on_texts(len(texts), len(texts))

    def _store(self, route: Route, prompt: str | None = None) -> Path | None:
        if self.folder is None:
            return None
        prompt = _prompt(self.encoder, route) if prompt is None else prompt
        if not any(type(module).__name__ == "Router" for module in self.encoder):
            route = ""  # only the prompt distinguishes queries from documents
        if (route, prompt) not in self._identities:
            self._identities[route, prompt] = encoder_identity(self.encoder, route, prompt)
        return self.folder / f"{self._identities[route, prompt]}.sqlite"


@dataclass(slots=True)
class CorpusVectors:
    """Unit vectors of distinct texts, looked up by text."""

    texts: list[str]
    unit_ud: np.ndarray
    """float32 (texts, d), rows of length one."""
    computed: int
    """How many of them were not cached."""
    _row: dict[str, int] | None = None

    def __call__(self, sentences: Sequence[str]) -> np.ndarray:
        """Return float32 (len(sentences), d)."""
        if self._row is None:
            self._row = {text: row for row, text in enumerate(self.texts)}
        return self.unit_ud[[self._row[sentence] for sentence in sentences]]


def corpus_vectors(
    texts: Iterable[str],
    encoder: SentenceTransformer,
    *,
    cache: Path | None,
    batch_size: int = 64,
    on_texts: Callable[[int, int], None] = _ignore,
    elsewhere: Embed | None = None,
) -> CorpusVectors:
    """Return the vectors of a corpus's distinct texts, computing those that `cache` lacks.

    `on_texts` is called before and after every chunk with the number of texts done and in all; it may raise.
    `elsewhere` computes in the encoder's place.
    """
    cached, unique = CachedEncoder(encoder, cache, on_texts, elsewhere), list(dict.fromkeys(texts))
    return CorpusVectors(unique, cached.encode(unique, batch_size=batch_size), cached.computed)


def encoder_identity(encoder: SentenceTransformer, route: Route = "", prompt: str | None = None) -> str:
    """Return 32 hex digits over everything except the text that determines an encoder's vectors.

    That is the weights with their dtypes, each module's configuration, the tokenizer, the maximum length, the
    dimensions kept, and the prompts. Where the encoder was loaded from does not count.
    """
    about = {
        "modules": [
            [name, f"{type(module).__module__}.{type(module).__qualname__}", _configurations(module)]
            for name, module in encoder.named_children()
        ],
        "tokenizers": [_tokenizer(module.tokenizer) for module in encoder if hasattr(module, "tokenizer")],
        "max_seq_length": encoder.max_seq_length,
        "truncate_dim": encoder.truncate_dim,
        "prompts": encoder.prompts,
        "default_prompt_name": encoder.default_prompt_name,
        "prompt": _prompt(encoder, route) if prompt is None else prompt,
        "route": route,
    }
    digest = blake2b(json.dumps(about, sort_keys=True, default=str).encode(), digest_size=16)
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _configurations(module: Any) -> list[Any]:
    """Return a module's own configuration and that of every model inside it."""
    found = [module.get_config_dict()] if hasattr(module, "get_config_dict") else []
    models = {id(part.config): part.config for part in module.modules() if hasattr(part, "config")}
    for config in models.values():
        if hasattr(config, "to_dict"):
            found.append({name: value for name, value in config.to_dict().items() if name not in _NOT_OF_VECTORS})
    return found


def _tokenizer(tokenizer: Any) -> Any:
    """Return everything that determines a text's tokens."""
    if hasattr(tokenizer, "to_str"):  # a tokenizer of the `tokenizers` library; its truncation belongs to it
        return json.loads(tokenizer.to_str())
    names = ("padding_side", "truncation_side", "model_max_length", "special_tokens_map", "do_lower_case")
    about = {name: getattr(tokenizer, name, None) for name in names}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return [type(tokenizer).__name__, about, sorted(tokenizer.get_vocab().items()), tokenizer.init_kwargs]
    # Truncation and padding are set by every call.
    rules = {
        name: rule for name, rule in json.loads(backend.to_str()).items() if name not in ("truncation", "padding")
    }
    return [about, rules]


def _prompt(encoder: Any, route: Route) -> str:
    """Return the prefix that sentence-transformers gives every text of this kind."""
    prompts = encoder.prompts or {}
    names = [name for name in _PROMPT_NAMES[route] if name in prompts]
    name = names[0] if names else encoder.default_prompt_name
    return (prompts.get(name) or "") if name else ""


def _fill(path: Path, texts: list[str], unit_ud: np.ndarray, compute: Callable[..., None]) -> None:
    """Read cached vectors into unit_ud, compute and store the others; a damaged database is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT_S)) as store:
            store.execute("CREATE TABLE IF NOT EXISTS vectors (text BLOB PRIMARY KEY, unit BLOB NOT NULL)")
            compute(list(_read(store, texts, unit_ud)), partial(_add, store, texts, unit_ud))
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:  # a subclass such as OperationalError (full disk) is not damage
            raise
        logger.warning("%s is damaged (%s); its texts are embedded again", path, error)
        for file in (path, path.with_name(f"{path.name}-journal")):
            file.unlink(missing_ok=True)
        _fill(path, texts, unit_ud, compute)


def _read(store: sqlite3.Connection, texts: list[str], unit_ud: np.ndarray) -> Iterator[int]:
    """Copy cached vectors into unit_ud; yield the rows of the texts without one."""
    for start in range(0, len(texts), _CHUNK_TEXTS):
        keys = [_key(text) for text in texts[start : start + _CHUNK_TEXTS]]
        marks = ",".join("?" * len(keys))
        found = dict(store.execute(f"SELECT text, unit FROM vectors WHERE text IN ({marks})", keys))
        for row, key in enumerate(keys, start):
            vector = np.frombuffer(found.get(key, b""), dtype=np.float32)
            if len(vector) == unit_ud.shape[1]:
                unit_ud[row] = vector
            else:
                yield row


def _add(store: sqlite3.Connection, texts: list[str], unit_ud: np.ndarray, rows: list[int]) -> None:
    with store:  # a transaction: all of a chunk or nothing
        store.executemany(
            "INSERT OR REPLACE INTO vectors VALUES (?, ?)",
            [(_key(texts[row]), unit_ud[row].tobytes()) for row in rows],
        )


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
