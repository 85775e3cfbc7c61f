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


def flow_matching_loss(model, x1, prompt_tokens):
    """Mean squared error of the velocity, t = sigmoid(N(0, 1)), x1 in normalised units."""
    t = torch.sigmoid(torch.randn(x1.shape[0]))
    x0 = torch.randn_like(x1)
    tt = t[:, None, None, None, None]
    x = tt * x1 + (1 - (1 - SIGMA_MIN) * tt) * x0
    return (model(x, t, prompt_tokens) - (x1 - (1 - SIGMA_MIN) * x0)).square().mean()


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
