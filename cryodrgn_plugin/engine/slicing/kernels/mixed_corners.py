"""Volumes mixed at the eight voxels around a point, for use inside numba kernels.

Sums over the channels of a voxel are short, and a sum within a vector costs more than its additions. So eight of them
are made at once, one of each corner, and folded together until each lane holds one. None checks bounds.

Numba's cache follows the file of a kernel, not this one: after a change here, touch the files of the kernels.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .runs import _FLAGS, _FLOAT, _INT, CORNERS, _data, _each, _fused, _load, _splat, _store, mixed, transposed

TAILS = (4, 2, 1)
"""Numbers that are left after blocks of eight."""
_EIGHT = ir.VectorType(_FLOAT, CORNERS)
_NOTHING = ir.Constant(_EIGHT, [0.0] * CORNERS)


@intrinsic
def mix_corners(typingctx, source, starts, amplitudes, count, target, at):
    """target[at + i] = Σ_c amplitudes[c] · source[starts[i] + c] and target[at + 8 + i] = Σ_c amplitudes[c] ·
    source[starts[i] + count + c], i < 8, c < count: real and imaginary parts. starts (8,) int64, all else float32.
    """

    def codegen(context, builder, signature, args):
        runs, starts, factors = _data(context, builder, signature, args[:3])
        (wanted,) = _data(context, builder, signature, args, 4, 5)
        begins = _each(builder, starts)
        for part in range(2):
            firsts = [builder.add(begin, builder.mul(args[3], _INT(part))) for begin in begins]
            sums = _products(builder, runs, firsts, factors, args[3])
            _store(builder, _folded(builder, sums), wanted, builder.add(args[5], _INT(CORNERS * part)), CORNERS)
        return context.get_dummy_value()

    return types.void(source, starts, amplitudes, types.intp, target, types.intp), codegen


@intrinsic
def scale_corners(typingctx, source, starts, amplitude, target, at):
    """`mix_corners` of one volume, of which two neighbours along x are four numbers side by side."""

    def codegen(context, builder, signature, args):
        runs, starts = _data(context, builder, signature, args[:2])
        (wanted,) = _data(context, builder, signature, args, 3, 4)
        begins, factor = _each(builder, starts)[::2], _splat(builder, args[2], CORNERS)
        rows = [_load(builder, runs, begin, 4) for begin in begins]
        below, above = (mixed(builder, near, far, range(8)) for near, far in (rows[:2], rows[2:]))
        for part in range(2):
            values = builder.fmul(mixed(builder, below, above, range(part, 16, 2)), factor, flags=_FLAGS)
            _store(builder, values, wanted, builder.add(args[4], _INT(CORNERS * part)), CORNERS)
        return context.get_dummy_value()

    return types.void(source, starts, types.float32, target, types.intp), codegen


@intrinsic
def turn_block(typingctx, source, start, stride, target, at, width):
    """target[at + width k + i] = source[start + stride i + k], i < 8, k < 8."""

    def codegen(context, builder, signature, args):
        (numbers,) = _data(context, builder, signature, args, 0, 1)
        (wanted,) = _data(context, builder, signature, args, 3, 4)
        places = [builder.add(args[1], builder.mul(args[2], _INT(i))) for i in range(CORNERS)]
        rows = [_load(builder, numbers, place, CORNERS) for place in places]
        for k, values in enumerate(transposed(builder, rows)):
            _store(builder, values, wanted, builder.add(args[4], builder.mul(args[5], _INT(k))), CORNERS)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(source, whole, whole, target, whole, whole), codegen


def _products(builder, runs, firsts, factors, count):
    """Of each run of `count` numbers a vector of eight whose sum is its product with the factors."""
    totals = [cgutils.alloca_once(builder, _EIGHT) for _ in firsts]
    for total in totals:
        builder.store(_NOTHING, total)

    def add(k, lanes):
        factor = _widened(builder, _load(builder, factors, k, lanes), lanes)
        for total, first in zip(totals, firsts, strict=True):
            values = _widened(builder, _load(builder, runs, builder.add(first, k), lanes), lanes)
            builder.store(_fused(builder, builder.load(total), factor, values), total)

    whole = builder.and_(count, _INT(-CORNERS))
    with cgutils.for_range_slice(builder, _INT(0), whole, _INT(CORNERS), inc=True) as (k, _):
        add(k, CORNERS)
    for lanes in TAILS:
        left = builder.and_(count, _INT(lanes))
        with builder.if_then(builder.icmp_unsigned("!=", left, _INT(0))):
            add(whole, lanes)
        whole = builder.add(whole, left)
    return [builder.load(total) for total in totals]


def _widened(builder, values, lanes):
    """A vector of eight that begins with `values` and is 0 beyond them."""
    if lanes == CORNERS:
        return values
    nothing = ir.Constant(values.type, [0.0] * lanes)
    return mixed(builder, values, nothing, [min(lane, lanes) for lane in range(CORNERS)])


def _folded(builder, vectors):
    """Eight vectors of eight → one, whose lane i is the sum of the i-th."""
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [
            builder.fadd(*(mixed(builder, *pair, range(odd, 16, 2)) for odd in range(2)), flags=_FLAGS)
            for pair in pairs
        ]
    return vectors[0]
