"""Generates the clips of a captions file with the `kinograph` program, for the scorer.

    python captions.py --held-out 200 --out captions.jsonl
    python generate.py --program ../../target/release/kinograph --captions captions.jsonl --out clips -- --steps 25
    python scorer.py --captions captions.jsonl --clips clips

What follows `--` goes to `kinograph generate` as it is. Clips that are there already are kept, so an interrupted run goes on.
"""
import argparse
import json
import os
import subprocess


def command(program, row, index, out, extra):
    """The call that makes one clip; the seed is the caption's index."""
    return [program, "generate", row["prompt"], "--quiet", "--seed", str(index), "--frames", str(row["frames"]),
            "--size", f"{row['width']}x{row['height']}", "--fps", str(row["fps"]), "-o", out, *extra]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--captions", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("extra", nargs="*", help="further options of `kinograph generate`")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    with open(args.captions) as f:
        rows = [json.loads(line) for line in f]
    for index, row in enumerate(rows):
        out = os.path.join(args.out, f"{index:05d}.y4m")
        if not os.path.exists(out):
            subprocess.run(command(args.program, row, index, out, args.extra), check=True)


if __name__ == "__main__":
    main()
