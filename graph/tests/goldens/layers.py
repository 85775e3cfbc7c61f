"""Cases of ops that layers are made of: products, convolutions, normalisations, attention, resampling, and what is of video."""

import math

import torch
import torch.nn.functional as F

from golden import INF

# ---- products ------------------------------------------------------------------------------------


def products(g):
    for a, b in [
        ((3, 4), (4, 5)),
        ((2, 3, 4), (4, 1)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((1, 1), (1, 1)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
        ((2, 0, 3, 1), (1, 5)),
        ((1, 300), (300, 7)),
    ]:
        g.add("MatMul", [g.normal(*a), g.normal(*b)], torch.matmul)
    for shape, out in [((3, 4), 5), ((2, 3, 7), 1), ((4,), 3), ((2, 0), 3), ((0, 4), 3), ((1, 257), 2)]:
        x, w = g.normal(*shape), g.normal(out, shape[-1])
        g.add("Linear", [x, w, g.normal(out)], F.linear)
        g.add("Linear", [x, w], F.linear)
    g.add("Linear", [x, w, None], lambda x, w, _: F.linear(x, w))


CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
PAD_MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect"}


def torch_pads(pads):
    """[begin..., end...] as F.pad wants it: pairs from the last axis to the first."""
    r = len(pads) // 2
    return [v for i in reversed(range(r)) for v in (pads[i], pads[r + i])]


def conv(r, strides=1, dilations=1, pads=None, group=1, pad_mode="constant"):
    def function(x, w, b=None):
        if pads is not None:
            x = F.pad(x, torch_pads(pads), mode=PAD_MODES[pad_mode])
        return CONV[r](x, w, b, stride=strides, dilation=dilations, groups=group)

    return function


def conv_transpose(r, strides=1, dilations=1, pads=None, output_padding=0, group=1):
    def function(x, w, b=None):
        y = CONV_TRANSPOSE[r](x, w, b, stride=strides, dilation=dilations, output_padding=output_padding, groups=group)
        for i in range(r if pads else 0):
            y = y.narrow(2 + i, pads[i], y.shape[2 + i] - pads[i] - pads[r + i])
        return y

    return function


def convolutions(g):
    cases = [
        # X, W, attributes
        ((1, 1, 1), (1, 1, 1), {}),
        ((2, 3, 7), (4, 3, 3), {}),
        ((2, 3, 7), (4, 3, 3), dict(pads=[2, 0])),
        ((1, 4, 11), (6, 2, 4), dict(strides=[3], dilations=[2], pads=[1, 3], group=2)),
        ((0, 2, 5), (3, 2, 3), {}),
        ((1, 2, 3), (2, 2, 3), {}),
        ((2, 3, 6, 5), (4, 3, 3, 3), dict(pads=[1, 1, 1, 1])),
        ((1, 3, 7, 5), (2, 3, 2, 3), dict(strides=[2, 1], dilations=[1, 2], pads=[0, 1, 2, 3])),
        ((1, 6, 5, 5), (6, 1, 3, 3), dict(group=6, strides=[2, 2], pads=[1, 1, 0, 0])),
        ((1, 2, 4, 3, 5), (3, 2, 3, 2, 3), dict(pads=[2, 0, 1, 0, 1, 1])),
        ((1, 4, 3, 4, 4), (2, 2, 1, 2, 2), dict(group=2, strides=[1, 2, 2])),
        ((1, 2, 5, 3, 3), (2, 2, 3, 1, 1), dict(strides=[2, 1, 1], dilations=[2, 1, 1], pads=[2, 0, 0, 2, 0, 0])),
        ((1, 32, 3, 3), (2, 32, 3, 3), dict(pads=[1, 1, 1, 1])),
    ]
    for x, w, attrs in cases:
        r = len(x) - 2
        tensors = [g.normal(*x), g.normal(*w), g.normal(w[0])]
        g.add("Conv", tensors, conv(r, **attrs), **attrs)
        g.add("Conv", tensors[:2], conv(r, **attrs), **attrs)
    for mode in ("edge", "reflect"):
        for x, w, attrs in [
            ((1, 2, 5), (3, 2, 3), dict(pads=[2, 1])),
            ((1, 2, 4, 5), (2, 2, 3, 3), dict(pads=[1, 2, 3, 0], strides=[2, 1])),
            ((1, 1, 3, 4, 4), (2, 1, 3, 3, 3), dict(pads=[2, 1, 1, 0, 1, 1], dilations=[2, 1, 1])),
        ]:
            attrs = dict(attrs, pad_mode=mode)
            g.add("Conv", [g.normal(*x), g.normal(*w)], conv(len(x) - 2, **attrs), **attrs)
    g.add(
        "Conv",
        [g.normal(1, 1, 1), g.normal(1, 1, 3)],
        conv(1, pads=[2, 0], pad_mode="edge"),
        pads=[2, 0],
        pad_mode="edge",
    )
    transposed = [
        ((1, 1, 1), (1, 1, 1), {}),
        ((2, 3, 4), (3, 2, 3), {}),
        ((2, 4, 5), (4, 3, 4), dict(strides=[2], pads=[1, 2], group=2)),
        ((1, 2, 5), (2, 3, 3), dict(strides=[3], dilations=[2], output_padding=[2], pads=[0, 1])),
        ((1, 3, 3, 4), (3, 2, 3, 2), dict(strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 0])),
        ((2, 4, 3, 3), (4, 1, 4, 4), dict(strides=[2, 2], pads=[1, 1, 1, 1], group=4)),
        ((1, 2, 2, 3, 2), (2, 3, 3, 2, 2), dict(strides=[2, 1, 2], pads=[1, 0, 0, 0, 1, 0])),
        ((0, 2, 3), (2, 2, 2), {}),
    ]
    for x, w, attrs in transposed:
        r = len(x) - 2
        tensors = [g.normal(*x), g.normal(*w), g.normal(w[1] * attrs.get("group", 1))]
        g.add("ConvTranspose", tensors, conv_transpose(r, **attrs), **attrs)
        g.add("ConvTranspose", tensors[:2], conv_transpose(r, **attrs), **attrs)


# ---- normalisations ------------------------------------------------------------------------------


def shaped(parameter, x, axes):
    """A parameter with the dimensions of some axes, reshaped to broadcast against x."""
    dims = [x.shape[a] if a in axes else 1 for a in range(x.dim())]
    return parameter.reshape(dims)


def layer_norm(axes, epsilon):
    def function(x, scale=None, bias=None):
        dims = sorted(a % x.dim() for a in axes)
        y = (x - x.mean(dims, keepdim=True)) / torch.sqrt(x.var(dims, unbiased=False, keepdim=True) + epsilon)
        y = y if scale is None else y * shaped(scale, x, dims)
        return y if bias is None else y + shaped(bias, x, dims)

    return function


def rms_norm(axes, epsilon):
    def function(x, scale=None):
        dims = sorted(a % x.dim() for a in axes)
        y = x * torch.rsqrt((x * x).mean(dims, keepdim=True) + epsilon)
        return y if scale is None else y * shaped(scale, x, dims)

    return function


def normalisations(g):
    cases = [
        ((3, 7), [-1], 1e-5),
        ((2, 3, 5), [1], 1e-6),
        ((2, 3, 5), [2, 1], 1e-5),
        ((1, 1), [1], 1e-3),
        ((2, 3, 2, 2), [-3, -1], 1e-5),
        ((0, 4), [1], 1e-5),
        ((4, 0), [1], 1e-5),
        ((2, 40), [-1], 0.0),
    ]
    for shape, axes, epsilon in cases:
        dims = sorted(a % len(shape) for a in axes)
        inner = [shape[a] for a in dims]
        attrs = dict(axes=axes, epsilon=epsilon)
        for scale, shift in ((1, 0), (0.05, 20)):
            x = g.normal(*shape, scale=scale, shift=shift)
            w, b = g.normal(*inner), g.normal(*inner)
            g.add("LayerNormalization", [x, w, b], layer_norm(axes, epsilon), **attrs)
            g.add("RMSNormalization", [x, w], rms_norm(axes, epsilon), **attrs)
        g.add("LayerNormalization", [x], layer_norm(axes, epsilon), **attrs)
        g.add("RMSNormalization", [x], rms_norm(axes, epsilon), **attrs)
    g.add("LayerNormalization", [x, None, b], layer_norm(axes, epsilon), **attrs)
    x, w, b = g.normal(3, 8), g.normal(8), g.normal(8)
    g.add("LayerNormalization", [x, w, b], lambda x, w, b: F.layer_norm(x, (8,), w, b))
    g.add("RMSNormalization", [x, w], lambda x, w: F.rms_norm(x, (8,), w, 1e-5))
    for shape, groups in [
        ((2, 6, 5), 3),
        ((1, 4, 3, 2), 1),
        ((2, 3, 7), 3),
        ((2, 4), 2),
        ((1, 8, 1, 2, 3), 4),
        ((0, 4, 2), 2),
        ((1, 4, 0), 2),
    ]:
        x, w, b = g.normal(*shape, scale=2, shift=1), g.normal(shape[1]), g.normal(shape[1])
        # PyTorch refuses groups of one element and empty ones; layer_norm above is used for those.
        one_element = math.prod(shape[2:]) * shape[1] // groups
        for inputs in ([x, w, b], [x], [x, None, b]):
            run = group_norm(groups) if one_element > 0 else lambda x, *_: x
            g.add("GroupNormalization", inputs, run, num_groups=groups)
    x = g.normal(2, 4, 9, scale=0.1, shift=30)
    g.add("GroupNormalization", [x], lambda x: F.group_norm(x, 2, eps=1e-3), num_groups=2, epsilon=1e-3)


def group_norm(groups):
    return lambda x, w=None, b=None: F.group_norm(x, groups, w, b) if x.numel() else x


# ---- attention -----------------------------------------------------------------------------------


def heads(x, n):
    """[B, L, H * D] as [B, H, L, D]."""
    return x if n is None else x.unflatten(-1, (n, -1)).transpose(1, 2)


def attention(q_num_heads=None, kv_num_heads=None, scale=None, causal=False):
    def function(q, k, v, mask=None, bias=None):
        q, k, v = heads(q, q_num_heads), heads(k, kv_num_heads), heads(v, kv_num_heads)
        allowed = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool)
        allowed = allowed.tril() if causal else allowed
        allowed = allowed if mask is None else allowed & mask
        scores = torch.zeros_like(allowed, dtype=q.dtype).masked_fill(~allowed, -INF)
        scores = scores if bias is None else scores + bias
        if scores.dim() < 4:
            scores = scores.expand(1, 1, *scores.shape[-2:])
        grouped = q.shape[1] != k.shape[1]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=scores, scale=scale, enable_gqa=grouped)
        # A row with nothing to attend to is NaN in some of PyTorch's kernels.
        dead = (scores == -INF).all(-1, keepdim=True).expand(*y.shape[:-1], 1)
        y = torch.where(dead, 0.0, y)
        return y if q_num_heads is None else y.transpose(1, 2).flatten(2)

    return function


def rotary(interleaved=False, rotary_dim=None, num_heads=None):
    def function(x, cos, sin):
        x = heads(x, num_heads)
        r = x.shape[-1] if rotary_dim is None else rotary_dim
        part, rest = x[..., :r], x[..., r:]
        cos, sin = (t if t.dim() == 2 else t[:, None] for t in (cos, sin))
        angle = torch.complex(cos, sin)
        if interleaved:
            y = torch.view_as_real(torch.view_as_complex(part.unflatten(-1, (-1, 2)).contiguous()) * angle).flatten(-2)
        else:
            turned = torch.complex(part[..., : r // 2].contiguous(), part[..., r // 2 :].contiguous()) * angle
            y = torch.cat([turned.real, turned.imag], -1)
        y = torch.cat([y, rest], -1)
        return y if num_heads is None else y.transpose(1, 2).flatten(2)

    return function


def attentions(g):
    def qkv(b, h, hkv, l, s, d, dv, packed=False):
        tensors = [g.normal(b, h, l, d), g.normal(b, hkv, s, d), g.normal(b, hkv, s, dv)]
        return [t.transpose(1, 2).flatten(2) for t in tensors] if packed else tensors

    plain = [
        (1, 1, 1, 1, 1, 1, 1),
        (2, 3, 3, 5, 7, 4, 4),
        (1, 4, 2, 3, 3, 8, 5),
        (1, 6, 1, 2, 5, 3, 3),
        (0, 2, 2, 3, 3, 4, 4),
        (1, 2, 2, 0, 3, 4, 4),
        (1, 1, 1, 2, 70, 16, 2),
    ]
    for dims in plain:
        g.add("Attention", qkv(*dims), attention())
        attrs = dict(q_num_heads=dims[1], kv_num_heads=dims[2])
        g.add("Attention", qkv(*dims, packed=True), attention(**attrs), **attrs)
    g.add("Attention", qkv(1, 2, 2, 5, 5, 4, 4), attention(causal=True), causal=True)
    g.add("Attention", qkv(1, 2, 2, 3, 5, 4, 4), attention(causal=True), causal=True)
    g.add("Attention", qkv(1, 2, 2, 5, 3, 4, 4), attention(causal=True), causal=True)
    g.add("Attention", qkv(1, 2, 2, 5, 3, 4, 4), attention(scale=1.0), scale=1.0)
    g.add("Attention", qkv(1, 2, 2, 5, 3, 4, 4), attention(scale=-3.0), scale=-3.0)
    for shape in [(3, 5), (2, 1, 1, 5), (2, 2, 3, 5), (1, 2, 3, 1), (5,), ()]:
        g.add("Attention", [*qkv(2, 2, 2, 3, 5, 4, 4), g.bools(*shape, share=0.6)], attention())
        g.add("Attention", [*qkv(2, 2, 2, 3, 5, 4, 4), None, g.normal(*shape, scale=3)], attention())
    both = [*qkv(2, 4, 2, 6, 6, 4, 3, packed=True), g.bools(2, 1, 6, 6, share=0.3), g.normal(4, 6, 6)]
    attrs = dict(q_num_heads=4, kv_num_heads=2, causal=True, scale=0.7)
    g.add("Attention", both, attention(**attrs), **attrs)
    g.add("Attention", [*qkv(1, 2, 2, 3, 4, 4, 4), torch.zeros(3, 4, dtype=torch.bool)], attention())
    holes = torch.tensor([[0.0, -INF, 1.0, 2.0], [-INF, -INF, -INF, -INF], [-INF, 0.0, -INF, -INF]])
    g.add("Attention", [*qkv(1, 1, 1, 3, 4, 4, 4), None, holes], attention())
    g.add("Attention", [t * 4 for t in qkv(1, 2, 2, 5, 9, 8, 8)], attention())

    def angles(*shape):
        a = g.uniform(-3, 3, *shape)
        return [a.cos(), a.sin()]

    for interleaved in (False, True):
        f = lambda **more: (rotary(interleaved=interleaved, **more), dict(interleaved=interleaved, **more))
        for x, table, more in [
            ((2, 3, 5, 8), (5, 4), {}),
            ((2, 3, 5, 8), (2, 5, 2), dict(rotary_dim=4)),
            ((1, 1, 1, 2), (1, 1), {}),
            ((2, 2, 3, 6), (1, 3, 3), {}),
            ((1, 2, 0, 4), (0, 2), {}),
        ]:
            run, attrs = f(**more)
            g.add("RotaryEmbedding", [g.normal(*x), *angles(*table)], run, **attrs)
        run, attrs = f(num_heads=3, rotary_dim=2)
        g.add("RotaryEmbedding", [g.normal(2, 4, 15), *angles(4, 1)], run, **attrs)


# ---- resampling ----------------------------------------------------------------------------------


def resize(sizes, scales, mode, transform, nearest_mode):
    """ONNX's definition, one axis after the other."""

    def one(x, axis, to, scale):
        d, at = x.shape[axis], torch.arange(to, dtype=torch.float64)
        if transform == "half_pixel":
            at = (at + 0.5) / scale - 0.5
        elif transform == "asymmetric":
            at = at / scale
        else:
            at = at * ((d - 1) / max(to - 1, 1))
        at = at.clamp(0, d - 1)
        if mode == "nearest":
            index = at.floor() if nearest_mode == "floor" else torch.ceil(at - 0.5)
            return x.index_select(axis, index.long())
        low = at.floor().long()
        part = (at - low).to(x.dtype).reshape([-1] + [1] * (x.dim() - axis - 1))
        high = (low + 1).clamp(max=d - 1)
        return x.index_select(axis, low) * (1 - part) + x.index_select(axis, high) * part

    def function(x):
        for i, d in enumerate(x.shape[2:]):
            to = sizes[i] if sizes else math.floor(d * scales[i])
            x = one(x, 2 + i, to, to / d if sizes else scales[i])
        return x

    return function


def resampling(g):
    shapes = [
        ((1, 2, 5), [8], [1.6]),
        ((2, 1, 4, 3), [7, 2], [1.75, 0.7]),
        ((1, 1, 2, 3, 4), [4, 3, 5], [2.0, 1.0, 1.3]),
        ((1, 1, 1), [3], [3.0]),
        ((0, 2, 3), [2], [0.7]),
        ((1, 2, 6), [1], [0.17]),
    ]
    for shape, sizes, scales in shapes:
        for transform in ("half_pixel", "asymmetric", "align_corners"):
            # A scale plays no part between aligned corners, but for the size.
            for how in [dict(sizes=sizes), dict(scales=scales)][: 1 if transform == "align_corners" else 2]:
                where = dict(how, coordinate_transformation_mode=transform)
                for nearest_mode in ("floor", "round_prefer_floor"):
                    run = resize(how.get("sizes"), how.get("scales"), "nearest", transform, nearest_mode)
                    g.add("Resize", [g.normal(*shape)], run, exact=True, nearest_mode=nearest_mode, **where)
                run = resize(how.get("sizes"), how.get("scales"), "linear", transform, None)
                g.add("Resize", [g.normal(*shape)], run, mode="linear", **where)
        if shape[0] > 0:
            linear = {3: "linear", 4: "bilinear", 5: "trilinear"}[len(shape)]
            x = g.normal(*shape)
            g.add(
                "Resize",
                [x],
                lambda x: F.interpolate(x, size=sizes),
                exact=True,
                sizes=sizes,
                coordinate_transformation_mode="asymmetric",
            )
            g.add(
                "Resize",
                [x],
                lambda x: F.interpolate(x, size=sizes, mode=linear, align_corners=False),
                sizes=sizes,
                mode="linear",
            )
            g.add(
                "Resize",
                [x],
                lambda x: F.interpolate(x, size=sizes, mode=linear, align_corners=True),
                sizes=sizes,
                mode="linear",
                coordinate_transformation_mode="align_corners",
            )
    g.add(
        "Resize",
        [g.normal(1, 3, 4, 5)],
        lambda x: F.interpolate(x, scale_factor=2),
        exact=True,
        scales=[2, 2],
        coordinate_transformation_mode="asymmetric",
    )


# ---- video ---------------------------------------------------------------------------------------


def sinusoidal(dim, max_period=10000.0, scale=1.0, flip=False, shift=0.0):
    def function(t):
        half = dim // 2
        frequencies = torch.exp(-math.log(max_period) * torch.arange(half, dtype=t.dtype) / (half - shift))
        angles = scale * t[:, None] * frequencies[None]
        parts = [angles.cos(), angles.sin()] if flip else [angles.sin(), angles.cos()]
        y = torch.cat(parts, -1)
        return F.pad(y, (0, dim % 2))

    return function


def t5_buckets(query_length, key_length, num_buckets=32, max_distance=128, bidirectional=True):
    """As the T5 implementations compute it, in f32."""
    position = torch.arange(key_length)[None] - torch.arange(query_length)[:, None]
    buckets = torch.zeros_like(position)
    if bidirectional:
        num_buckets //= 2
        buckets += (position > 0).long() * num_buckets
        position = position.abs()
    else:
        position = -torch.minimum(position, torch.zeros_like(position))
    exact = num_buckets // 2
    far = torch.log(position.float() / exact) / math.log(max_distance / exact) * (num_buckets - exact)
    far = torch.where(position < exact, 0.0, far).long() + exact
    return buckets + torch.where(position < exact, position, far.clamp(max=num_buckets - 1))


def video(g):
    times = torch.tensor([0.0, 0.1, 0.5, 1.0, 17.25, 999.0])
    for attrs in [
        dict(dim=8),
        dict(dim=7, flip=True),
        dict(dim=16, scale=1000.0, max_period=1e6),
        dict(dim=6, shift=1.0),
        dict(dim=2),
        dict(dim=64, flip=True, shift=0.5),
    ]:
        g.add("video.SinusoidalEmbedding", [times if attrs["dim"] < 60 else times[4:]], sinusoidal(**attrs), **attrs)
    g.add("video.SinusoidalEmbedding", [torch.zeros(0)], sinusoidal(4), dim=4)
    for attrs in [
        dict(query_length=5, key_length=9),
        dict(query_length=1, key_length=300),
        dict(query_length=300, key_length=1),
        dict(query_length=200, key_length=1, bidirectional=False),
        dict(query_length=20, key_length=20, num_buckets=8, max_distance=16),
        dict(query_length=12, key_length=3, num_buckets=2, max_distance=5, bidirectional=False),
        dict(query_length=0, key_length=3),
    ]:
        g.add("video.RelativeBuckets", [], lambda: t5_buckets(**attrs), **attrs)
