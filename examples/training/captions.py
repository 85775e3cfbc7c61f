"""Captions for specs: one canonical wording, and many paraphrases for training.

    python captions.py --held-out 200 --out FILE.jsonl

writes captions of combinations that training never sees (fields: prompt, width, height, frames, fps, spec).
"""
import argparse
import json

import numpy as np

import world

CANONICAL_MOTION = {"still": "stands still", "grows": "grows", "shrinks": "shrinks", "spins": "spins", "bounces": "bounces"}
CANONICAL_MOTION.update({d: f"moves {d}" for d in world.DIRECTIONS})
MOTION_PHRASES = {
    "still": ["stands still", "is still", "does not move", "standing still", "stays in place"],
    "grows": ["grows", "is growing", "gets bigger", "growing", "becomes larger"],
    "shrinks": ["shrinks", "is shrinking", "gets smaller", "shrinking", "becomes smaller"],
    "spins": ["spins", "is spinning", "rotates", "spinning", "turns around"],
    "bounces": ["bounces", "is bouncing", "jumps up and down", "bouncing", "bounces up and down"],
}
DIRECTION_VERBS = ["moves", "moves", "is moving", "moving", "goes", "slides", "travels", "flies"]


def article(word):
    return "an" if word[0] in "aeiou" else "a"


def _motion(obj, rng):
    if rng is None:
        return CANONICAL_MOTION[obj.motion]
    if obj.motion in world.DIRECTIONS:
        verb, where = str(rng.choice(DIRECTION_VERBS)), obj.motion
        if where in ("left", "right") and rng.random() < 0.3:
            where = str(rng.choice([f"to the {where}", f"{where}wards"]))
        elif where in ("up", "down") and rng.random() < 0.25:
            where = f"{where}wards"
        elif " and " in where and rng.random() < 0.3:
            vertical, horizontal = where.split(" and ")
            where = str(rng.choice([f"{horizontal} and {vertical}", f"{vertical} {horizontal}"]))
        return f"{verb} {where}"
    return str(rng.choice(MOTION_PHRASES[obj.motion]))


def _size(obj, rng):
    if not obj.size:
        return ""
    if rng is None:
        return obj.size + " "
    return str(rng.choice({"small": ["small", "little", "tiny"], "big": ["big", "large", "big"]}[obj.size])) + " "


def _noun(obj, rng):
    size = _size(obj, rng)
    if not obj.is_character:
        text = f"{size}{obj.colour} {obj.kind}"
        return f"{article(text)} {text}"
    name = "digit" if obj.kind.isdigit() else "letter"
    shown = obj.kind
    if rng is not None:
        if rng.random() < 0.15:
            shown = shown.lower()
        if rng.random() < 0.12:
            return f'the {size}{name} "{shown}" in {obj.colour}'
        if rng.random() < 0.12:
            text = f'{size}{obj.colour} "{shown}"'
            return f"{article(text)} {text}"
    text = f'{size}{obj.colour} {name} "{shown}"'
    return f"{article(text)} {text}"


def _background(background, rng):
    """The words after "on", or an empty string."""
    kind = background[0]
    if kind == "default":
        return ""
    if kind == "plain":
        return f"{article(background[1])} {background[1]} background"
    a, b = background[1:]
    if kind == "gradient":
        return f"{article(a)} {a} to {b} gradient" + (" background" if rng is not None and rng.random() < 0.3 else "")
    return f"{article(a)} {a} and {b} striped background"


def caption(spec, rng=None):
    """The canonical caption, or a random paraphrase if `rng` is given."""
    prefix = f"FPS-{spec.fps} "
    if rng is not None and spec.fps == 16 and rng.random() < 0.4:
        prefix = ""
    if rng is None and spec.fps == 16:
        prefix = ""
    objects = list(spec.objects)
    if rng is not None:
        rng.shuffle(objects)
    join = " and " if rng is None or rng.random() < 0.75 else str(rng.choice([", ", " while ", ", and "]))
    text = join.join(f"{_noun(o, rng)} {_motion(o, rng)}" for o in objects)
    background = _background(spec.background, rng)
    if background:
        if rng is not None and rng.random() < 0.12:
            text = f"on {background}, {text}"
        else:
            text = f"{text} on {background}"
    if rng is not None and rng.random() < 0.06:
        text = str(rng.choice(["a video of ", "an animation of ", "a clip of "])) + text
    if rng is not None and rng.random() < 0.08:
        text = text + "."
    if rng is not None and rng.random() < 0.08:
        text = text[0].upper() + text[1:]
    return prefix + text


def training_caption(spec, rng):
    """Mostly canonical, often paraphrased."""
    if rng.random() < 0.45:
        text = caption(spec)
        return f"FPS-{spec.fps} {text}" if spec.fps == 16 and rng.random() < 0.5 else text
    return caption(spec, rng)


def held_out_rows(count, seed=2024, frames=32):
    """`count` held-out captions: 40 % one object, 30 % two, 30 % characters; every sixth in a wide or tall bucket."""
    rng = np.random.default_rng(seed)
    categories = ["single", "pair", "character", "single", "pair", "single", "character", "pair", "single", "character"]
    rows = []
    for i in range(count):
        width, height = world.BUCKETS[(i // 6) % 3] if i % 6 == 5 else world.BUCKETS[0]
        spec = world.sample_spec(rng, categories[i % 10], held_out=True, width=width, height=height, frames=frames, fps=16)
        rows.append({"prompt": "FPS-16 " + caption(spec), "width": width, "height": height, "frames": spec.frames,
                     "fps": spec.fps, "spec": spec.to_dict()})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held-out", type=int, required=True, help="number of captions")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    with open(args.out, "w") as f:
        for row in held_out_rows(args.held_out, args.seed, args.frames):
            f.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
