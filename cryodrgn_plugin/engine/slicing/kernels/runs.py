"""Vector operations on short runs of float32, for use inside numba kernels.

A voxel holds a run of a few dozen numbers, and the kernels spend their time adding and weighting such runs. The
compiler's own vectorisation is made for long loops: on runs of 9 to 45 numbers it mostly executes its remainder loop,
one number at a time. These operations take a run in blocks of 16, then 8, 4, 2 and 1 numbers, as LLVM vectors that any
processor's instructions are found for. None checks bounds. Arrays must be contiguous.

Numba's cache follows the file of a kernel, not this one: after a change here, touch the files of the kernels.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BLOCKS = (16, 8, 4, 2, 1)
CORNERS = 8
CACHE_LINE = 16
"""Floats per cache line."""

_FLAGS = ("contract", "reassoc", "nsz", "arcp")  # not "nnan": a NaN image must stay visible
_FLOAT, _INT, _INT32 = ir.FloatType(), ir.IntType(64), ir.IntType(32)


@intrinsic
def blend(typingctx, source, starts, weights, target, count):
    """target[k] = Σ_i weights[i] · source[starts[i] + k], i < 8, k < count."""

    def codegen(context, builder, signature, args):
        runs, starts, weights, target = _data(context, builder, signature, args[:4])
        corners = list(zip(_each(builder, starts), _each(builder, weights), strict=True))

        def block(k, lanes):
            total = ir.Constant(ir.VectorType(_FLOAT, lanes), [0.0] * lanes)
            for start, weight in corners:
                term = _load(builder, runs, builder.add(start, k), lanes)
                total = _fused(builder, total, _splat(builder, weight, lanes), term)
            _store(builder, total, target, k, lanes)

        _over_run(builder, args[4], block)
        return context.get_dummy_value()

    return types.void(source, starts, weights, target, types.intp), codegen


@intrinsic
def blend_pair(typingctx, source, start, n, by_first, by_second, first, second, count):
    """first[k] = Σ_j by_first[j] · source[start + j count + k], j < n, k < count, and `second` by `by_second`."""

    def codegen(context, builder, signature, args):
        (runs,) = _data(context, builder, signature, args[:1])
        factors, targets = (_data(context, builder, signature, args, *ends) for ends in ((3, 5), (5, 7)))

        def block(k, lanes):
            nothing = ir.Constant(ir.VectorType(_FLOAT, lanes), [0.0] * lanes)
            totals = [cgutils.alloca_once_value(builder, nothing) for _ in targets]
            for total in totals:
                builder.store(nothing, total)
            with cgutils.for_range(builder, args[2]) as loop:
                at = builder.add(builder.add(args[1], builder.mul(loop.index, args[7])), k)
                values = _load(builder, runs, at, lanes)
                for total, factor in zip(totals, factors, strict=True):
                    weight = _splat(builder, builder.load(builder.gep(factor, [loop.index])), lanes)
                    builder.store(_fused(builder, builder.load(total), weight, values), total)
            for total, target in zip(totals, targets, strict=True):
                _store(builder, builder.load(total), target, k, lanes)

        _over_run(builder, args[7], block)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(source, whole, whole, by_first, by_second, first, second, whole), codegen


@intrinsic
def between_rows(typingctx, source, table, width, entries, places, point, n, target):
    """target[point, k] = number k, of four of two voxels along x, between the four rows of one volume around a point.

    table (width²,) int32 tells where rows begin in `source`; entries (2, n) int32 hold an entry of it and the number
    along the row, rows 1 and 2 of places (4, n) the distances from that row along y and z. target (n, 4).
    """

    def codegen(context, builder, signature, args):
        runs, rows = _data(context, builder, signature, args[:2])
        entries, places = _data(context, builder, signature, args, 3, 5)
        (wanted,) = _data(context, builder, signature, args, 7)
        width, point, n = args[2], args[5], args[6]
        entry, along = (
            builder.sext(builder.load(builder.gep(entries, [at])), _INT) for at in (point, builder.add(point, n))
        )
        next_plane = builder.add(entry, width)
        corners = []
        for at in (entry, builder.add(entry, _INT(1)), next_plane, builder.add(next_plane, _INT(1))):
            start = builder.sext(builder.load(builder.gep(rows, [at])), _INT)
            corners.append(_load(builder, runs, builder.add(start, along), 4))
        y, z = (
            _splat(builder, builder.load(builder.gep(places, [builder.add(point, builder.mul(n, _INT(k)))])), 4)
            for k in (1, 2)
        )
        below, above = (_between(builder, near, far, y) for near, far in (corners[:2], corners[2:]))
        _store(builder, _between(builder, below, above, z), wanted, builder.mul(point, _INT(4)), 4)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(source, table, whole, entries, places, whole, whole, target), codegen


@intrinsic
def fold_rows(typingctx, rows, places, point, n, target):
    """Slices at eight points from `point` on, target (2, n), of what `between_rows` has left of them in rows (n, 4).

    Row 0 of places (4, n) holds how far points lie along x, row 3 the sign of the imaginary part, 0 where both are 0.
    """

    def codegen(context, builder, signature, args):
        rows, places = _data(context, builder, signature, args[:2])
        (wanted,) = _data(context, builder, signature, args, 4)
        point, n = args[2], args[3]
        first = builder.mul(point, _INT(4))
        low, high = (_load(builder, rows, builder.add(first, _INT(16 * half)), 16) for half in range(2))
        x, sign = (_load(builder, places, builder.add(point, builder.mul(n, _INT(k))), CORNERS) for k in (0, 3))
        for part, factor in enumerate((builder.fmul(sign, sign, flags=_FLAGS), sign)):
            near, far = (mixed(builder, low, high, range(k, 32, 4)) for k in (part, part + 2))
            values = builder.fmul(factor, _between(builder, near, far, x), flags=_FLAGS)
            _store(builder, values, wanted, builder.add(point, builder.mul(n, _INT(part))), CORNERS)
        return context.get_dummy_value()

    return types.void(rows, places, types.intp, types.intp, target), codegen


@intrinsic
def spread(typingctx, target, starts, weights, source, rows, count, n):
    """target[starts[i] + k] += Σ_p weights[p, i] · source[rows[p] + k], i < 8, k < count, p < n.

    The sums over p stay in registers; what is spread to the same eight runs is thus read and written once.
    weights (n, 8) float32, rows (n) int64.
    """

    def codegen(context, builder, signature, args):
        runs, starts, weights, source, rows = _data(context, builder, signature, args[:5])
        begins = _each(builder, starts)

        def block(k, lanes):
            nothing = ir.Constant(ir.VectorType(_FLOAT, lanes), [0.0] * lanes)
            totals = [cgutils.alloca_once_value(builder, nothing) for _ in begins]
            for total in totals:
                builder.store(nothing, total)
            with cgutils.for_range(builder, args[6]) as loop:
                at = builder.add(builder.load(builder.gep(rows, [loop.index])), k)
                values = _load(builder, source, at, lanes)
                shares = builder.gep(weights, [builder.mul(loop.index, _INT(CORNERS))])
                for total, weight in zip(totals, _each(builder, shares), strict=True):
                    builder.store(_fused(builder, builder.load(total), _splat(builder, weight, lanes), values), total)
            for begin, total in zip(begins, totals, strict=True):
                at = builder.add(begin, k)
                sum_ = builder.fadd(_load(builder, runs, at, lanes), builder.load(total), flags=_FLAGS)
                _store(builder, sum_, runs, at, lanes)

        _over_run(builder, args[5], block)
        return context.get_dummy_value()

    return types.void(target, starts, weights, source, rows, types.intp, types.intp), codegen


@intrinsic
def scale(typingctx, factor, source, target, count):
    """target[k] = factor · source[k], k < count."""

    def codegen(context, builder, signature, args):
        source, target = _data(context, builder, signature, args, first=1, last=3)

        def block(k, lanes):
            product = builder.fmul(_splat(builder, args[0], lanes), _load(builder, source, k, lanes), flags=_FLAGS)
            _store(builder, product, target, k, lanes)

        _over_run(builder, args[3], block)
        return context.get_dummy_value()

    return types.void(types.float32, source, target, types.intp), codegen


@intrinsic
def add_scaled(typingctx, factor, source, target, count):
    """target[k] += factor · source[k], k < count."""

    def codegen(context, builder, signature, args):
        source, target = _data(context, builder, signature, args, first=1, last=3)

        def block(k, lanes):
            old, new = _load(builder, target, k, lanes), _load(builder, source, k, lanes)
            _store(builder, _fused(builder, old, _splat(builder, args[0], lanes), new), target, k, lanes)

        _over_run(builder, args[3], block)
        return context.get_dummy_value()

    return types.void(types.float32, source, target, types.intp), codegen


@intrinsic
def prefetch(typingctx, array, start, count):
    """Ask for array[start : start + count] to be brought into the cache."""

    def codegen(context, builder, signature, args):
        (data,) = _data(context, builder, signature, args[:1])
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")

        def line(index):
            address = builder.bitcast(builder.gep(data, [index]), cgutils.voidptr_t)
            builder.call(function, [address, _INT32(0), _INT32(3), _INT32(1)])

        last = builder.add(args[1], builder.sub(args[2], _INT(1)))
        with cgutils.for_range_slice(builder, args[1], last, _INT(CACHE_LINE), inc=True) as (index, _):
            line(index)
        line(last)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), codegen


def _data(context, builder, signature, args, first=0, last=None):
    """Data pointers of the array arguments `first` to `last`."""
    pairs = list(zip(signature.args, args, strict=False))[first:last]
    return [context.make_array(kind)(context, builder, value).data for kind, value in pairs]


def _each(builder, data):
    """The eight numbers that begin at `data`."""
    return [builder.load(builder.gep(data, [_INT(i)])) for i in range(CORNERS)]


def _over_run(builder, count, block):
    """Emit `block(k, lanes)` so that the blocks together cover 0 ≤ k < count."""
    widest = BLOCKS[0]
    k = builder.and_(count, _INT(-widest))
    with cgutils.for_range_slice(builder, _INT(0), k, _INT(widest), inc=True) as (index, _):
        block(index, widest)
    for lanes in BLOCKS[1:]:
        left = builder.and_(count, _INT(lanes))
        with builder.if_then(builder.icmp_unsigned("!=", left, _INT(0))):
            block(k, lanes)
        k = builder.add(k, left)


def _splat(builder, value, lanes):
    vector = ir.VectorType(_FLOAT, lanes)
    first_lane = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _INT32(0))
    zeros = ir.Constant(ir.VectorType(_INT32, lanes), [0] * lanes)
    return builder.shuffle_vector(first_lane, ir.Constant(vector, ir.Undefined), zeros)


def _fused(builder, total, weight, term):
    return builder.fadd(total, builder.fmul(weight, term, flags=_FLAGS), flags=_FLAGS)


def _between(builder, one, other, fraction):
    return _fused(builder, one, fraction, builder.fsub(other, one, flags=_FLAGS))


def _load(builder, data, index, lanes):
    loaded = builder.load(_vector_at(builder, data, index, lanes))
    loaded.align = 4
    return loaded


def _store(builder, values, data, index, lanes):
    builder.store(values, _vector_at(builder, data, index, lanes), align=4)


def _vector_at(builder, data, index, lanes):
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(_FLOAT, lanes).as_pointer())


def transposed(builder, rows):
    """Eight vectors of eight: value j of vector i becomes value i of vector j."""
    halves = (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)
    rows = [mixed(builder, rows[i], rows[i + 4], half) for half in halves for i in range(4)]
    columns = []
    for a, b, c, d in (rows[:4], rows[4:]):
        for of in ((0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15)):
            pair = mixed(builder, a, b, of), mixed(builder, c, d, of)
            columns += [mixed(builder, *pair, of) for of in ((0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15))]
    return columns


def mixed(builder, one, other, which):
    """The values `which` of two vectors, those of the second counted after those of the first."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_INT32, len(which)), list(which)))
