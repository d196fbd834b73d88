"""The hidden layers of the coordinate network on many points per image.

    h₀ = relu(W x + shift_b),   h_{l+1} = relu(W_l h_l + b_l + h_l),   y = W_out h_L + b_out

`shift` holds the bias and the share of z of the first layer: it is the same for all points of an image, so z is projected once
per image and not once per point.
"""

import torch
from torch import Tensor
from torch.nn import functional

Layers = list[tuple[Tensor, Tensor]]


def residual_stack(features: Tensor, first: Tensor, shift: Tensor, layers: Layers, head: Tensor, head_bias: Tensor) -> Tensor:
    """Values of the network.

    Parameters
    ----------
    features : (B, N, E). Encoded coordinates.
    first : (H, E). Weights of the first layer.
    shift : (B, H). Bias of the first layer with the share of z.
    layers : weights (H, H) and bias (H,) of each residual layer.
    head, head_bias : (O, H) and (O,).

    Returns
    -------
    (B, N, O) in the type of `shift`.
    """
    hidden = torch.relu(functional.linear(features, first) + shift[:, None].to(features.dtype))
    for weight, bias in layers:
        hidden = torch.relu(functional.linear(hidden, weight, bias) + hidden)
    return functional.linear(hidden, head, head_bias).to(shift.dtype)
