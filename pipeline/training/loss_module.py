"""The loss of stage 3 around an encoder: encodes a batch, looks the guide up, and counts what was masked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline.training import distributed
from pipeline.training.guide import GuideTable
from pipeline.training.losses import BatchLoss, LossSettings, contrastive_loss, cosent_loss, mask_counts

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_MATRYOSHKA = (2, 4, 8)
"""What the whole width is divided by."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """Measurements of one batch; each share is of the candidates of its kind."""

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
        hard_per_row: Tensor | None = None,
        scores_rc: Tensor | None = None,
        head: bool = False,
        cached: bool = False,
    ) -> None:
        """Take an encoder and the settings.

        columns: 3 with hard negatives, 2 without. hard_per_row: int64 (rows of the training set,), how many each row
        has; None for one each. scores_rc: float32 (rows of the training set, 1 + most hard negatives), a judge's
        scores of positive and hard negatives, NaN where there is none; None without CoSENT.
        """
        super().__init__()
        self.model = model
        self.settings = settings
        self.guide = guide
        self.columns = columns
        self.hard_per_row = hard_per_row
        self.scores_rc = scores_rc
        self.cached = cached
        width = model.get_embedding_dimension() or 0
        self.head = nn.Sequential(nn.Linear(width, width), nn.Tanh()) if head else nn.Identity()
        self._last: Tensor | None = None
        self._rows = self._hard = 0

    def forward(self, features: Sequence[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Return the loss of a batch; `labels` are row numbers of the training set, int64 (n,)."""
        vectors, rows = self.vectors(features), len(labels)
        anchor_nd, positive_nd, hard_kd = vectors.split([rows, rows, len(vectors) - 2 * rows])
        positive_nd = distributed.gathered(positive_nd)
        if self.columns == 3:
            hard_kd = distributed.gathered(hard_kd)
        owner_k = None
        if self.hard_per_row is not None:
            own_n = torch.arange(rows, device=vectors.device)
            owner_k = own_n.repeat_interleave(self.hard_per_row.to(labels.device)[labels].to(vectors.device))
        guide_nm = None
        if self.guide is not None:
            guide_nm = self.guide.cosines(labels, distributed.gathered(labels))
        first_row = distributed.rank() * rows

        def cut(width: int) -> BatchLoss:
            texts = (anchor_nd[:, :width], positive_nd[:, :width], hard_kd[:, :width] if self.columns == 3 else None)
            found = contrastive_loss(*texts, guide_nm, self.settings, first_row=first_row, owner_k=owner_k)
            share = self.settings.cosent_weight
            if not share:
                return found
            other = self._cosent(anchor_nd[:, :width], torch.cat([positive_nd, hard_kd])[:, :width], labels, owner_k)
            return found._replace(loss=(1 - share) * found.loss + share * other)

        width = anchor_nd.shape[1]
        batch = cut(width)
        loss = batch.loss
        if self.settings.matryoshka:
            loss = torch.stack([loss, *(cut(max(1, width // part)).loss for part in _MATRYOSHKA)]).mean()
        counts = mask_counts(batch.mask_nm, first_row=first_row, columns=self.columns - 1, owner_k=owner_k)
        values = torch.stack([loss.detach(), batch.info_nce, *counts.to(batch.loss.dtype)])
        self._last, self._rows, self._hard = distributed.summed(values), len(positive_nd), len(hard_kd)
        return loss

    def _cosent(self, anchor_nd: Tensor, candidate_md: Tensor, labels: Tensor, owner_k: Tensor | None) -> Tensor:
        """CoSENT over every premise with its own positive and hard negatives, as far as a judge has scored them."""
        if self.scores_rc is None:
            raise RuntimeError("CoSENT without scores")
        score_nc = self.scores_rc.to(labels.device)[labels]
        row_n = torch.arange(len(labels), device=labels.device)
        if owner_k is None:
            owner_k = row_n
        # The place of a hard negative within its row.
        place_k = torch.arange(len(owner_k), device=labels.device) - torch.searchsorted(owner_k, owner_k)
        score_m = torch.cat([score_nc[:, 0], score_nc[owner_k, 1 + place_k]])
        is_scored = ~score_m.isnan()
        first_md = anchor_nd[torch.cat([row_n, owner_k])]
        return cosent_loss(
            first_md[is_scored],
            candidate_md[is_scored],
            score_m[is_scored],
            temperature=self.settings.temperature,
        )

    def vectors(self, features: Sequence[dict[str, Tensor]]) -> Tensor:
        """Return the vectors of a batch, premises, positives and hard negatives one after the other: float (n, d)."""
        parts = [
            checkpoint(self._encode, c, use_reentrant=False) if self.cached else self._encode(c) for c in features
        ]
        position = torch.cat([chunk["position"] for chunk in features])
        return self.head(torch.cat(parts)[position.argsort()])

    def report(self) -> BatchReport:
        """Return the measurements of the last batch; waits for the device."""
        if self._last is None:
            raise RuntimeError("a step ended before the loss was computed")
        loss, info_nce, positives, hard, own = self._last.tolist()
        rows, has = self._rows, self._hard
        others = rows * (rows - 1)
        return BatchReport(
            loss=loss / distributed.processes(),
            info_nce=info_nce / distributed.processes(),
            masked_positives=positives / max(others, 1),
            masked_hard_negatives=hard / max((rows - 1) * has, 1),
            masked_own=own / max(has, 1),
            masked_share=(positives + hard + own) / max(others + rows * has, 1),
            rows=rows,
        )

    def get_config_dict(self) -> dict[str, Any]:
        """Settings of the loss, for the record of a run."""
        return {name: getattr(self.settings, name) for name in LossSettings.__slots__}

    def _encode(self, chunk: dict[str, Tensor]) -> Tensor:
        inputs = {name: value for name, value in chunk.items() if name != "position"}
        vectors: Tensor = self.model(inputs)["sentence_embedding"]
        return vectors[:, : self.model.truncate_dim]  # as `encode` does; all columns where it is None
