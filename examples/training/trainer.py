"""What both trainers share: data parallelism, averaged weights, atomic checkpoints and a log."""
import contextlib
import os
import time

import torch
import torch.distributed as dist


def half_precision():
    """Computes in bfloat16 where the processor can; where it would be emulated, that is six times slower than float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.backends.cpu.get_cpu_capability().startswith("AVX512"))


class Team:
    """The processes of one data-parallel run (one thread each), as started by torchrun; a single process is a team of one.

    On shared cores this is far faster than one process with several threads, whose every operation waits for the slowest.
    """

    def __init__(self):
        self.size = int(os.environ.get("WORLD_SIZE", 1))
        if self.size > 1:
            dist.init_process_group("gloo")
        self.rank = dist.get_rank() if self.size > 1 else 0

    def agree(self, value):
        """Rank 0's value of a float, on every rank."""
        if self.size == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(tensor, 0)
        return tensor.item()

    def average_gradients(self, model):
        if self.size == 1:
            return
        parameters = [p for p in model.parameters() if p.requires_grad]
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters])
        dist.all_reduce(flat)
        for p, g in zip(parameters, (flat / self.size).split([p.numel() for p in parameters])):
            p.grad = g.view_as(p)


class Ema:
    """Exponential moving average of a module's parameters, with a shorter horizon at the start."""

    def __init__(self, model, decay):
        self.decay = decay
        self.shadow = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model, step):
        decay = min(self.decay, (1 + step) / (10 + step))
        names = list(self.shadow)
        current = model.state_dict()
        torch._foreach_lerp_([self.shadow[n] for n in names], [current[n] for n in names], 1 - decay)

    def load(self, shadow):
        self.shadow = {k: v.clone() for k, v in shadow.items()}

    @contextlib.contextmanager
    def applied(self, model):
        """Runs the body with the averaged weights in the model."""
        saved = {k: v.detach().clone() for k, v in model.state_dict().items()}
        model.load_state_dict(self.shadow)
        try:
            yield
        finally:
            model.load_state_dict(saved)


def save_checkpoint(path, model, ema, optimiser, step, config):
    """Writes beside the target, then renames, so that readers never see half a file."""
    torch.save({"model": model.state_dict(), "ema": ema.shadow, "optimiser": optimiser.state_dict(), "step": step, "config": config}, path + ".tmp")
    os.replace(path + ".tmp", path)


def fuse(norm):
    """Compiles norm(x, weight) over x [..., C]; flattened first, so that it is compiled once for all shapes."""
    torch._dynamo.config.recompile_limit = 64
    compiled = torch.compile(norm, dynamic=True)
    return lambda x, weight: compiled(x.flatten(0, -2), weight).view(x.shape)


class Log:
    """Appends lines with the time of day to a file and prints them."""

    def __init__(self, path, enabled=True):
        self.path, self.enabled = path, enabled

    def __call__(self, line):
        if not self.enabled:
            return
        line = f"{time.strftime('%H:%M:%S')} {line}"
        print(line, flush=True)
        with open(self.path, "a") as f:
            f.write(line + "\n")
