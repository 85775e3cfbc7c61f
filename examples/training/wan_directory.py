"""Writes a directory of the sizes of Wan 2.1 1.3B with random weights, in the layout of Hugging Face diffusers, to measure
sizes, memory and speed where the real weights are not. What it makes of a prompt is noise.

    python wan_directory.py DIR [--dtype f32|bf16] [--layers 30] [--text-layers 24] [--shard-gb 5]

The text encoder is most of the directory: 24 layers are 11 GB in bf16 and 23 GB in f32. It is written in pieces, so that no more than one
tensor is in memory. Needs torch, diffusers, transformers and tokenizers, which also say the names and shapes.
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from transformers import UMT5Config, UMT5EncoderModel

DTYPES = {"f32": (torch.float32, "F32", 4), "bf16": (torch.bfloat16, "BF16", 2)}
INDEX = {
    "_class_name": "WanPipeline", "_diffusers_version": "0.42.1", "boundary_ratio": None, "expand_timesteps": False,
    "scheduler": ["diffusers", "UniPCMultistepScheduler"], "text_encoder": ["transformers", "UMT5EncoderModel"],
    "tokenizer": ["transformers", "T5TokenizerFast"], "transformer": ["diffusers", "WanTransformer3DModel"],
    "transformer_2": [None, None], "vae": ["diffusers", "AutoencoderKLWan"],
}


def tensor(name, shape, generator):
    """Values under which activations neither vanish nor grow."""
    if "norm" in name and not name.endswith("bias"):
        return torch.ones(shape)
    x = torch.randn(shape, generator=generator)
    if len(shape) < 2 or "scale_shift_table" in name:
        return x * 0.02
    fan = x[0].numel()
    return x * (0.7 / fan ** 0.5)


def shards(state, limit, size):
    """The tensors in files of at most so many bytes."""
    files, bytes_ = [[]], 0
    for name, meta in state.items():
        count = meta.numel() * size
        if files[-1] and bytes_ + count > limit:
            files.append([])
            bytes_ = 0
        files[-1].append((name, tuple(meta.shape), count))
        bytes_ += count
    return files


def write(folder, stem, state, dtype, limit, generator):
    """Safetensors files, one tensor in memory at a time, and an index where there are several."""
    torch_dtype, name_of_dtype, size = DTYPES[dtype]
    folder.mkdir(parents=True, exist_ok=True)
    files = shards(state, limit, size)
    weight_map = {}
    for i, tensors in enumerate(files):
        several = len(files) > 1
        path = folder / (f"{stem}-{i + 1:05}-of-{len(files):05}.safetensors" if several else f"{stem}.safetensors")
        header, at = {}, 0
        for name, shape, count in tensors:
            header[name] = {"dtype": name_of_dtype, "shape": shape, "data_offsets": [at, at + count]}
            weight_map[name] = path.name
            at += count
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name, shape, _ in tensors:
                values = tensor(name, shape, generator).to(torch_dtype).contiguous()
                file.write(values.view(torch.uint8).numpy().tobytes())
        print(path, f"{at / 2**30:.2f} GiB")
    if len(files) > 1:
        index = {"metadata": {}, "weight_map": weight_map}
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=1))


def tokenizer(path):
    """Letters and bytes: enough to turn any prompt into ids."""
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [(f"<0x{b:02X}>", 0.0) for b in range(256)]
    vocab += [(c, -6.0) for c in "abcdefghijklmnopqrstuvwxyz.,!?\u2581"]
    inner = Tokenizer(models.Unigram(vocab, unk_id=2, byte_fallback=True))
    inner.normalizer = normalizers.Sequence([normalizers.NFKC()])
    inner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    inner.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<pad>", "</s>", "<unk>")])
    path.parent.mkdir(parents=True, exist_ok=True)
    inner.save(str(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--text-layers", type=int, default=24)
    parser.add_argument("--shard-gb", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    root, generator = options.directory, torch.Generator().manual_seed(options.seed)
    with torch.device("meta"):
        transformer = WanTransformer3DModel(
            num_attention_heads=12, attention_head_dim=128, ffn_dim=8960, num_layers=options.layers, freq_dim=256,
            text_dim=4096, cross_attn_norm=True, rope_max_seq_len=1024,
        )
        text = UMT5EncoderModel(UMT5Config(
            vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=options.text_layers, num_heads=64,
            feed_forward_proj="gated-gelu",
        ))
        vae = AutoencoderKLWan()
    limit = int(options.shard_gb * 1e9)
    for folder, stem, model in (
        ("transformer", "diffusion_pytorch_model", transformer), ("text_encoder", "model", text),
        ("vae", "diffusion_pytorch_model", vae),
    ):
        state = {name: t for name, t in model.state_dict().items() if name != "encoder.embed_tokens.weight"}
        write(root / folder, stem, state, options.dtype, limit, generator)
        if folder == "text_encoder":
            (root / folder / "config.json").write_text(model.config.to_json_string())
        else:
            model.save_config(root / folder)
    tokenizer(root / "tokenizer/tokenizer.json")
    UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0).save_pretrained(root / "scheduler")
    (root / "model_index.json").write_text(json.dumps(INDEX, indent=2))


if __name__ == "__main__":
    main()
