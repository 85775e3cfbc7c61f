"""The little world the model learns: moving, turning and growing shapes and characters on simple backgrounds.

`sample_spec` draws what a clip shows, `place` draws where (positions, radii and angles over time), and `render`
turns a batch of placed clips of one size into anti-aliased frames.
"""
import dataclasses
import math
import zlib

import numpy as np
import torch
import torch.nn.functional as F

from glyphs import CHARACTERS, EXTENT, KINDS, SHAPES, build_atlas

COLOURS = {
    "red": (222, 38, 38), "orange": (255, 142, 22), "yellow": (250, 226, 48), "green": (36, 160, 60),
    "cyan": (44, 214, 226), "blue": (44, 76, 232), "purple": (140, 46, 186), "pink": (255, 146, 196),
    "white": (246, 246, 246), "brown": (128, 76, 34),
}
BACKGROUND_COLOURS = dict(COLOURS, gray=(128, 128, 128))
DEFAULT_BACKGROUND = (30, 32, 40)
SIZES = {"small": (8.0, 8.6), "": (10.8, 12.0), "big": (14.0, 15.5)}
DIRECTIONS = {
    "left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1),
    "up and left": (-1, -1), "up and right": (1, -1), "down and left": (-1, 1), "down and right": (1, 1),
}
MOTIONS = list(DIRECTIONS) + ["still", "grows", "shrinks", "spins", "bounces"]
PAIR_MOTIONS = ["left", "right", "up", "down", "still", "left", "right", "up", "down", "bounces", "spins"]
CHARACTER_MOTIONS = ["left", "right", "up", "down", "still", "bounces"]
BUCKETS = [(64, 64), (96, 64), (64, 96)]
STRIPE = 8


@dataclasses.dataclass
class Object:
    """`kind` is a shape's name or a single character; `size` is "small", "" or "big"."""
    kind: str
    colour: str
    size: str
    motion: str

    @property
    def is_character(self):
        return self.kind in CHARACTERS


@dataclasses.dataclass
class Spec:
    """Everything a caption says. `background` is ("default",), ("plain", c), ("gradient", top, bottom) or ("stripes", a, b)."""
    objects: list
    background: tuple
    width: int = 64
    height: int = 64
    frames: int = 32
    fps: int = 16

    def to_dict(self):
        return dataclasses.asdict(self)


def is_held_out(spec):
    """True if any object's (colour, kind, motion) belongs to the fixed twelfth that training never sees."""
    return any(zlib.crc32(f"{o.colour}|{o.kind}|{o.motion}".encode()) % 12 == 0 for o in spec.objects)


def rgb(name):
    """A colour name as float64 [3] in 0..255."""
    return np.array(BACKGROUND_COLOURS[name], dtype=np.float64)


def _clashes(colour, background):
    """True if an object of this colour would be hard to see somewhere on the background."""
    c = rgb(colour)
    if background[0] == "default":
        return False
    if background[0] in ("plain", "stripes"):
        return any(np.abs(c - rgb(b)).sum() < 150 for b in background[1:])
    a, b = rgb(background[1]), rgb(background[2])
    return any(np.abs(c - (a + (b - a) * w)).sum() < 120 for w in np.linspace(0, 1, 9))


def sample_background(rng):
    names = list(BACKGROUND_COLOURS)
    kind = rng.choice(["default", "plain", "gradient", "stripes"], p=[0.45, 0.33, 0.11, 0.11])
    if kind == "default":
        return ("default",)
    if kind == "plain":
        return ("plain", str(rng.choice(names)))
    while True:
        a, b = (str(n) for n in rng.choice(names, 2, replace=False))
        if np.abs(rgb(a) - rgb(b)).sum() > 150:
            return (str(kind), a, b)


def _sample_object(rng, category):
    colour = str(rng.choice(list(COLOURS)))
    if category == "character":
        return Object(str(rng.choice(CHARACTERS)), colour, str(rng.choice(["", "", "", "big"])), str(rng.choice(CHARACTER_MOTIONS)))
    motions = PAIR_MOTIONS if category == "pair" else MOTIONS
    kind = str(rng.choice(SHAPES))
    motion = str(rng.choice(motions))
    while motion == "spins" and kind == "circle":
        motion = str(rng.choice(motions))
    size = "" if motion in ("grows", "shrinks") else str(rng.choice(["", "", "small", "big"]))
    if category == "pair" and (size == "big" or rng.random() < 0.5):
        size = ""
    return Object(kind, colour, size, motion)


def sample_spec(rng, category=None, held_out=False, **shape):
    """A random Spec; `category` is "single", "pair" or "character" (drawn if None); `shape` sets width, frames and so on."""
    if category is None:
        category = str(rng.choice(["single", "pair", "character"], p=[0.42, 0.33, 0.25]))
    while True:
        objects = [_sample_object(rng, category) for _ in range(2 if category == "pair" else 1)]
        background = sample_background(rng)
        if category == "pair" and (objects[0].colour == objects[1].colour or background[0] in ("gradient", "stripes")):
            continue
        if any(_clashes(o.colour, background) for o in objects):
            continue
        spec = Spec(objects, background, **shape)
        if is_held_out(spec) == held_out:
            return spec


def _trajectory(rng, obj, spec, clean):
    """One object's centre x, centre y, radius and angle over time: array [4, T]."""
    times = np.arange(spec.frames) / spec.fps
    duration = times[-1]
    low, high = SIZES[obj.size]
    if obj.is_character:
        low, high = (11.5, 13.0) if obj.size == "" else (14.5, 16.0)
    elif len(spec.objects) == 2 and obj.size == "":
        low, high = 10.0, 10.8
    radius = np.full(spec.frames, rng.uniform(low, high))
    angle = np.zeros(spec.frames)
    if obj.motion in ("grows", "shrinks"):
        start, rate = rng.uniform(7.0, 8.0), rng.uniform(3.6, 4.4)
        radius = start + min(rate, 10.0 / max(duration, 1e-6)) * times
        if obj.motion == "shrinks":
            radius = radius[::-1].copy()
            if spec.frames <= 4:
                radius = radius + 7.0
    if obj.motion == "spins":
        angle = times * math.radians(rng.uniform(85, 95))
    margin = radius.max() * 1.18 + 1.5
    room = np.array([spec.width, spec.height]) - 2 * margin
    direction = np.array(DIRECTIONS.get(obj.motion, (0, 0)), dtype=np.float64)
    speed = rng.uniform(12.0, 18.0) * (0.8 if np.abs(direction).sum() == 2 else 1.0)
    travel = np.minimum(speed * duration, room * rng.uniform(0.85, 1.0)) * direction
    progress = times / max(duration, 1e-6)
    centre = margin + np.maximum(-travel, 0) + rng.uniform(0, 1, 2) * (room - np.abs(travel))
    if clean and obj.motion in ("still", "grows", "shrinks", "spins"):
        centre = margin + room * rng.uniform(0.25, 0.75, 2)
    xy = centre[:, None] + travel[:, None] * progress[None]
    if obj.motion == "bounces":
        height = min(rng.uniform(13, 19), room[1])
        floor = spec.height - margin - rng.uniform(0, 1) * min(room[1] - height, 8)
        phase = rng.choice([0.0, 0.5])
        xy[1] = floor - height * np.abs(np.sin(math.pi * (rng.uniform(0.85, 1.05) * times + phase)))
    return np.stack([xy[0], xy[1], radius, angle])


def _gap(tracks):
    """Smallest distance over time between two objects, less their radii."""
    a, b = tracks
    return (np.hypot(a[0] - b[0], a[1] - b[1]) - (a[2] + b[2])).min()


def place(rng, spec, clean=False):
    """Positions for a spec: array [K, 4, T]. Two objects are kept apart; `clean` keeps them well apart and central."""
    best, best_gap = None, -1e9
    for _ in range(60 if clean else 25):
        tracks = np.stack([_trajectory(rng, o, spec, clean) for o in spec.objects])
        gap = 1e9 if len(tracks) == 1 else _gap(tracks)
        if gap > best_gap:
            best, best_gap = tracks, gap
        if gap > (4.0 if clean else 2.0):
            break
    return best


_ATLAS = None


def _atlas():
    global _ATLAS
    if _ATLAS is None:
        _ATLAS = build_atlas()
    return _ATLAS


def background_image(background, width, height):
    """float32 [H, W, 3] in 0..255."""
    if background[0] in ("default", "plain"):
        c = DEFAULT_BACKGROUND if background[0] == "default" else BACKGROUND_COLOURS[background[1]]
        return np.broadcast_to(np.array(c, dtype=np.float32), (height, width, 3))
    a, b = rgb(background[1]), rgb(background[2])
    if background[0] == "gradient":
        w = (np.arange(height) / (height - 1))[:, None, None] * np.ones((1, width, 1))
    else:
        w = ((np.arange(width) // STRIPE) % 2)[None, :, None] * np.ones((height, 1, 1))
    return (a + (b - a) * w).astype(np.float32)


def coverage(kind_ids, tracks, width, height):
    """Anti-aliased coverage [N, T, H, W] of N objects with tracks [N, 4, T]."""
    n, _, frames = tracks.shape
    tracks = torch.as_tensor(tracks, dtype=torch.float32)
    cx, cy, radius, angle = (tracks[:, i, :, None, None] for i in range(4))
    dx = (torch.arange(width) + 0.5)[None, None, None, :] - cx
    dy = (torch.arange(height) + 0.5)[None, None, :, None] - cy
    cos, sin = torch.cos(angle) / radius, torch.sin(angle) / radius
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    grid = torch.stack([u, v], dim=-1).div_(EXTENT).view(n, frames * height, width, 2)
    sdf = F.grid_sample(_atlas()[torch.as_tensor(kind_ids)], grid, padding_mode="border", align_corners=False)
    return (0.5 - sdf.view(n, frames, height, width) * radius).clamp_(0, 1)


def render(specs, tracks):
    """Frames uint8 [B, T, H, W, 3] and object coverage float [B, T, H, W] of clips that share one size and length."""
    width, height, frames = specs[0].width, specs[0].height, specs[0].frames
    flat = [(b, o) for b, spec in enumerate(specs) for o in range(len(spec.objects))]
    kinds = [KINDS.index(specs[b].objects[o].kind) for b, o in flat]
    alpha = coverage(kinds, np.stack([tracks[b][o] for b, o in flat]), width, height)
    base = np.stack([background_image(s.background, width, height) for s in specs])
    out = torch.from_numpy(base)[:, None].repeat(1, frames, 1, 1, 1)
    mask = torch.zeros(len(specs), frames, height, width)
    for i, (b, o) in enumerate(flat):
        a = alpha[i][..., None]
        colour = torch.tensor(COLOURS[specs[b].objects[o].colour], dtype=torch.float32)
        out[b] += (colour - out[b]) * a
        mask[b] = torch.maximum(mask[b], alpha[i])
    return out.round_().to(torch.uint8), mask


def sample_batch(rng, batch, category=None, clean=False, held_out=False, **shape):
    """Specs, frames uint8 [B, T, H, W, 3] and coverage [B, T, H, W] of a random batch."""
    specs = [sample_spec(rng, category, held_out, **shape) for _ in range(batch)]
    frames, mask = render(specs, [place(rng, s, clean) for s in specs])
    return specs, frames, mask
