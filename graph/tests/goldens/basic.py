"""Cases of ops that compute element by element, reduce or move."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from golden import double, INF, NAN, numpy_op

INT_MIN, INT_MAX = -(2**63), 2**63 - 1

# ---- elementwise --------------------------------------------------------------------------------

SPECIAL = torch.tensor([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-30, -1e-30, 1e30, INF, -INF, NAN])


def snake(eps):
    def function(x, alpha):
        a = alpha.reshape(1, -1, *[1] * (x.dim() - 2))
        return x + torch.sin(a * x) ** 2 / (a + eps)

    return function


def elementwise(g):
    smooth = {
        "Exp": torch.exp,
        "Sin": torch.sin,
        "Cos": torch.cos,
        "Tanh": torch.tanh,
        "Sigmoid": torch.sigmoid,
        "Swish": F.silu,
        "Gelu": F.gelu,
        "Erf": torch.erf,
        # logaddexp has no threshold; F.softplus is linear above 20.
        "Softplus": lambda x: torch.logaddexp(x, torch.zeros((), dtype=x.dtype)),
        "LeakyRelu": F.leaky_relu,
    }
    positive = {"Log": torch.log, "Sqrt": torch.sqrt, "Reciprocal": torch.reciprocal}
    exact = {
        "Neg": torch.neg,
        "Abs": torch.abs,
        "Relu": F.relu,
        "Floor": torch.floor,
        "Round": torch.round,
        "Identity": lambda x: x,
    }
    for op, f in smooth.items():
        g.add(op, [g.normal(2, 3, 5, scale=3)], f)
        g.add(op, [torch.linspace(-12, 12, 61)], f)
    for op, f in positive.items():
        g.add(op, [g.uniform(0.01, 4, 3, 7)], f)
        g.add(op, [torch.logspace(-20, 20, 41)], f)
    for op, f in exact.items():
        g.add(op, [g.normal(2, 3, 5, scale=3)], f, exact=True)
    # The limits at -inf are ours; PyTorch's formulas give NaN.
    limits = {
        "Swish": lambda x: torch.where(x == -INF, 0.0, x * torch.sigmoid(x)),
        "Gelu": lambda x: torch.where(x == -INF, 0.0, F.gelu(x)),
    }
    for op, f in {**smooth, **positive, **exact, **limits}.items():
        # 1e30 is beyond any argument reduction in f32.
        special = SPECIAL if op not in ("Sin", "Cos") else SPECIAL[SPECIAL.abs() != 1e30]
        g.add(op, [special], f, exact=op in exact)
        g.add(op, [g.normal(0, 3)], f, exact=op in exact)
        g.add(op, [torch.tensor(0.75)], f, exact=op in exact)
    for approximate in ("none", "tanh"):
        f = lambda x: F.gelu(x, approximate=approximate)
        g.add("Gelu", [torch.linspace(-9, 9, 61)], f, approximate=approximate)
    for alpha in (1.702, -0.5, 0.0):
        g.add("Swish", [torch.linspace(-9, 9, 37)], lambda x: x * torch.sigmoid(alpha * x), alpha=alpha)
    g.add("LeakyRelu", [g.normal(11)], lambda x: F.leaky_relu(x, 0.2), alpha=0.2)
    g.add("Sin", [g.uniform(-1000, 1000, 64)], torch.sin)
    g.add("Cos", [g.uniform(-1000, 1000, 64)], torch.cos)
    # The limits are representable, so that rounding them changes nothing.
    for low, high in ((-0.5, 1.25), (None, 0.5), (0.25, None), (2.0, 2.0)):
        attrs = {k: v for k, v in (("min", low), ("max", high)) if v is not None}
        g.add("Clip", [g.normal(3, 5)], lambda x: torch.clip(x, low, high), exact=True, **attrs)
    g.add("Clip", [SPECIAL], lambda x: torch.clip(x, -1.0, 1.0), exact=True, min=-1.0, max=1.0)
    g.add("Clip", [SPECIAL], lambda x: x, exact=True)
    g.add("Snake", [g.normal(2, 3, 7, scale=2), g.uniform(0.1, 3, 3)], snake(1e-9))
    g.add("Snake", [g.normal(1, 5), g.uniform(0.1, 3, 5)], snake(0.01), eps=0.01)
    g.add("Snake", [g.normal(2, 1, 3, 0), g.uniform(0.1, 3, 1)], snake(1e-9))
    g.add("Not", [g.bools(3, 4)], torch.logical_not)


SHAPES = [((2, 3), (2, 3)), ((3, 1, 5), (4, 1)), ((), (2, 2)), ((7,), (1, 7)), ((2, 0, 3), (1, 3)), ((1,), ())]


def binary(g):
    arithmetic = {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div}
    for a, b in SHAPES:
        for op, f in arithmetic.items():
            g.add(op, [g.normal(*a), g.normal(*b)], f)
        g.add("Pow", [g.uniform(0.1, 5, *a), g.normal(*b, scale=2)], torch.pow)
        for op, f in {"Min": torch.minimum, "Max": torch.maximum}.items():
            g.add(op, [g.normal(*a), g.normal(*b)], f, exact=True)
        for op, f in {"Equal": torch.eq, "Less": torch.lt, "Greater": torch.gt}.items():
            g.add(op, [g.ints(0, 3, *a).float(), g.ints(0, 3, *b).float()], f)
            g.add(op, [g.ints(0, 3, *a), g.ints(0, 3, *b)], f)
        for op, f in {"And": torch.logical_and, "Or": torch.logical_or, "Equal": torch.eq}.items():
            g.add(op, [g.bools(*a), g.bools(*b)], f)
        g.add("Where", [g.bools(*a), g.normal(*b), g.normal(*a)], torch.where, exact=True)
        g.add("Where", [g.bools(*b), g.ints(-9, 9, *a), g.ints(-9, 9, *a)], torch.where)
    g.add("Pow", [g.normal(5, 1, scale=2), torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 0.5])], torch.pow)
    rows, columns = SPECIAL[:, None], SPECIAL[None, :]
    for op, f in {**arithmetic, "Pow": torch.pow}.items():
        g.add(op, [rows, columns], f)
    for op, f in {
        "Min": torch.minimum,
        "Max": torch.maximum,
        "Less": torch.lt,
        "Greater": torch.gt,
        "Equal": torch.eq,
    }.items():
        g.add(op, [rows, columns], f, exact=True)


def truncated(a, b):
    quotient = np.abs(a.astype(object)) // np.maximum(np.abs(b.astype(object)), 1) * np.sign(a) * np.sign(b)
    return np.vectorize(int, otypes=[object])(quotient)


def wrapped(function):
    """A function of arrays of Python integers, wrapped around to the type of the operands."""

    def of_arrays(*arrays):
        dtype = arrays[0].dtype
        exact = function(*(a.astype(object) for a in arrays))
        bits = 8 * dtype.itemsize
        low = 0 if dtype.kind == "u" else -(2 ** (bits - 1))
        return np.array([(int(v) - low) % 2**bits + low for v in np.ravel(exact)], dtype).reshape(np.shape(exact))

    return numpy_op(of_arrays)


def integer_power(a, b):
    def one(x, y):
        if y >= 0:
            return int(x) ** int(y)
        return {1: 1, -1: -1 if y % 2 else 1}.get(int(x), 0)

    return np.vectorize(one, otypes=[object])(a, b)


def integers(g):
    ranges = {
        torch.int8: (-128, 128),
        torch.uint8: (0, 256),
        torch.int32: (-(2**31), 2**31),
        torch.int64: (-(2**40), 2**40),
    }
    operations = {
        "Add": lambda a, b: a + b,
        "Sub": lambda a, b: a - b,
        "Mul": lambda a, b: a * b,
        "Div": truncated,
    }
    for dtype, (low, high) in ranges.items():
        a, b = g.ints(low, high, 4, 5, dtype=dtype), g.ints(low, high, 5, dtype=dtype)
        # Results of i64 products must stay below 2^53, which f64 holds.
        small = g.ints(max(low, -99), min(high, 99), 5, dtype=dtype)
        small[2] = 0
        for op, f in operations.items():
            g.add(op, [a, small if op in ("Mul", "Div") and dtype == torch.int64 else b], wrapped(f))
            g.add(op, [a, small], wrapped(f))
        g.add(
            "Pow",
            [g.ints(0 if low == 0 else -3, 4, 4, 5, dtype=dtype), g.ints(0 if low == 0 else -3, 9, 5, dtype=dtype)],
            wrapped(integer_power),
        )
        g.add("Min", [a, b], torch.minimum)
        g.add("Max", [a, b], torch.maximum)
        g.add("Less", [a, b], torch.lt)
        g.add("Neg", [a], wrapped(lambda x: -x))
        g.add("Abs", [a], wrapped(abs))
        g.add("ReduceSum", [a], wrapped(lambda x: x.sum(axis=1)), axes=[1], keepdims=False)
        g.add("ReduceMax", [a], lambda x: x.amax(0), axes=[0], keepdims=False)
        g.add("ReduceMin", [a], lambda x: x.amin(1), axes=[1], keepdims=False)
    least = torch.tensor([-128, 127, -1], dtype=torch.int8)
    g.add("Neg", [least], wrapped(lambda x: -x))
    g.add("Abs", [least], wrapped(abs))
    g.add("Div", [least, torch.tensor(-1, dtype=torch.int8)], wrapped(truncated))


NAMES = {
    torch.float32: "f32",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.int8: "i8",
    torch.uint8: "u8",
    torch.int32: "i32",
    torch.int64: "i64",
    torch.bool: "bool",
}


def saturating(dtype):
    info = torch.iinfo(dtype)
    return lambda x: torch.from_numpy(np.array([saturate(v, info) for v in x.tolist()])).to(dtype)


def saturate(v, info):
    return 0 if v != v else max(info.min, min(info.max, v if math.isinf(v) else int(v)))


def casts(g):
    fractions = [0.0, -0.0, 0.3, -0.3, 1.9, -1.9, 1e-8, 6e-8, 1.00390625]
    large = [65519.0, 65520.0, 2049.0, 300.0, -300.0, 2.0**31, -(2.0**31), 3e38, INF, -INF, NAN]
    floats = torch.tensor(fractions + large)
    whole = torch.tensor([0, 1, -1, 127, 128, -129, 255, 256, 2**24 + 1, -(2**31) - 1, 2**31, 2049, 257])
    for dtype, name in NAMES.items():
        if dtype == torch.bool:
            convert = lambda x: x != 0
        elif dtype.is_floating_point:
            # Through f32, as the stored inputs are f32; the result is widened to compare.
            convert = lambda x: x.float().to(dtype).double()
        else:
            convert = saturating(dtype)
        g.add("Cast", [floats], convert, exact=True, to=name)
        g.add("Cast", [whole if dtype != torch.float32 else whole[whole.abs() < 2**31]], convert, exact=True, to=name)
        g.add("Cast", [g.bools(5)], convert, exact=True, to=name)


# ---- reductions, softmax -------------------------------------------------------------------------


def reductions(g):
    kinds = {"ReduceSum": torch.sum, "ReduceMean": torch.mean, "ReduceMax": torch.amax, "ReduceMin": torch.amin}
    cases = [
        ((2, 3, 5), None, True),
        ((2, 3, 5), [1], True),
        ((2, 3, 5), [-1, 0], False),
        ((7,), [0], False),
        ((1, 1), [0, 1], True),
        ((3, 0, 2), [0], True),
        ((257,), None, False),
        ((), None, True),
    ]
    for shape, axes, keep in cases:
        for op, f in kinds.items():
            dims = list(range(len(shape))) if axes is None else axes
            attrs = {"keepdims": keep} if axes is None else {"axes": axes, "keepdims": keep}
            run = lambda x: f(x, dim=dims, keepdim=keep) if dims else x
            g.add(op, [g.normal(*shape)], run, exact=op in ("ReduceMax", "ReduceMin"), **attrs)
    g.add("ReduceSum", [g.normal(2, 0, 3)], lambda x: x.sum(1, keepdim=True), axes=[1])
    g.add("ReduceMean", [g.normal(2, 0, 3)], lambda x: x.mean(1, keepdim=True), axes=[1])
    odd = torch.tensor([[1.0, NAN, 2.0], [INF, -INF, 0.0], [INF, INF, 1.0], [-INF, -INF, -INF]])
    for op, f in kinds.items():
        g.add(op, [odd], lambda x: f(x, dim=[1], keepdim=True), exact=op in ("ReduceMax", "ReduceMin"), axes=[1])
    g.add("ArgMax", [odd], numpy_op(lambda x: x.argmax(1)), axis=1, keepdims=False)
    g.add("ArgMax", [g.ints(0, 3, 4, 6)], numpy_op(lambda x: x.argmax(0)[None]))
    g.add("ArgMax", [g.normal(2, 3, 4)], lambda x: x.argmax(-1, keepdim=True), axis=-1)
    g.add("ArgMax", [g.normal(2, 3, 0)], lambda x: x.argmax(1, keepdim=True), axis=1)
    for shape, axis in [((3, 7), -1), ((2, 5, 3), 1), ((4, 1), 1), ((2, 0), 1), ((0, 2), 1), ((300,), 0)]:
        g.add("Softmax", [g.normal(*shape, scale=4)], lambda x: x.softmax(axis), axis=axis)
    g.add("Softmax", [g.normal(3, 11, scale=60)], lambda x: x.softmax(-1))
    g.add(
        "Softmax",
        [torch.tensor([[0.0, -INF, 1.0], [-INF, -INF, -INF], [INF, 0.0, 1.0], [NAN, 0.0, 1.0], [1e30, 0.0, -1e30]])],
        lambda x: x.softmax(-1),
    )


# ---- movement ------------------------------------------------------------------------------------


def cut(starts, ends, axes, steps):
    def function(x):
        index = [slice(None)] * x.ndim
        for s, e, a, t in zip(starts, ends, axes, steps):
            index[a] = slice(s, e, t)
        return x[tuple(index)]

    return numpy_op(function)


def movement(g):
    m = lambda op, inputs, f, **attrs: g.add(op, inputs, f, exact=True, **attrs)
    x = g.normal(2, 3, 5)
    m("Reshape", [x], lambda x: x.reshape(5, 6), shape=[5, -1])
    m("Reshape", [g.normal(1)], lambda x: x.reshape(()), shape=[])
    m("Reshape", [g.normal(0, 3)], lambda x: x.reshape(2, 0, 7), shape=[2, 0, 7])
    m("Transpose", [x], lambda x: x.permute(2, 0, 1), perm=[2, 0, 1])
    m("Transpose", [x], lambda x: x.permute(2, 1, 0))
    m("Transpose", [g.ints(0, 99, 1, 4, 0)], lambda x: x.permute(2, 1, 0), perm=[-1, 1, 0])
    m("Transpose", [torch.tensor(3.0)], lambda x: x)
    m("Concat", [x, g.normal(2, 1, 5), g.normal(2, 0, 5)], lambda *p: torch.cat(p, 1), axis=1)
    m("Concat", [g.ints(0, 9, 3), g.ints(0, 9, 4)], lambda *p: torch.cat(p, 0), axis=-1)
    m("Concat", [x], lambda x: x, axis=0)
    m("Split", [x], lambda x: x.split([1, 2], 1), axis=1, sizes=[1, 2])
    m("Split", [g.normal(7)], lambda x: x.split([3, 0, 4], 0), sizes=[3, 0, 4])
    m("Split", [x], lambda x: [x], axis=-1, sizes=[5])
    m("Tile", [x], lambda x: x.repeat(1, 2, 3), repeats=[1, 2, 3])
    m("Tile", [x], lambda x: x[:, :0], repeats=[1, 0, 1])
    m("Expand", [g.normal(3, 1)], lambda x: x.expand(2, 3, 4), shape=[2, 1, 4])
    m("Expand", [g.normal(2, 3)], lambda x: x, shape=[1])
    m("Expand", [torch.tensor(2.5)], lambda x: x.expand(2, 0), shape=[2, 0])
    data = g.normal(4, 3, 5)
    for axis, shape in [(0, (2, 3)), (1, ()), (-1, (7,)), (2, (0,))]:
        size = data.shape[axis]
        m(
            "Gather",
            [data, g.ints(-size, size, *shape)],
            lambda d, i: torch.from_numpy(np.take(d.numpy(), i.numpy(), axis)),
            axis=axis,
        )
    m("Gather", [g.bools(6), g.ints(0, 6, 2, 2, dtype=torch.int32)], lambda d, i: d[i.long()])
    slices = [
        ([1], [3], [0], [1]),
        ([0, 1], [2, INT_MAX], [0, 2], [1, 2]),
        ([-1], [INT_MIN], [-1], [-1]),
        ([INT_MAX], [INT_MIN], [2], [-2]),
        ([3], [1], [1], [1]),
        ([-99], [-1], [1], [1]),
        ([4], [0], [2], [INT_MIN]),
        ([4], [-6], [2], [-3]),
    ]
    for starts, ends, axes, steps in slices:
        m("Slice", [data], cut(starts, ends, axes, steps), starts=starts, ends=ends, axes=axes, steps=steps)
    m("Slice", [data], cut([1, 0], [4, 2], [0, 1], [1, 1]), starts=[1, 0], ends=[4, 2])
    m("Slice", [data], cut([4, 2], [0, 0], [0, 1], [-2, -1]), starts=[4, 2], ends=[0, 0], steps=[-2, -1])
    m("Slice", [g.ints(0, 9, 0, 2)], cut([0], [5], [0], [-1]), starts=[0], ends=[5], steps=[-1])
    modes = {"constant": "constant", "edge": "edge", "reflect": "reflect"}
    for mode, name in modes.items():
        for begin, end in [((0, 1, 2), (1, 0, 3)), ((0, 0, 0), (0, 0, 0)), ((1, 2, 4), (1, 2, 4))]:
            width = list(zip(begin, end))
            m(
                "Pad",
                [g.normal(2, 3, 5)],
                numpy_op(lambda x: np.pad(x, width, mode=name)),
                pads=[*begin, *end],
                mode=mode,
            )
    m("Pad", [g.normal(3)], numpy_op(lambda x: np.pad(x, [(2, 1)], constant_values=-1.5)), pads=[2, 1], value=-1.5)
    m(
        "Pad",
        [g.ints(0, 9, 2, 1)],
        numpy_op(lambda x: np.pad(x, [(0, 0), (3, 3)], mode="edge")),
        pads=[0, 3, 0, 3],
        mode="edge",
    )
    m("Pad", [g.bools(3)], numpy_op(lambda x: np.pad(x, [(1, 1)], constant_values=True)), pads=[1, 1], value=1.0)
    m("Pad", [g.normal(0, 2)], numpy_op(lambda x: np.pad(x, [(1, 2), (0, 0)])), pads=[1, 0, 2, 0])
    m(
        "Constant",
        [],
        lambda: torch.tensor([[1.5, -2.0], [0.0, 3.0]]).double(),
        value=[1.5, -2.0, 0.0, 3.0],
        shape=[2, 2],
    )
    m("Constant", [], lambda: torch.full((2, 0, 3), 1.0).double(), value=[1.0], shape=[2, 0, 3])
    m("Constant", [], lambda: torch.tensor(0.1).double(), value=[0.1], shape=[])
    m("Constant", [], lambda: torch.tensor([1, -2, 2**40]), value=[1, -2, 2**40], dtype="i64")
    m("Constant", [], lambda: torch.tensor([True, False]), value=[1, 0], dtype="bool")
    m("Iota", [], lambda: torch.arange(5), shape=[5])
    m(
        "Iota",
        [],
        lambda: torch.arange(4).double().reshape(1, 4, 1).expand(2, 4, 3),
        shape=[2, 4, 3],
        axis=-2,
        dtype="f32",
    )
    m("Iota", [], lambda: torch.zeros(3, 0, dtype=torch.int32), shape=[3, 0], axis=1, dtype="i32")
