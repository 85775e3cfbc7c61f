"""Makes checkpoints from an exported package, so that training can go on where only the package is left.

    python checkpoint.py --package ../models/flipbook --out RUN
    python train_backbone.py --tae RUN/tae.pt --tokenizer ../models/flipbook/tokenizer.json --resume RUN/backbone.pt --out RUN/more
    python train_tae.py --freeze-encoder --resume RUN/tae.pt --out RUN/decoder

The optimiser's state is not in a package: it starts anew, behind the trainer's warm-up.
"""
import argparse
import os

import torch
from safetensors.torch import load_file

from model import Generator
from tae import Tae

GENERATOR_FILES = {"backbone": "backbone", "text.t5": "text_t5", "text.clip": "text_clip", "text.byte": "text_byte"}


def save(path, model, state):
    """A checkpoint whose current and averaged weights are `state`, complete and of the right shapes."""
    model.load_state_dict(state)
    beside = path + ".new"
    torch.save({"model": model.state_dict(), "ema": model.state_dict(), "optimiser": None, "step": 0, "config": {}}, beside)
    os.replace(beside, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)

    def read(name):
        return {k: v.float() for k, v in load_file(os.path.join(args.package, f"{name}.safetensors")).items()}

    save(os.path.join(args.out, "tae.pt"), Tae(), read("tae"))
    state = {f"{prefix}.{k}": v for prefix, name in GENERATOR_FILES.items() for k, v in read(name).items()}
    save(os.path.join(args.out, "backbone.pt"), Generator(), state)


if __name__ == "__main__":
    main()
