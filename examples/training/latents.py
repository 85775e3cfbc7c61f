"""A growing cache of clips encoded by the frozen encoder, grouped by size, from which the backbone draws its batches.

It must grow fast: with a quarter of the clips, the backbone learned them by heart (loss .10, but .14 on new clips).
"""
import numpy as np
import torch

import world
from trainer import half_precision

# (frames, width, height) -> share of the training steps
IMAGE_GROUPS = {(1, 64, 64): 0.6, (1, 96, 64): 0.2, (1, 64, 96): 0.2}
VIDEO_GROUPS = {
    (32, 64, 64): 0.70, (16, 64, 64): 0.03, (8, 64, 64): 0.02, (48, 64, 64): 0.03,
    (32, 96, 64): 0.08, (32, 64, 96): 0.08, (1, 64, 64): 0.04, (1, 96, 64): 0.01, (1, 64, 96): 0.01,
}
BATCH = {1: 128, 8: 128, 16: 96, 32: 64, 48: 40}
CATEGORIES = {"single": 0.44, "pair": 0.34, "character": 0.22}
FPS = [16] * 7 + [8]
# How readily a clip is taken into the training set, by its hardest object: what is learned last is shown most often.
TAKEN = {"small star": 1.0, "spins": 0.4, "star": 0.5, "cross": 0.3, "small": 0.25, "other": 0.13}


def hardness(obj):
    """The entry of `TAKEN` that decides for a shape."""
    return max(TAKEN[k] for k in (f"{obj.size} {obj.kind}", obj.motion, obj.kind, obj.size, "other") if k in TAKEN)


def draw_spec(rng, category, **shape):
    """A spec for training: characters as the world draws them, shapes by how hard they are to learn."""
    while True:
        spec = world.sample_spec(rng, category, **shape)
        if category == "character" or rng.random() < max(hardness(o) for o in spec.objects):
            return spec


def draw_group(rng, groups):
    keys = list(groups)
    shares = np.array([groups[k] for k in keys])
    return keys[rng.choice(len(keys), p=shares / shares.sum())]


@torch.no_grad()
def encode(tae, frames):
    """uint8 [B, T, H, W, 3] -> latents [B, C, T', H', W'] (the posterior's mean)."""
    with half_precision():
        mean, _ = tae.encoder(frames.float() / 127.5 - 1.0)
    return mean.permute(0, 4, 1, 2, 3).contiguous()


class LatentCache:
    """Specs with their latents, per group; the oldest are replaced once a group is full."""

    def __init__(self, tae, rng, capacity, clean=False):
        self.tae, self.rng, self.capacity, self.clean = tae, rng, capacity, clean
        self.entries = {}
        self.written = {}

    def add(self, group, count):
        """Renders and encodes `count` new clips of a group."""
        frames, width, height = group
        size = {"frames": frames, "width": width, "height": height}
        specs = []
        for category in self.rng.choice(list(CATEGORIES), count, p=list(CATEGORIES.values())):
            fps = int(self.rng.choice(FPS)) if frames > 1 else 16
            specs.append(draw_spec(self.rng, str(category), fps=fps, **size))
        video, _ = world.render(specs, [world.place(self.rng, s, self.clean) for s in specs])
        rows = self.entries.setdefault(group, [])
        for spec, z in zip(specs, encode(self.tae, video).half()):
            written = self.written.get(group, 0)
            if len(rows) < self.capacity:
                rows.append((spec, z))
            else:
                rows[written % self.capacity] = (spec, z)
            self.written[group] = written + 1

    def batch(self, group, count):
        """Specs and latents float32 [B, C, T', H', W'] of random entries of a group."""
        rows = self.entries[group]
        picked = [rows[i] for i in self.rng.integers(0, len(rows), count)]
        return [s for s, _ in picked], torch.stack([z for _, z in picked]).float()

    def size(self):
        return {k: len(v) for k, v in self.entries.items()}


@torch.no_grad()
def latent_statistics(tae, seed=5, clips=48):
    """Per-channel mean [C] and one global standard deviation of the frozen latents."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(clips // 8):
        _, video, _ = world.sample_batch(rng, 8, frames=32)
        z = encode(tae, video)
        rows.append(z.transpose(0, 1).flatten(1))
    z = torch.cat(rows, dim=1)
    shift = z.mean(1)
    return shift, (z - shift[:, None]).std()
