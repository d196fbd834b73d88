"""Adam for networks and volumes, and SparseAdam where a step touches few rows of a large table."""

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer, SparseAdam

from ..ranks import Ranks

LATENT_RATE = 100.0
"""How much larger the steps of a latent table are than those of networks: a row of it takes one step per epoch."""


def make_optimizers(module: nn.Module, tables: list[nn.Parameter], volumes: list[nn.Parameter]) -> list[Optimizer]:
    """Optimisers for the parameters of `module`, whose rates `set_learning_rate` sets.

    Parameters
    ----------
    tables : latent tables, whose gradients are sparse.
    volumes : volumes whose gradients are sparse. All other parameters are dense.
    """
    rows = {id(parameter) for parameter in [*tables, *volumes]}
    dense = [parameter for parameter in module.parameters() if id(parameter) not in rows]
    optimizers: list[Optimizer] = []
    if dense:
        optimizers.append(Adam([{"params": dense, "relative_rate": 1.0}], fused=True))
    sparse = [{"params": p, "relative_rate": rate} for p, rate in ((tables, LATENT_RATE), (volumes, 1.0)) if p]
    if sparse:
        optimizers.append(SparseAdam(sparse))
    return optimizers


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["relative_rate"]


def add_up_gradients(optimizers: list[Optimizer], ranks: Ranks) -> None:
    """Make the gradient of every parameter the sum of those of all processes, in place; one that has seen no image has
    none, and what none of them has stays so.
    """
    parameters = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    known = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32)
    sparse = torch.tensor([p.grad is not None and p.grad.is_sparse for p in parameters], dtype=torch.float32)
    ranks.total(known, sparse)
    for parameter, is_known, is_sparse in zip(parameters, known.tolist(), sparse.tolist(), strict=True):
        if is_sparse:
            parameter.grad = _rows_of_all(parameter, ranks)
        elif is_known:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            ranks.total(parameter.grad)


def _rows_of_all(parameter: Tensor, ranks: Ranks) -> Tensor:
    """The sum of gradients that have few rows each, in the rows that any of them has."""
    grad = parameter.grad
    if grad is None:
        rows, values = parameter.new_zeros(0, dtype=torch.int64), parameter.new_zeros(0, *parameter.shape[1:])
    else:
        grad = grad.coalesce()
        rows, values = grad.indices()[0], grad.values()
    every = ranks.gathered(rows)[None], ranks.gathered(values)
    return torch.sparse_coo_tensor(*every, parameter.shape, check_invariants=False).coalesce()


def keep_touched_rows(parameter: nn.Parameter) -> None:
    """Make the gradients of `parameter` sparse: only the rows that a step touched (sparse_fourier_backpropagation
    4.3).
    """
    parameter.register_post_accumulate_grad_hook(_to_sparse)


def _to_sparse(parameter: Tensor) -> None:
    grad = parameter.grad
    touched = grad.flatten(1).any(1).nonzero()[:, 0]
    rows, values = touched[None], grad[touched]
    parameter.grad = torch.sparse_coo_tensor(rows, values, grad.shape, is_coalesced=True, check_invariants=False)
