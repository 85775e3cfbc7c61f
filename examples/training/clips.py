"""Reads clips as uint8 [T, H, W, 3] from y4m, gif, safetensors or folders of PNGs."""
import os

import numpy as np
from PIL import Image, ImageSequence
from safetensors.numpy import load_file

import world


def read_y4m(path):
    """Uncompressed 4:4:4 Y'CbCr (BT.601, limited range unless the header says XCOLORRANGE=FULL) to RGB."""
    with open(path, "rb") as f:
        data = f.read()
    end = data.index(b"\n")
    fields = data[:end].decode().split()[1:]
    width, height = (int(next(v[1:] for v in fields if v[0] == k)) for k in "WH")
    if not any(v.startswith("C444") for v in fields):
        raise ValueError(f"{path}: only C444 is supported")
    full = "XCOLORRANGE=FULL" in fields
    frames, at = [], end + 1
    while at < len(data):
        at = data.index(b"\n", at) + 1
        plane = width * height
        y, cb, cr = np.frombuffer(data, np.uint8, 3 * plane, at).reshape(3, height, width).astype(np.float32)
        at += 3 * plane
        y, cb, cr = (y, cb - 128, cr - 128) if full else ((y - 16) * 255 / 219, (cb - 128) * 255 / 224, (cr - 128) * 255 / 224)
        rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
        frames.append(np.clip(np.round(rgb), 0, 255).astype(np.uint8))
    return np.stack(frames)


def load(folder, index):
    """The clip of one caption index, whichever supported form it has."""
    stem = os.path.join(folder, f"{index:05d}")
    if os.path.exists(stem + ".safetensors"):
        return load_file(stem + ".safetensors")["frames"]
    if os.path.exists(stem + ".y4m"):
        return read_y4m(stem + ".y4m")
    if os.path.exists(stem + ".gif"):
        with Image.open(stem + ".gif") as image:
            return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])
    if os.path.isdir(stem):
        names = sorted(n for n in os.listdir(stem) if n.endswith(".png"))
        return np.stack([np.asarray(Image.open(os.path.join(stem, n)).convert("RGB")) for n in names])
    raise FileNotFoundError(f"no clip {stem}.(safetensors|y4m|gif) and no folder {stem}")


def ground_truth(spec, seed):
    """A rendering of a spec given as a dictionary."""
    spec = world.Spec(**dict(spec, objects=[world.Object(**o) for o in spec["objects"]], background=tuple(spec["background"])))
    frames, _ = world.render([spec], [world.place(np.random.default_rng(seed), spec)])
    return frames[0].numpy()
