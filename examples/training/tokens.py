"""Tokenisation: a lower-casing byte-level BPE for the T5-like and CLIP-like encoders, raw bytes for the ByT5-like one.

    python tokens.py --out tokenizer.json

Special tokens are added here (and by the runtime), never by tokenizer.json itself.
"""
import argparse
import re

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import captions
import world

PAD, EOS, BOS = 0, 1, 2
VOCABULARY = 512
BYTE_VOCABULARY = 384
BYTE_OFFSET = 3
T5_LENGTH, CLIP_LENGTH, BYTE_LENGTH = 48, 48, 16


def train_tokenizer(path, count=20000, seed=7):
    """Trains on random captions and saves tokenizer.json."""
    rng = np.random.default_rng(seed)
    shapes = [{"fps": 8}, {"fps": 16}]
    texts = [captions.caption(world.sample_spec(rng, **shapes[i % 2]), rng if i % 3 else None) for i in range(count)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<pad>", "<eos>", "<bos>"], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tokenizer.save(path)


def quoted_text(prompt):
    """The text inside double quotes (several pieces joined by one space), or an empty string."""
    return " ".join(re.findall(r'"([^"]*)"', prompt))


def t5_ids(tokenizer, prompt):
    return tokenizer.encode(prompt, add_special_tokens=False).ids[:T5_LENGTH - 1] + [EOS]


def clip_ids(tokenizer, prompt):
    return [BOS] + tokenizer.encode(prompt, add_special_tokens=False).ids[:CLIP_LENGTH - 2] + [EOS]


def byte_ids(prompt):
    return [b + BYTE_OFFSET for b in quoted_text(prompt).encode()[:BYTE_LENGTH - 1]] + [EOS]


def pad(rows, length=None):
    """Lists of ids -> ids int64 [B, L] padded with PAD and mask float32 [B, L]; L is the longest row unless given."""
    length = length or max(len(r) for r in rows)
    ids = torch.full((len(rows), length), PAD, dtype=torch.int64)
    mask = torch.zeros(len(rows), length)
    for i, row in enumerate(rows):
        ids[i, :len(row)] = torch.tensor(row)
        mask[i, :len(row)] = 1
    return ids, mask


def encode_prompts(tokenizer, prompts, full_length=False):
    """Prompts -> {"t5": (ids, mask), "clip": (ids, mask), "byte": (ids, mask)}; the unconditional input is the prompt ""."""
    lengths = (T5_LENGTH, CLIP_LENGTH, BYTE_LENGTH) if full_length else (None, None, None)
    return {
        "t5": pad([t5_ids(tokenizer, p) for p in prompts], lengths[0]),
        "clip": pad([clip_ids(tokenizer, p) for p in prompts], lengths[1]),
        "byte": pad([byte_ids(p) for p in prompts], lengths[2]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    train_tokenizer(parser.parse_args().out)


if __name__ == "__main__":
    main()
