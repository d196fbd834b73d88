"""The hidden layers of the coordinate network on many points per image: a plain reference and a fused form of it.

    h₀ = relu(W x + shift_b),   h_{l+1} = relu(W_l h_l + b_l + h_l),   y = W_out h_L + b_out

`shift` holds the bias and the share of z of the first layer: it is the same for all points of an image, so z is
projected once per image and not once per point. The fused form folds the skip connection into the weights (W_l + 1),
works in place, keeps only what the backward needs and runs every product in one number type (bfloat16 on processors
that have it).
"""

import torch
from torch import Tensor
from torch.nn import functional

Layers = list[tuple[Tensor, Tensor]]


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
    features: Tensor, first: Tensor, shift: Tensor, layers: Layers, head: Tensor, head_bias: Tensor
) -> Tensor:
    """`residual_stack` with products in the type of `features`, which get no gradient; parameters and result keep
    theirs.
    """
    weights, biases = [w for w, _ in layers], [b for _, b in layers]
    return _FusedStack.apply(features, first, shift, head, head_bias, *weights, *biases)


class _FusedStack(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, first, shift, head, head_bias, *layers):
        b, n, e = features.shape
        dtype, depth = features.dtype, len(layers) // 2
        inputs = features.reshape(b * n, e)
        hidden = inputs @ first.to(dtype).T
        hidden.view(b, n, -1).add_(shift.to(dtype)[:, None]).relu_()
        identity = torch.eye(len(first), dtype=first.dtype, device=first.device)
        skipping = [(weight + identity).to(dtype) for weight in layers[:depth]]
        states = [hidden]
        for weight, bias in zip(skipping, layers[depth:], strict=True):
            states.append(torch.addmm(bias.to(dtype), states[-1], weight.T).relu_())
        last = head.to(dtype)
        ctx.save_for_backward(inputs, last, *skipping, *states)
        ctx.sizes = (b, n, depth)
        return torch.addmm(head_bias.to(dtype), states[-1], last.T).to(shift.dtype).view(b, n, -1)

    @staticmethod
    def backward(ctx, grad):
        b, n, depth = ctx.sizes
        inputs, last, *saved = ctx.saved_tensors
        skipping, states = saved[:depth], saved[depth:]
        kept, dtype = grad.dtype, inputs.dtype
        grad = grad.reshape(b * n, -1)
        by_head_bias = grad.sum(0)
        grad = grad.to(dtype)
        by_head = (grad.T @ states[-1]).to(kept)
        by_weights, by_biases = [None] * depth, [None] * depth
        grad = _through_relu(grad @ last, states[-1])
        for layer in reversed(range(depth)):
            by_weights[layer] = (grad.T @ states[layer]).to(kept)
            by_biases[layer] = grad.sum(0).to(kept)
            grad = _through_relu(grad @ skipping[layer], states[layer])
        by_first = (grad.T @ inputs).to(kept)
        by_shift = grad.view(b, n, -1).sum(1).to(kept)
        return None, by_first, by_shift, by_head, by_head_bias, *by_weights, *by_biases


def _through_relu(grad: Tensor, output: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward(grad, output, 0)
