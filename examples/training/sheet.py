"""A contact sheet of prompts and what `kinograph` made of them: one row a prompt, frames from left to right.

    python sheet.py --program ../../target/release/kinograph --out ../../docs/flipbook.png "a red circle moves left" ...
"""
import argparse
import os
import subprocess
import tempfile

from PIL import Image, ImageDraw

import clips

FRAMES = (0, 6, 12, 18, 24, 31)
SCALE = 2
LABEL = 16
GAP = 4


def make(program, prompt, seed, folder):
    """The frames of one prompt as PIL images, enlarged."""
    path = os.path.join(folder, "00000.y4m")
    subprocess.run([program, "generate", prompt, "--quiet", "--seed", str(seed), "-o", path], check=True)
    video = clips.read_y4m(path)
    size = (video.shape[2] * SCALE, video.shape[1] * SCALE)
    return [Image.fromarray(video[f]).resize(size, Image.NEAREST) for f in FRAMES]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("prompts", nargs="+")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [make(args.program, p, args.seed, folder) for p in args.prompts]
    width, height = rows[0][0].size
    sheet = Image.new("RGB", (len(FRAMES) * (width + GAP) - GAP, len(rows) * (height + LABEL + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for r, (prompt, frames) in enumerate(zip(args.prompts, rows)):
        top = r * (height + LABEL + GAP)
        draw.text((0, top + 2), prompt, fill="black")
        for c, frame in enumerate(frames):
            sheet.paste(frame, (c * (width + GAP), top + LABEL))
    sheet.save(args.out, optimize=True)


if __name__ == "__main__":
    main()
