"""Goldens: inputs and outputs of every component, computed in f32 from the f16-rounded weights.

All tensors are [B, C, T, H, W] where they are clips or latents. Text files hold the prompts in their metadata.
"""
import json
import os

import numpy as np
import torch
from safetensors.torch import save_file

import tokens
import world
from model import decode, sample

PROMPTS = [
    "FPS-16 a red circle moves left",
    'FPS-16 a white letter "K" moves down',
    "FPS-16 a yellow star moves up and a small blue square spins on a gray background",
    "",
]
TRAJECTORY_PROMPT = "FPS-16 a green triangle moves right"


def _save(folder, name, tensors, **metadata):
    tensors = {k: v.detach().contiguous() for k, v in tensors.items()}
    save_file(tensors, os.path.join(folder, name + ".safetensors"), {k: json.dumps(v) for k, v in metadata.items()})


def _clip(seed, frames, height, width):
    """A crop [1, 3, T, H, W] in -1..1 from the middle of a rendered clip."""
    rng = np.random.default_rng(seed)
    spec = world.sample_spec(rng, "single", frames=frames)
    spec.background = ("gradient", "blue", "green")
    spec.objects[0].colour = "yellow"
    video, _ = world.render([spec], [world.place(rng, spec)])
    video = video.float() / 127.5 - 1
    top, left = (64 - height) // 2, (64 - width) // 2
    return video[:, :, top:top + height, left:left + width].permute(0, 4, 1, 2, 3).contiguous()


def _text(folder, generator, tokenizer):
    out = {}
    encoded = tokens.encode_prompts(tokenizer, PROMPTS, full_length=True)
    for name, (ids, mask) in encoded.items():
        out[f"{name}.ids"], out[f"{name}.mask"] = ids, mask
        out[f"{name}.out"] = getattr(generator.text, name)(ids, mask)
    _save(folder, "text", out, prompts=PROMPTS)
    return generator.text(encoded)


def _backbone(folder, generator, tokenizer, padded):
    """Case "small": one unpadded prompt, with the output of every block; case "pair": prompts 0 and 1 of text.safetensors, padded."""
    states, mask = generator.text(tokens.encode_prompts(tokenizer, PROMPTS[:1]))
    g = torch.Generator().manual_seed(11)
    x, t = torch.randn(1, 16, 2, 4, 4, generator=g), torch.tensor([0.3])
    blocks = []
    out = {"small.x": x, "small.t": t, "small.text": states, "small.mask": mask}
    out["small.velocity"] = generator.backbone(x, t, states, mask, blocks)
    out.update({f"small.block{i}": b for i, b in enumerate(blocks)})
    x, t = torch.randn(2, 16, 3, 8, 12, generator=g), torch.tensor([0.05, 0.9])
    out.update({"pair.x": x, "pair.t": t, "pair.mask": padded[1][:2]})
    out["pair.velocity"] = generator.backbone(x, t, padded[0][:2], padded[1][:2])
    _save(folder, "backbone", out, pair_prompts=PROMPTS[:2])


def _tae(folder, tae):
    for frames, height, width in ((1, 32, 32), (5, 24, 16), (16, 16, 24)):
        clip = _clip(frames, frames, height, width)
        mean, _ = tae.encoder(clip.permute(0, 2, 3, 4, 1))
        decoded = tae.decoder(mean)
        _save(folder, f"tae_{frames}", {"clip": clip, "mean": mean.permute(0, 4, 1, 2, 3), "decoded": decoded.permute(0, 4, 1, 2, 3)})


def _trajectory(folder, tae, generator, tokenizer, shift, scale):
    """Four Euler steps with guidance 3 on a uniform schedule: "states" [5, 16, 2, 8, 8] normalised, and the decoded frames."""
    noise = torch.randn(1, 16, 2, 8, 8, generator=torch.Generator().manual_seed(21))
    path = sample(generator, tokenizer, [TRAJECTORY_PROMPT], noise, steps=4, guidance=3.0)
    frames = decode(tae, path[-1], 16, shift, scale)[0]
    _save(folder, "trajectory", {"states": torch.cat(path), "frames": frames}, prompt=TRAJECTORY_PROMPT, steps=4, guidance=3.0)


@torch.no_grad()
def write(folder, tae, generator, tokenizer, shift, scale):
    os.makedirs(folder, exist_ok=True)
    padded = _text(folder, generator, tokenizer)
    _backbone(folder, generator, tokenizer, padded)
    _tae(folder, tae)
    _trajectory(folder, tae, generator, tokenizer, shift, scale)
    print("goldens", sum(os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder)), "bytes")
