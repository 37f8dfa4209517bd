"""The contrast of two instructions over next-token logits, and the choice of a token, on the device of the logits.

MultiCSR (arXiv 2310.10962), stage 1:  z_t = l_t - omega * l^_t , with l_t and l^_t the next-token log-probabilities
under the own and the opposite prompt, both continued by the tokens chosen so far. Adding a constant to a row of
logits changes no choice below, so raw logits serve as well as log-probabilities and no full softmax is ever taken.
"""

import math

import torch
from numpy.typing import NDArray

from pipeline.generation.contrast import MOST_DAMPED, TokenChoice

Logits = torch.Tensor | NDArray


def contrast(own_nv: Logits, opposite_nv: Logits | None, *, omega: float, plausibility: float = 0.0) -> torch.Tensor:
    """Combine rows of logits: z = l - omega * l^, minus infinity where a token is implausible.

    A token is implausible when p < plausibility * max p under the own prompt; 0 cuts nothing, as in the paper.
    own_nv, opposite_nv: float32 (n, vocabulary); opposite_nv may be None when omega is 0. Returns float32
    (n, vocabulary), equal to the formula up to a constant per row. Greedy choice equals classifier-free guidance
    at gamma = 1 / (1 - omega). Raises ValueError if omega lies outside [0, 1) or the opposite rows are missing.
    """
    own, opposite = _rows(own_nv, opposite_nv, omega)
    z = own.clone() if opposite is None else (opposite * -omega).add_(own)
    return _plausible(z, own, plausibility)


def damped(own_nv: Logits, opposite_nv: Logits, *, damping: float, plausibility: float = 0.0) -> torch.Tensor:
    """Combine rows of logits as DINO does: a token that the opposite prompt makes likelier loses probability.

    z = l + log max(exp(-damping * max(0, p^ - p)), 0.01) with p and p^ the probabilities under the own and the
    opposite prompt: self-debiasing (Schick, Udupa, Schuetze, arXiv 2103.00453, eq. 3) as Schick and Schuetze (arXiv
    2104.07540) write sentence pairs with it. Takes and returns float32 (n, vocabulary); plausibility: see contrast.
    """
    own, opposite = torch.as_tensor(own_nv), torch.as_tensor(opposite_nv)
    more = (opposite.softmax(dim=1) - own.softmax(dim=1)).clamp_(min=0)
    return _plausible(own - more.mul_(damping).clamp_(max=-math.log(MOST_DAMPED)), own, plausibility)


def choose(
    own_nv: Logits, opposite_nv: Logits | None, how: TokenChoice, draws_n: Logits | None = None
) -> torch.Tensor:
    """Choose one token per row from the contrast of the two prompts; returns int64 (n,) on the device of the logits.

    Greedy at temperature 0. Otherwise one sample per row from softmax(z / temperature), cut to the tokens with at
    least min_p of the best one's mass and to the smallest set of best tokens whose mass reaches top_p, by inverting
    its cumulative mass at draws_n: uniform in [0, 1), float64 (n,), one draw per pair of rows, because both prompts
    are continued by the same token.
    """
    own, opposite = _rows(own_nv, opposite_nv, how.omega)
    if how.damping > 0 and opposite is not None:
        z = damped(own, opposite, damping=how.damping, plausibility=how.plausibility)
    else:
        z = contrast(own, opposite, omega=how.omega, plausibility=how.plausibility)
    if how.temperature == 0:
        return z.argmax(dim=1)
    if draws_n is None:
        raise ValueError("sampling (temperature above 0) needs one uniform draw per row")
    return _sampled(z, how, torch.as_tensor(draws_n, dtype=torch.float64).to(z.device))


def _sampled(z: torch.Tensor, how: TokenChoice, draws: torch.Tensor) -> torch.Tensor:
    """Return the token at each draw of the cut distribution; contrast.pick does the same for a single row."""
    tokens = None
    # A handful survives the cut as a rule, and whole rows take long to sort; a GPU would have to wait for the number.
    if z.device.type == "cpu" and not torch.compiler.is_compiling():
        survivors = int(z.isfinite().sum(dim=1).max())
        if survivors < z.shape[1]:
            tokens = z.topk(survivors).indices.sort(dim=1).values
            z = z.gather(1, tokens)
    z, order = z.sort(dim=1, descending=True, stable=True)
    mass = ((z.double() - z[:, :1].double()) / how.temperature).exp()
    mass = mass / mass.sum(dim=1, keepdim=True)
    cumulative = mass.cumsum(dim=1)
    kept = (cumulative < how.top_p).sum(dim=1, keepdim=True) + 1  # the token that reaches top_p is kept
    kept = kept.minimum((mass >= how.min_p * mass[:, :1]).sum(dim=1, keepdim=True))
    kept = kept.minimum((mass > 0).sum(dim=1, keepdim=True))
    reached = draws[:, None] * cumulative.gather(1, kept - 1)
    place = (cumulative <= reached).sum(dim=1, keepdim=True).minimum(kept - 1)
    chosen = order.gather(1, place)
    return (chosen if tokens is None else tokens.gather(1, chosen))[:, 0]


def _plausible(z: torch.Tensor, own: torch.Tensor, plausibility: float) -> torch.Tensor:
    if plausibility <= 0:
        return z
    return z.masked_fill_(own < own.amax(dim=1, keepdim=True) + math.log(plausibility), -torch.inf)


def _rows(own: Logits, opposite: Logits | None, omega: float) -> tuple[torch.Tensor, torch.Tensor | None]:
    if not 0 <= omega < 1:
        raise ValueError(f"omega must be at least 0 and below 1, got {omega}")
    if omega > 0 and opposite is None:
        raise ValueError("omega above 0 needs the logits under the opposite prompt")
    return torch.as_tensor(own), None if opposite is None or omega == 0 else torch.as_tensor(opposite)
