"""A device that is not there: tensors that say they are elsewhere, and an account of what comes back from them.

`FarDevice()` is a context in which `FAR` is a device. What is made there, or brought there, refuses to meet the memory
of the host, as the tensors of a GPU do: a numpy call on it raises, and so does an operation with a tensor of the host.
Every number that is brought back is counted. The arithmetic is done on the CPU behind the scenes.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

FAR = torch.device("meta")
"""Torch's own device without memory: its name is at hand on every machine, and nothing else here uses it."""

aten = torch.ops.aten
AT_ONCE = {aten._conj.default: aten._conj_physical.default, aten._neg_view.default: aten.neg.default}
"""What torch puts off until it is looked at, which can't be seen through a far tensor."""
TAKES_HOST_INDICES = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)
"""A GPU takes indices from the host too."""
WRONG = float("nan")
"""What memory is full of that nobody has written to."""


class FarTensor(torch.Tensor):
    """A tensor on `FAR`; `near` holds its numbers."""

    @staticmethod
    def __new__(cls, near: torch.Tensor):
        return torch.Tensor._make_wrapper_subclass(
            cls, near.shape, dtype=near.dtype, device=FAR, strides=near.stride(), storage_offset=near.storage_offset()
        )

    def __init__(self, near: torch.Tensor) -> None:
        self.near = near

    def __repr__(self, *, tensor_contents=None) -> str:
        return f"FarTensor({self.near})"

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        raise RuntimeError(f"{operation} met a far tensor outside of FarDevice")


class FarDevice(TorchDispatchMode):
    """The context. `brought_back` counts the bytes that came to the host, `largest` those of the largest piece."""

    def __init__(self) -> None:
        super().__init__()
        self.brought_back = self.largest = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        operation, kwargs = AT_ONCE.get(operation, operation), dict(kwargs or {})
        tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, torch.Tensor)]
        is_far = [isinstance(each, FarTensor) for each in tensors]
        target = kwargs.get("device")
        if operation is aten._local_scalar_dense.default and is_far[0]:
            self._account(tensors[0].near)
            return operation(tensors[0].near)
        if operation is aten._to_copy.default:
            return self._copied(args[0], kwargs)
        if operation is aten.copy_.default and is_far[0] != is_far[1]:
            if not is_far[0]:
                self._account(args[1].near)
            operation(*tree_map(_near, args), **kwargs)
            return args[0]
        if any(is_far) and operation not in TAKES_HOST_INDICES:
            strangers = [each for each, far in zip(tensors, is_far, strict=True) if not far and each.dim()]
            if strangers:
                raise RuntimeError(f"{operation}: tensors of shapes {[each.shape for each in strangers]} on the host")
        makes_far = any(is_far) or (target is not None and torch.device(target) == FAR)
        if target is not None:
            kwargs["device"] = "cpu"
        out = operation(*tree_map(_near, args), **tree_map(_near, kwargs))
        if makes_far and "empty" in operation._schema.name:
            out.fill_(WRONG if out.is_floating_point() or out.is_complex() else torch.iinfo(out.dtype).min)
        if operation._schema.name.endswith("_") and isinstance(args[0], FarTensor):
            return args[0]
        return tree_map(_far, out) if makes_far else out

    def _copied(self, source: torch.Tensor, options: dict) -> torch.Tensor:
        target = torch.device(options.pop("device", None) or source.device)
        options.pop("non_blocking", None)
        copy = aten._to_copy.default(_near(source), **options)
        if target == FAR:
            return FarTensor(copy)
        if isinstance(source, FarTensor):
            self._account(copy)
        return copy

    def _account(self, tensor: torch.Tensor) -> None:
        size = tensor.numel() * tensor.element_size()
        self.brought_back, self.largest = self.brought_back + size, max(self.largest, size)


def _far(value):
    return FarTensor(value) if isinstance(value, torch.Tensor) else value


def _near(value):
    return value.near if isinstance(value, FarTensor) else value
