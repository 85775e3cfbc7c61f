"""Times PyTorch on a directory that wan_directory.py made: one call of the transformer and one piece of the decoder.

    python wan_time.py DIR transformer|decoder [--dtype f32|bf16] [--threads 2] [--frames 17] [--size 832x480]

Prints seconds, seconds of processor time (which a machine that others use too hardly changes) and the process' peak memory. `transformer` is one call with one text; `decoder` is the second latent frame of a
clip, which becomes four frames, with what the first one left.
"""

import argparse
import resource
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def now():
    return time.perf_counter(), time.process_time()


def since(begin):
    return tuple(end - start for start, end in zip(begin, now()))


def transformer(options, latent):
    model = WanTransformer3DModel.from_pretrained(options.directory / "transformer", torch_dtype=options.dtype).eval()
    text = torch.randn(1, 512, model.config.text_dim, dtype=options.dtype)
    begin = now()
    model(latent, torch.tensor([999]), text, return_dict=False)
    return since(begin)


def decoder(options, latent):
    vae = AutoencoderKLWan.from_pretrained(options.directory / "vae", torch_dtype=options.dtype).eval()
    vae.clear_cache()
    x = vae.post_quant_conv(latent[:, :, :2])
    vae.decoder(x[:, :, :1], feat_cache=vae._feat_map, feat_idx=[0], first_chunk=True)
    begin = now()
    vae.decoder(x[:, :, 1:], feat_cache=vae._feat_map, feat_idx=[0])
    return since(begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("what", choices=("transformer", "decoder"))
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--size", default="832x480")
    options = parser.parse_args()
    options.dtype = DTYPES[options.dtype]
    torch.set_num_threads(options.threads)
    width, height = map(int, options.size.split("x"))
    latent = torch.randn(1, 16, (options.frames - 1) // 4 + 1, height // 8, width // 8, dtype=options.dtype)
    with torch.no_grad():
        seconds, processor = {"transformer": transformer, "decoder": decoder}[options.what](options, latent)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{options.what}: {seconds:.2f} s, {processor:.2f} s of processor time, peak {peak:.2f} GiB")


if __name__ == "__main__":
    main()
