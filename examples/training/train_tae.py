"""Trains the temporal autoencoder, or (with --freeze-encoder) only its decoder.

    torchrun --nproc-per-node 2 train_tae.py --out RUN --minutes 45
    python train_tae.py --out RUN2 --resume RUN/tae.pt --freeze-encoder --minutes 60
"""
import argparse
import math
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

import tae
import world
from muon import MuonAdamW
from tae import CONFIG, Tae
from trainer import Ema, Log, Team, fuse, half_precision, save_checkpoint

OUTLIER_RADIUS = 3.0
FULL_SHAPES = [(16, 64, 64), (32, 64, 64), (13, 64, 64), (1, 64, 64), (16, 96, 64), (16, 64, 96)]


def outlier_penalty(z):
    """Movie Gen's outlier penalty: mean over positions of max(|z - mean| - r * std, 0), per frame and channel."""
    mean = z.mean(dim=(2, 3), keepdim=True)
    std = z.std(dim=(2, 3), keepdim=True)
    return (z - mean).abs().sub(OUTLIER_RADIUS * std).clamp(min=0).mean()


def gradients(x):
    """Differences between neighbouring pixels, horizontally and vertically."""
    return x[:, :, :, 1:] - x[:, :, :, :-1], x[:, :, 1:] - x[:, :, :-1]


def reconstruction_loss(out, target, mask):
    """L1 + MSE weighted towards (dilated) object pixels, plus L1 on spatial gradients."""
    b, t, h, w = mask.shape
    weight = 1.0 + 5.0 * F.max_pool2d(mask.view(b * t, 1, h, w), 5, 1, 2).view(b, t, h, w, 1)
    weight = weight / weight.mean()
    error = out - target
    loss = (weight * (error.abs() + 2.0 * error.square())).mean()
    for e, ww in zip(gradients(error), (weight[:, :, :, 1:], weight[:, :, 1:])):
        loss = loss + 0.5 * (ww * e.abs()).mean()
    return loss


def crop_batch(rng, count, frames, size):
    """Crops [count, T, size, size, 3] around objects of clips of any bucket (they follow no object, so motion stays)."""
    clips, masks = [], []
    while len(clips) < count:
        width, height = world.BUCKETS[rng.choice(3, p=[0.6, 0.2, 0.2])]
        _, video, mask = world.sample_batch(rng, 4, width=width, height=height, frames=frames, fps=int(rng.choice([16, 16, 16, 8])))
        for v, m in zip(video, mask):
            weights = F.avg_pool2d(m.mean(0)[None, None], 17, 1, 8)[0, 0].flatten().double() + 1e-4
            index = rng.choice(len(weights), p=(weights / weights.sum()).numpy())
            top = int(np.clip(index // width - size // 2 + rng.integers(-8, 9), 0, height - size))
            left = int(np.clip(index % width - size // 2 + rng.integers(-8, 9), 0, width - size))
            clips.append(v[:, top:top + size, left:left + size])
            masks.append(m[:, top:top + size, left:left + size])
    return to_float(torch.stack(clips[:count])), torch.stack(masks[:count])


def to_float(frames):
    return frames.float() / 127.5 - 1.0


def draw_batch(rng, shape_rng, progress, crop_share):
    """Crops for the first part of the training, then whole frames of several lengths; `shape_rng` is shared by the team."""
    if progress < crop_share:
        frames = int(shape_rng.choice([16, 8, 1], p=[0.75, 0.13, 0.12]))
        return crop_batch(rng, {1: 32, 8: 12, 16: 8}[frames], frames, 32)
    frames, width, height = FULL_SHAPES[shape_rng.choice(len(FULL_SHAPES), p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.1])]
    _, video, mask = world.sample_batch(rng, {1: 12, 13: 2, 16: 2, 32: 1}[frames], width=width, height=height, frames=frames,
                                        fps=int(rng.choice([16, 16, 8])))
    return to_float(video), mask


@torch.no_grad()
def validate(model, batches):
    """Mean PSNR (dB) over held-out clips, whole frames and object pixels, and statistics of the latents."""
    psnr, object_psnr, means = [], [], []
    for video, mask in batches:
        out, mean, _ = model(video, noise=False)
        error = (out.clamp(-1, 1) - video).square() / 4
        psnr += (-10 * torch.log10(error.mean(dim=(1, 2, 3, 4)))).tolist()
        weight = (F.max_pool2d(mask, 3, 1, 1) > 0)[..., None].float()
        per_clip = (error * weight).sum(dim=(1, 2, 3, 4)) / (3 * weight.sum(dim=(1, 2, 3, 4)))
        object_psnr += (-10 * torch.log10(per_clip)).tolist()
        means.append(mean.flatten(0, 3))
    z = torch.cat(means)
    return np.mean(psnr), np.mean(object_psnr), z.std(0).mean().item(), z.abs().max().item()


def validation_batches(count=16, frames=16):
    rng = np.random.default_rng(12345)
    batches = []
    for _ in range(count // 4):
        _, video, mask = world.sample_batch(rng, 4, held_out=True, frames=frames)
        batches.append((to_float(video), mask))
    return batches


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--resume")
    parser.add_argument("--freeze-encoder", action="store_true")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--crop-share", type=float, default=0.5)
    parser.add_argument("--hold", type=float, default=0.35, help="share of the time at full learning rate, before the cosine")
    parser.add_argument("--compile", action="store_true", help="fuse normalisation and activation (needs a C++ compiler; 25 %% faster)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--elapsed", type=float, default=0.0, help="minutes already spent, when resuming")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    team = Team()
    rng, shape_rng = np.random.default_rng([args.seed, team.rank]), np.random.default_rng(args.seed)
    os.makedirs(args.out, exist_ok=True)
    log = Log(os.path.join(args.out, "tae.log"), enabled=team.rank == 0)

    if args.compile:
        tae.norm_silu = fuse(tae.norm_silu)
    torch.manual_seed(args.seed)
    model = Tae(CONFIG)
    torch.manual_seed(args.seed + 1000 + team.rank)
    state = {"step": 0}
    if args.resume:
        state = torch.load(args.resume)
        model.load_state_dict(state["model"])
    if args.freeze_encoder:
        model.encoder.requires_grad_(False)
    ema = Ema(model, 0.998)
    if args.resume:
        ema.load(state["ema"])
    optimiser = MuonAdamW(model, args.lr, betas=(0.9, 0.98))
    if args.resume and isinstance(state.get("optimiser"), list) and not args.freeze_encoder:
        optimiser.load_state_dict(state["optimiser"])

    held_out = validation_batches()
    start = time.time() - 60 * args.elapsed
    last_save, last_eval, step = time.time(), time.time(), state["step"]
    first = step
    while True:
        progress = team.agree((time.time() - start) / (60 * args.minutes))
        if progress >= 1:
            break
        decay = 0.5 * (1 + math.cos(math.pi * max(0.0, progress - args.hold) / (1 - args.hold)))
        lr = args.lr * min(1.0, (step - first + 1) / args.warmup) * (0.02 + 0.98 * decay)
        for group in optimiser.param_groups:
            group["lr"] = lr
        video, mask = draw_batch(rng, shape_rng, progress, args.crop_share)
        with half_precision():
            out, mean, logvar = model(video)
        loss_rec = reconstruction_loss(out, video, mask)
        loss = loss_rec
        if not args.freeze_encoder:
            kl = 0.5 * (mean.square() + logvar.exp() - logvar - 1).mean()
            loss = loss_rec + 2e-4 * kl + 0.1 * outlier_penalty(mean)
        loss.backward()
        team.average_gradients(model)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        ema.update(model, step - first)
        if step % 20 == 0:
            log(f"step {step} min {(time.time() - start) / 60:.1f} loss {loss_rec.item():.4f} norm {norm:.2f} lr {lr:.2e}")
        if team.rank == 0 and time.time() - last_eval > 240:
            last_eval = time.time()
            with ema.applied(model), half_precision():
                psnr, object_psnr, std, top = validate(model, held_out)
            log(f"EVAL step {step} psnr {psnr:.2f} object {object_psnr:.2f} latent std {std:.2f} max {top:.1f}")
        if team.rank == 0 and time.time() - last_save > 180:
            last_save = time.time()
            save_checkpoint(os.path.join(args.out, "tae.pt"), model, ema, optimiser, step, CONFIG)
    if team.rank > 0:
        return
    with ema.applied(model):
        psnr, object_psnr, std, top = validate(model, held_out)
    log(f"FINAL step {step} psnr {psnr:.2f} object {object_psnr:.2f} latent std {std:.2f} max {top:.1f}")
    save_checkpoint(os.path.join(args.out, "tae.pt"), model, ema, optimiser, step, CONFIG)


if __name__ == "__main__":
    main()
