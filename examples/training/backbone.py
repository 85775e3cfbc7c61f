"""Flow-matching transformer over latents: patches of 1x2x2, self-attention, cross-attention to the text, SwiGLU.

`forward` takes and returns [B, C, T, H, W] in normalised latent units and predicts the velocity.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

from tae import EPS, RmsNorm
from text import GatedFfn, NEGATIVE, attend, merge_heads, split_heads

CONFIG = {"dim": 192, "layers": 8, "heads": 6, "hidden": 448, "channels": 16, "max_t": 6, "max_h": 6, "max_w": 6, "time_dim": 128}


def modulated_norm(x, weight, shift, scale):
    """RmsNorm(x) * (1 + scale) + shift for x [B, N, D], shift and scale [B, 1, D]; the trainer may replace it by a compiled version."""
    x32 = x.float()
    y = x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + EPS) * weight
    return y * (1 + scale) + shift


def time_features(t, dim):
    """Sinusoidal features of t in 0..1, [B] -> [B, dim]: cosines, then sines, of 1000 t * 10000^(-i / half)."""
    half = dim // 2
    freqs = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32) / half)
    angles = 1000.0 * t.float()[:, None] * freqs[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class SelfAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x):
        q, k, v = (split_heads(p, self.heads) for p in self.qkv(x).chunk(3, dim=-1))
        return self.out(merge_heads(attend(q, k, v, None, q.shape[-1] ** -0.5)))


class CrossAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim, bias=False)
        self.kv = nn.Linear(dim, 2 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x, text, bias):
        q = split_heads(self.q(x), self.heads)
        k, v = (split_heads(p, self.heads) for p in self.kv(text).chunk(2, dim=-1))
        return self.out(merge_heads(attend(q, k, v, bias, q.shape[-1] ** -0.5)))


class Block(nn.Module):
    """x += pos; x += gate * attn(mod(norm1(x))); x += cross(norm_cross(x)); x += gate * ffn(mod(norm2(x)))."""

    def __init__(self, dim, heads, hidden):
        super().__init__()
        self.table = nn.Parameter(torch.randn(6, dim) * 0.02)
        self.norm1, self.norm_cross, self.norm2 = RmsNorm(dim), RmsNorm(dim), RmsNorm(dim)
        self.attn = SelfAttention(dim, heads)
        self.cross = CrossAttention(dim, heads)
        self.ffn = GatedFfn(dim, hidden, "silu")
        with torch.no_grad():
            self.table[2] += 1.0
            self.table[5] += 1.0

    def forward(self, x, pos, modulation, text, bias):
        """x [B, N, D], pos [N, D], modulation [B, 6, D] (shared by all layers), text [B, L, D], bias [B, 1, 1, L]."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation + self.table).unsqueeze(2).unbind(1)
        x = x + pos
        x = x + gate1 * self.attn(modulated_norm(x, self.norm1.weight, shift1, scale1))
        x = x + self.cross(self.norm_cross(x), text, bias)
        return x + gate2 * self.ffn(modulated_norm(x, self.norm2.weight, shift2, scale2))


class TimeMlp(nn.Module):
    def __init__(self, features, dim):
        super().__init__()
        self.features = features
        self.fc1 = nn.Linear(features, dim)
        self.fc2 = nn.Linear(dim, dim)

    def forward(self, t):
        return self.fc2(F.silu(self.fc1(time_features(t, self.features))))


class Positions(nn.Module):
    """Three learned tables, summed: token (t, h, w) gets t[t] + h[h] + w[w]."""

    def __init__(self, config):
        super().__init__()
        self.t, self.h, self.w = (nn.Parameter(torch.randn(config[k], config["dim"]) * 0.1) for k in ("max_t", "max_h", "max_w"))

    def forward(self, t, h, w):
        return (self.t[:t, None, None] + self.h[None, :h, None] + self.w[None, None, :w]).reshape(t * h * w, -1)


class Final(nn.Module):
    """linear(norm(x) * (1 + scale) + shift) with (shift, scale) = table + time embedding."""

    def __init__(self, dim, out):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(2, dim))
        self.norm = RmsNorm(dim)
        self.linear = nn.Linear(dim, out)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x, time):
        shift, scale = (time[:, None] + self.table).unsqueeze(2).unbind(1)
        return self.linear(modulated_norm(x, self.norm.weight, shift, scale))


class Patch(nn.Module):
    """Conv3d with kernel and stride 1x2x2, computed as a matrix product: [B, C, T, H, W] -> [B, T*H/2*W/2, dim]."""

    def __init__(self, channels, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dim, channels, 1, 2, 2) * (4 * channels) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        b, c, t, h, w = x.shape
        x = x.view(b, c, t, h // 2, 2, w // 2, 2).permute(0, 2, 3, 5, 1, 4, 6).reshape(b, t * h * w // 4, c * 4)
        return F.linear(x, self.weight.flatten(1), self.bias)


class Backbone(nn.Module):
    def __init__(self, config=CONFIG):
        super().__init__()
        dim = config["dim"]
        self.channels = config["channels"]
        self.patch = Patch(self.channels, dim)
        self.time = TimeMlp(config["time_dim"], dim)
        self.adaln = nn.Linear(dim, 6 * dim)
        self.pos = Positions(config)
        self.blocks = nn.ModuleList([Block(dim, config["heads"], config["hidden"]) for _ in range(config["layers"])])
        self.final = Final(dim, 4 * self.channels)
        nn.init.normal_(self.adaln.weight, std=0.01)
        nn.init.zeros_(self.adaln.bias)
        for block in self.blocks:
            for linear in (block.attn.out, block.cross.out, block.ffn.down):
                nn.init.normal_(linear.weight, std=0.02 / math.sqrt(2))

    def forward(self, x, t, text, text_mask, states=None):
        """Velocity [B, C, T, H, W] at x, time t [B], text [B, L, dim] with mask [B, L]; block outputs are appended to `states`."""
        b, c, frames, height, width = x.shape
        time = self.time(t).float()
        modulation = self.adaln(F.silu(time)).float().view(b, 6, -1)
        pos = self.pos(frames, height // 2, width // 2)
        bias = ((1 - text_mask) * NEGATIVE)[:, None, None, :]
        h = self.patch(x)
        for block in self.blocks:
            h = block(h, pos, modulation, text, bias)
            if states is not None:
                states.append(h)
        h = self.final(h, time).float()
        h = h.view(b, frames, height // 2, width // 2, 2, 2, c).permute(0, 6, 1, 2, 4, 3, 5)
        return h.reshape(b, c, frames, height, width)
