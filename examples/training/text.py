"""The three text encoders: T5-like (in UL2's role), CLIP-like (MetaCLIP) and byte-level T5-like (ByT5).

All take ids int64 [B, L] and a mask float32 [B, L] (1 valid, 0 padding) and return [B, L, dim of the backbone], already
projected (linear, LayerNorm) and zero at padded positions. Masked keys get NEGATIVE added to their scores.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

from tae import RmsNorm

NEGATIVE = -1e9


def attend(q, k, v, bias, scale):
    """softmax(q k^T * scale + bias) v for q [B, H, Lq, D], k and v [B, H, Lk, D]; bias is None or broadcasts to [B, H, Lq, Lk]."""
    scores = (q @ k.transpose(-1, -2)).float() * scale
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1).to(v.dtype) @ v


def split_heads(x, heads):
    """[B, L, H*D] -> [B, H, L, D]."""
    b, length, dim = x.shape
    return x.view(b, length, heads, dim // heads).transpose(1, 2)


def merge_heads(x):
    """[B, H, L, D] -> [B, L, H*D]."""
    b, heads, length, dim = x.shape
    return x.transpose(1, 2).reshape(b, length, heads * dim)


def relative_buckets(length, buckets, max_distance):
    """T5's bidirectional bucket of key position minus query position: int64 [L, L] (rows are queries)."""
    relative = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    half = buckets // 2
    exact = half // 2
    distance = relative.abs()
    log = exact + (torch.log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact) * (half - exact)).long()
    return (relative > 0).long() * half + torch.where(distance < exact, distance, log.clamp(max=half - 1))


class Projection(nn.Module):
    """Linear, then LayerNorm (eps 1e-5), to the backbone's dimension."""

    def __init__(self, dim, out):
        super().__init__()
        self.linear = nn.Linear(dim, out)
        self.norm = nn.LayerNorm(out)

    def forward(self, x, mask):
        return self.norm(self.linear(x)) * mask[..., None]


class T5Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        nn.init.normal_(self.q.weight, std=(dim * (dim // heads)) ** -0.5)

    def forward(self, x, bias):
        q, k, v = (split_heads(p(x), self.heads) for p in (self.q, self.k, self.v))
        return self.out(merge_heads(attend(q, k, v, bias, 1.0)))


class GatedFfn(nn.Module):
    """down(activation(gate(x)) * up(x)), no biases."""

    def __init__(self, dim, hidden, activation):
        super().__init__()
        self.gate, self.up = nn.Linear(dim, hidden, bias=False), nn.Linear(dim, hidden, bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)
        self.activation = {"silu": F.silu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh")}[activation]

    def forward(self, x):
        return self.down(self.activation(self.gate(x)) * self.up(x))


class T5Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.norm1 = RmsNorm(config["dim"])
        self.attn = T5Attention(config["dim"], config["heads"])
        self.norm2 = RmsNorm(config["dim"])
        self.ffn = GatedFfn(config["dim"], config["hidden"], config["activation"])

    def forward(self, x, bias):
        x = x + self.attn(self.norm1(x), bias)
        return x + self.ffn(self.norm2(x))


class T5Encoder(nn.Module):
    """T5's encoder: RMSNorm, one table of relative position biases shared by all layers, unscaled scores, gated FFN."""

    def __init__(self, config, out):
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config["vocab"], config["dim"])
        self.rel_bias = nn.Embedding(config["buckets"], config["heads"])
        self.blocks = nn.ModuleList([T5Block(config) for _ in range(config["layers"])])
        self.norm = RmsNorm(config["dim"])
        self.proj = Projection(config["dim"], out)

    def forward(self, ids, mask):
        buckets = relative_buckets(ids.shape[1], self.config["buckets"], self.config["max_distance"])
        bias = self.rel_bias(buckets).permute(2, 0, 1)[None].float() + (1 - mask)[:, None, None, :] * NEGATIVE
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, bias)
        return self.proj(self.norm(x), mask)


class ClipBlock(nn.Module):
    """Pre-LayerNorm transformer block with biases, scaled causal attention and an exact (erf) GELU."""

    def __init__(self, config):
        super().__init__()
        dim, hidden = config["dim"], config["hidden"]
        self.heads = config["heads"]
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x, bias):
        q, k, v = (split_heads(p, self.heads) for p in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        x = x + self.out(merge_heads(attend(q, k, v, bias, q.shape[-1] ** -0.5)))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class ClipEncoder(nn.Module):
    """CLIP's text transformer; all token states are used, not only the last."""

    def __init__(self, config, out):
        super().__init__()
        self.embed = nn.Embedding(config["vocab"], config["dim"])
        self.pos = nn.Embedding(config["length"], config["dim"])
        nn.init.normal_(self.pos.weight, std=0.3)
        self.blocks = nn.ModuleList([ClipBlock(config) for _ in range(config["layers"])])
        self.norm = nn.LayerNorm(config["dim"])
        self.proj = Projection(config["dim"], out)

    def forward(self, ids, mask):
        length = ids.shape[1]
        causal = torch.triu(torch.full((length, length), NEGATIVE), diagonal=1)
        bias = causal[None, None] + (1 - mask)[:, None, None, :] * NEGATIVE
        x = self.embed(ids) + self.pos.weight[:length]
        for block in self.blocks:
            x = block(x, bias)
        return self.proj(self.norm(x), mask)


CONFIG = {
    "t5": {"vocab": 512, "dim": 128, "layers": 2, "heads": 4, "hidden": 256, "activation": "silu", "buckets": 32, "max_distance": 128},
    "clip": {"vocab": 512, "dim": 128, "layers": 2, "heads": 4, "hidden": 384, "length": 48},
    "byte": {"vocab": 384, "dim": 64, "layers": 2, "heads": 4, "hidden": 128, "activation": "gelu_tanh", "buckets": 32, "max_distance": 128},
}


class TextEncoders(nn.Module):
    """All three encoders; returns the concatenation [B, L_t5 + L_clip + L_byte, out] and its mask."""

    def __init__(self, out, config=CONFIG):
        super().__init__()
        self.t5 = T5Encoder(config["t5"], out)
        self.clip = ClipEncoder(config["clip"], out)
        self.byte = T5Encoder(config["byte"], out)

    def forward(self, tokens):
        """`tokens` as made by tokens.encode_prompts."""
        names = ("t5", "clip", "byte")
        states = torch.cat([getattr(self, n)(*tokens[n]).float() for n in names], dim=1)
        return states, torch.cat([tokens[n][1] for n in names], dim=1)
