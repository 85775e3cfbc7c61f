"""The generator as a whole: text encoders and backbone trained together, and sampling with guidance."""
import torch
from torch import nn

import backbone
import text
import tokens

SIGMA_MIN = 1e-5


class Generator(nn.Module):
    def __init__(self, backbone_config=backbone.CONFIG, text_config=text.CONFIG):
        super().__init__()
        self.text = text.TextEncoders(backbone_config["dim"], text_config)
        self.backbone = backbone.Backbone(backbone_config)

    def forward(self, x, t, prompt_tokens):
        """Velocity at x [B, C, T, H, W], t [B] for prompts tokenised by tokens.encode_prompts."""
        states, mask = self.text(prompt_tokens)
        return self.backbone(x, t, states, mask)


def draw_times(count):
    """t [count] = sigmoid(N(-0.4, 1)), spread evenly over the batch: what a clip shows is decided at t of .1 to .4."""
    quantiles = ((torch.arange(count) + torch.rand(count)) / count).clamp(1e-5, 1 - 1e-5)
    return torch.sigmoid(torch.special.ndtri(quantiles) - 0.4)


def time_weight(t):
    """The inverse of the loss that a half-trained model has at t (a fit), so that no t outweighs the others."""
    return 0.11 / (0.3 * torch.exp(-5 * t) + 0.04 / (1 - t))


def flow_matching_loss(model, x1, prompt_tokens):
    """Mean squared error of the velocity, weighted by `time_weight`; x1 in normalised units."""
    t = draw_times(x1.shape[0])
    x0 = torch.randn_like(x1)
    tt = t[:, None, None, None, None]
    x = tt * x1 + (1 - (1 - SIGMA_MIN) * tt) * x0
    error = model(x, t, prompt_tokens) - (x1 - (1 - SIGMA_MIN) * x0)
    return (time_weight(t) * error.square().mean(dim=(1, 2, 3, 4))).mean()


@torch.no_grad()
def sample(model, tokenizer, prompts, noise, steps=25, guidance=3.0):
    """Euler over a uniform schedule from noise [B, C, T, H, W] to latents in normalised units; returns all states."""
    both = tokens.encode_prompts(tokenizer, list(prompts) + [""] * len(prompts))
    states, mask = model.text(both)
    x, path = noise, [noise]
    for i in range(steps):
        t = torch.full((2 * len(prompts),), i / steps)
        v_text, v_empty = model.backbone(torch.cat([x, x]), t, states, mask).chunk(2)
        x = x + (v_empty + guidance * (v_text - v_empty)) / steps
        path.append(x)
    return path


@torch.no_grad()
def decode(tae, latents, frames, shift, scale):
    """Normalised latents [B, C, T', H', W'] -> frames uint8 [B, T, H, W, 3]."""
    z = latents * scale + shift[:, None, None, None]
    video = tae.decoder(z.permute(0, 2, 3, 4, 1))[:, :frames]
    return ((video.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
