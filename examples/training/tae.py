"""Temporal autoencoder: a 2.5D convolutional autoencoder that compresses time, height and width by 8 each.

Weights have Conv3d shapes: [out, in, 1, k, k] for spatial and [out, in, k, 1, 1] for temporal convolutions. Activations
are [B, T, H, W, C] (channels last), so both kinds run as plain 2D convolutions on views, without copies.
"""
import torch
import torch.nn.functional as F
from torch import nn

LATENT_CHANNELS = 16
EPS = 1e-6
MIN_LOGVAR = -5.0  # the decoder always sees some noise, so that it forgives the generator small errors


class RmsNorm(nn.Module):
    """x * rsqrt(mean(x^2 over channels) + eps) * weight, on the last axis."""

    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + EPS).to(x.dtype) * self.weight.to(x.dtype)


def norm_silu(x, weight):
    """silu(RmsNorm(x)); the trainer replaces it by a compiled version."""
    return F.silu(x * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + EPS).to(x.dtype) * weight.to(x.dtype))


class SpatialConv(nn.Module):
    """3x3 convolution of every frame, zero padding 1."""

    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(cout, cin, 1, 3, 3))
        self.bias = nn.Parameter(torch.zeros(cout))
        nn.init.kaiming_uniform_(self.weight, a=5 ** 0.5)

    def forward(self, x):
        b, t, h, w, c = x.shape
        y = F.conv2d(x.reshape(b * t, h, w, c).permute(0, 3, 1, 2), self.weight[:, :, 0], self.bias, self.stride, 1)
        y = y.permute(0, 2, 3, 1)
        return y.reshape(b, t, *y.shape[1:])


class TemporalConv(nn.Module):
    """Convolution of three frames, padded by repeating the first and the last frame. Starts near the identity."""

    def __init__(self, channels, stride=1):
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        nn.init.kaiming_uniform_(self.weight, a=5 ** 0.5)
        with torch.no_grad():
            self.weight.mul_(0.3)
            self.weight[:, :, 1, 0, 0] += torch.eye(channels)

    def forward(self, x):
        b, t, h, w, c = x.shape
        x = torch.cat([x[:, :1], x, x[:, -1:]], dim=1).reshape(b, t + 2, h * w, c).permute(0, 3, 1, 2)
        y = F.conv2d(x, self.weight[:, :, :, :, 0], self.bias, (self.stride, 1)).permute(0, 2, 3, 1)
        return y.reshape(b, y.shape[1], h, w, c)


class Conv(nn.Module):
    """A spatial, then a temporal convolution."""

    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.spatial = SpatialConv(cin, cout, stride)
        self.temporal = TemporalConv(cout, stride)

    def forward(self, x):
        return self.temporal(self.spatial(x))


class Up(nn.Module):
    """Twice the height and width (nearest, 3x3 convolution), then twice the frames (nearest, temporal convolution)."""

    def __init__(self, cin, cout):
        super().__init__()
        self.spatial = SpatialConv(cin, cout)
        self.temporal = TemporalConv(cout)

    def forward(self, x):
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        x = self.spatial(x)
        return self.temporal(x.repeat_interleave(2, dim=1))


class ResBlock(nn.Module):
    """x + conv2(silu(norm2(conv1(silu(norm1(x))))))."""

    def __init__(self, channels):
        super().__init__()
        self.norm1 = RmsNorm(channels)
        self.conv1 = Conv(channels, channels)
        self.norm2 = RmsNorm(channels)
        self.conv2 = Conv(channels, channels)
        with torch.no_grad():
            self.conv2.spatial.weight.mul_(0.2)

    def forward(self, x):
        y = self.conv1(norm_silu(x, self.norm1.weight))
        return x + self.conv2(norm_silu(y, self.norm2.weight))


class Attention(nn.Module):
    """x + out(attention(norm(x))) over tokens [N, L, C], without positions and without a mask."""

    def __init__(self, channels, heads):
        super().__init__()
        self.heads = heads
        self.norm = RmsNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(self, x):
        n, length, c = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, length, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2)) * (c // self.heads) ** -0.5
        y = (scores.float().softmax(-1).to(v.dtype) @ v).transpose(1, 2).reshape(n, length, c)
        return x + self.out(y)


class Mid(nn.Module):
    """Residual block, attention within each frame, attention over time at each position, residual block."""

    def __init__(self, channels, heads):
        super().__init__()
        self.block1 = ResBlock(channels)
        self.attn_spatial = Attention(channels, heads)
        self.attn_temporal = Attention(channels, heads)
        self.block2 = ResBlock(channels)

    def forward(self, x):
        x = self.block1(x)
        b, t, h, w, c = x.shape
        x = self.attn_spatial(x.reshape(b * t, h * w, c)).reshape(b, t, h * w, c)
        x = self.attn_temporal(x.transpose(1, 2).reshape(b * h * w, t, c))
        x = x.reshape(b, h * w, t, c).transpose(1, 2).reshape(b, t, h, w, c)
        return self.block2(x)


def _blocks(channels, count):
    return nn.ModuleList([ResBlock(channels) for _ in range(count)])


class Encoder(nn.Module):
    """Frames [B, T, H, W, 3] in -1..1 -> mean and log-variance, each [B, ceil(T/8), H/8, W/8, 16]."""

    def __init__(self, widths, blocks, heads):
        super().__init__()
        self.conv_in = Conv(3, widths[0])
        self.blocks = nn.ModuleList([_blocks(w, n) for w, n in zip(widths, blocks)])
        self.down = nn.ModuleList([Conv(a, b, stride=2) for a, b in zip(widths, widths[1:])])
        self.mid = Mid(widths[-1], heads)
        self.norm_out = RmsNorm(widths[-1])
        self.conv_out = Conv(widths[-1], 2 * LATENT_CHANNELS)

    def forward(self, x):
        x = self.conv_in(x)
        for level, blocks in enumerate(self.blocks):
            for block in blocks:
                x = block(x)
            if level < len(self.down):
                x = self.down[level](x)
        x = self.conv_out(norm_silu(self.mid(x), self.norm_out.weight))
        mean, logvar = x.float().chunk(2, dim=-1)
        return mean, logvar.clamp(MIN_LOGVAR, 4.0)


class Decoder(nn.Module):
    """Latents [B, T', H', W', 16] -> frames [B, 8T', 8H', 8W', 3], nominally in -1..1 (clamp outside)."""

    def __init__(self, widths, blocks, heads):
        super().__init__()
        widths, blocks = widths[::-1], blocks[::-1]
        self.conv_in = Conv(LATENT_CHANNELS, widths[0])
        self.mid = Mid(widths[0], heads)
        self.blocks = nn.ModuleList([_blocks(w, n) for w, n in zip(widths, blocks)])
        self.up = nn.ModuleList([Up(a, b) for a, b in zip(widths, widths[1:])])
        self.norm_out = RmsNorm(widths[-1])
        self.conv_out = Conv(widths[-1], 3)

    def forward(self, z):
        x = self.mid(self.conv_in(z))
        for level, blocks in enumerate(self.blocks):
            for block in blocks:
                x = block(x)
            if level < len(self.up):
                x = self.up[level](x)
        return self.conv_out(norm_silu(x, self.norm_out.weight)).float()


CONFIG = {
    "widths": [32, 64, 128, 128],
    "encoder_blocks": [0, 1, 1, 0],
    "decoder_blocks": [1, 2, 2, 0],  # from full resolution to the latents, like widths
    "heads": 4,
}


class Tae(nn.Module):
    def __init__(self, config=CONFIG):
        super().__init__()
        self.encoder = Encoder(config["widths"], config["encoder_blocks"], config["heads"])
        self.decoder = Decoder(config["widths"], config["decoder_blocks"], config["heads"])

    def forward(self, x, noise=True):
        """Frames [B, T, H, W, 3] -> reconstruction of the same shape, mean, logvar."""
        mean, logvar = self.encoder(x)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * logvar) if noise else mean
        return self.decoder(z)[:, :x.shape[1]], mean, logvar
