"""Muon (momentum whose matrix updates are orthogonalised by a Newton-Schulz iteration), with AdamW for everything else.

Matrix updates are scaled to a root mean square of `update_rms` times the learning rate, so that one learning rate serves
both kinds of parameters.
"""
import torch
import torch.distributed as dist

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


def orthogonalise(batch):
    """Approximately U V^T of each matrix in [N, R, C]."""
    a, b, c = COEFFICIENTS
    x = batch.bfloat16() if torch.backends.cpu.get_cpu_capability().startswith("AVX512") else batch
    transposed = x.shape[1] > x.shape[2]
    if transposed:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.transpose(1, 2) if transposed else x).float()


def is_matrix(name, parameter):
    """Hidden weights only: no embeddings, tables, norms or biases, and nothing that touches pixels or latents."""
    outside = ("embed", "rel_bias", "pos.", "table", "conv_in.spatial", "conv_out", "patch", "final.linear")
    return parameter.ndim >= 2 and not any(part in name for part in outside)


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.01, update_rms=0.2):
        self.update_rms = update_rms
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def _orthogonal(self, updates):
        """Orthogonalises updates (all [R, C]) in batches of one shape; the processes of a team each do their share."""
        size = dist.get_world_size() if dist.is_initialized() else 1
        rank = dist.get_rank() if size > 1 else 0
        out, by_shape = [torch.zeros_like(u) for u in updates], {}
        for i, u in enumerate(updates):
            by_shape.setdefault(u.shape, []).append(i)
        for indices in by_shape.values():
            mine = indices[rank::size]
            if mine:
                for i, result in zip(mine, orthogonalise(torch.stack([updates[i] for i in mine]))):
                    out[i] = result
        if size == 1:
            return out
        flat = torch.cat([u.flatten() for u in out])
        dist.all_reduce(flat)
        return [piece.view_as(u) for piece, u in zip(flat.split([u.numel() for u in out]), out)]

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            updates = []
            for p in parameters:
                if "momentum" not in self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(p)
                buffer = self.state[p]["momentum"]
                buffer.lerp_(p.grad, 1 - group["momentum"])
                updates.append(p.grad.lerp(buffer, group["momentum"]).flatten(1))
            for p, u in zip(parameters, self._orthogonal(updates)):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(u.view_as(p), alpha=-group["lr"] * self.update_rms * max(u.shape) ** 0.5)


class MuonAdamW:
    """The pair of optimisers behind one interface."""

    def __init__(self, module, lr, betas, weight_decay=0.01, update_rms=0.2):
        named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
        self.parts = [
            Muon([p for n, p in named if is_matrix(n, p)], lr, weight_decay=weight_decay, update_rms=update_rms),
            torch.optim.AdamW([p for n, p in named if not is_matrix(n, p)], lr, betas=betas, weight_decay=weight_decay),
        ]
        self.param_groups = [g for part in self.parts for g in part.param_groups]

    def step(self):
        for part in self.parts:
            part.step()

    def zero_grad(self):
        for part in self.parts:
            part.zero_grad()

    def state_dict(self):
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states):
        for part, state in zip(self.parts, states):
            part.load_state_dict(state)
        self.param_groups = [g for part in self.parts for g in part.param_groups]
