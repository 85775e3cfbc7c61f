"""Signed distance atlas of everything that can be drawn: six shapes and a stroke font of A-Z and 0-9.

The atlas is a tensor [N, 1, S, S] of signed distances in units of the object's radius (negative inside), covering
[-EXTENT, EXTENT] on both axes, y pointing down. The renderer samples it at rotated and scaled coordinates.
"""
import math

import numpy as np
import torch

SHAPES = ["circle", "square", "triangle", "star", "heart", "cross"]
CHARACTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
KINDS = SHAPES + CHARACTERS
EXTENT = 1.35
ATLAS_SIZE = 128
STROKE_HALF_WIDTH = 0.19

# Polylines on a grid 4 wide and 6 high, origin top left; "|" separates strokes.
STROKES = {
    "A": "0,6 2,0 4,6|0.8,4 3.2,4",
    "B": "0,0 0,6 2.8,6 4,5.2 4,3.8 2.8,3 0,3|2.8,3 3.7,2.3 3.7,0.7 2.8,0 0,0",
    "C": "4,1 3,0 1,0 0,1 0,5 1,6 3,6 4,5",
    "D": "0,0 0,6 2.4,6 4,4.4 4,1.6 2.4,0 0,0",
    "E": "4,0 0,0 0,6 4,6|0,3 3,3",
    "F": "4,0 0,0 0,6|0,3 3,3",
    "G": "4,1 3,0 1,0 0,1 0,5 1,6 3,6 4,5 4,3.3 2.2,3.3",
    "H": "0,0 0,6|4,0 4,6|0,3 4,3",
    "I": "0.8,0 3.2,0|2,0 2,6|0.8,6 3.2,6",
    "J": "1.5,0 4,0|3.2,0 3.2,5 2.4,6 1,6 0,5 0,4.2",
    "K": "0,0 0,6|4,0 0,3.4|1.2,2.5 4,6",
    "L": "0,0 0,6 4,6",
    "M": "0,6 0,0 2,3.4 4,0 4,6",
    "N": "0,6 0,0 4,6 4,0",
    "O": "1,0 3,0 4,1 4,5 3,6 1,6 0,5 0,1 1,0",
    "P": "0,6 0,0 3,0 4,0.9 4,2.5 3,3.4 0,3.4",
    "Q": "1,0 3,0 4,1 4,5 3,6 1,6 0,5 0,1 1,0|2.3,4.2 4.3,6.4",
    "R": "0,6 0,0 3,0 4,0.9 4,2.4 3,3.2 0,3.2|1.8,3.2 4,6",
    "S": "4,1 3,0 1,0 0,1 0,2.2 1,3 3,3 4,3.8 4,5 3,6 1,6 0,5",
    "T": "0,0 4,0|2,0 2,6",
    "U": "0,0 0,5 1,6 3,6 4,5 4,0",
    "V": "0,0 2,6 4,0",
    "W": "0,0 0.9,6 2,2.6 3.1,6 4,0",
    "X": "0,0 4,6|4,0 0,6",
    "Y": "0,0 2,3 4,0|2,3 2,6",
    "Z": "0,0 4,0 0,6 4,6",
    "0": "1.3,0 2.7,0 3.7,1.2 3.7,4.8 2.7,6 1.3,6 0.3,4.8 0.3,1.2 1.3,0|2.9,1.9 1.1,4.1",
    "1": "0.4,1.6 2.2,0 2.2,6|0.6,6 3.8,6",
    "2": "0,1.3 1,0 3,0 4,1 4,2.2 0,6 4,6",
    "3": "0,0 4,0 1.8,2.4 3,2.6 4,3.6 4,5 3,6 1,6 0,5",
    "4": "3,6 3,0 0,4.2 4.2,4.2",
    "5": "4,0 0.3,0 0,2.8 2.8,2.4 4,3.4 4,5 3,6 0,6",
    "6": "3.6,0 1.6,0.8 0,3.4 0,5 1,6 3,6 4,5 4,3.9 3,3 1,3 0,3.8",
    "7": "0,0 4,0 1.5,6|1.2,3.2 3.6,3.2",
    "8": "1.1,0 2.9,0 3.7,0.7 3.7,2.2 2.6,3 4,4 4,5.2 3,6 1,6 0,5.2 0,4 1.4,3 0.3,2.2 0.3,0.7 1.1,0|1.4,3 2.6,3",
    "9": "0.4,6 2.4,5.2 4,2.6 4,1 3,0 1,0 0,1 0,2.1 1,3 3,3 4,2.2",
}


def _segments(strokes):
    """Stroke string -> array [S, 2, 2] of segments in radius units."""
    out = []
    for line in strokes.split("|"):
        pts = np.array([[float(v) for v in p.split(",")] for p in line.split()])
        pts = (pts - [2.0, 3.0]) * [0.36, 0.30]
        out += [np.stack([a, b]) for a, b in zip(pts[:-1], pts[1:])]
    return np.stack(out)


def _polygon(points):
    """Closed outline [P, 2] -> segments [P, 2, 2]."""
    points = np.asarray(points, dtype=np.float64)
    return np.stack([points, np.roll(points, -1, axis=0)], axis=1)


def _shape_outline(name):
    if name == "square":
        return [(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)]
    if name == "triangle":
        return [(0.0, -1.0), (1.08, 0.86), (-1.08, 0.86)]
    if name == "star":
        radii = [1.26, 0.5]
        return [(radii[i % 2] * math.sin(math.pi * i / 5), -radii[i % 2] * math.cos(math.pi * i / 5)) for i in range(10)]
    if name == "heart":
        ts = np.linspace(0, 2 * math.pi, 120, endpoint=False)
        x = 16 * np.sin(ts) ** 3
        y = -(13 * np.cos(ts) - 5 * np.cos(2 * ts) - 2 * np.cos(3 * ts) - np.cos(4 * ts))
        return np.stack([x / 15.5, (y - 2.5) / 15.0], axis=1)
    if name == "cross":
        a, b = 0.35, 1.04
        return [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]
    raise ValueError(name)


def _distance(grid, segments):
    """Distance of every grid point [G, 2] to the nearest of the segments [S, 2, 2]."""
    a, b = segments[None, :, 0], segments[None, :, 1]
    p, d = grid[:, None] - a, b - a
    h = np.clip((p * d).sum(-1) / np.maximum((d * d).sum(-1), 1e-12), 0.0, 1.0)
    return np.sqrt(((p - d * h[..., None]) ** 2).sum(-1)).min(1)


def _inside(grid, segments):
    """Even-odd rule for the closed outline given by its segments."""
    a, b = segments[None, :, 0], segments[None, :, 1]
    x, y = grid[:, None, 0], grid[:, None, 1]
    crosses = (a[..., 1] > y) != (b[..., 1] > y)
    dy = np.where(b[..., 1] == a[..., 1], 1.0, b[..., 1] - a[..., 1])
    return ((crosses & (x < (b[..., 0] - a[..., 0]) * (y - a[..., 1]) / dy + a[..., 0])).sum(1) % 2) == 1


def build_atlas():
    """Signed distance atlas, float32 [len(KINDS), 1, ATLAS_SIZE, ATLAS_SIZE]."""
    axis = (np.arange(ATLAS_SIZE) + 0.5) / ATLAS_SIZE * 2 * EXTENT - EXTENT
    grid = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1).reshape(-1, 2)
    layers = []
    for kind in KINDS:
        if kind == "circle":
            sdf = np.sqrt((grid ** 2).sum(-1)) - 0.95
        elif kind in SHAPES:
            segments = _polygon(_shape_outline(kind))
            sdf = _distance(grid, segments) * np.where(_inside(grid, segments), -1.0, 1.0)
        else:
            sdf = _distance(grid, _segments(STROKES[kind])) - STROKE_HALF_WIDTH
        layers.append(sdf.reshape(1, ATLAS_SIZE, ATLAS_SIZE))
    return torch.tensor(np.stack(layers), dtype=torch.float32)
