"""Scores generated clips against the specs of their captions.

    python captions.py --held-out 200 --out captions.jsonl
    python scorer.py --captions captions.jsonl --clips DIR [--json FILE]

DIR holds one clip per caption index: 00000.y4m (C444), .gif, .safetensors (tensor "frames", u8 [T, H, W, 3]) or a folder
00000/ of PNGs. `--ground-truth` renders the clips instead, which measures the scorer itself.
"""
import argparse
import json

import numpy as np

import clips
import world
from analysis import analyse

FIELDS = ("colour", "kind", "motion", "size")


def compare(spec, found):
    """Which fields of each object, and whether the background, are right; two objects are paired as fits best."""
    orders = [[0]] if len(spec["objects"]) == 1 else [[0, 1], [1, 0]]
    best = None
    for order in orders:
        rows = [{f: spec["objects"][i][f] == found["objects"][j][f] for f in FIELDS} for i, j in enumerate(order)]
        right = sum(r["colour"] * 10 + r["kind"] + r["motion"] for r in rows)
        if best is None or right > best[0]:
            best = (right, rows)
    background = list(spec["background"]) == list(found["background"])
    everything = background and all(r["colour"] and r["kind"] and r["motion"] for r in best[1])
    error = float(np.mean([o["error"] for o in found["objects"]]))
    return {"objects": best[1], "background": background, "all": everything, "error": error, "found": found}


def category(spec):
    if len(spec["objects"]) == 2:
        return "pair"
    return "character" if len(spec["objects"][0]["kind"]) == 1 else "single"


def score_rows(rows, videos):
    """One comparison per caption row."""
    return [dict(compare(r["spec"], analyse(v, len(r["spec"]["objects"]))), category=category(r["spec"]), prompt=r["prompt"])
            for r, v in zip(rows, videos)]


def summary(results):
    """Shares per category: {category: {clips, colour, kind, motion, size, background, all, error}}."""
    table = {}
    for name in ("single", "pair", "character"):
        chosen = [r for r in results if r["category"] == name]
        if chosen:
            row = {f: float(np.mean([all(o[f] for o in r["objects"]) for r in chosen])) for f in FIELDS}
            row.update(background=float(np.mean([r["background"] for r in chosen])), all=float(np.mean([r["all"] for r in chosen])),
                       error=float(np.mean([r["error"] for r in chosen])), clips=len(chosen))
            table[name] = row
    return table


def summary_line(results):
    parts = []
    for name, row in summary(results).items():
        parts.append(f"{name}({row['clips']}) " + " ".join(f"{f} {row[f]:.2f}" for f in FIELDS + ("background", "all", "error")))
    return " | ".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", required=True)
    parser.add_argument("--clips")
    parser.add_argument("--ground-truth", action="store_true")
    parser.add_argument("--json", help="write the full results here")
    parser.add_argument("--show-errors", action="store_true")
    args = parser.parse_args()
    with open(args.captions) as f:
        rows = [json.loads(line) for line in f]
    if args.ground_truth:
        videos = (clips.ground_truth(r["spec"], i) for i, r in enumerate(rows))
    else:
        videos = (clips.load(args.clips, i) for i in range(len(rows)))
    results = score_rows(rows, videos)
    columns = FIELDS + ("background", "all", "error")
    print(f"{'':10} {'clips':>6} " + " ".join(f"{c:>10}" for c in columns))
    for name, row in summary(results).items():
        print(f"{name:10} {row['clips']:6} " + " ".join(f"{row[c]:10.3f}" for c in columns))
    if args.show_errors:
        for r in results:
            if not r["all"]:
                print(r["prompt"], "->", r["found"])
    report = {"summary": summary(results), "results": results}
    print(json.dumps(report["summary"]))
    if args.json:
        with open(args.json, "w") as f:
            json.dump(report, f, indent=1, default=list)


if __name__ == "__main__":
    main()
