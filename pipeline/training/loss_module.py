"""The loss as the trainer calls it: chunks of texts in, one number out, with what a step reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline.training import distributed
from pipeline.training.guide import GuideTable
from pipeline.training.losses import LossSettings, contrastive_loss, mask_counts

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What is told about a batch; shares are of the candidates of their kind."""

    loss: float
    info_nce: float
    """InfoNCE over all candidates, masked or not: comparable between mask rules."""
    masked_positives: float
    masked_hard_negatives: float
    masked_own: float
    masked_share: float
    rows: int
    """Of the whole batch."""


class GuideMaskedLoss(nn.Module):
    """`contrastive_loss` over a batch: encodes its chunks and looks the guide up by row number.

    With `head` (CLS pooling) a Linear+Tanh layer stands between encoder and loss; it belongs to this module and not
    to the encoder, so it is trained and then left behind, as in SimCSE's mlp_only_train.

    With `cached` the activations of a chunk are thrown away after its forward pass and made again, with the same
    dropout, when its gradient is due: memory is that of one chunk, the negatives are those of the whole batch.

    With several processes each encodes its share of the batch, and every premise sees the candidates of all.
    """

    def __init__(
        self,
        model: "SentenceTransformer",
        settings: LossSettings,
        guide: GuideTable | None,
        *,
        columns: int = 3,
        head: bool = False,
        cached: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.guide = guide
        self.columns = columns
        self.cached = cached
        width = model.get_embedding_dimension() or 0
        self.head = nn.Sequential(nn.Linear(width, width), nn.Tanh()) if head else nn.Identity()
        self._last: Tensor | None = None
        self._rows = 0

    def forward(self, features: Sequence[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Return the loss of a batch; `labels` are row numbers of the training set, int64 (n,)."""
        anchor_nd, *candidates = self.vectors(features).chunk(self.columns)
        positive_nd, *hard = [distributed.gathered(column) for column in candidates]
        guide_nm = None
        if self.guide is not None and self.settings.mask_rule != "none":
            guide_nm = self.guide.cosines(labels, distributed.gathered(labels))
        batch = contrastive_loss(
            anchor_nd,
            positive_nd,
            hard[0] if hard else None,
            guide_nm,
            self.settings,
            first_row=distributed.rank() * len(labels),
        )
        counts = mask_counts(batch.mask_nm, first_row=distributed.rank() * len(labels), columns=self.columns - 1)
        values = torch.stack([batch.loss.detach(), batch.info_nce, *counts.to(batch.loss.dtype)])
        self._last, self._rows = distributed.summed(values), len(positive_nd)
        return batch.loss

    def vectors(self, features: Sequence[dict[str, Tensor]]) -> Tensor:
        """Return the vectors of all texts of a batch, columns one after the other: float (columns * n, d)."""
        parts = [
            checkpoint(self._encode, c, use_reentrant=False) if self.cached else self._encode(c) for c in features
        ]
        position = torch.cat([chunk["position"] for chunk in features])
        return self.head(torch.cat(parts)[position.argsort()])

    def report(self) -> BatchReport:
        """Return what is told about the last batch; waits for the device."""
        if self._last is None:
            raise RuntimeError("a step ended before the loss was computed")
        loss, info_nce, positives, hard, own = self._last.tolist()
        rows, has_hard = self._rows, self.columns == 3
        pairs = max(rows * (rows - 1), 1)
        candidates = rows * (rows - 1) + has_hard * rows * rows
        return BatchReport(
            loss=loss / distributed.processes(),
            info_nce=info_nce / distributed.processes(),
            masked_positives=positives / pairs,
            masked_hard_negatives=hard / pairs,
            masked_own=own / rows,
            masked_share=(positives + hard + own) / max(candidates, 1),
            rows=rows,
        )

    def get_config_dict(self) -> dict[str, Any]:
        """Settings of the loss, for the record of a run."""
        return {name: getattr(self.settings, name) for name in LossSettings.__slots__}

    def _encode(self, chunk: dict[str, Tensor]) -> Tensor:
        inputs = {name: value for name, value in chunk.items() if name != "position"}
        vectors: Tensor = self.model(inputs)["sentence_embedding"]
        return vectors[:, : self.model.truncate_dim]  # as `encode` does; all columns where it is None
