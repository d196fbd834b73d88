"""Adam for networks and volumes, and SparseAdam where a step touches few rows of a large table."""

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer, SparseAdam


def make_optimizers(module: nn.Module, sparse: list[nn.Parameter], learning_rate: float) -> list[Optimizer]:
    """One optimiser for the `sparse` parameters of `module` and one for all others; empty ones are left out."""
    rows = {id(parameter) for parameter in sparse}
    dense = [parameter for parameter in module.parameters() if id(parameter) not in rows]
    optimizers: list[Optimizer] = []
    if dense:
        optimizers.append(Adam(dense, lr=learning_rate, fused=True))
    if sparse:
        optimizers.append(SparseAdam(sparse, lr=learning_rate))
    return optimizers


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def keep_touched_rows(parameter: nn.Parameter) -> None:
    """Make the gradients of `parameter` sparse: only the rows that a step touched (sparse_fourier_backpropagation
    4.3).
    """
    parameter.register_post_accumulate_grad_hook(_to_sparse)


def _to_sparse(parameter: Tensor) -> None:
    grad = parameter.grad
    touched = grad.flatten(1).any(1).nonzero()[:, 0]
    parameter.grad = torch.sparse_coo_tensor(touched[None], grad[touched], grad.shape, is_coalesced=True)
