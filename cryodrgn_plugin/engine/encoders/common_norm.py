"""Batch normalisation by the statistics of a whole batch, where several processes have a part of it each."""

import torch
from torch import Tensor, nn

from ..ranks import Ranks


class BatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d`; in training with several processes, means and variances are those of the images of all.

    `nn.SyncBatchNorm` does so on GPUs alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        ranks = Ranks.present()
        if ranks.alone or not self.training:
            return super().forward(x)
        values = x.float()
        count = _total(values.new_tensor([values.numel() / values.shape[1]]), ranks)
        mean = _total(values.sum((0, 2, 3)), ranks) / count
        centred = values - mean[:, None, None]
        variance = _total(centred.square().sum((0, 2, 3)), ranks) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Let what evaluation normalises by follow the mean and the unbiased variance (C,) of a batch."""
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class _Total(torch.autograd.Function):
    """The sum over the ranks, whose gradient is the sum of the gradients that it has in each."""

    @staticmethod
    def forward(ctx, values: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        total = values.clone()
        ranks.total(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.contiguous().clone()
        ctx.ranks.total(total)
        return total, None


def _total(values: Tensor, ranks: Ranks) -> Tensor:
    return _Total.apply(values, ranks)
