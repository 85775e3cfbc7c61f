"""Exports checkpoints as f16 safetensors, with export.json, tokenizer.json and goldens for the runtime's tests.

    python export.py --tae tae.pt --decoder decoder.pt --backbone backbone.pt --tokenizer tokenizer.json --out DIR

--decoder takes the decoder from another checkpoint (one trained with a frozen encoder).
"""
import argparse
import json
import os
import shutil

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

import backbone
import goldens
import tae as tae_module
import text
import tokens
import world
from latents import encode, latent_statistics
from model import Generator
from tae import Tae


def rounded(module):
    """Rounds a module's parameters to f16 in place (kept as f32), so that goldens match the files exactly."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.half().float())
    return module.eval().requires_grad_(False)


def load_models(args):
    """TAE, Generator, shift [C] and scale; random weights where no checkpoint is given."""
    torch.manual_seed(0)
    tae, generator = Tae(), Generator()
    if args.tae:
        tae.load_state_dict(torch.load(args.tae)["ema"])
    if args.decoder:
        state = torch.load(args.decoder)["ema"]
        tae.decoder.load_state_dict({k.removeprefix("decoder."): v for k, v in state.items() if k.startswith("decoder.")})
    if args.backbone:
        state = torch.load(args.backbone)
        generator.load_state_dict(state["ema"])
        shift, scale = state["config"]["shift"], state["config"]["scale"]
    else:
        torch.nn.init.normal_(generator.backbone.final.linear.weight, std=0.05)
        shift, scale = latent_statistics(tae)
    return rounded(tae), rounded(generator), shift, scale


def save_weights(tae, generator, out):
    """One file per component; returns the number of parameters of each."""
    parts = {"tae": tae, "backbone": generator.backbone, "text_t5": generator.text.t5,
             "text_clip": generator.text.clip, "text_byte": generator.text.byte}
    for name, module in parts.items():
        save_file({k: v.half().contiguous() for k, v in module.state_dict().items()}, os.path.join(out, f"{name}.safetensors"))
    return {name: sum(p.numel() for p in module.parameters()) for name, module in parts.items()}


def preview_map(tae, shift, scale, clips=24):
    """Least squares from a normalised latent pixel [16] to the mean colour (-1..1) of its 8x8x8 block: weight [3, 16], bias [3]."""
    rng = np.random.default_rng(3)
    inputs, targets = [], []
    for _ in range(clips // 8):
        _, video, _ = world.sample_batch(rng, 8, frames=32)
        z = (encode(tae, video) - shift[:, None, None, None]) / scale
        inputs.append(z.permute(0, 2, 3, 4, 1).reshape(-1, z.shape[1]))
        blocks = video.float().view(8, 4, 8, 8, 8, 8, 8, 3).mean(dim=(2, 4, 6)) / 127.5 - 1
        targets.append(blocks.reshape(-1, 3))
    x, y = torch.cat(inputs), torch.cat(targets)
    solution = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1)], dim=1), y).solution
    error = (torch.cat([x, torch.ones(len(x), 1)], dim=1) @ solution - y).square().mean().sqrt().item()
    return {"weight": solution[:-1].t().tolist(), "bias": solution[-1].tolist(), "rms_error": error}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tae")
    parser.add_argument("--decoder")
    parser.add_argument("--backbone")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    tae, generator, shift, scale = load_models(args)
    counts = save_weights(tae, generator, args.out)
    tokenizer = Tokenizer.from_file(args.tokenizer)
    shutil.copy(args.tokenizer, os.path.join(args.out, "tokenizer.json"))
    description = {
        "parameters": dict(counts, total=sum(counts.values())),
        "tae": dict(tae_module.CONFIG, latent_channels=tae_module.LATENT_CHANNELS, norm_eps=tae_module.EPS, compression=[8, 8, 8]),
        "backbone": dict(backbone.CONFIG, norm_eps=tae_module.EPS),
        "text": dict(text.CONFIG, lengths={"t5": tokens.T5_LENGTH, "clip": tokens.CLIP_LENGTH, "byte": tokens.BYTE_LENGTH}),
        "special_tokens": {"pad": tokens.PAD, "eos": tokens.EOS, "bos": tokens.BOS, "byte_offset": tokens.BYTE_OFFSET},
        "latent": {"shift": shift.tolist(), "scale": float(scale), "normalise": "(z - shift) / scale"},
        "preview": preview_map(tae, shift, scale),
        "sampling": {"steps": 25, "guidance": 3.0, "schedule": "linear", "solver": "euler", "negative_prompt": "",
                     "frames": 32, "fps": 16, "width": 64, "height": 64, "sizes": world.BUCKETS,
                     "prefix": "FPS-{fps} for videos, none for single images", "sigma_min": 1e-5},
    }
    with open(os.path.join(args.out, "export.json"), "w") as f:
        json.dump(description, f, indent=1)
    goldens.write(os.path.join(args.out, "goldens"), tae, generator, tokenizer, shift, float(scale))
    sizes = {n: os.path.getsize(os.path.join(args.out, n)) for n in os.listdir(args.out) if n.endswith(".safetensors")}
    print("shift", [round(v, 4) for v in shift.tolist()], "scale", float(scale))
    print("bytes", sizes, "sum", sum(sizes.values()))


if __name__ == "__main__":
    main()
