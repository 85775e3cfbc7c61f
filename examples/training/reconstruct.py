"""Sends ground truth of a captions file through the autoencoder, by `kinograph reconstruct`, and averages how much is lost.

    python captions.py --held-out 96 --out captions.jsonl
    python reconstruct.py --program ../../target/release/kinograph --captions captions.jsonl

The clips go in as PNG frames and are compared as they come out of the program, in the whole frame.
"""
import argparse
import json
import os
import subprocess
import tempfile

import numpy as np
from PIL import Image

import clips


def write_frames(folder, video):
    for i, frame in enumerate(video):
        Image.fromarray(frame).save(os.path.join(folder, f"{i:04d}.png"))


def psnr(program, video):
    """Peak signal to noise ratio in dB of one clip, uint8 [T, H, W, 3]."""
    with tempfile.TemporaryDirectory() as folder:
        write_frames(folder, video)
        out = os.path.join(folder, "out.y4m")
        subprocess.run([program, "reconstruct", folder, "--quiet", "-o", out], check=True, stdout=subprocess.DEVNULL)
        error = clips.read_y4m(out).astype(np.float64) - video
    return 10 * np.log10(255**2 / np.square(error).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--captions", required=True)
    args = parser.parse_args()
    with open(args.captions) as f:
        rows = [json.loads(line) for line in f]
    values = [psnr(args.program, clips.ground_truth(row["spec"], i)) for i, row in enumerate(rows)]
    print(f"{len(values)} clips: mean {np.mean(values):.2f} dB, median {np.median(values):.2f}, least {min(values):.2f}")


if __name__ == "__main__":
    main()
