"""Several processes, one per GPU, as torchrun starts them; with one process everything here does nothing."""

import os
from collections.abc import Iterable
from datetime import timedelta

import torch
from torch import distributed, nn

_PATIENCE = timedelta(hours=12)
"""How long a process waits for another: the first one embeds all texts with the guide while the others wait. One that
died is noticed at once, by its closed connection and by torchrun."""


def start(device: str) -> None:
    """Join the other processes that torchrun started, if it did."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized():
        from accelerate import PartialState

        PartialState(cpu=device == "cpu", timeout=_PATIENCE)


def stop() -> None:
    """Leave the group."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def processes() -> int:
    """Return the number of processes that share a batch."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return this process's number; 0 writes files and reports."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def wait() -> None:
    """Wait until every process has come here."""
    if processes() > 1:
        distributed.barrier()


def gathered(rows: torch.Tensor) -> torch.Tensor:
    """Return the rows of all processes in order of rank, with their gradients; all hold equally many."""
    if processes() == 1:
        return rows
    from sentence_transformers.util.distributed import all_gather

    return all_gather(rows, with_grad=rows.requires_grad)


def summed(values: torch.Tensor) -> torch.Tensor:
    """Return the sum over processes, without gradients."""
    values = values.detach()
    if processes() > 1:
        distributed.all_reduce(values)
    return values


def from_first(values: torch.Tensor) -> torch.Tensor:
    """Return what process 0 holds."""
    if processes() > 1:
        distributed.broadcast(values, src=0)
    return values


def is_so_in_first(answer: bool, device: str) -> bool:
    """Return what process 0 answers; the others wait for it."""
    return bool(from_first(torch.tensor(int(answer), device=device)))


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over processes.

    Each process has the gradient of the mean loss of its own rows with respect to every process's embeddings, so the
    mean is the gradient of the whole batch's loss.
    """
    if processes() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    for handle in [distributed.all_reduce(gradient, async_op=True) for gradient in gradients]:
        handle.wait()
    for gradient in gradients:
        gradient.div_(processes())
