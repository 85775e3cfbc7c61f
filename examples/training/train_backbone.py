"""Trains the text encoders and the backbone on latents of a frozen TAE: images, then images and videos, then fine-tuning.

    torchrun --nproc-per-node 2 train_backbone.py --tae RUN/tae.pt --tokenizer tokenizer.json --out RUN3 --minutes 60
"""
import argparse
import math
import os
import time

import numpy as np
import torch
from tokenizers import Tokenizer

import backbone
import captions
import tae as tae_module
import text
import tokens
import world
from latents import BATCH, IMAGE_GROUPS, VIDEO_GROUPS, LatentCache, draw_group, encode, latent_statistics
from model import Generator, decode, flow_matching_loss, sample
from muon import MuonAdamW
from tae import Tae
from trainer import Ema, Log, Team, fuse, half_precision, save_checkpoint


def canonical_prompt(spec):
    """What the runtime makes of the canonical caption of a video: the frame rate always leads."""
    caption = captions.caption(spec)
    return caption if caption.startswith("FPS-") else f"FPS-{spec.fps} {caption}"


def build_prompts(rng, specs, clean):
    """A caption for each spec; images never carry a frame rate; every tenth is dropped."""
    out = []
    for spec in specs:
        caption = captions.training_caption(spec, rng)
        if clean and rng.random() < 0.5:
            caption = canonical_prompt(spec)
        if spec.frames == 1:
            caption = caption.removeprefix("FPS-16 ")
        elif spec.frames == 8 and not caption.startswith("FPS"):
            caption = f"FPS-{spec.fps} {caption}"
        out.append("" if rng.random() < 0.1 else caption)
    return out


def fresh_count(group, rate):
    """New clips to encode at a step, so that every group costs about as much as `rate` clips of 32 frames of 64x64."""
    frames, width, height = group
    return max(1, min(16, round(rate * 32 * 64 * 64 / (max(frames, 8) * width * height))))


def held_out_batch(tae, tokenizer, count=48):
    """Latents (not normalised) and tokens of held-out clips, to see what is learned rather than remembered."""
    rng = np.random.default_rng(77)
    specs, video, _ = world.sample_batch(rng, count, held_out=True, frames=32)
    prompt_tokens = tokens.encode_prompts(tokenizer, [canonical_prompt(s) for s in specs])
    return torch.cat([encode(tae, v) for v in video.split(4)]), prompt_tokens


@torch.no_grad()
def held_out_loss(model, x1, prompt_tokens):
    """The training loss on held-out clips, with the same noise every time."""
    with torch.random.fork_rng(), half_precision():
        torch.manual_seed(1)
        return flow_matching_loss(model, x1, prompt_tokens).item()


def load_tae(path):
    model = Tae()
    model.load_state_dict(torch.load(path)["ema"])
    return model.eval().requires_grad_(False)


def write_sheet(path, clips, columns=6):
    """A contact sheet: one row per clip, `columns` frames each, rows side by side in two halves."""
    from PIL import Image
    rows = [torch.cat([c[i] for i in torch.linspace(0, len(c) - 1, columns).long()], dim=1) for c in clips]
    half = (len(rows) + 1) // 2
    left, right = torch.cat(rows[:half]), torch.cat(rows[half:half * 2] + [torch.zeros_like(rows[0])] * (2 * half - len(rows)))
    Image.fromarray(torch.cat([left, right], dim=1).numpy()).save(path)


def evaluate(model, tae, tokenizer, shift, scale, out, step, count=12):
    """Samples held-out captions, writes a contact sheet and returns the scorer's results, if it is there."""
    rows = [r for r in captions.held_out_rows(2 * count) if (r["width"], r["height"]) == (64, 64)][:count]
    noise = torch.randn(len(rows), 16, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with half_precision():
        latents = sample(model, tokenizer, [r["prompt"] for r in rows], noise, steps=20)[-1]
        video = torch.cat([decode(tae, z, 32, shift, scale) for z in latents.split(5)])
    write_sheet(os.path.join(out, f"sheet{step:06d}.png"), video)
    import scorer
    return scorer.summary_line(scorer.score_rows(rows, [v.numpy() for v in video]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tae", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=60, help="of the process's own computing: time that other work takes does not count")
    parser.add_argument("--image-share", type=float, default=0.07)
    parser.add_argument("--finetune-share", type=float, default=0.25)
    parser.add_argument("--hold", type=float, default=0.4)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--update-rms", type=float, default=0.5, help="Muon's update size relative to the learning rate")
    parser.add_argument("--warmup", type=int, default=150)
    parser.add_argument("--resume")
    parser.add_argument("--elapsed", type=float, default=0.0, help="minutes already spent, when resuming")
    parser.add_argument("--fill", type=int, default=1500, help="clips to encode before the video stage")
    parser.add_argument("--fresh", type=float, default=3.0, help="new clips of 32 frames that each process encodes at a step")
    parser.add_argument("--clean-share", type=float, default=0.4, help="share of clean clips before the fine-tuning")
    parser.add_argument("--eval-minutes", type=float, default=10)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    team = Team()
    rng, group_rng = np.random.default_rng([args.seed, team.rank, 1]), np.random.default_rng(args.seed)
    os.makedirs(args.out, exist_ok=True)
    log = Log(os.path.join(args.out, "backbone.log"), enabled=team.rank == 0)
    tokenizer = Tokenizer.from_file(args.tokenizer)
    if args.compile:
        tae_module.norm_silu = fuse(tae_module.norm_silu)
        for block in (backbone.Block, text.T5Block, text.ClipBlock):
            block.forward = torch.compile(block.forward, dynamic=True)
    tae = load_tae(args.tae)
    resumed = torch.load(args.resume) if args.resume else None
    # The statistics are of a few clips: measured anew they would move all that was learned.
    shift, scale = (resumed["config"][k] for k in ("shift", "scale")) if resumed else latent_statistics(tae)
    log(f"latent shift {[round(v, 3) for v in shift.tolist()]} scale {scale:.4f}")

    torch.manual_seed(args.seed)
    model = Generator()
    torch.manual_seed(args.seed + 1000 + team.rank)
    step, first = 0, 0
    ema = Ema(model, 0.999)
    optimiser = MuonAdamW(model, args.lr, betas=(0.9, 0.95), update_rms=args.update_rms)
    if state := resumed:
        model.load_state_dict(state["model"])
        ema.load(state["ema"])
        if state["optimiser"]:
            optimiser.load_state_dict(state["optimiser"])
        step = first = state["step"]

    cache, clean_cache = LatentCache(tae, rng, 30000), LatentCache(tae, rng, 30000, clean=True)
    held_out_z, held_out_tokens = held_out_batch(tae, tokenizer)
    held_out_z = (held_out_z - shift[:, None, None, None]) / scale
    start = time.process_time() - 60 * args.elapsed
    last_save = last_eval = time.time()
    losses = []
    while True:
        progress = team.agree((time.process_time() - start) / (60 * args.minutes))
        if progress >= 1:
            break
        finetune = progress > 1 - args.finetune_share
        groups = IMAGE_GROUPS if progress < args.image_share else VIDEO_GROUPS
        group = draw_group(group_rng, groups)
        for part, share in ((cache, 1 - args.clean_share), (clean_cache, args.clean_share)):
            wanted = share * (args.fill * groups[group] if group[0] > 1 else 500)
            while part.size().get(group, 0) < wanted:
                part.add(group, fresh_count(group, 3))
        growing = clean_cache if group_rng.random() < args.clean_share else cache
        growing.add(group, fresh_count(group, args.fresh))
        source = clean_cache if group_rng.random() < (0.75 if finetune else args.clean_share) else cache

        decay = 0.5 * (1 + math.cos(math.pi * max(0.0, progress - args.hold) / (1 - args.hold)))
        lr = args.lr * min(1.0, (step - first + 1) / args.warmup) * (0.02 + 0.98 * decay)
        for param_group in optimiser.param_groups:
            param_group["lr"] = lr
        specs, z = source.batch(group, BATCH[group[0]] // team.size)
        prompt_tokens = tokens.encode_prompts(tokenizer, build_prompts(rng, specs, source.clean))
        x1 = (z - shift[:, None, None, None]) / scale
        with half_precision():
            loss = flow_matching_loss(model, x1, prompt_tokens)
        loss.backward()
        team.average_gradients(model)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        ema.update(model, step)
        losses.append((group[0], loss.item()))
        if step % 50 == 0:
            means = {k: round(float(np.mean([l for g, l in losses if g == k])), 4) for k in sorted({g for g, _ in losses})}
            log(f"step {step} min {(time.process_time() - start) / 60:.1f} loss {means} norm {norm:.2f} lr {lr:.2e} cached {sum(cache.size().values())} {sum(clean_cache.size().values())}")
            losses = []
        if step % 250 == 0 and team.rank == 0:
            log(f"held-out loss {held_out_loss(model, held_out_z, held_out_tokens):.4f}")
        if team.rank == 0 and time.time() - last_eval > 60 * args.eval_minutes and progress > args.image_share:
            last_eval = time.time()
            try:
                with ema.applied(model):
                    log(f"EVAL step {step} {evaluate(model, tae, tokenizer, shift, scale, args.out, step)}")
            except Exception as error:  # an evaluation must never end the training
                log(f"EVAL failed: {error!r}")
        if team.rank == 0 and time.time() - last_save > 240:
            last_save = time.time()
            save_checkpoint(os.path.join(args.out, "backbone.pt"), model, ema, optimiser, step,
                            {"backbone": backbone.CONFIG, "text": text.CONFIG, "shift": shift, "scale": scale})
    if team.rank == 0:
        save_checkpoint(os.path.join(args.out, "backbone.pt"), model, ema, optimiser, step,
                        {"backbone": backbone.CONFIG, "text": text.CONFIG, "shift": shift, "scale": scale})
    log(f"DONE step {step}")


if __name__ == "__main__":
    main()
