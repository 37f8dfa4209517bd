"""The contrastive loss of stage 3 under every mask rule, as one function of embeddings and guide cosines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.mask_thresholds import USUAL_THRESHOLDS
from pipeline.train_config import Directions, MaskRule, TrainConfig


@dataclass(frozen=True, slots=True)
class LossSettings:
    """What the loss needs of a TrainConfig; the fields mean the same there, but the threshold is always a cosine."""

    temperature: float = 0.05
    mask_rule: MaskRule = "phi"
    mask_threshold: float = USUAL_THRESHOLDS["phi"]
    protect_own_hard_negative: bool = False
    directions: Directions = "premises"
    hard_negative_weight: float = 1.0
    hardness: float = 0.0
    cosent_weight: float = 0.0
    matryoshka: bool = False

    @classmethod
    def of(cls, config: TrainConfig, threshold: float | None = None) -> "LossSettings":
        """Take the loss's share of a configuration; `threshold` is phi where the configuration gives a share."""
        phi = config.mask_threshold if threshold is None else threshold
        same = {name: getattr(config, name) for name in cls.__slots__ if name != "mask_threshold"}
        return cls(mask_threshold=phi, **same)


class BatchLoss(NamedTuple):
    """What `contrastive_loss` returns."""

    loss: Tensor
    """Scalar, float32 (float64 for vectors of that)."""
    mask_nm: Tensor
    """bool (n, M), True where a candidate was masked."""
    info_nce: Tensor
    """Scalar without gradient: InfoNCE over all candidates, whatever the rule."""


def contrastive_loss(
    anchor_nd: Tensor,
    positive_nd: Tensor,
    hard_negative_nd: Tensor | None,
    guide_nm: Tensor | None,
    settings: LossSettings,
    *,
    first_row: int = 0,
    owner_k: Tensor | None = None,
) -> BatchLoss:
    """InfoNCE over N positives and K hard negatives, false negatives masked; mean over the n anchors.

    L_i = -log exp(s_ii) / sum_j [m+_ij exp(s+_ij) + m-_ij exp(s-_ij)],  s = cosine / temperature.
    Masked candidates get -inf before the softmax; `_weighted` weights hard negatives, and `_in_all_directions` adds
    the terms of other directions. The rule "released" is the published code's loss instead, see `released_loss`.
    MultiCSR, arXiv 2310.10962, stage 3; GIST margins as in sentence-transformers' GISTEmbedLoss
    without its anchor-anchor and positive-positive terms. Without hard negatives and mask it is SimCSE's loss
    (arXiv 2104.08821, eq. 1).

    Args:
        anchor_nd: float (n, d), not normalised; n = N unless processes share the batch.
        positive_nd: float (N, d); row first_row + i is anchor i's own.
        hard_negative_nd: float (K, d), or None.
        guide_nm: float (n, M), the guide's raw cosines of premise i with [positives | hard negatives], M = N + K or
            N; may be None for the rule "none".
        settings: temperature and mask.
        first_row: place of the first anchor's own positive.
        owner_k: int64 (K,), the row of the batch that each hard negative belongs to; None where every row has one,
            in the order of the rows.
    """
    candidates = [positive_nd] if hard_negative_nd is None else [positive_nd, hard_negative_nd]
    cosine_nm = _cosines(anchor_nd, torch.cat(candidates))
    logits_nm = cosine_nm / settings.temperature
    if settings.mask_rule == "student":
        guide_nm = cosine_nm.detach()
    if owner_k is None:
        owner_k = torch.arange(logits_nm.shape[1] - len(positive_nd), device=logits_nm.device)
    mask_nm = false_negatives(guide_nm, settings, like=logits_nm, first_row=first_row, owner_k=owner_k)
    target_n = torch.arange(first_row, first_row + len(anchor_nd), device=logits_nm.device)
    with torch.no_grad():
        info_nce = functional.cross_entropy(logits_nm, target_n)
    if settings.mask_rule == "released":
        loss = released_loss(logits_nm, mask_nm, first_row=first_row)
    else:
        kept_nm = _weighted(logits_nm, cosine_nm.detach(), settings, owner_k).masked_fill(mask_nm, -torch.inf)
        if settings.directions != "premises":
            loss = _in_all_directions(kept_nm, anchor_nd, candidates, settings, owner_k)
        else:
            loss = functional.cross_entropy(kept_nm, target_n)
    return BatchLoss(loss, mask_nm, info_nce)


def _owners(cells_nm: Tensor, columns: int, owner_k: Tensor | None) -> Tensor:
    """Return the row that each hard negative belongs to, int64 (K,); K = 0 where the only column is positives."""
    if owner_k is not None:
        return owner_k
    positives = cells_nm.shape[1] // columns
    return torch.arange(cells_nm.shape[1] - positives, device=cells_nm.device)


def _weighted(logits_nm: Tensor, cosine_nm: Tensor, settings: LossSettings, owner_k: Tensor) -> Tensor:
    """Add log(hard_negative_weight) to hard negatives, and hardness times the cosine to each row's own ones.

    One process only where there is hardness: row i is the batch's row i.
    """
    if (settings.hard_negative_weight, settings.hardness) == (1.0, 0.0):
        return logits_nm
    first = logits_nm.shape[1] - len(owner_k)
    added_nm = torch.zeros_like(logits_nm)
    added_nm[:, first:] = torch.tensor(settings.hard_negative_weight).log()
    if settings.hardness:
        column_k = first + torch.arange(len(owner_k), device=logits_nm.device)
        added_nm[owner_k, column_k] += settings.hardness * cosine_nm[owner_k, column_k]
    return logits_nm + added_nm


def _in_all_directions(
    kept_nm: Tensor, anchor_nd: Tensor, candidates: Sequence[Tensor], settings: LossSettings, owner_k: Tensor
) -> Tensor:
    """The loss with positives looking for their premises: `symmetric` or `all`, as in sentence-transformers.

    There they are MultipleNegativesRankingLoss with two directions, each normalised by itself, and with all four
    normalised together. kept_nm is masked; a positive's false negatives are those of the premise in the other
    direction. The terms between texts of one side have no mask.
    """
    rows = len(anchor_nd)
    target_n = torch.arange(rows, device=kept_nm.device)
    back_nn = kept_nm[:, :rows].T
    if settings.directions == "symmetric":
        return (functional.cross_entropy(kept_nm, target_n) + functional.cross_entropy(back_nn, target_n)) / 2
    own_nn = torch.eye(rows, dtype=torch.bool, device=kept_nm.device)
    premises_nn = _cosines(anchor_nd, anchor_nd) / settings.temperature
    texts_nm = _cosines(candidates[0], torch.cat(list(candidates))) / settings.temperature
    every = [
        kept_nm,
        premises_nn.masked_fill(own_nn, -torch.inf),
        back_nn,
        texts_nm.masked_fill(torch.cat([own_nn, target_n[:, None] == owner_k], dim=1), -torch.inf),
    ]
    return functional.cross_entropy(torch.cat(every, dim=1), target_n)


def false_negatives(
    guide_nm: Tensor | None,
    settings: LossSettings,
    *,
    like: Tensor,
    columns: int = 2,
    first_row: int = 0,
    owner_k: Tensor | None = None,
) -> Tensor:
    """Mark candidates that the guide takes for false negatives, bool (n, M); the own positive never is one.

    "phi" and "released" compare the guide's cosine with a constant, GIST with the cosine of the row's own positive
    less a margin, "student" the encoder's own cosines, given in the guide's place, with the own positive's plus a
    margin. The published code compares cosine / 0.05 with phi * 20, which is the same comparison at its only
    temperature and means something else at any other. `like` gives shape and device, (n, M); owner_k as in
    `contrastive_loss`.
    """
    if settings.mask_rule == "none" or guide_nm is None:
        return torch.zeros_like(like, dtype=torch.bool)
    guide_nm = guide_nm.to(device=like.device, dtype=torch.float32)
    row_n = torch.arange(len(guide_nm), device=like.device)
    own_n = first_row + row_n
    mask_nm = guide_nm > _thresholds(settings, guide_nm[row_n, own_n].unsqueeze(1))
    mask_nm[row_n, own_n] = False
    if settings.protect_own_hard_negative:
        owner_k = _owners(mask_nm, columns, owner_k)
        mask_nm[:, mask_nm.shape[1] - len(owner_k) :] &= own_n[:, None] != owner_k
    return mask_nm


def mask_counts(mask_nm: Tensor, *, first_row: int = 0, columns: int = 2, owner_k: Tensor | None = None) -> Tensor:
    """Count what a mask of shape (n, M) takes: int64 (3,), other positives, other hard negatives, own hard ones."""
    owner_k = _owners(mask_nm, columns, owner_k)
    hard_nk = mask_nm[:, mask_nm.shape[1] - len(owner_k) :]
    own_n = first_row + torch.arange(len(mask_nm), device=mask_nm.device)
    own = (hard_nk & (own_n[:, None] == owner_k)).sum()
    hard = hard_nk.sum()
    return torch.stack([mask_nm.sum() - hard, hard - own, own])


def released_loss(logits_nm: Tensor, mask_nm: Tensor, *, first_row: int = 0) -> Tensor:
    """The loss of the published code in a form that never gives NaN.

    p = softmax over each row of (logit, or 0 where masked); L = mean over ALL cells of the binary cross
    entropy of p with y = 1 for the own positive only. It differs from masked InfoNCE: a masked candidate counts
    exp(0), every negative is also pushed by -log(1 - p), and the scale is about 1 / 2N of it.
    The published form computes 0 * log(1 - p), which is NaN once p rounds to 1; here log(1 - p_k) is taken as
    logsumexp(row without k) - logsumexp(row).
    """
    logits_nm = logits_nm.masked_fill(mask_nm, 0.0)
    rows, cells = logits_nm.shape
    total_n1 = logits_nm.logsumexp(dim=1, keepdim=True)
    if cells == 1:  # the own positive alone: there is no other cell, and the sum without it would be empty
        return (total_n1 - logits_nm).mean()
    is_largest_nm = functional.one_hot(logits_nm.argmax(dim=1), cells).bool()
    # Only a row's largest probability can come near 1; for the others log1p(-p) with p <= 1/2 is exact.
    rest_n1 = logits_nm.masked_fill(is_largest_nm, -torch.inf).logsumexp(dim=1, keepdim=True)
    p_nm = (logits_nm - total_n1).exp().masked_fill(is_largest_nm, 0.0)
    log_not_p_nm = torch.where(is_largest_nm, rest_n1 - total_n1, torch.log1p(-p_nm))
    own_n = torch.arange(first_row, first_row + rows, device=logits_nm.device)
    is_own_nm = functional.one_hot(own_n, cells).bool()
    return -torch.where(is_own_nm, logits_nm - total_n1, log_not_p_nm).mean()


def cosent_loss(first_pd: Tensor, second_pd: Tensor, score_p: Tensor, *, temperature: float) -> Tensor:
    """CoSENT (Huang et al. 2024, doi 10.1109/TASLP.2024.3402087) over P pairs of texts; scalar, 0 without pairs.

    log(1 + sum of exp((s_l - s_k) / temperature) over all k, l with score_k > score_l), s the cosine of a pair.
    """
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    library = CoSENTLoss(None, scale=1 / temperature)  # type: ignore[arg-type]  # the encoder is not asked here
    with torch.autocast(first_pd.device.type, enabled=False):
        return library.compute_loss_from_embeddings([first_pd.float(), second_pd.float()], score_p)


def _cosines(anchor_nd: Tensor, candidate_md: Tensor) -> Tensor:
    # At least float32 whatever the encoder runs in: at temperature 0.05 half precision loses what matters.
    dtype = torch.promote_types(anchor_nd.dtype, torch.float32)
    with torch.autocast(anchor_nd.device.type, enabled=False):
        anchor_nd, candidate_md = anchor_nd.to(dtype), candidate_md.to(dtype)
        return functional.normalize(anchor_nd, dim=1) @ functional.normalize(candidate_md, dim=1).T


def _thresholds(settings: LossSettings, own_n1: Tensor) -> Tensor | float:
    if settings.mask_rule in ("phi", "released"):
        return settings.mask_threshold
    margin = settings.mask_threshold
    if settings.mask_rule == "student":
        return own_n1 + margin
    return own_n1 - (own_n1.abs() * margin if settings.mask_rule == "gist_relative" else margin)
