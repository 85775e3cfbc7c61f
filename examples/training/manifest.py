"""Writes the numbers of `export.json` into a package's `model.toml`: latent statistics and the preview map.

    python manifest.py --export RUN/export.json --manifest ../models/flipbook/model.toml

The [latent] shift and scale lines are replaced, and the [preview] table, which stands last, is written anew.
"""
import argparse
import json
import os
import re


def numbers(values):
    return "[" + ", ".join(f"{v:.7g}" for v in values) + "]"


def filled(text, export):
    """The manifest's text with this export's numbers. The package scales by a factor, the trainer by a divisor."""
    latent, preview = export["latent"], export["preview"]
    text, shifts = re.subn(r"(?m)^shift = .*$", f"shift = {numbers(latent['shift'])}", text)
    text, scales = re.subn(r"(?m)^scale = .*$", f"scale = [{1 / latent['scale']:.9g}]", text)
    if (shifts, scales) != (1, 1):
        raise SystemExit("the manifest must have one line `shift = ` and one line `scale = `")
    text = text.split("\n[preview]")[0].rstrip() + "\n"
    rows = ",\n".join(f"  {numbers(row)}" for row in preview["weight"])
    return text + f"\n[preview]\nweight = [\n{rows},\n]\nbias = {numbers(preview['bias'])}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", required=True)
    parser.add_argument("--manifest", required=True)
    args = parser.parse_args()
    with open(args.export) as f:
        export = json.load(f)
    with open(args.manifest) as f:
        text = filled(f.read(), export)
    beside = args.manifest + ".new"
    with open(beside, "w") as f:
        f.write(text)
    os.replace(beside, args.manifest)


if __name__ == "__main__":
    main()
