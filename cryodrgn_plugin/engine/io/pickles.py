"""Pickles of numpy arrays, read instruction by instruction: nothing in the file is called, imported or given to numpy.

A pickle is a program for a small stack machine. Of its instructions those are understood that numpy's arrays, numbers,
texts and plain containers are written with; the few calls among them are recognised by name and done here, with types
of a fixed list only, sizes that the file itself must fill, and containers of a few levels. Whatever else a file holds
is an error before anything is done with it.
"""

import io
import math
import os
import pickletools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MOST_STEPS = 200_000
MOST_DIMENSIONS = 8
MOST_LEVELS = 4
_TYPES = {f"{kind}{size}" for kind, sizes in {"f": (2, 4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "b": (1,)}.items()
          for size in sizes}  # fmt: skip
_CORES = ("numpy.core", "numpy._core")
_CALLS = {("numpy", "dtype"): "dtype", ("_codecs", "encode"): "encode", ("__builtin__", "bytes"): "bytes"} | {
    (f"{core}.{module}", name): name.lstrip("_")
    for core in _CORES
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
}
_NAMES = {**_CALLS, ("numpy", "ndarray"): "ndarray"}
_VALUES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_KEEPS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_MARK = object()


@dataclass
class _Type:
    """A dtype by its code, such as f4, until its byte order is known."""

    code: str
    order: str = "="

    def known(self) -> np.dtype:
        return np.dtype(self.order + self.code)


@dataclass
class _Array:
    """An array whose content comes later."""

    content: np.ndarray | None = None


@dataclass
class _Machine:
    """The stack machine, with what its instructions may make."""

    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise ValueError("it takes what it has not put")
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        values: list[Any] = []
        while self.stack and self.stack[-1] is not _MARK:
            values.append(self.stack.pop())
        if not self.stack:
            raise ValueError("it takes what it has not put")
        self.stack.pop()
        return values[::-1]

    def do(self, name: str, argument: Any) -> None:
        """One instruction. Raises ValueError for one that has nothing to do with arrays."""
        if name in _VALUES:
            self.stack.append(_VALUES[name])
        elif name in _NUMBERS or name in _TEXTS or name in _BYTES:
            self.stack.append(argument)
        elif name in _TUPLES:
            values = [self.pop() for _ in range(_TUPLES[name])]
            self.stack.append(tuple(values[::-1]))
        elif name in _KEEPS or name == "MEMOIZE":
            value = self.pop()
            self.stack.append(value)
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = value
        elif name in _GETS:
            if argument not in self.memo:
                raise ValueError("it refers to what it has not kept")
            self.stack.append(self.memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            words = tuple(argument.split(" ", 1)) if name == "GLOBAL" else (self.pop(), self.pop())[::-1]
            self.stack.append(_named(words))
        else:
            self._build(name)

    def _build(self, name: str) -> None:
        """Instructions that put together what lies on the stack."""
        if name == "MARK":
            self.stack.append(_MARK)
        elif name == "TUPLE":
            self.stack.append(tuple(self.since_mark()))
        elif name == "EMPTY_LIST":
            self.stack.append([])
        elif name == "LIST":
            self.stack.append(self.since_mark())
        elif name in ("APPEND", "APPENDS"):
            values = [self.pop()] if name == "APPEND" else self.since_mark()
            target = self.stack[-1] if self.stack else None
            if not isinstance(target, list):
                raise ValueError("it appends to what is no list")
            target += values
        elif name == "REDUCE":
            arguments, function = self.pop(), self.pop()
            self.stack.append(_called(function, arguments))
        elif name == "BUILD":
            state, target = self.pop(), self.pop()
            self.stack.append(_filled(target, state))
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"it has the instruction {name}, which no array needs")


def read_pickles(path: str | os.PathLike, most: int) -> list[Any]:
    """Up to `most` pickles that follow each other in a file: arrays, numbers, texts, tuples and lists of such.

    Raises ValueError for whatever is none of these, for a file that is cut off, and for one without any.
    """
    with open(path, "rb") as file:
        data = io.BytesIO(file.read())
    contents: list[Any] = []
    while len(contents) < most and data.tell() < data.getbuffer().nbytes:
        contents.append(_one(data))
    if not contents:
        raise ValueError("the file is empty")
    return contents


def _one(data: io.BytesIO) -> Any:
    machine = _Machine()
    for step, (instruction, argument, _) in enumerate(pickletools.genops(data)):
        if step > MOST_STEPS:
            raise ValueError(f"it has more than {MOST_STEPS:,} instructions")
        if instruction.name != "STOP":
            machine.do(instruction.name, argument)
    return _finished(machine.pop(), MOST_LEVELS)


def _finished(value: Any, levels: int) -> Any:
    """A value with arrays in place of those that were to come."""
    if isinstance(value, _Array):
        if value.content is None:
            raise ValueError("it has an array without content")
        return value.content
    if isinstance(value, tuple | list):
        if not levels:
            raise ValueError(f"its containers have more than {MOST_LEVELS} levels")
        return type(value)(_finished(part, levels - 1) for part in value)
    if isinstance(value, _Type | _Name):
        raise ValueError("it holds what is not an array")
    return value


class _Name(str):
    """Something of numpy that the file names."""


def _named(words: tuple[Any, ...]) -> _Name:
    if words not in _NAMES:
        raise ValueError(f"it holds {'.'.join(map(str, words))[:100]}, which is not an array")
    return _Name(_NAMES[words])


def _called(function: Any, arguments: Any) -> Any:
    """What a call that numpy writes gives."""
    if not isinstance(function, _Name) or function == "ndarray" or not isinstance(arguments, tuple):
        raise ValueError("it calls what is no function of arrays")
    if function == "dtype":
        code = arguments[0] if arguments else None
        if not isinstance(code, str) or code not in _TYPES or arguments[1:] not in ((False, True), (0, 1), (0, 0)):
            raise ValueError(f"it holds values of the type {str(code)[:50]}")
        return _Type(code)
    if function == "encode":
        text, coding = arguments
        if not isinstance(text, str) or coding not in ("latin1", "latin-1"):
            raise ValueError("it encodes what is no text")
        return text.encode("latin-1")
    if function == "bytes":
        if arguments:
            raise ValueError("it makes bytes of something")
        return b""
    if function == "reconstruct":
        if len(arguments) != 3 or arguments[0] != "ndarray" or not isinstance(arguments[0], _Name):
            raise ValueError("it makes an array of another kind")
        return _Array()
    if function == "scalar":
        kind, data = arguments
        return _values(data, kind, (), False)[()]
    data, kind, shape, order = arguments
    return _Array(_values(data, kind, shape, order == "F"))


def _filled(target: Any, state: Any) -> Any:
    """What was made before, with the state that numpy gives it."""
    if isinstance(target, _Type):
        if not isinstance(state, tuple) or len(state) != 8 or state[1] not in ("<", ">", "=", "|"):
            raise ValueError("it describes a type of values that is not one of numbers")
        if state[0] not in (3, 4) or state[2:] not in ((None, None, None, -1, -1, 0), (None, None, None, 0, 0, 0)):
            raise ValueError("it describes a type of values that is not one of numbers")
        target.order = state[1]
        return target
    if not isinstance(target, _Array) or target.content is not None or not isinstance(state, tuple) or len(state) != 5:
        raise ValueError("it fills what is no array")
    version, shape, kind, fortran_order, data = state
    if version != 1 or fortran_order not in (True, False):
        raise ValueError(f"an array of the version {str(version)[:20]}")
    target.content = _values(data, kind, shape, bool(fortran_order))
    return target


def _values(data: Any, kind: Any, shape: Any, fortran_order: bool) -> np.ndarray:
    """The array of a shape and type in `data`, which it must fill."""
    if isinstance(data, str):
        data = data.encode("latin-1")  # of Python 2
    if not isinstance(kind, _Type) or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
        raise ValueError("it has an array that is not one of numbers")
    if len(shape) > MOST_DIMENSIONS or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise ValueError(f"an array of shape {str(shape)[:50]}")
    if math.prod(shape) * kind.known().itemsize != len(data):
        raise ValueError(f"an array of shape {shape} in {len(data):,} bytes")
    return np.frombuffer(bytearray(data), kind.known()).reshape(shape, order="F" if fortran_order else "C")
