"""The small residual network from latent to basis weights: s(z) of sparse_fourier_backpropagation section 4.2."""

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """relu(fc(x) + x)."""

    def __init__(self, width: int):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.linear(x) + x)


class AmplitudeNetwork(nn.Module):
    """z (B, Z) → s (B, K): a residual MLP beside a linear path, so that a linear model is where training can start.

    The last layer of the network starts at zero; `linear` starts as the identity between z and the first bases.
    """

    def __init__(self, z_dim: int, n_bases: int, layers: int = 3, width: int = 128):
        super().__init__()
        self.linear = nn.Linear(z_dim, n_bases)
        hidden = [ResidualBlock(width) for _ in range(layers - 1)]
        self.network = nn.Sequential(nn.Linear(z_dim, width), nn.ReLU(), *hidden)
        self.head = nn.Linear(width, n_bases)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        nn.init.zeros_(self.linear.bias)
        with torch.no_grad():
            self.linear.weight.copy_(torch.eye(n_bases, z_dim))

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z) + self.head(self.network(z))
