"""The contrastive loss of stage 3 under every mask rule: one function, one module around it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config import MaskRule, TrainConfig
from pipeline.training.guide import GuideTable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True, slots=True)
class LossSettings:
    """What the loss needs of a TrainConfig; the fields mean the same there."""

    temperature: float = 0.05
    mask_rule: MaskRule = "phi"
    mask_threshold: float = 0.8
    protect_own_hard_negative: bool = False

    @classmethod
    def of(cls, config: TrainConfig) -> "LossSettings":
        """Take the loss's share of a training configuration."""
        return cls(config.temperature, config.mask_rule, config.mask_threshold, config.protect_own_hard_negative)


def contrastive_loss(
    anchor_nd: Tensor,
    positive_nd: Tensor,
    hard_negative_nd: Tensor,
    guide_nm: Tensor | None,
    settings: LossSettings,
) -> tuple[Tensor, Tensor]:
    """InfoNCE over N positives and N hard negatives, false negatives masked; mean over rows.

    L_i = -log exp(s_ii) / sum_j [m+_ij exp(s+_ij) + m-_ij exp(s-_ij)],  s = cosine / temperature.
    Masked candidates get -inf before the softmax. The rule "released" is the published code's loss instead, see
    `released_loss`. MultiCSR, arXiv 2310.10962, stage 3; GIST margins as in sentence-transformers' GISTEmbedLoss
    without its anchor-anchor and positive-positive terms.

    Args:
        anchor_nd: float (N, d), not normalised.
        positive_nd: float (N, d).
        hard_negative_nd: float (N, d).
        guide_nm: float (N, 2N), the guide's raw cosines of premise i with [positives | hard negatives];
            may be None for the rule "none".
        settings: temperature and mask.

    Returns:
        The scalar loss in float32 and the mask, bool (N, 2N), True where a candidate was masked.
    """
    cosine_nm = _cosines(anchor_nd, positive_nd, hard_negative_nd)
    mask_nm = false_negatives(guide_nm, settings, rows=len(anchor_nd), device=anchor_nd.device)
    logits_nm = cosine_nm / settings.temperature
    if settings.mask_rule == "released":
        return released_loss(logits_nm, mask_nm), mask_nm
    target_n = torch.arange(len(logits_nm), device=logits_nm.device)
    return functional.cross_entropy(logits_nm.masked_fill(mask_nm, -torch.inf), target_n), mask_nm


def false_negatives(
    guide_nm: Tensor | None, settings: LossSettings, *, rows: int, device: torch.device | str
) -> Tensor:
    """Mark candidates that the guide takes for false negatives, bool (N, 2N); the own positive never is one.

    "phi" and "released" compare the guide's cosine with a constant, GIST with the cosine of the row's own positive
    less a margin. The published code compares cosine / 0.05 with phi * 20, which is the same comparison at its only
    temperature and means something else at any other.
    """
    if settings.mask_rule == "none" or guide_nm is None:
        return torch.zeros(rows, 2 * rows, dtype=torch.bool, device=device)
    guide_nm = guide_nm.to(device=device, dtype=torch.float32)
    mask_nm = guide_nm > _thresholds(guide_nm, settings)
    own_n = torch.arange(rows, device=device)
    mask_nm[own_n, own_n] = False
    if settings.protect_own_hard_negative:
        mask_nm[own_n, rows + own_n] = False
    return mask_nm


def released_loss(logits_nm: Tensor, mask_nm: Tensor) -> Tensor:
    """The loss of the published code in a form that never gives NaN.

    p = softmax over each row of (logit, or 0 where masked); L = mean over ALL N x 2N cells of the binary cross
    entropy of p with y = 1 for the own positive only. It differs from masked InfoNCE: a masked candidate counts
    exp(0), every negative is also pushed by -log(1 - p), and the scale is about 1 / 2N of it.
    The published form computes 0 * log(1 - p), which is NaN once p rounds to 1; here log(1 - p_k) is taken as
    logsumexp(row without k) - logsumexp(row).
    """
    logits_nm = logits_nm.masked_fill(mask_nm, 0.0)
    rows, cells = logits_nm.shape
    total_n1 = logits_nm.logsumexp(dim=1, keepdim=True)
    is_largest_nm = functional.one_hot(logits_nm.argmax(dim=1), cells).bool()
    # Only a row's largest probability can come near 1; for the others log1p(-p) with p <= 1/2 is exact.
    rest_n1 = logits_nm.masked_fill(is_largest_nm, -torch.inf).logsumexp(dim=1, keepdim=True)
    p_nm = (logits_nm - total_n1).exp().masked_fill(is_largest_nm, 0.0)
    log_not_p_nm = torch.where(is_largest_nm, rest_n1 - total_n1, torch.log1p(-p_nm))
    own_n = torch.arange(rows, device=logits_nm.device)
    is_own_nm = functional.one_hot(own_n, cells).bool()
    return -torch.where(is_own_nm, logits_nm - total_n1, log_not_p_nm).mean()


def _cosines(anchor_nd: Tensor, positive_nd: Tensor, hard_negative_nd: Tensor) -> Tensor:
    # float32 whatever the encoder runs in: at temperature 0.05 half precision loses the differences that matter.
    anchor_nd = functional.normalize(anchor_nd.float(), dim=1)
    candidates_md = functional.normalize(torch.cat([positive_nd, hard_negative_nd]).float(), dim=1)
    return anchor_nd @ candidates_md.T


def _thresholds(guide_nm: Tensor, settings: LossSettings) -> Tensor | float:
    if settings.mask_rule in ("phi", "released"):
        return settings.mask_threshold
    own_n1 = guide_nm.diagonal().unsqueeze(1)
    margin = settings.mask_threshold
    return own_n1 - (own_n1.abs() * margin if settings.mask_rule == "gist_relative" else margin)


@dataclass(frozen=True, slots=True)
class MaskCounts:
    """Candidates masked in one batch, by kind, as shares of their kind."""

    in_batch_positives: float
    in_batch_hard_negatives: float
    own_hard_negatives: float
    all_candidates: float

    @classmethod
    def of(cls, mask_nm: Tensor) -> "MaskCounts":
        """Count a mask of shape (N, 2N); the own positives are no candidates for masking."""
        rows = len(mask_nm)
        left, right = mask_nm[:, :rows].sum(), mask_nm[:, rows:]
        own = right.diagonal().sum()
        # One transfer from the device for the three counts.
        positives, others, own_count = torch.stack([left, right.sum() - own, own]).tolist()
        pairs = max(rows * (rows - 1), 1)
        masked = positives + others + own_count
        return cls(positives / pairs, others / pairs, own_count / rows, masked / (2 * rows * rows - rows))


class GuideMaskedLoss(nn.Module):
    """`contrastive_loss` as the trainer calls it: encodes the three columns and looks the guide up by row number.

    With `head` (CLS pooling) a Linear+Tanh layer stands between encoder and loss; it belongs to this module and not
    to the encoder, so it is trained and then left behind, as in SimCSE's mlp_only_train.
    """

    def __init__(
        self,
        model: "SentenceTransformer",
        settings: LossSettings,
        guide: GuideTable | None,
        *,
        head: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.guide = guide
        width = model.get_embedding_dimension() or 0
        self.head = nn.Sequential(nn.Linear(width, width), nn.Tanh()) if head else nn.Identity()
        self.last_loss: Tensor | None = None
        self.last_mask_nm: Tensor | None = None

    def forward(self, features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Return the loss of a batch; `labels` are row numbers of the training set, int64 (N,)."""
        anchor, positive, hard_negative = (self.head(self.model(column)["sentence_embedding"]) for column in features)
        needs_guide = self.guide is not None and self.settings.mask_rule != "none"
        guide_nm = self.guide.cosines(labels) if self.guide is not None and needs_guide else None
        loss, mask_nm = contrastive_loss(anchor, positive, hard_negative, guide_nm, self.settings)
        self.last_loss, self.last_mask_nm = loss.detach(), mask_nm
        return loss

    def get_config_dict(self) -> dict[str, Any]:
        """Settings of the loss, for the record of a run."""
        return {name: getattr(self.settings, name) for name in LossSettings.__slots__}
