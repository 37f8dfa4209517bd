"""Batches of texts for the trainer: tokenised once, sorted by length, cut into chunks of little padding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import BatchSampler

from pipeline.encoders import is_static
from pipeline.records import Triplet
from pipeline.train_config import TrainConfig
from pipeline.training.guide import unique_texts
from pipeline.training.order import batches, columns_of, distinct_batches, has_repeated_texts, in_rows

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


Features = dict[str, torch.Tensor]

_CHUNKS = 8
"""Sorted captions in one chunk are 2.4 times their tokens once padded, in four 1.3, in eight 1.15."""
_SMALLEST_CHUNK = 16
_DELETED_SHARE = 0.1
_TEXTS_AT_ONCE = 4096
_DESCRIBED_ROWS = 32


class StepSampler(BatchSampler):
    """The batches of a run as one long epoch of a dataloader; of several processes, each batch in as many parts.

    As a function of data and seed, the order after a resume is that of a run that was never stopped.

    Args:
        rows: triplets of the training set.
        batch_size: triplets per step, over all processes.
        steps: optimizer steps.
        seed: of the shuffling.
        texts_nc: int64 (rows, columns), numbers of the rows' texts, where no batch may hold one twice; see
            `order.distinct_batches`.
        processes: that share a batch, in parts of equal size that follow each other.
    """

    def __init__(
        self,
        rows: int,
        *,
        batch_size: int,
        steps: int,
        seed: int,
        texts_nc: np.ndarray | None = None,
        processes: int = 1,
    ) -> None:
        self.rows, self.steps, self.seed, self.texts_nc, self.processes = rows, steps, seed, texts_nc, processes
        self.full_size = min(batch_size, rows)
        # accelerate drops batches of another size than the sampler's; without one it takes them as they come.
        self.batch_size, self.drop_last = None, True  # type: ignore[assignment]

    @classmethod
    def of(cls, triplets: Sequence[Triplet], config: TrainConfig, *, processes: int = 1) -> "StepSampler":
        """Make the sampler of a run; texts matter only where batches are to be distinct and some texts are equal."""
        texts_nc, rows = None, len(triplets)
        if config.distinct_batches or config.hard_negatives_per_row > 1:
            _, found_nc = unique_texts(
                triplets, columns=columns_of(config.positives), per_row=config.hard_negatives_per_row
            )
            rows = len(found_nc)
            texts_nc = found_nc if config.distinct_batches and has_repeated_texts(found_nc) else None
        return cls(
            rows,
            batch_size=config.batch_size,
            steps=config.steps,
            seed=config.seed,
            texts_nc=texts_nc,
            processes=processes,
        )

    def __len__(self) -> int:
        return self.steps * self.processes

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches():
            yield from (part.tolist() for part in np.split(batch, self.processes))

    def smaller_batches(self) -> int:
        """Count the batches that stay below batch_size because the other rows repeat a text."""
        if self.texts_nc is None:
            return 0
        return sum(len(batch) < self.full_size for batch in self._batches())

    def _batches(self) -> Iterator[np.ndarray]:
        if self.texts_nc is None:
            return batches(self.rows, batch_size=self.full_size, steps=self.steps, seed=self.seed)
        return distinct_batches(
            self.texts_nc, batch_size=self.full_size, steps=self.steps, seed=self.seed, multiple_of=self.processes
        )


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Token ids of many texts, made once: for a short text tokenising takes longer than a step has time."""

    ids: np.ndarray
    """int64 (tokens,), the texts one after the other."""
    starts: np.ndarray
    """int64 (texts + 1,)."""
    prompt_tokens: int = 0
    """Tokens at the start of every text that belong to the encoder's prompt, a [CLS] token included."""

    @classmethod
    def of(cls, encoder: "SentenceTransformer", texts: Sequence[str], max_seq_length: int) -> "TokenTable":
        """Tokenise what `encode` would: with the default prompt, cut at max_seq_length or where the encoder cuts."""
        prompt = encoder._resolve_prompt(None, None)
        tokenizer: Any = encoder.tokenizer
        longest = int(min(max_seq_length, encoder.max_seq_length or max_seq_length))
        ids, lengths, prompt_tokens = [], [np.zeros(1, dtype=np.int64)], 0
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = list(texts[start : start + _TEXTS_AT_ONCE])
            if is_static(encoder):
                part = [f"{prompt or ''}{text}" for text in part]
                bags = [bag.ids[:longest] for bag in tokenizer.encode_batch(part, add_special_tokens=False)]
                ids.append(np.fromiter((token for bag in bags for token in bag), np.int64))
                lengths.append(np.array([len(bag) for bag in bags], dtype=np.int64))
            else:
                made: Any = encoder.preprocess(part, prompt=prompt, max_length=longest)
                mask = made["attention_mask"].bool()
                ids.append(made["input_ids"][mask].numpy())
                lengths.append(mask.sum(dim=1).numpy())
                prompt_tokens = made.get("prompt_length") or 0
        if prompt and is_static(encoder):
            prompt_tokens = len(tokenizer.encode(prompt, add_special_tokens=False).ids)
        return cls(np.concatenate(ids), np.cumsum(np.concatenate(lengths)), prompt_tokens)

    def lengths(self, texts: np.ndarray) -> np.ndarray:
        """Return the number of tokens of these texts."""
        return self.starts[texts + 1] - self.starts[texts]

    def gather(self, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of these texts in one array, and the number of tokens of each."""
        lengths = self.lengths(texts)
        inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self.ids[np.repeat(self.starts[texts], lengths) + inside], lengths


@dataclass
class ChunkCollator:
    """Turns row numbers into chunks of the encoder's input, and passes the row numbers on as labels.

    The texts of a batch, all premises, then all positives, then all hard negatives row by row, are sorted by length
    and cut into chunks, so that a short text is not padded to the longest of its batch. `position` says where a
    chunk's texts belong in that order. A row with fewer hard negatives than others has no text in their place.
    """

    tokens: TokenTable
    """Of every different text."""
    rows_nc: np.ndarray
    """int64 (rows, columns): the texts of each row, -1 where it has fewer; see `guide.unique_texts`."""
    bags: bool
    """Whether the encoder takes bags of tokens (a static encoder) in place of padded rows."""
    pad: Features = field(default_factory=dict)
    """Names of the inputs of a transformer and the value each is padded with."""
    chunk_size: int = 0
    """Texts per chunk; 0 makes a few chunks of the batch."""
    deleted_share: float = 0.0
    """Share of the tokens left out at random, of every text by itself."""
    kept_ids: tuple[int, ...] = ()
    """Tokens that are never left out."""
    seed: int = 0
    valid_label_columns: list[str] = field(default_factory=lambda: ["label"])

    @classmethod
    def of(cls, encoder: "SentenceTransformer", triplets: Sequence[Triplet], config: TrainConfig) -> "ChunkCollator":
        """Tokenise a training set for an encoder."""
        static = is_static(encoder)
        texts, rows_nc = unique_texts(
            triplets, columns=columns_of(config.positives), per_row=config.hard_negatives_per_row
        )
        return cls(
            tokens=TokenTable.of(encoder, texts, config.max_seq_length),
            rows_nc=rows_nc,
            bags=static,
            pad={} if static else _padding(encoder),
            chunk_size=config.mini_batch_size,
            deleted_share=_DELETED_SHARE if config.positives == "word_deletion" else 0.0,
            kept_ids=() if static else tuple(encoder.tokenizer.all_special_ids),
            seed=config.seed,
        )

    def __call__(self, items: Sequence[dict[str, int]]) -> dict[str, torch.Tensor]:
        """Collate one batch."""
        rows = np.array([item["label"] for item in items])
        texts_nc = self.rows_nc[rows]
        hard = texts_nc[:, 2:]
        texts = np.concatenate([texts_nc[:, 0], texts_nc[:, 1], hard[hard >= 0]])
        order = np.argsort(-self.tokens.lengths(texts), kind="stable")
        generator = np.random.default_rng([self.seed, *rows]) if self.deleted_share else None
        batch: dict[str, torch.Tensor] = {"label": torch.from_numpy(rows)}
        size = self.chunk_size or (len(texts) if self.bags else max(_SMALLEST_CHUNK, -(-len(texts) // _CHUNKS)))
        for number, start in enumerate(range(0, len(order), size)):
            position = order[start : start + size]
            features = self._features(texts[position], generator)
            features["position"] = torch.from_numpy(position)
            batch |= {f"chunk{number}_{name}": value for name, value in features.items()}
        return batch

    def _features(self, texts: np.ndarray, generator: np.random.Generator | None) -> Features:
        ids, lengths = self.tokens.gather(texts)
        if generator is not None:
            ids, lengths = self._thinned(ids, lengths, generator)
        if self.bags:
            offsets = np.cumsum(lengths) - lengths
            return {"input_ids": torch.from_numpy(ids), "offsets": torch.from_numpy(offsets)}
        filled = torch.from_numpy(np.arange(lengths.max(initial=1)) < lengths[:, None])
        features = {name: value.expand(filled.shape).clone() for name, value in self.pad.items()}
        features["input_ids"][filled] = torch.from_numpy(ids)
        features["attention_mask"] = filled.long()
        if self.tokens.prompt_tokens:  # pooling may leave the prompt out
            features["prompt_length"] = torch.full((len(lengths),), self.tokens.prompt_tokens)
        return features

    def _thinned(
        self, ids: np.ndarray, lengths: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Leave tokens out at random, but never the last one of a text, nor one of the prompt."""
        text = np.repeat(np.arange(len(lengths)), lengths)
        draw = generator.random(len(ids))
        lowest = np.full(len(lengths), np.inf)
        np.minimum.at(lowest, text, draw)
        stays = (draw < 1 - self.deleted_share) | (draw == lowest[text]) | np.isin(ids, self.kept_ids)
        stays |= np.arange(len(ids)) - (np.cumsum(lengths) - lengths)[text] < self.tokens.prompt_tokens
        return ids[stays], np.bincount(text[stays], minlength=len(lengths))


def _padding(encoder: "SentenceTransformer") -> Features:
    """Return what a transformer's inputs are padded with, as one number each."""
    tokenizer: Any = encoder.tokenizer
    names = {"input_ids": tokenizer.pad_token_id, "attention_mask": 0}
    if "token_type_ids" in tokenizer.model_input_names:
        names["token_type_ids"] = 0
    return {name: torch.tensor([[value]]) for name, value in names.items()}


def first_batch(
    triplets: Sequence[Triplet],
    rows: Sequence[int],
    config: TrainConfig,
    guide_nm: np.ndarray | None,
    *,
    phi: float | None = None,
) -> list[dict[str, Any]]:
    """Describe the first rows of a batch, JSON values.

    Args:
        triplets: the training set.
        rows: row numbers of the batch, in its order.
        config: settings of the run.
        guide_nm: float (N, M), guide cosines of premise i with [positives | hard negatives row by row]; None without
            a guide.
        phi: the threshold as a cosine, where the settings give it in another unit.
    """
    every = in_rows(triplets, config.hard_negatives_per_row)
    batch = [every[row] for row in rows]
    candidates = [row[0].positive for row in batch] + [triplet.hard_negative for row in batch for triplet in row]
    owners = np.repeat(np.arange(len(batch)), [len(row) for row in batch])
    described = []
    for place, row in enumerate(rows[:_DESCRIBED_ROWS]):
        item: dict[str, Any] = {
            "row": int(row),
            "premise": batch[place][0].premise,
            "positive": batch[place][0].positive,
            "hard_negative": "\n".join(triplet.hard_negative for triplet in batch[place]),
        }
        if guide_nm is not None:
            own_hard = len(batch) + np.flatnonzero(owners == place)
            threshold = config.mask_threshold if phi is None else phi
            item |= _guided(guide_nm[place], place, own_hard, config, threshold)
            item["nearest"] = candidates[item.pop("nearest_candidate")]
        described.append(item)
    return described


def _guided(
    cosine_m: np.ndarray, place: int, own_hard: np.ndarray, config: TrainConfig, phi: float
) -> dict[str, Any]:
    """Cosines of a row with its own texts and its nearest other candidate, and how many candidates are masked.

    own_hard: the columns of its own hard negatives; the nearest to the premise is the one that is told.
    """
    own = float(cosine_m[place])
    margin = config.mask_threshold
    threshold = {
        "none": np.inf,
        "gist_absolute": own - margin,
        "gist_relative": own - abs(own) * margin,
    }.get(config.mask_rule, phi)
    masked_m = cosine_m > threshold
    masked_m[place] = False
    if config.protect_own_hard_negative:
        masked_m[own_hard] = False
    others = cosine_m.copy()
    others[[place, *own_hard]] = -np.inf
    nearest = int(np.argmax(others))
    return {
        "cos_positive": own,
        "cos_hard_negative": float(cosine_m[own_hard].max()),
        "own_masked": bool(masked_m[own_hard].any()),
        "masked": int(masked_m.sum()),
        "cos_nearest": float(others[nearest]) if np.isfinite(others[nearest]) else None,
        "nearest_candidate": nearest,
    }
