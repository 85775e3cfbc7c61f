"""Makes pytorch.safetensors, which the exact evaluation of the suite is held against.

    python make.py OUTPUT_DIRECTORY

needs torch, numpy and safetensors. Inputs are drawn by the suite's own small generator, written anew here, so that only results
are stored: attention over up to 16,384 keys, the 2.5D convolution of the autoencoder, blending of tiles, and Euler, midpoint,
Heun and Runge-Kutta steps, all in float64.
"""

import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file


def uniform(seed, *shape):
    """SplitMix64 as numbers in [-1, 1), rounded to float32, which is what devices are given."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, count + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(11)).astype(np.float64) / 2.0**53
    return torch.from_numpy((2 * unit - 1).astype(np.float32).reshape(shape)).double()


def attention(queries, keys, size, causal, rows):
    """Some rows of one head."""
    q, k, v = (uniform(seed, n, size) for seed, n in ((1, queries), (2, keys), (3, keys)))
    scores = 3 * q[rows] @ k.T
    if causal:
        scores = scores.masked_fill(torch.arange(keys)[None, :] > torch.tensor(rows)[:, None], -torch.inf)
    return torch.softmax(scores, -1) @ v


def convolution(frames):
    """3x3 over each frame with zeros around it, then 3 over time with the first and last frame repeated."""
    x = uniform(4, 1, 5, frames, 9, 7)
    spatial, spatial_bias = uniform(5, 6, 5, 1, 3, 3), uniform(6, 6)
    temporal, temporal_bias = uniform(7, 6, 6, 3, 1, 1), uniform(8, 6)
    y = F.conv3d(x, spatial, spatial_bias, padding=(0, 1, 1))
    y = F.pad(y, (0, 0, 0, 0, 1, 1), mode="replicate")
    return F.conv3d(y, temporal, temporal_bias)


def blended(total, size, overlap):
    """What the tiles of an axis become (Movie Gen, 3.1.5): over N shared positions the later tile has j / N."""
    starts = [0]
    while starts[-1] + size < total:
        starts.append(starts[-1] + size - overlap)
    out = torch.zeros(total, dtype=torch.float64)
    for k, start in enumerate(starts):
        tile = uniform(100 + k, size)[: total - start]
        weight = torch.ones(len(tile), dtype=torch.float64)
        for j in range(overlap):
            if k > 0:
                weight[j] *= j / overlap
            if k + 1 < len(starts):
                weight[len(tile) - overlap + j] *= 1 - j / overlap
        out[start : start + len(tile)] += weight * tile
    return out


def flow(solver, times):
    """The states after each step of x' = a x + b (1 + t - t^2)."""
    a, b, x = uniform(9, 33), uniform(10, 33), uniform(11, 33)
    u = lambda x, t: a * x + b * (1 + t - t * t)
    path = []
    for t, end in zip(times, times[1:]):
        h = end - t
        k1 = u(x, t)
        if solver == "euler":
            x = x + h * k1
        elif solver == "midpoint":
            x = x + h * u(x + h / 2 * k1, t + h / 2)
        elif solver == "heun":
            x = x + h / 2 * (k1 + u(x + h * k1, end))
        else:
            k2 = u(x + h / 2 * k1, t + h / 2)
            k3 = u(x + h / 2 * k2, t + h / 2)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + u(x + h * k3, end))
        path.append(x)
    return torch.stack(path)


def main(folder):
    rows = [0, 1, 63, 64, 777, 8191, 16383]
    out = {
        "attention.self": attention(16384, 16384, 16, False, rows),
        "attention.causal": attention(16384, 16384, 16, True, rows),
        "attention.cross": attention(100, 16384, 24, False, [0, 50, 99]),
    }
    for frames in (1, 2, 3, 8):
        out[f"convolution.{frames}"] = convolution(frames)
    for total, size, overlap in ((9, 4, 2), (10, 6, 3), (7, 4, 1), (40, 8, 4), (5, 2, 1), (3, 4, 2)):
        out[f"blend.{total}.{size}.{overlap}"] = blended(total, size, overlap)
    for solver in ("euler", "midpoint", "heun", "rk4"):
        out[f"flow.{solver}"] = flow(solver, [0.0, 0.1, 0.15, 0.5, 0.9, 1.0])
    save_file({name: tensor.contiguous() for name, tensor in out.items()}, pathlib.Path(folder) / "pytorch.safetensors")


if __name__ == "__main__":
    main(sys.argv[1])
