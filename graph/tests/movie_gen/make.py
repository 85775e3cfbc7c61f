"""Makes the goldens that the graphs of Movie Gen are tested against: narrow instances with random weights, written here anew.

    python make.py OUTPUT_DIRECTORY

needs torch and safetensors. Each graph becomes one file: its weights by name and its inputs as `in.NAME` (floats in f16, so that
every reader has the same numbers), and for each case of parameters the result in f64 as `out.CASE`. The metadata entry `instance`
is JSON: `params` and `symbols` are the sizes, `cases` what each case overrides.
"""

import json
import math
import pathlib
import sys
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from safetensors.torch import save_file


class Weights:
    """Weights made when they are first asked for, so that they need no list."""

    def __init__(self, seed):
        self.rng = torch.Generator().manual_seed(seed)
        self.stored = {}

    def normal(self, *shape):
        return torch.randn(shape, generator=self.rng, dtype=torch.float64)

    def __call__(self, name, *shape):
        if name not in self.stored:
            if len(shape) == 1:
                value = 0.3 * self.normal(*shape) + (1.0 if name.endswith("weight") else 0.0)
            else:
                value = self.normal(*shape) / math.sqrt(math.prod(shape[1:]))
            self.stored[name] = value.half()
        assert self.stored[name].shape == shape, name
        return self.stored[name].double()

    def linear(self, name, x, to, bias=True):
        weight = self(f"{name}.weight", to, x.shape[-1])
        return F.linear(x, weight, self(f"{name}.bias", to) if bias else None)

    def rms_norm(self, name, x, eps):
        return F.rms_norm(x, x.shape[-1:], self(f"{name}.weight", x.shape[-1]), eps)

    def layer_norm(self, name, x, eps):
        width = x.shape[-1]
        return F.layer_norm(x, (width,), self(f"{name}.weight", width), self(f"{name}.bias", width), eps)


def attend(q, k, v, heads, **options):
    """Attention of [batch, tokens, width]; a query with nothing to attend to gives zeros."""
    split = lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)
    y = F.scaled_dot_product_attention(split(q), split(k), split(v), **options)
    return y.nan_to_num(0.0).transpose(1, 2).flatten(2)


# ---- backbone ------------------------------------------------------------------------------------


def backbone(w, p, latent, time, text, text_mask):
    x = patches(w, p, latent)
    half = p.time_dim // 2
    frequencies = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = p.time_scale * time[:, None] * frequencies
    wave = torch.cat([angles.cos(), angles.sin()], 1)
    t = w.linear("time.fc2", F.silu(w.linear("time.fc1", wave, p.dim)), p.dim)
    modulation = w.linear("adaln", F.silu(t), 6 * p.dim, p.bias).unflatten(1, (6, p.dim))
    positions = position_sum(w, p, latent.shape[2], latent.shape[3] // 2, latent.shape[4] // 2)
    keys = text_mask[:, None, None]
    for i in range(p.layers):
        x = block(w, p, f"blocks.{i}", x + positions, modulation, text, keys)
    shift, scale = (w("final.table", 2, p.dim) + t[:, None]).unbind(1)
    x = w.rms_norm("final.norm", x, p.norm_eps) * (1 + scale[:, None]) + shift[:, None]
    return unpatch(w.linear("final.linear", x, 4 * p.channels, p.bias), latent)


def patches(w, p, latent):
    """Each 2x2 patch of each frame is one token, by a linear layer over channels, rows and columns."""
    kernel = w("patch.weight", p.dim, p.channels, 1, 2, 2)
    corners = [latent[..., y::2, x::2] for y in (0, 1) for x in (0, 1)]
    pixels = torch.stack(corners, 2).flatten(1, 2).flatten(2)
    return F.linear(pixels.transpose(1, 2), kernel.flatten(1), w("patch.bias", p.dim))


def unpatch(x, latent):
    """A token holds its four pixels one after the other, each with all channels."""
    b, c, t, h, w = latent.shape
    velocity = torch.zeros_like(latent)
    for corner, pixel in enumerate(x.split(c, -1)):
        pixel = pixel.unflatten(1, (t, h // 2, w // 2)).movedim(-1, 1)
        velocity[..., corner // 2 :: 2, corner % 2 :: 2] = pixel
    return velocity


def position_sum(w, p, t, h, width):
    tables = w("pos.t", p.max_t, p.dim), w("pos.h", p.max_h, p.dim), w("pos.w", p.max_w, p.dim)
    where = torch.cartesian_prod(torch.arange(t), torch.arange(h), torch.arange(width))
    return sum(table[index] for table, index in zip(tables, where.unbind(1)))


def block(w, p, name, x, modulation, text, keys):
    rows = (modulation + w(f"{name}.table", 6, p.dim)).unbind(1)
    shift1, scale1, gate1, shift2, scale2, gate2 = (row[:, None] for row in rows)

    n = w.rms_norm(f"{name}.norm1", x, p.norm_eps) * (1 + scale1) + shift1
    q, k, v = w.linear(f"{name}.attn.qkv", n, 3 * p.dim, p.bias).chunk(3, -1)
    x = x + gate1 * w.linear(f"{name}.attn.out", attend(q, k, v, p.heads), p.dim, p.bias)

    n = w.rms_norm(f"{name}.norm_cross", x, p.norm_eps) if p.cross_norm else x
    q = w.linear(f"{name}.cross.q", n, p.dim, p.bias)
    k, v = w.linear(f"{name}.cross.kv", text, 2 * p.dim, p.bias).chunk(2, -1)
    x = x + w.linear(f"{name}.cross.out", attend(q, k, v, p.heads, attn_mask=keys), p.dim, p.bias)

    n = w.rms_norm(f"{name}.norm2", x, p.norm_eps) * (1 + scale2) + shift2
    up = w.linear(f"{name}.ffn.up", n, p.hidden, p.bias)
    gated = F.silu(w.linear(f"{name}.ffn.gate", n, p.hidden, p.bias)) * up
    return x + gate2 * w.linear(f"{name}.ffn.down", gated, p.dim, p.bias)


# ---- temporal autoencoder ------------------------------------------------------------------------


def frames_conv(w, name, x, to, size=3, stride=1, pad=(1, 1, 1, 1)):
    """A 2-D convolution of each frame of [B, C, T, H, W]."""
    b, c, t = x.shape[:3]
    kernel = w(f"{name}.weight", to, c, 1, size, size)[:, :, 0]
    y = F.conv2d(F.pad(x.transpose(1, 2).flatten(0, 1), pad), kernel, w(f"{name}.bias", to), stride)
    return y.unflatten(0, (b, t)).transpose(1, 2)


def time_conv(w, name, x, stride=1):
    """A 1-D convolution over the frames at each position, the edge frames repeated."""
    b, c, _, h, width = x.shape
    kernel = w(f"{name}.weight", c, c, 3, 1, 1)[..., 0, 0]
    lines = F.pad(x.permute(0, 3, 4, 1, 2).flatten(0, 2), (1, 1), mode="replicate")
    y = F.conv1d(lines, kernel, w(f"{name}.bias", c), stride)
    return y.unflatten(0, (b, h, width)).permute(0, 3, 4, 1, 2)


def conv(w, name, x, to):
    return time_conv(w, f"{name}.temporal", frames_conv(w, f"{name}.spatial", x, to))


def down(w, name, x):
    x = frames_conv(w, f"{name}.spatial", x, x.shape[1], stride=2, pad=(0, 1, 0, 1))
    return time_conv(w, f"{name}.temporal", x, stride=2)


def up(w, name, x):
    x = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
    x = frames_conv(w, f"{name}.spatial", x, x.shape[1])
    return time_conv(w, f"{name}.temporal", x.repeat_interleave(2, 2))


def norm(w, p, name, x):
    c = x.shape[1]
    if p.groups == 0:
        return w.rms_norm(name, x.movedim(1, -1), p.norm_eps).movedim(-1, 1)
    return F.group_norm(x, p.groups, w(f"{name}.weight", c), w(f"{name}.bias", c), p.norm_eps)


def res_block(w, p, name, x, to):
    h = conv(w, f"{name}.conv1", F.silu(norm(w, p, f"{name}.norm1", x)), to)
    h = conv(w, f"{name}.conv2", F.silu(norm(w, p, f"{name}.norm2", h)), to)
    if x.shape[1] != to:
        x = frames_conv(w, f"{name}.shortcut", x, to, size=1, pad=(0, 0, 0, 0))
    return x + h


def level(w, p, name, x, to):
    for i in range(p.blocks):
        x = res_block(w, p, f"{name}.{i}", x, to)
    return x


def attention(w, p, name, x, axes):
    """Attention over some axes of the video, everything else being the batch."""
    c = x.shape[1]
    others = [a for a in (0, 2, 3, 4) if a not in axes]
    n = norm(w, p, f"{name}.norm", x).permute(*others, *axes, 1)
    tokens = n.flatten(len(others), -2).flatten(0, len(others) - 1)
    q, k, v = w.linear(f"{name}.qkv", tokens, 3 * c).chunk(3, -1)
    y = w.linear(f"{name}.out", attend(q, k, v, p.heads), c).reshape(n.shape)
    order = [*others, *axes, 1]
    return x + y.permute(*(order.index(a) for a in range(5)))


def mid(w, p, name, x):
    x = res_block(w, p, f"{name}.block1", x, x.shape[1])
    x = attention(w, p, f"{name}.attn_spatial", x, [3, 4])
    x = attention(w, p, f"{name}.attn_temporal", x, [2])
    return res_block(w, p, f"{name}.block2", x, x.shape[1])


def out(w, p, name, x, to):
    return conv(w, f"{name}.conv_out", F.silu(norm(w, p, f"{name}.norm_out", x)), to)


def tae_encoder(w, p, video):
    x = conv(w, "encoder.conv_in", video, p.w0)
    for i, width in enumerate([p.w0, p.w1, p.w2, p.w3]):
        x = level(w, p, f"encoder.levels.{i}", x, width)
        if i < 3:
            x = down(w, f"encoder.down.{i}", x)
    x = mid(w, p, "encoder.mid", x)
    return out(w, p, "encoder", x, 2 * p.channels)[:, : p.channels]


def tae_decoder(w, p, latent):
    x = mid(w, p, "decoder.mid", conv(w, "decoder.conv_in", latent, p.w3))
    for i, width in reversed(list(enumerate([p.w0, p.w1, p.w2, p.w3]))):
        x = level(w, p, f"decoder.levels.{i}", x, width)
        if i > 0:
            x = up(w, f"decoder.up.{i}", x)
    return out(w, p, "decoder", x, 3)


# ---- text ----------------------------------------------------------------------------------------


def project(w, p, x, mask):
    x = w.linear("proj.linear", x, p.out, p.proj_bias)
    return w.layer_norm("proj.norm", x, p.proj_eps) * mask[..., None]


def t5_bucket(distance, p):
    """Half of the buckets for keys after the query; in each half, half for single distances, half on a logarithmic scale."""
    half = p.buckets // 2
    single = half // 2
    near = abs(distance)
    if near >= single:
        share = math.log(near / single) / math.log(p.max_distance / single)
        near = min(half - 1, single + int(share * (half - single)))
    return near + (half if distance > 0 else 0)


def text_t5(w, p, ids, mask):
    length = ids.shape[1]
    buckets = torch.tensor([[t5_bucket(k - q, p) for k in range(length)] for q in range(length)])
    bias = w("rel_bias.weight", p.buckets, p.heads)[buckets].movedim(-1, 0)[None]
    bias = bias.masked_fill(~mask[:, None, None], -math.inf)
    x = w("embed.weight", p.vocab, p.dim)[ids]
    inner = p.heads * p.head
    for i in range(p.layers):
        name = f"blocks.{i}"
        n = w.rms_norm(f"{name}.norm1", x, p.norm_eps)
        q, k, v = (w.linear(f"{name}.attn.{part}", n, inner, False) for part in "qkv")
        y = attend(q, k, v, p.heads, attn_mask=bias, scale=1.0)
        x = x + w.linear(f"{name}.attn.out", y, p.dim, False)
        n = w.rms_norm(f"{name}.norm2", x, p.norm_eps)
        gate = w.linear(f"{name}.ffn.gate", n, p.hidden, False)
        gate = F.gelu(gate, approximate="tanh") if p.gelu else F.silu(gate)
        x = x + w.linear(f"{name}.ffn.down", gate * w.linear(f"{name}.ffn.up", n, p.hidden, False), p.dim, False)
    return project(w, p, w.rms_norm("norm", x, p.norm_eps), mask)


def text_clip(w, p, ids, mask):
    length = ids.shape[1]
    x = w("embed.weight", p.vocab, p.dim)[ids] + w("pos.weight", p.positions, p.dim)[:length]
    keys = mask[:, None, None] & torch.ones(length, length, dtype=torch.bool).tril()
    for i in range(p.layers):
        name = f"blocks.{i}"
        q, k, v = w.linear(f"{name}.qkv", w.layer_norm(f"{name}.norm1", x, p.norm_eps), 3 * p.dim).chunk(3, -1)
        x = x + w.linear(f"{name}.out", attend(q, k, v, p.heads, attn_mask=keys), p.dim)
        h = w.linear(f"{name}.fc1", w.layer_norm(f"{name}.norm2", x, p.norm_eps), p.hidden)
        h = h * torch.sigmoid(1.702 * h) if p.quick_gelu else F.gelu(h)
        x = x + w.linear(f"{name}.fc2", h, p.dim)
    return project(w, p, w.layer_norm("norm", x, p.norm_eps), mask)


# ---- instances -----------------------------------------------------------------------------------


def mask(length, *rows):
    """True at the positions given for each row."""
    return torch.tensor([[i in row for i in range(length)] for row in rows])


def ids(vocab, batch, length, seed):
    return torch.randint(vocab, (batch, length), generator=torch.Generator().manual_seed(seed))


def instances():
    """Function, parameters, symbols, inputs, cases. Sizes differ from one another wherever they may, so that none can stand for
    another; masks have holes or nothing; the clip's length is no multiple of eight."""
    w = Weights(0)
    yield (
        backbone,
        dict(channels=3, dim=12, layers=2, heads=3, hidden=20, max_t=3, max_h=4, max_w=5, time_dim=6, norm_eps=1e-5),
        dict(B=2, T=2, H=4, W=6, L=5),
        dict(
            latent=w.normal(2, 3, 2, 4, 6),
            time=torch.tensor([0.0625, 0.75]),
            text=w.normal(2, 5, 12),
            text_mask=mask(5, [0, 3], []),
        ),
        dict(
            plain=dict(bias=0, cross_norm=1, time_scale=1000.0),
            biased=dict(bias=1, cross_norm=0, time_scale=1.0),
        ),
    )
    widths = dict(channels=3, w0=2, w1=4, w2=6, w3=8, norm_eps=1e-6)
    yield (
        tae_encoder,
        dict(widths, blocks=2),
        dict(B=2, T=9, H=16, W=24),
        dict(video=w.normal(2, 3, 9, 16, 24)),
        dict(group=dict(groups=2, heads=1), rms=dict(groups=0, heads=2)),
    )
    yield (
        tae_decoder,
        dict(widths, blocks=3),
        dict(B=1, T=2, H=2, W=1),
        dict(latent=w.normal(1, 3, 2, 2, 1)),
        dict(group=dict(groups=2, heads=2)),
    )
    proj = dict(out=7, proj_eps=1e-5)
    yield (
        text_t5,
        dict(proj, vocab=19, dim=12, layers=2, heads=2, head=5, hidden=16, buckets=8, max_distance=10, norm_eps=1e-6),
        dict(B=3, L=14),
        dict(ids=ids(19, 3, 14, 1), mask=mask(14, range(14), [1, 2, 5, 6, 8], [])),
        dict(ul2=dict(gelu=0, proj_bias=1), byt5=dict(gelu=1, proj_bias=0)),
    )
    yield (
        text_clip,
        dict(proj, vocab=17, dim=12, layers=2, heads=3, hidden=20, positions=9, norm_eps=1e-5),
        dict(B=3, L=6),
        dict(ids=ids(17, 3, 6, 2), mask=mask(6, range(6), [1, 2, 4], [])),
        dict(quick=dict(quick_gelu=1, proj_bias=1), exact=dict(quick_gelu=0, proj_bias=0)),
    )


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    for seed, (function, params, symbols, inputs, cases) in enumerate(instances(), start=1):
        weights = Weights(seed)
        inputs = {name: x.half() if x.is_floating_point() else x for name, x in inputs.items()}
        exact = {name: x.double() if x.is_floating_point() else x for name, x in inputs.items()}
        tensors = {f"in.{name}": x.contiguous() for name, x in inputs.items()}
        for case, overrides in cases.items():
            result = function(weights, SimpleNamespace(**params, **overrides), **exact)
            tensors[f"out.{case}"] = result.contiguous()
        tensors.update(weights.stored)
        instance = {"params": params, "symbols": symbols, "cases": cases}
        path = pathlib.Path(sys.argv[1]) / (function.__name__.replace("_", "-") + ".safetensors")
        save_file(tensors, path, {"instance": json.dumps(instance)})
        path.chmod(0o644)


main()
