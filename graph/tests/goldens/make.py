"""Makes the goldens that the op references are tested against.

    python make.py OUTPUT_DIRECTORY

needs torch, numpy and safetensors. Each group of ops becomes one safetensors file. A case `7` has tensors `7.in0`,
`7.in1`, ... (f32, integers or bool), `7.out0`, ... (the result: PyTorch in f64) and, for ops that compute in floats,
`7.single0`, ... (PyTorch in f32, which the op's error bound must hold). The metadata entry `cases` is a JSON list of
{op, attrs, inputs, outputs, exact}; an input is null where an optional one is left out.
"""

import json
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

INF, NAN = math.inf, math.nan
INT_MIN, INT_MAX = -(2**63), 2**63 - 1


class Group:
    """The cases of one file."""

    def __init__(self, seed):
        self.rng = torch.Generator().manual_seed(seed)
        self.cases, self.tensors = [], {}

    def normal(self, *shape, scale=1.0, shift=0.0):
        return torch.randn(shape, generator=self.rng) * scale + shift

    def uniform(self, low, high, *shape):
        return torch.rand(shape, generator=self.rng) * (high - low) + low

    def ints(self, low, high, *shape, dtype=torch.int64):
        return torch.randint(low, high, shape, generator=self.rng).to(dtype)

    def bools(self, *shape, share=0.5):
        return torch.rand(shape, generator=self.rng) < share

    def add(self, op, inputs, function, exact=False, **attrs):
        """Adds a case: `function` maps the input tensors to the output or a list of outputs."""
        name = str(len(self.cases))
        outputs = as_list(function(*map(double, inputs)))
        floats = not exact and all(o.is_floating_point() for o in outputs)
        for i, tensor in enumerate(inputs):
            if tensor is not None:
                self.tensors[f"{name}.in{i}"] = tensor.contiguous().clone()
        for i, tensor in enumerate(outputs):
            self.tensors[f"{name}.out{i}"] = tensor.contiguous().clone()
        if floats:
            for i, tensor in enumerate(as_list(function(*inputs))):
                self.tensors[f"{name}.single{i}"] = tensor.contiguous().clone()
        given = [None if t is None else f"in{i}" for i, t in enumerate(inputs)]
        case = dict(op=op, attrs=attrs, inputs=given, outputs=len(outputs), exact=not floats)
        self.cases.append(case)

    def save(self, path):
        save_file(self.tensors, path, metadata={"cases": json.dumps(self.cases)})


def as_list(outputs):
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def double(tensor):
    if tensor is None or not tensor.is_floating_point():
        return tensor
    return tensor.double()


def numpy_op(function):
    """Wraps a function of NumPy arrays."""

    def wrapped(*tensors):
        return torch.from_numpy(np.ascontiguousarray(function(*(t.numpy() for t in tensors))))

    return wrapped


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


# ---- products ------------------------------------------------------------------------------------


def products(g):
    for a, b in [
        ((3, 4), (4, 5)),
        ((2, 3, 4), (4, 1)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((1, 1), (1, 1)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
        ((2, 0, 3, 1), (1, 5)),
        ((1, 300), (300, 7)),
    ]:
        g.add("MatMul", [g.normal(*a), g.normal(*b)], torch.matmul)
    for shape, out in [((3, 4), 5), ((2, 3, 7), 1), ((4,), 3), ((2, 0), 3), ((0, 4), 3), ((1, 257), 2)]:
        x, w = g.normal(*shape), g.normal(out, shape[-1])
        g.add("Linear", [x, w, g.normal(out)], F.linear)
        g.add("Linear", [x, w], F.linear)
    g.add("Linear", [x, w, None], lambda x, w, _: F.linear(x, w))


CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
PAD_MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect"}


def torch_pads(pads):
    """[begin..., end...] as F.pad wants it: pairs from the last axis to the first."""
    r = len(pads) // 2
    return [v for i in reversed(range(r)) for v in (pads[i], pads[r + i])]


def conv(r, strides=1, dilations=1, pads=None, group=1, pad_mode="constant"):
    def function(x, w, b=None):
        if pads is not None:
            x = F.pad(x, torch_pads(pads), mode=PAD_MODES[pad_mode])
        return CONV[r](x, w, b, stride=strides, dilation=dilations, groups=group)

    return function


def conv_transpose(r, strides=1, dilations=1, pads=None, output_padding=0, group=1):
    def function(x, w, b=None):
        y = CONV_TRANSPOSE[r](x, w, b, stride=strides, dilation=dilations, output_padding=output_padding, groups=group)
        for i in range(r if pads else 0):
            y = y.narrow(2 + i, pads[i], y.shape[2 + i] - pads[i] - pads[r + i])
        return y

    return function


def convolutions(g):
    cases = [
        # X, W, attributes
        ((1, 1, 1), (1, 1, 1), {}),
        ((2, 3, 7), (4, 3, 3), {}),
        ((2, 3, 7), (4, 3, 3), dict(pads=[2, 0])),
        ((1, 4, 11), (6, 2, 4), dict(strides=[3], dilations=[2], pads=[1, 3], group=2)),
        ((0, 2, 5), (3, 2, 3), {}),
        ((1, 2, 3), (2, 2, 3), {}),
        ((2, 3, 6, 5), (4, 3, 3, 3), dict(pads=[1, 1, 1, 1])),
        ((1, 3, 7, 5), (2, 3, 2, 3), dict(strides=[2, 1], dilations=[1, 2], pads=[0, 1, 2, 3])),
        ((1, 6, 5, 5), (6, 1, 3, 3), dict(group=6, strides=[2, 2], pads=[1, 1, 0, 0])),
        ((1, 2, 4, 3, 5), (3, 2, 3, 2, 3), dict(pads=[2, 0, 1, 0, 1, 1])),
        ((1, 4, 3, 4, 4), (2, 2, 1, 2, 2), dict(group=2, strides=[1, 2, 2])),
        ((1, 2, 5, 3, 3), (2, 2, 3, 1, 1), dict(strides=[2, 1, 1], dilations=[2, 1, 1], pads=[2, 0, 0, 2, 0, 0])),
        ((1, 32, 3, 3), (2, 32, 3, 3), dict(pads=[1, 1, 1, 1])),
    ]
    for x, w, attrs in cases:
        r = len(x) - 2
        tensors = [g.normal(*x), g.normal(*w), g.normal(w[0])]
        g.add("Conv", tensors, conv(r, **attrs), **attrs)
        g.add("Conv", tensors[:2], conv(r, **attrs), **attrs)
    for mode in ("edge", "reflect"):
        for x, w, attrs in [
            ((1, 2, 5), (3, 2, 3), dict(pads=[2, 1])),
            ((1, 2, 4, 5), (2, 2, 3, 3), dict(pads=[1, 2, 3, 0], strides=[2, 1])),
            ((1, 1, 3, 4, 4), (2, 1, 3, 3, 3), dict(pads=[2, 1, 1, 0, 1, 1], dilations=[2, 1, 1])),
        ]:
            attrs = dict(attrs, pad_mode=mode)
            g.add("Conv", [g.normal(*x), g.normal(*w)], conv(len(x) - 2, **attrs), **attrs)
    g.add(
        "Conv",
        [g.normal(1, 1, 1), g.normal(1, 1, 3)],
        conv(1, pads=[2, 0], pad_mode="edge"),
        pads=[2, 0],
        pad_mode="edge",
    )
    transposed = [
        ((1, 1, 1), (1, 1, 1), {}),
        ((2, 3, 4), (3, 2, 3), {}),
        ((2, 4, 5), (4, 3, 4), dict(strides=[2], pads=[1, 2], group=2)),
        ((1, 2, 5), (2, 3, 3), dict(strides=[3], dilations=[2], output_padding=[2], pads=[0, 1])),
        ((1, 3, 3, 4), (3, 2, 3, 2), dict(strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 0])),
        ((2, 4, 3, 3), (4, 1, 4, 4), dict(strides=[2, 2], pads=[1, 1, 1, 1], group=4)),
        ((1, 2, 2, 3, 2), (2, 3, 3, 2, 2), dict(strides=[2, 1, 2], pads=[1, 0, 0, 0, 1, 0])),
        ((0, 2, 3), (2, 2, 2), {}),
    ]
    for x, w, attrs in transposed:
        r = len(x) - 2
        tensors = [g.normal(*x), g.normal(*w), g.normal(w[1] * attrs.get("group", 1))]
        g.add("ConvTranspose", tensors, conv_transpose(r, **attrs), **attrs)
        g.add("ConvTranspose", tensors[:2], conv_transpose(r, **attrs), **attrs)


# ---- normalisations ------------------------------------------------------------------------------


def shaped(parameter, x, axes):
    """A parameter with the dimensions of some axes, reshaped to broadcast against x."""
    dims = [x.shape[a] if a in axes else 1 for a in range(x.dim())]
    return parameter.reshape(dims)


def layer_norm(axes, epsilon):
    def function(x, scale=None, bias=None):
        dims = sorted(a % x.dim() for a in axes)
        y = (x - x.mean(dims, keepdim=True)) / torch.sqrt(x.var(dims, unbiased=False, keepdim=True) + epsilon)
        y = y if scale is None else y * shaped(scale, x, dims)
        return y if bias is None else y + shaped(bias, x, dims)

    return function


def rms_norm(axes, epsilon):
    def function(x, scale=None):
        dims = sorted(a % x.dim() for a in axes)
        y = x * torch.rsqrt((x * x).mean(dims, keepdim=True) + epsilon)
        return y if scale is None else y * shaped(scale, x, dims)

    return function


def normalisations(g):
    cases = [
        ((3, 7), [-1], 1e-5),
        ((2, 3, 5), [1], 1e-6),
        ((2, 3, 5), [2, 1], 1e-5),
        ((1, 1), [1], 1e-3),
        ((2, 3, 2, 2), [-3, -1], 1e-5),
        ((0, 4), [1], 1e-5),
        ((4, 0), [1], 1e-5),
        ((2, 40), [-1], 0.0),
    ]
    for shape, axes, epsilon in cases:
        dims = sorted(a % len(shape) for a in axes)
        inner = [shape[a] for a in dims]
        attrs = dict(axes=axes, epsilon=epsilon)
        for scale, shift in ((1, 0), (0.05, 20)):
            x = g.normal(*shape, scale=scale, shift=shift)
            w, b = g.normal(*inner), g.normal(*inner)
            g.add("LayerNormalization", [x, w, b], layer_norm(axes, epsilon), **attrs)
            g.add("RMSNormalization", [x, w], rms_norm(axes, epsilon), **attrs)
        g.add("LayerNormalization", [x], layer_norm(axes, epsilon), **attrs)
        g.add("RMSNormalization", [x], rms_norm(axes, epsilon), **attrs)
    g.add("LayerNormalization", [x, None, b], layer_norm(axes, epsilon), **attrs)
    x, w, b = g.normal(3, 8), g.normal(8), g.normal(8)
    g.add("LayerNormalization", [x, w, b], lambda x, w, b: F.layer_norm(x, (8,), w, b))
    g.add("RMSNormalization", [x, w], lambda x, w: F.rms_norm(x, (8,), w, 1e-5))
    for shape, groups in [
        ((2, 6, 5), 3),
        ((1, 4, 3, 2), 1),
        ((2, 3, 7), 3),
        ((2, 4), 2),
        ((1, 8, 1, 2, 3), 4),
        ((0, 4, 2), 2),
        ((1, 4, 0), 2),
    ]:
        x, w, b = g.normal(*shape, scale=2, shift=1), g.normal(shape[1]), g.normal(shape[1])
        # PyTorch refuses groups of one element and empty ones; layer_norm above is used for those.
        one_element = math.prod(shape[2:]) * shape[1] // groups
        for inputs in ([x, w, b], [x], [x, None, b]):
            run = group_norm(groups) if one_element > 0 else lambda x, *_: x
            g.add("GroupNormalization", inputs, run, num_groups=groups)
    x = g.normal(2, 4, 9, scale=0.1, shift=30)
    g.add("GroupNormalization", [x], lambda x: F.group_norm(x, 2, eps=1e-3), num_groups=2, epsilon=1e-3)


def group_norm(groups):
    return lambda x, w=None, b=None: F.group_norm(x, groups, w, b) if x.numel() else x


# ---- attention -----------------------------------------------------------------------------------


def heads(x, n):
    """[B, L, H * D] as [B, H, L, D]."""
    return x if n is None else x.unflatten(-1, (n, -1)).transpose(1, 2)


def attention(q_num_heads=None, kv_num_heads=None, scale=None, causal=False):
    def function(q, k, v, mask=None, bias=None):
        q, k, v = heads(q, q_num_heads), heads(k, kv_num_heads), heads(v, kv_num_heads)
        allowed = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool)
        allowed = allowed.tril() if causal else allowed
        allowed = allowed if mask is None else allowed & mask
        scores = torch.zeros_like(allowed, dtype=q.dtype).masked_fill(~allowed, -INF)
        scores = scores if bias is None else scores + bias
        if scores.dim() < 4:
            scores = scores.expand(1, 1, *scores.shape[-2:])
        grouped = q.shape[1] != k.shape[1]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=scores, scale=scale, enable_gqa=grouped)
        # A row with nothing to attend to is NaN in some of PyTorch's kernels.
        dead = (scores == -INF).all(-1, keepdim=True).expand(*y.shape[:-1], 1)
        y = torch.where(dead, 0.0, y)
        return y if q_num_heads is None else y.transpose(1, 2).flatten(2)

    return function


def rotary(interleaved=False, rotary_dim=None, num_heads=None):
    def function(x, cos, sin):
        x = heads(x, num_heads)
        r = x.shape[-1] if rotary_dim is None else rotary_dim
        part, rest = x[..., :r], x[..., r:]
        cos, sin = (t if t.dim() == 2 else t[:, None] for t in (cos, sin))
        angle = torch.complex(cos, sin)
        if interleaved:
            y = torch.view_as_real(torch.view_as_complex(part.unflatten(-1, (-1, 2)).contiguous()) * angle).flatten(-2)
        else:
            turned = torch.complex(part[..., : r // 2].contiguous(), part[..., r // 2 :].contiguous()) * angle
            y = torch.cat([turned.real, turned.imag], -1)
        y = torch.cat([y, rest], -1)
        return y if num_heads is None else y.transpose(1, 2).flatten(2)

    return function


def attentions(g):
    def qkv(b, h, hkv, l, s, d, dv, packed=False):
        tensors = [g.normal(b, h, l, d), g.normal(b, hkv, s, d), g.normal(b, hkv, s, dv)]
        return [t.transpose(1, 2).flatten(2) for t in tensors] if packed else tensors

    plain = [
        (1, 1, 1, 1, 1, 1, 1),
        (2, 3, 3, 5, 7, 4, 4),
        (1, 4, 2, 3, 3, 8, 5),
        (1, 6, 1, 2, 5, 3, 3),
        (0, 2, 2, 3, 3, 4, 4),
        (1, 2, 2, 0, 3, 4, 4),
        (1, 1, 1, 2, 70, 16, 2),
    ]
    for dims in plain:
        g.add("Attention", qkv(*dims), attention())
        attrs = dict(q_num_heads=dims[1], kv_num_heads=dims[2])
        g.add("Attention", qkv(*dims, packed=True), attention(**attrs), **attrs)
    g.add("Attention", qkv(1, 2, 2, 5, 5, 4, 4), attention(causal=True), causal=True)
    g.add("Attention", qkv(1, 2, 2, 3, 5, 4, 4), attention(causal=True), causal=True)
    g.add("Attention", qkv(1, 2, 2, 5, 3, 4, 4), attention(causal=True), causal=True)
    g.add("Attention", qkv(1, 2, 2, 5, 3, 4, 4), attention(scale=1.0), scale=1.0)
    g.add("Attention", qkv(1, 2, 2, 5, 3, 4, 4), attention(scale=-3.0), scale=-3.0)
    for shape in [(3, 5), (2, 1, 1, 5), (2, 2, 3, 5), (1, 2, 3, 1), (5,), ()]:
        g.add("Attention", [*qkv(2, 2, 2, 3, 5, 4, 4), g.bools(*shape, share=0.6)], attention())
        g.add("Attention", [*qkv(2, 2, 2, 3, 5, 4, 4), None, g.normal(*shape, scale=3)], attention())
    both = [*qkv(2, 4, 2, 6, 6, 4, 3, packed=True), g.bools(2, 1, 6, 6, share=0.3), g.normal(4, 6, 6)]
    attrs = dict(q_num_heads=4, kv_num_heads=2, causal=True, scale=0.7)
    g.add("Attention", both, attention(**attrs), **attrs)
    g.add("Attention", [*qkv(1, 2, 2, 3, 4, 4, 4), torch.zeros(3, 4, dtype=torch.bool)], attention())
    holes = torch.tensor([[0.0, -INF, 1.0, 2.0], [-INF, -INF, -INF, -INF], [-INF, 0.0, -INF, -INF]])
    g.add("Attention", [*qkv(1, 1, 1, 3, 4, 4, 4), None, holes], attention())
    g.add("Attention", [t * 4 for t in qkv(1, 2, 2, 5, 9, 8, 8)], attention())

    def angles(*shape):
        a = g.uniform(-3, 3, *shape)
        return [a.cos(), a.sin()]

    for interleaved in (False, True):
        f = lambda **more: (rotary(interleaved=interleaved, **more), dict(interleaved=interleaved, **more))
        for x, table, more in [
            ((2, 3, 5, 8), (5, 4), {}),
            ((2, 3, 5, 8), (2, 5, 2), dict(rotary_dim=4)),
            ((1, 1, 1, 2), (1, 1), {}),
            ((2, 2, 3, 6), (1, 3, 3), {}),
            ((1, 2, 0, 4), (0, 2), {}),
        ]:
            run, attrs = f(**more)
            g.add("RotaryEmbedding", [g.normal(*x), *angles(*table)], run, **attrs)
        run, attrs = f(num_heads=3, rotary_dim=2)
        g.add("RotaryEmbedding", [g.normal(2, 4, 15), *angles(4, 1)], run, **attrs)


# ---- resampling ----------------------------------------------------------------------------------


def resize(sizes, scales, mode, transform, nearest_mode):
    """ONNX's definition, one axis after the other."""

    def one(x, axis, to, scale):
        d, at = x.shape[axis], torch.arange(to, dtype=torch.float64)
        if transform == "half_pixel":
            at = (at + 0.5) / scale - 0.5
        elif transform == "asymmetric":
            at = at / scale
        else:
            at = at * ((d - 1) / max(to - 1, 1))
        at = at.clamp(0, d - 1)
        if mode == "nearest":
            index = at.floor() if nearest_mode == "floor" else torch.ceil(at - 0.5)
            return x.index_select(axis, index.long())
        low = at.floor().long()
        part = (at - low).to(x.dtype).reshape([-1] + [1] * (x.dim() - axis - 1))
        high = (low + 1).clamp(max=d - 1)
        return x.index_select(axis, low) * (1 - part) + x.index_select(axis, high) * part

    def function(x):
        for i, d in enumerate(x.shape[2:]):
            to = sizes[i] if sizes else math.floor(d * scales[i])
            x = one(x, 2 + i, to, to / d if sizes else scales[i])
        return x

    return function


def resampling(g):
    shapes = [
        ((1, 2, 5), [8], [1.6]),
        ((2, 1, 4, 3), [7, 2], [1.75, 0.7]),
        ((1, 1, 2, 3, 4), [4, 3, 5], [2.0, 1.0, 1.3]),
        ((1, 1, 1), [3], [3.0]),
        ((0, 2, 3), [2], [0.7]),
        ((1, 2, 6), [1], [0.17]),
    ]
    for shape, sizes, scales in shapes:
        for transform in ("half_pixel", "asymmetric", "align_corners"):
            # A scale plays no part between aligned corners, but for the size.
            for how in [dict(sizes=sizes), dict(scales=scales)][: 1 if transform == "align_corners" else 2]:
                where = dict(how, coordinate_transformation_mode=transform)
                for nearest_mode in ("floor", "round_prefer_floor"):
                    run = resize(how.get("sizes"), how.get("scales"), "nearest", transform, nearest_mode)
                    g.add("Resize", [g.normal(*shape)], run, exact=True, nearest_mode=nearest_mode, **where)
                run = resize(how.get("sizes"), how.get("scales"), "linear", transform, None)
                g.add("Resize", [g.normal(*shape)], run, mode="linear", **where)
        if shape[0] > 0:
            linear = {3: "linear", 4: "bilinear", 5: "trilinear"}[len(shape)]
            x = g.normal(*shape)
            g.add(
                "Resize",
                [x],
                lambda x: F.interpolate(x, size=sizes),
                exact=True,
                sizes=sizes,
                coordinate_transformation_mode="asymmetric",
            )
            g.add(
                "Resize",
                [x],
                lambda x: F.interpolate(x, size=sizes, mode=linear, align_corners=False),
                sizes=sizes,
                mode="linear",
            )
            g.add(
                "Resize",
                [x],
                lambda x: F.interpolate(x, size=sizes, mode=linear, align_corners=True),
                sizes=sizes,
                mode="linear",
                coordinate_transformation_mode="align_corners",
            )
    g.add(
        "Resize",
        [g.normal(1, 3, 4, 5)],
        lambda x: F.interpolate(x, scale_factor=2),
        exact=True,
        scales=[2, 2],
        coordinate_transformation_mode="asymmetric",
    )


# ---- video ---------------------------------------------------------------------------------------


def sinusoidal(dim, max_period=10000.0, scale=1.0, flip=False, shift=0.0):
    def function(t):
        half = dim // 2
        frequencies = torch.exp(-math.log(max_period) * torch.arange(half, dtype=t.dtype) / (half - shift))
        angles = scale * t[:, None] * frequencies[None]
        parts = [angles.cos(), angles.sin()] if flip else [angles.sin(), angles.cos()]
        y = torch.cat(parts, -1)
        return F.pad(y, (0, dim % 2))

    return function


def t5_buckets(query_length, key_length, num_buckets=32, max_distance=128, bidirectional=True):
    """As the T5 implementations compute it, in f32."""
    position = torch.arange(key_length)[None] - torch.arange(query_length)[:, None]
    buckets = torch.zeros_like(position)
    if bidirectional:
        num_buckets //= 2
        buckets += (position > 0).long() * num_buckets
        position = position.abs()
    else:
        position = -torch.minimum(position, torch.zeros_like(position))
    exact = num_buckets // 2
    far = torch.log(position.float() / exact) / math.log(max_distance / exact) * (num_buckets - exact)
    far = torch.where(position < exact, 0.0, far).long() + exact
    return buckets + torch.where(position < exact, position, far.clamp(max=num_buckets - 1))


def video(g):
    times = torch.tensor([0.0, 0.1, 0.5, 1.0, 17.25, 999.0])
    for attrs in [
        dict(dim=8),
        dict(dim=7, flip=True),
        dict(dim=16, scale=1000.0, max_period=1e6),
        dict(dim=6, shift=1.0),
        dict(dim=2),
        dict(dim=64, flip=True, shift=0.5),
    ]:
        g.add("video.SinusoidalEmbedding", [times if attrs["dim"] < 60 else times[4:]], sinusoidal(**attrs), **attrs)
    g.add("video.SinusoidalEmbedding", [torch.zeros(0)], sinusoidal(4), dim=4)
    for attrs in [
        dict(query_length=5, key_length=9),
        dict(query_length=1, key_length=300),
        dict(query_length=300, key_length=1),
        dict(query_length=200, key_length=1, bidirectional=False),
        dict(query_length=20, key_length=20, num_buckets=8, max_distance=16),
        dict(query_length=12, key_length=3, num_buckets=2, max_distance=5, bidirectional=False),
        dict(query_length=0, key_length=3),
    ]:
        g.add("video.RelativeBuckets", [], lambda: t5_buckets(**attrs), **attrs)


GROUPS = [
    elementwise,
    binary,
    integers,
    casts,
    reductions,
    movement,
    products,
    convolutions,
    normalisations,
    attentions,
    resampling,
    video,
]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    for seed, make in enumerate(GROUPS):
        group = Group(seed)
        make(group)
        path = out / f"{make.__name__}.safetensors"
        group.save(path)
        path.chmod(0o644)


main()
