"""Makes the goldens that the op references are tested against.

    python make.py OUTPUT_DIRECTORY

needs torch, numpy and safetensors. Each group of ops becomes one safetensors file. A case `7` has tensors `7.in0`,
`7.in1`, ... (f32, integers or bool), `7.out0`, ... (the result: PyTorch in f64) and, for ops that compute in floats,
`7.single0`, ... (PyTorch in f32, which the op's error bound must hold). The metadata entry `cases` is a JSON list of
{op, attrs, inputs, outputs, exact}; an input is null where an optional one is left out.
"""

import pathlib
import sys

import torch

from basic import binary, casts, elementwise, integers, movement, reductions
from golden import Group
from layers import attentions, convolutions, normalisations, products, resampling, video

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
