"""Batches of triplets for the trainer: a seeded order and columns ready for the encoder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import BatchSampler

from pipeline.records import Triplet
from pipeline.training.encoders import is_static

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_COLUMNS = ("anchor", "positive", "negative")
Features = dict[str, torch.Tensor]


class StepSampler(BatchSampler):
    """Exactly `steps` batches of row numbers, as one long epoch; the order follows from the seed alone.

    Every pass over the rows is a fresh shuffle. Rows left over at its end open the next batch and come last in the
    next pass: every batch has the same number of negatives, every row its turn, and no batch a row twice.
    As a function of the seed, the order after a resume is that of a run that was never stopped.
    With fewer rows than batch_size, a batch is all rows.
    """

    def __init__(self, rows: int, *, batch_size: int, steps: int, seed: int) -> None:
        if rows < 1:
            raise ValueError(f"rows must be at least 1, got {rows}")
        self.rows, self.steps, self.seed = rows, steps, seed
        self.batch_size, self.drop_last = min(batch_size, rows), True

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng(self.seed)
        waiting = np.empty(0, dtype=np.int64)
        for _ in range(self.steps):
            if len(waiting) < self.batch_size:
                shuffled = generator.permutation(self.rows)
                is_waiting = np.isin(shuffled, waiting)
                waiting = np.concatenate([waiting, shuffled[~is_waiting], shuffled[is_waiting]])
            yield waiting[: self.batch_size].tolist()
            waiting = waiting[self.batch_size :]


class TextColumns:
    """Tokenises the texts of a batch each time: a small part of a step for a transformer."""

    def __init__(self, encoder: "SentenceTransformer", columns: Sequence[Sequence[str]], max_seq_length: int) -> None:
        self.encoder, self.columns, self.max_seq_length = encoder, columns, max_seq_length

    def __call__(self, column: int, rows: Sequence[int]) -> Features:
        """Return the encoder's input for these rows of a column."""
        texts = [self.columns[column][row] for row in rows]
        return self.encoder.preprocess(texts, max_length=self.max_seq_length)


class TokenBags:
    """Token ids of every text, made once: a static encoder's step is shorter than tokenising its batch."""

    def __init__(self, encoder: "SentenceTransformer", columns: Sequence[Sequence[str]], max_seq_length: int) -> None:
        tokenizer: Any = encoder[0].tokenizer
        self.bags = [
            [
                np.array(encoding.ids[:max_seq_length], dtype=np.int64)
                for encoding in tokenizer.encode_batch(list(column), add_special_tokens=False)
            ]
            for column in columns
        ]

    def __call__(self, column: int, rows: Sequence[int]) -> Features:
        """Return the ids of all rows in one array and where each row starts, as StaticEmbedding takes them."""
        bags = [self.bags[column][row] for row in rows]
        starts = np.cumsum([0] + [len(bag) for bag in bags[:-1]])
        return {"input_ids": torch.from_numpy(np.concatenate(bags)), "offsets": torch.from_numpy(starts)}


@dataclass
class RowCollator:
    """Turns row numbers into the encoder's input for the three columns, and passes the row numbers on as labels.

    The loss finds the guide's vectors by these labels.
    """

    columns: TextColumns | TokenBags
    valid_label_columns: list[str] = field(default_factory=lambda: ["label"])

    @classmethod
    def of(cls, encoder: "SentenceTransformer", triplets: Sequence[Triplet], max_seq_length: int) -> "RowCollator":
        """Choose the way of tokenising that suits the encoder."""
        texts = [[t.premise for t in triplets], [t.positive for t in triplets], [t.hard_negative for t in triplets]]
        kind = TokenBags if is_static(encoder) else TextColumns
        return cls(kind(encoder, texts, max_seq_length))

    def __call__(self, items: Sequence[dict[str, int]]) -> dict[str, Any]:
        """Collate one batch."""
        rows = [item["label"] for item in items]
        batch: dict[str, Any] = {"label": torch.tensor(rows)}
        for number, name in enumerate(_COLUMNS):
            batch |= {f"{name}_{key}": value for key, value in self.columns(number, rows).items()}
        return batch
