"""Eight small systems of equations side by side, for use inside numba kernels.

A tile holds numbers of eight systems: its entry k is a vector of eight doubles, one of each system, at 8 k of a flat
float64 array. So every sum over the entries of one system is a sum of vectors, in registers, whatever its length. (Of
loops over eight neighbours the compiler makes single numbers: it cannot know that arrays do not overlap.) None of these
operations checks bounds. Tiles begin at a cache line (`tile_of`), or each vector would lie in two.

Numba's cache follows the file of a kernel, not this one: after a change here, touch the files of the kernels.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from .runs import _data, _each, transposed

LANES = 8
"""As many doubles as the widest vectors hold, and as many as a cache line."""
AT_ONCE = (4, 2, 1)
"""Rows that are eliminated together, as long as so many are left: what all need is then loaded once."""

_INT = ir.IntType(64)
_SINGLES, _DOUBLES = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.DoubleType(), LANES)
_NOTHING = ir.Constant(_DOUBLES, [0.0] * LANES)
_FUSED = ("contract",)


@njit(inline="always")
def tile_of(entries):
    """Zeros of a tile with so many entries, which begins at a cache line."""
    room = np.zeros((entries + 1) * LANES)
    before = (-(room.ctypes.data // 8)) % LANES
    return room[before : before + entries * LANES]


@njit(inline="always")
def take(source, starts, count, tile, at):
    """Entry at + k of system v = source[starts[v] + k], k < count. source float32, starts (8,) int64."""
    if count < LANES:
        for k in range(count):
            for v in range(LANES):
                tile[(at + k) * LANES + v] = source[starts[v] + k]
    for k in range(0, count if count >= LANES else 0, LANES):
        _take_block(source, starts, min(k, count - LANES), tile, at)


@njit(inline="always")
def leave(tile, at, count, target, starts):
    """target[starts[v] + k] = entry at + k of system v, k < count. target float32, starts (8,) int64."""
    if count < LANES:
        for k in range(count):
            for v in range(LANES):
                target[starts[v] + k] = tile[(at + k) * LANES + v]
    for k in range(0, count if count >= LANES else 0, LANES):
        _leave_block(tile, at, min(k, count - LANES), target, starts)


@intrinsic
def _take_block(typingctx, source, starts, k, tile, at):
    """`take` of the eight numbers from `k` on."""

    def codegen(context, builder, signature, args):
        numbers, begins, target = (_pointer(context, builder, signature, args, n) for n in (0, 1, 3))
        rows = [_load(builder, numbers, builder.add(begin, args[2]), _SINGLES, 4) for begin in _each(builder, begins)]
        for column, values in enumerate(transposed(builder, rows)):
            entry = builder.add(builder.add(args[4], args[2]), _INT(column))
            _put(builder, builder.fpext(values, _DOUBLES), target, entry)
        return context.get_dummy_value()

    return types.void(source, starts, types.intp, tile, types.intp), codegen


@intrinsic
def _leave_block(typingctx, tile, at, k, target, starts):
    """`leave` of the eight numbers from `k` on."""

    def codegen(context, builder, signature, args):
        source, numbers, begins = (_pointer(context, builder, signature, args, n) for n in (0, 3, 4))
        first = builder.add(args[1], args[2])
        columns = [_entry(builder, source, builder.add(first, _INT(column))) for column in range(LANES)]
        rows = transposed(builder, [builder.fptrunc(values, _SINGLES) for values in columns])
        for begin, values in zip(_each(builder, begins), rows, strict=True):
            place = builder.gep(numbers, [builder.add(begin, args[2])])
            builder.store(values, builder.bitcast(place, _SINGLES.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(tile, types.intp, types.intp, target, starts), codegen


@intrinsic
def pivot(typingctx, tile, row, n, extra, copy):
    """Entry row + n = 1/√d, and entry `copy` too, with d = entry row + n plus entry `extra` less the squares of the
    entries row … row + n − 1, and at least 10⁻³⁰.
    """

    def codegen(context, builder, signature, args):
        data, row, n = _pointer(context, builder, signature, args, 0), args[1], args[2]
        place = builder.add(row, n)
        start = builder.fadd(_entry(builder, data, place), _entry(builder, data, args[3]))
        (left,) = _less_products(builder, data, [start], [row], row, (_INT(0), n))
        least = ir.Constant(_DOUBLES, [1e-30] * LANES)
        left = builder.select(builder.fcmp_ordered("<", left, least), least, left)
        kind = ir.FunctionType(_DOUBLES, [_DOUBLES])
        root = builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f64"), [left])
        inverse = builder.fdiv(ir.Constant(_DOUBLES, [1.0] * LANES), root)
        _put(builder, inverse, data, place)
        _put(builder, inverse, data, args[4])
        return context.get_dummy_value()

    whole = types.intp
    return types.void(tile, whole, whole, whole, whole), codegen


@intrinsic
def eliminate(typingctx, tile, rows, first, last, row, begin, n, fresh):
    """Entry n of each of the rows `first` to `last` − 1 = (itself − Σ_p its entry p · entry p of `row`) · entry n of
    `row`, begin ≤ p < n. Where `fresh`, 0 stands for itself. rows (…,) int64 are entries with which rows begin.
    """

    def codegen(context, builder, signature, args):
        data, begins = (_pointer(context, builder, signature, args, n) for n in (0, 1))
        _, _, first, last, row, begin, n, fresh = args
        factor = _entry(builder, data, builder.add(row, n))

        def block(at, count):
            own = [builder.load(builder.gep(begins, [builder.add(at, _INT(r))])) for r in range(count)]
            places = [builder.add(start, n) for start in own]
            old = [builder.select(fresh, _NOTHING, _entry(builder, data, place)) for place in places]
            for place, left in zip(places, _less_products(builder, data, old, own, row, (begin, n)), strict=True):
                _put(builder, builder.fmul(left, factor), data, place)

        _in_blocks(builder, first, last, block)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(tile, rows, whole, whole, whole, whole, whole, types.boolean), codegen


@intrinsic
def substitute_back(typingctx, tile, rows, n, n_rows, one, other):
    """Entry n of `one` and of `other` = (itself − Σ_p entry n of row p · its entry p) · entry n of row n, with
    n < p < n_rows.
    """

    def codegen(context, builder, signature, args):
        data, begins = (_pointer(context, builder, signature, args, n) for n in (0, 1))
        n, n_rows, sides = args[2], args[3], args[4:]
        totals = [_kept(builder, _entry(builder, data, builder.add(side, n))) for side in sides]
        with cgutils.for_range_slice(builder, builder.add(n, _INT(1)), n_rows, _INT(1), inc=True) as (p, _):
            factor = _entry(builder, data, builder.add(builder.load(builder.gep(begins, [p])), n))
            for total, side in zip(totals, sides, strict=True):
                _take_off(builder, total, factor, _entry(builder, data, builder.add(side, p)))
        factor = _entry(builder, data, builder.add(builder.load(builder.gep(begins, [n])), n))
        for total, side in zip(totals, sides, strict=True):
            _put(builder, builder.fmul(builder.load(total), factor), data, builder.add(side, n))
        return context.get_dummy_value()

    whole = types.intp
    return types.void(tile, rows, whole, whole, whole, whole), codegen


@intrinsic
def add_squares(typingctx, tile, begin, end, at):
    """Entry at = the sum of the squares of the entries begin … end − 1."""

    def codegen(context, builder, signature, args):
        data = _pointer(context, builder, signature, args, 0)
        total = _kept(builder, _NOTHING)
        with cgutils.for_range_slice(builder, args[1], args[2], _INT(1), inc=True) as (p, _):
            value = _entry(builder, data, p)
            square = builder.fmul(value, value, flags=_FUSED)
            builder.store(builder.fadd(builder.load(total), square, flags=_FUSED), total)
        _put(builder, builder.load(total), data, args[3])
        return context.get_dummy_value()

    return types.void(tile, types.intp, types.intp, types.intp), codegen


def _less_products(builder, data, starts, rows, row, bounds):
    """Of each of the rows its start − Σ_p its entry p · entry p of `row`, bounds[0] ≤ p < bounds[1]."""
    totals = [_kept(builder, start) for start in starts]
    with cgutils.for_range_slice(builder, *bounds, _INT(1), inc=True) as (p, _):
        factor = _entry(builder, data, builder.add(row, p))
        for total, own in zip(totals, rows, strict=True):
            _take_off(builder, total, factor, _entry(builder, data, builder.add(own, p)))
    return [builder.load(total) for total in totals]


def _in_blocks(builder, first, last, block):
    """Emit `block(at, count)` so that the blocks together cover first ≤ at < last."""
    widest = AT_ONCE[0]
    left = builder.sub(last, first)
    at = builder.add(first, builder.and_(left, _INT(-widest)))
    with cgutils.for_range_slice(builder, first, at, _INT(widest), inc=True) as (index, _):
        block(index, widest)
    for count in AT_ONCE[1:]:
        some = builder.and_(left, _INT(count))
        with builder.if_then(builder.icmp_unsigned("!=", some, _INT(0))):
            block(at, count)
        at = builder.add(at, some)


def _kept(builder, value):
    """A place for a vector that changes, which holds `value` now."""
    place = cgutils.alloca_once(builder, _DOUBLES)
    builder.store(value, place)
    return place


def _take_off(builder, total, one, other):
    product = builder.fmul(one, other, flags=_FUSED)
    builder.store(builder.fsub(builder.load(total), product, flags=_FUSED), total)


def _pointer(context, builder, signature, args, which):
    return _data(context, builder, signature, args, which, which + 1)[0]


def _load(builder, data, index, kind, align):
    loaded = builder.load(builder.bitcast(builder.gep(data, [index]), kind.as_pointer()))
    loaded.align = align
    return loaded


def _entry(builder, data, index):
    return _load(builder, data, builder.mul(index, _INT(LANES)), _DOUBLES, 8)


def _put(builder, values, data, index):
    place = builder.gep(data, [builder.mul(index, _INT(LANES))])
    builder.store(values, builder.bitcast(place, _DOUBLES.as_pointer()), align=8)
