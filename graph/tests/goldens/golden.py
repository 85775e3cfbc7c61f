"""A file of goldens: inputs, what PyTorch makes of them in f64, and in f32."""

import json
import math

import numpy as np
import torch
from safetensors.torch import save_file

INF, NAN = math.inf, math.nan


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
