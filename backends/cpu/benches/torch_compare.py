"""The times that PyTorch takes for the cases of `kinograph bench`, for its option --compare.

    kinograph bench --list | OMP_NUM_THREADS=1 python backends/cpu/benches/torch_compare.py > torch.json
    kinograph bench --threads 1 --compare torch.json

OMP_NUM_THREADS says how many threads PyTorch uses. With --cpu-time it counts the time that the thread computed for,
which only means something with one thread.
"""

import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F

LEAST = 3


def padding(case):
    """The pads of torch.nn.functional.pad, which starts at the last axis."""
    pads = case["attributes"].get("pads", [])
    axes = len(pads) // 2
    return [pads[axis + side * axes] for axis in reversed(range(axes)) for side in (0, 1)]


def conv(case, x, w):
    attributes = case["attributes"]
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[x.dim() - 2]
    options = {"stride": attributes.get("strides", 1), "groups": attributes.get("group", [1])[0]}
    pads = padding(case)
    if case["pad_mode"] == "edge":
        return lambda: function(F.pad(x, pads, mode="replicate"), w, **options)
    if pads[::2] == pads[1::2]:
        return lambda: function(x, w, padding=tuple(reversed(pads[::2])) or 0, **options)
    return lambda: function(F.pad(x, pads), w, **options)


def rms_norm(case, x):
    if case["attributes"].get("axes") == [1]:
        return lambda: x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-5)
    return lambda: F.rms_norm(x, x.shape[-1:])


def transpose(case, x):
    order = case["attributes"].get("perm", list(reversed(range(x.dim()))))
    return lambda: x.permute(order).contiguous()


OPS = {
    "Linear": lambda case, x, w: lambda: F.linear(x, w),
    "Conv": conv,
    "Attention": lambda case, q, k, v: lambda: F.scaled_dot_product_attention(q, k, v),
    "Add": lambda case, a, b: lambda: a + b,
    "Swish": lambda case, x: lambda: F.silu(x),
    "Gelu": lambda case, x: lambda: F.gelu(x),
    "Softmax": lambda case, x: lambda: F.softmax(x, -1),
    "RMSNormalization": rms_norm,
    "GroupNormalization": lambda case, x: lambda: F.group_norm(x, case["attributes"]["num_groups"][0]),
    "Transpose": transpose,
}


def best(work, seconds, clock):
    """The shortest time of a run, after one to warm up."""
    work()
    begin, times = clock(), []
    while len(times) < LEAST or clock() - begin < seconds:
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="time to spend on each case")
    parser.add_argument("--cpu-time", action="store_true", help="count the time that the thread computed for")
    options = parser.parse_args()
    clock = time.thread_time if options.cpu_time else time.perf_counter
    seconds = {}
    with torch.inference_mode():
        for case in json.load(sys.stdin):
            # PyTorch multiplies f32 by f32 only.
            if case["weight"] != "f32" or case["op"] not in OPS:
                continue
            operands = [torch.rand(shape) * 0.2 - 0.1 for shape in case["shapes"]]
            seconds[case["case"]] = best(OPS[case["op"]](case, *operands), options.seconds, clock)
            print(f"{case['case']}: {seconds[case['case']] * 1e3:.3f} ms", file=sys.stderr)
    json.dump({"library": f"PyTorch {torch.__version__.split('+')[0]}", "seconds": seconds}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
