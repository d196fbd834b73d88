"""The hidden layers of the coordinate network on many points per view: a plain reference and a fused form of it.

    h₀ = relu(W x + shift_v),   h_{l+1} = relu(W_l h_l + b_l + h_l),   y = W_out h_L + b_out

`shift` holds the bias and the share of z of the first layer: it is the same for all points of a view, so z is
projected once per image and not once per point. The fused form folds the skip connection into the weights (W_l + 1),
runs every product in one number type (bfloat16 on processors that have it), adds gradients up in that of the
parameters, and goes through all layers with as many points as stay in the cache: what is not a product then waits for
no memory (benchmarks/coordinate_mlp_speed.py).
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from .encoding import EncodedPoints

Layers = list[tuple[Tensor, Tensor]]

ROWS_IN_CACHE = 4096
"""Points that a processor takes through all layers at a time."""
ROWS_ON_DEVICE = 2**19
"""The same of a GPU, which wants all at once and has no more memory than it has."""


def residual_stack(
    features: Tensor, first: Tensor, shift: Tensor, layers: Layers, head: Tensor, head_bias: Tensor
) -> Tensor:
    """Values of the network; differentiable in everything.

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
    hidden = torch.relu(functional.linear(features, first) + shift[:, None])
    for weight, bias in layers:
        hidden = torch.relu(functional.linear(hidden, weight, bias) + hidden)
    return functional.linear(hidden, head, head_bias)


def fused_residual_stack(
    encoded: EncodedPoints, first: Tensor, shift: Tensor, layers: Layers, head: Tensor, head_bias: Tensor
) -> Tensor:
    """`residual_stack` with products in the number type of the encoded points, which get no gradient; parameters and
    result keep theirs.
    """
    weights, biases = [w for w, _ in layers], [b for _, b in layers]
    return _FusedStack.apply(encoded, first, shift, head, head_bias, *weights, *biases)


class _FusedStack(torch.autograd.Function):
    @staticmethod
    def forward(ctx, encoded, first, shift, head, head_bias, *layers):
        dtype, depth = encoded.dtype, len(layers) // 2
        identity = torch.eye(len(first), dtype=first.dtype, device=first.device)
        entering, last, shifts = first.to(dtype), head.to(dtype), shift.to(dtype)
        skipping = [(weight + identity).to(dtype) for weight in layers[:depth]]
        biases = [bias.to(dtype) for bias in layers[depth:]]
        out = shift.new_empty(encoded.views, encoded.per_view, len(head))
        states: list[Tensor] = []
        for views, points in _parts(encoded):
            inputs = encoded.features(views, points)
            shape, rows = inputs.shape[:2], inputs.flatten(0, 1)
            hidden = rows @ entering.T
            hidden.view(*shape, -1).add_(shifts[views, None]).relu_()
            passed = [rows, hidden]
            for weight, bias in zip(skipping, biases, strict=True):
                passed.append((passed[-1] @ weight.T).add_(bias).relu_())
            out[views, points] = (passed[-1] @ last.T).view(*shape, -1)
            if any(ctx.needs_input_grad):
                states += passed
        ctx.save_for_backward(last, *skipping, *states)
        ctx.parts, ctx.depth = list(_parts(encoded)), depth
        return out.add_(head_bias)

    @staticmethod
    def backward(ctx, grad):
        depth = ctx.depth
        last, *saved = ctx.saved_tensors
        skipping, states = saved[:depth], saved[depth:]
        dtype = last.dtype
        sums = _Sums(grad, last, skipping, states[0])
        passed = [states[first : first + depth + 2] for first in range(0, len(states), depth + 2)]
        for views, points in reversed(ctx.parts):
            inputs, *hidden = passed.pop()
            part = grad[views, points]
            down = part.flatten(0, 1).to(dtype)
            sums.head += down.T @ hidden[-1]
            down = _through_relu(down @ last, hidden[-1])
            for layer in reversed(range(depth)):
                sums.weights[layer] += down.T @ hidden[layer]
                sums.biases[layer] += down.sum(0)
                down = _through_relu(down @ skipping[layer], hidden[layer])
            sums.first += down.T @ inputs
            sums.shift[views] += down.view(*part.shape[:2], -1).sum(1)
        return None, sums.first, sums.shift, sums.head, grad.sum((0, 1)), *sums.weights, *sums.biases


class _Sums:
    """Gradients of the parameters while they are added up, in the number type of `grad`."""

    def __init__(self, grad: Tensor, last: Tensor, skipping: list[Tensor], inputs: Tensor):
        width = last.shape[1]
        self.first = grad.new_zeros(width, inputs.shape[1])
        self.shift = grad.new_zeros(len(grad), width)
        self.head = grad.new_zeros(last.shape)
        self.weights = [grad.new_zeros(weight.shape) for weight in skipping]
        self.biases = [grad.new_zeros(width) for _ in skipping]


def _parts(encoded: EncodedPoints) -> Iterator[tuple[slice, slice]]:
    """Views and points that are taken through all layers at a time: several whole views, or a part of one. Where a view
    fills a part, what is said of it depends on no other.
    """
    at_once = ROWS_IN_CACHE if encoded.points.device.type == "cpu" else ROWS_ON_DEVICE
    views, points = max(1, at_once // encoded.per_view), -(-encoded.per_view // -(-encoded.per_view // at_once))
    for view in range(0, encoded.views, views):
        for point in range(0, encoded.per_view, points):
            yield slice(view, view + views), slice(point, point + points)


def _through_relu(grad: Tensor, output: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward.grad_input(grad, output, 0, grad_input=grad)
