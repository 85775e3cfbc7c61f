"""Decides what a clip shows, by analysis by synthesis: no caption is read, only the number of objects is given.

1. The background is the candidate image with the smallest truncated error. 2. Object colours are the palette colours with
the most interior pixels. 3. Each object's coverage is measured along the line from background to object colour.
4. Every shape and character is drawn at the measured place and size, and the one that fits best wins.
5. The motion follows from the tracks of centre, area and angle.
"""
import functools

import numpy as np
import torch
import torch.nn.functional as F

import world
from glyphs import KINDS, SHAPES

FOREGROUND = 80.0  # sum of absolute RGB differences from the background
FRAMES_MATCHED = 8
PATCH = 48
ANGLES = np.arange(0, 360, 12)


@functools.lru_cache(maxsize=None)
def _background_candidates(width, height):
    names = list(world.BACKGROUND_COLOURS)
    pairs = [(a, b) for a in names for b in names if a != b and np.abs(world.rgb(a) - world.rgb(b)).sum() > 150]
    specs = [("default",)] + [("plain", n) for n in names] + [(k, a, b) for k in ("gradient", "stripes") for a, b in pairs]
    return specs, np.stack([world.background_image(s, width, height)[::2, 1::3] for s in specs])


def find_background(clip):
    """The background tuple that explains most of the clip [T, H, W, 3]."""
    specs, images = _background_candidates(clip.shape[2], clip.shape[1])
    picks = clip[np.linspace(0, len(clip) - 1, 3).astype(int)][:, ::2, 1::3].astype(np.float32)
    errors = np.stack([np.minimum(np.abs(images - p[None]).sum(-1), 120.0).mean((1, 2)) for p in picks])
    return specs[int(errors.mean(0).argmin())]


def _erode(mask):
    """Pixels whose 3x3 neighbourhood lies in the mask [T, H, W]."""
    m = torch.from_numpy(mask.astype(np.float32))[:, None]
    return (-F.max_pool2d(-F.pad(m, (1, 1, 1, 1)), 3, 1))[:, 0].numpy() > 0.5


def find_colours(clip, base, count):
    """Names of the `count` palette colours with the most interior foreground pixels."""
    names = list(world.COLOURS)
    palette = np.stack([world.rgb(n) for n in names]).astype(np.float32)
    foreground = np.abs(clip - base).sum(-1) > FOREGROUND
    inside = _erode(foreground)
    pixels = clip[inside] if inside.any() else clip[foreground]
    if len(pixels) == 0:
        return names[:count]
    distance = np.abs(pixels[:, None] - palette[None]).sum(-1)
    votes = np.bincount(distance.argmin(1), minlength=len(names)) + 1e-3 * np.exp(-distance / 50).sum(0)
    return [names[i] for i in np.argsort(-votes)[:count]]


def object_coverage(clip, base, colour, other):
    """Coverage [T, H, W] of the object of one colour; pixels that fit the other object's colour better are left out."""
    c = world.rgb(colour).astype(np.float32)
    line = c - base
    alpha = ((clip - base) * line).sum(-1) / np.maximum((line * line).sum(-1), 1.0)
    if other is None:
        return np.clip(alpha, 0, 1)
    own = np.abs(clip - c).sum(-1)
    theirs = np.abs(clip - world.rgb(other).astype(np.float32)).sum(-1)
    core = _erode((own < theirs) & (own < np.abs(clip - base).sum(-1)))
    near = F.max_pool2d(torch.from_numpy(core.astype(np.float32))[:, None], 9, 1, 4)[:, 0].numpy() > 0
    alien = F.max_pool2d(torch.from_numpy(_erode((theirs < own) & (theirs < np.abs(clip - base).sum(-1))).astype(np.float32))[:, None], 5, 1, 2)[:, 0].numpy() > 0
    return np.clip(alpha, 0, 1) * (near & ~(alien & (own > theirs)))


def moments(alpha):
    """Centre x, centre y and area over time, each [T]; faint coverage is ignored."""
    a = np.where(alpha > 0.25, alpha, 0)
    area = a.sum((1, 2))
    safe = np.maximum(area, 1e-6)
    x = (a * (np.arange(a.shape[2]) + 0.5)).sum((1, 2)) / safe
    y = (a * (np.arange(a.shape[1]) + 0.5)[:, None]).sum((1, 2)) / safe
    return x, y, area


@functools.lru_cache(maxsize=None)
def _kind_moments():
    """Centroid offset [K, 2] and area [K] of each kind drawn upright with radius 1."""
    tracks = np.zeros((len(KINDS), 4, 1))
    tracks[:, :2], tracks[:, 2] = 32, 16.0
    alpha = world.coverage(list(range(len(KINDS))), tracks, 64, 64)[:, 0].numpy()
    x, y, area = moments(alpha)
    return np.stack([x - 32, y - 32], axis=1) / 16, area / 256


def _fit(patch, centre, area, kinds, angles, jitter):
    """Smallest mean squared error of every (kind, angle) against a coverage patch: [len(kinds), len(angles)]."""
    offsets, unit_area = _kind_moments()
    rows = []
    for kind in kinds:
        radius = np.sqrt(max(area, 1.0) / unit_area[kind])
        for angle in np.radians(angles):
            cos, sin = np.cos(angle), np.sin(angle)
            ox, oy = offsets[kind]
            cx, cy = centre[0] - radius * (ox * cos - oy * sin), centre[1] - radius * (ox * sin + oy * cos)
            rows += [(cx + dx, cy + dy, radius * s, angle) for dx, dy, s in jitter]
    tracks = np.array(rows)[:, :, None]
    ids = np.repeat(kinds, len(angles) * len(jitter))
    drawn = world.coverage(ids, tracks, patch.shape[1], patch.shape[0])[:, 0]
    errors = (drawn - torch.from_numpy(patch.astype(np.float32))).square().sum((1, 2)) / max(area, 1.0)
    return errors.view(len(kinds), len(angles), len(jitter)).amin(2).numpy()


STILL_JITTER = [(dx, dy, s) for s in (0.92, 1.0, 1.08) for dx, dy in ((0, 0), (0.6, 0), (-0.6, 0), (0, 0.6), (0, -0.6))]
SPIN_JITTER = [(0, 0, 1.0)]
REFINED = 8


def _fit_upright(patch, centre, area):
    """Error of every kind drawn upright, [K]: roughly for all, then finely for the best few."""
    errors = _fit(patch, centre, area, list(range(len(KINDS))), [0], [(0, 0, 1.0)])[:, 0]
    best = [int(k) for k in np.argsort(errors)[:REFINED]]
    errors[best] = _fit(patch, centre, area, best, [0], STILL_JITTER)[:, 0]
    return errors


def match_kind(alpha, x, y, area):
    """The best kind's name, whether it turns, and its mean error."""
    valid = np.flatnonzero(area > 12)
    if len(valid) == 0:
        return "none", False, 1.0
    frames = valid[np.linspace(0, len(valid) - 1, min(FRAMES_MATCHED, len(valid))).astype(int)]
    upright, turned = [], []
    for t in frames:
        top = int(np.clip(y[t] - PATCH // 2, 0, max(alpha.shape[1] - PATCH, 0)))
        left = int(np.clip(x[t] - PATCH // 2, 0, max(alpha.shape[2] - PATCH, 0)))
        patch = alpha[t, top:top + PATCH, left:left + PATCH]
        centre = (x[t] - left, y[t] - top)
        upright.append(_fit_upright(patch, centre, area[t]))
        turned.append(_fit(patch, centre, area[t], list(range(1, len(SHAPES))), ANGLES, SPIN_JITTER).min(1))
    upright, turned = np.mean(upright, axis=0), np.mean(turned, axis=0)
    best_upright, best_turned = int(upright.argmin()), int(turned.argmin()) + 1
    if turned.min() < 0.75 * upright.min() and upright.min() - turned.min() > 0.02:
        return KINDS[best_turned], True, float(turned.min())
    return KINDS[best_upright], False, float(upright.min())


def find_motion(x, y, area, turns):
    """One of world.MOTIONS from the tracks of a clip of at least about 8 frames."""
    valid = area > 12
    if valid.sum() < 3:
        return "none"
    t = np.flatnonzero(valid) / max(len(area) - 1, 1)
    x, y, area = x[valid], y[valid], area[valid]
    (dx, _), (dy, y0) = np.polyfit(t, x, 1), np.polyfit(t, y, 1)
    swing = np.abs(y - (dy * t + y0)).max()
    if swing > 4.0 and np.ptp(y) > 8 and swing > 0.25 * np.abs(dy):
        return "bounces"
    if max(abs(dx), abs(dy)) > (14.0 if turns else 6.0):  # a turning object's centroid wanders a little
        horizontal, vertical = ("left" if dx < 0 else "right"), ("up" if dy < 0 else "down")
        if abs(dx) > 0.4 * abs(dy) and abs(dy) > 0.4 * abs(dx):
            return f"{vertical} and {horizontal}"
        return horizontal if abs(dx) > abs(dy) else vertical
    radius = np.sqrt(area)
    slope, start = np.polyfit(t, radius, 1)
    growth = (start + slope) / max(start, 1e-6)
    if growth > 1.3:
        return "grows"
    if growth < 0.77:
        return "shrinks"
    return "spins" if turns else "still"


def find_size(kind, area, motion, count):
    """"small", "" or "big" from the mean radius."""
    if motion in ("grows", "shrinks") or kind not in KINDS:
        return ""
    radius = np.sqrt(np.median(area[area > 12]) / _kind_moments()[1][KINDS.index(kind)]) if (area > 12).any() else 0
    if kind not in SHAPES:
        return "big" if radius > 13.5 else ""
    if count == 2:
        return "small" if radius < 9.3 else ""
    return "small" if radius < 9.7 else "big" if radius > 13.0 else ""


def analyse(clip, count):
    """What a clip uint8 [T, H, W, 3] with `count` objects shows: {"background", "objects": [{kind, colour, motion, size, error}]}."""
    clip = np.asarray(clip).astype(np.float32)
    background = find_background(clip)
    base = world.background_image(background, clip.shape[2], clip.shape[1])[None]
    colours = find_colours(clip, base, count)
    objects = []
    for i, colour in enumerate(colours):
        alpha = object_coverage(clip, base, colour, colours[1 - i] if count == 2 else None)
        x, y, area = moments(alpha)
        kind, turns, error = match_kind(alpha, x, y, area)
        motion = find_motion(x, y, area, turns)
        objects.append({"kind": kind, "colour": colour, "motion": motion, "size": find_size(kind, area, motion, count), "error": error})
    return {"background": background, "objects": objects}
