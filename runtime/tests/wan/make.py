"""Makes the directories in goldens/ and what diffusers computes with them: random Wan pipelines of the smallest sizes.

    python make.py [--out DIR] [NAME ...]

Needs torch, diffusers, transformers, tokenizers and safetensors (diffusers 0.42.1, transformers 5.23.0 and torch 2.15 made
the committed files). Every model differs from the others in all sizes; biases and gains are random too, so that a term which
is dropped shows. See stages.rs for what is compared.
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel,
)
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

NEGATIVE = "a blue square &amp; stands  still"
MODELS = {
    "a": dict(
        transformer=dict(heads=2, head=12, layers=2, ffn=40, freq=16, cross_attn_norm=True),
        text=dict(d_model=16, heads=2, d_kv=6, d_ff=20, layers=2, buckets=32, distance=128),
        vae=dict(z=4, base=4, mult=[1, 2, 2, 2], blocks=1, down=[False, True, True]),
        calls=[
            dict(name="unipc", scheduler="unipc", frames=9, size=(48, 32), steps=4, guidance=5.0, tokens=12),
            dict(name="euler", scheduler="euler", frames=5, size=(32, 64), steps=3, guidance=3.0, tokens=16),
        ],
    ),
    "b": dict(
        transformer=dict(heads=3, head=10, layers=3, ffn=28, freq=24, cross_attn_norm=False),
        text=dict(d_model=24, heads=3, d_kv=8, d_ff=36, layers=1, buckets=16, distance=64),
        vae=dict(z=6, base=4, mult=[1, 3, 2], blocks=2, down=[True, False], decoder_base=6),
        calls=[
            dict(name="unipc3", scheduler="unipc", order=3, shift=5.0, frames=7, size=(32, 48), steps=6,
                 guidance=2.0, negative="", tokens=9),
            dict(name="unguided", scheduler="unipc", order=1, shift=1.0, frames=1, size=(16, 32), steps=2, guidance=1.0,
                 tokens=8),
        ],
    ),
    "c": dict(
        transformer=dict(heads=5, head=6, layers=1, ffn=33, freq=20, cross_attn_norm=True),
        text=dict(d_model=12, heads=1, d_kv=4, d_ff=16, layers=1, buckets=8, distance=20),
        vae=dict(z=5, base=4, mult=[2, 1, 1, 1], blocks=1, down=[True, True, False]),
        calls=[
            dict(name="frames17", scheduler="unipc", frames=17, size=(16, 32), steps=2, guidance=4.0, tokens=3),
            dict(name="frames13", scheduler="euler", frames=13, size=(32, 16), steps=2, guidance=1.0, tokens=20),
        ],
    ),
}


def randomise(model):
    """Random everything, near 1 for gains."""
    for name, p in model.named_parameters():
        if "norm" in name and p.ndim <= 4 and not name.endswith("bias"):
            p.data = 1 + 0.2 * torch.randn_like(p)
        elif p.ndim == 1 or "scale_shift_table" in name or "bias" in name:
            p.data = 0.1 * torch.randn_like(p)
    return model.eval()


def tokenizer():
    """Unigram pieces: letters, some words, one byte that falls back."""
    words = ["\u2581a", "\u2581red", "\u2581blue", "\u2581circle", "\u2581square", "\u2581moves", "\u2581left", "\u2581st", "ands", "ill"]
    letters = list("abcdefghijklmnopqrstuvwxyz.,!?&\u2581")
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [(f"<0x{b:02X}>", 0.0) for b in range(256)]
    vocab += [(w, -3.0 - i / 10) for i, w in enumerate(words)] + [(c, -6.0 - i / 10) for i, c in enumerate(letters)]
    inner = Tokenizer(models.Unigram(vocab, unk_id=2, byte_fallback=True))
    inner.normalizer = normalizers.Sequence([normalizers.NFKC()])
    inner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    inner.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<pad>", "</s>", "<unk>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    ), vocab


def sentencepiece(vocab, path):
    """The same pieces as a SentencePiece model, for directories that have no tokenizer.json."""
    from sentencepiece import sentencepiece_model_pb2 as spm

    model = spm.ModelProto()
    for i, (piece, score) in enumerate(vocab):
        kind = {0: 3, 1: 3, 2: 2}.get(i, 6 if piece.startswith("<0x") else 1)
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.model_type = 1
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.remove_extra_whitespaces = True
    path.write_bytes(model.SerializeToString())


def pipeline(spec):
    t, text, v = spec["transformer"], spec["text"], spec["vae"]
    words, vocab = tokenizer()
    transformer = WanTransformer3DModel(
        num_attention_heads=t["heads"], attention_head_dim=t["head"], in_channels=v["z"], out_channels=v["z"],
        text_dim=text["d_model"], freq_dim=t["freq"], ffn_dim=t["ffn"], num_layers=t["layers"],
        cross_attn_norm=t["cross_attn_norm"], rope_max_seq_len=64,
    )
    encoder = UMT5EncoderModel(UMT5Config(
        vocab_size=len(vocab) + 6, d_model=text["d_model"], d_kv=text["d_kv"], d_ff=text["d_ff"], num_layers=text["layers"],
        num_heads=text["heads"], relative_attention_num_buckets=text["buckets"],
        relative_attention_max_distance=text["distance"], feed_forward_proj="gated-gelu",
    ))
    vae = AutoencoderKLWan(
        base_dim=v["base"], decoder_base_dim=v.get("decoder_base"), z_dim=v["z"], dim_mult=v["mult"], num_res_blocks=v["blocks"],
        temperal_downsample=v["down"], latents_mean=torch.randn(v["z"]).tolist(),
        latents_std=(0.5 + torch.rand(v["z"])).tolist(), scale_factor_temporal=2 ** sum(v["down"]),
        scale_factor_spatial=2 ** (len(v["mult"]) - 1),
    )
    models_ = [randomise(m) for m in (encoder, transformer, vae)]
    return WanPipeline(tokenizer=words, text_encoder=models_[0], transformer=models_[1], vae=models_[2],
                       scheduler=scheduler(spec["calls"][0]))


def scheduler(call):
    shift = call.get("shift", 3.0)
    if call["scheduler"] == "euler":
        return FlowMatchEulerDiscreteScheduler(shift=shift)
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift, solver_order=call.get("order", 2),
        solver_type=call.get("kind", "bh2"),
    )


def run(pipe, call, path):
    """Calls the pipeline and keeps everything on the way."""
    pipe.scheduler = scheduler(call)
    height, width = call["size"]
    kept, calls = {}, [0]
    vae = pipe.vae.config
    latents = torch.randn(
        1, vae.z_dim, (call["frames"] - 1) // vae.scale_factor_temporal + 1, height // vae.scale_factor_spatial,
        width // vae.scale_factor_spatial,
    )

    def keep(name, tensor):
        kept[name] = tensor.detach().clone().contiguous()

    def block(i):
        def hook(_, __, out):
            if calls[0] == 0:
                keep(f"call00.blocks.{i}.0", out)
        return hook

    def whole(_, __, out):
        keep(f"call{calls[0]:02}.out", out[0])
        calls[0] += 1

    decode = pipe.vae.decode

    def decoded(z, **options):
        keep("vae.in", z)
        out = decode(z, **options)
        keep("vae.out", out[0])
        return out

    def after(_, i, t, tensors):
        keep(f"step{i:02}.latents", tensors["latents"])
        keep(f"step{i:02}.t", t.reshape(1).float())
        return {}

    hooks = [b.register_forward_hook(block(i)) for i, b in enumerate(pipe.transformer.blocks)]
    hooks.append(pipe.transformer.register_forward_hook(whole))
    pipe.vae.decode = decoded
    arguments = dict(
        prompt="a red circle  moves &lt;left&gt;!", negative_prompt=call.get("negative", NEGATIVE), height=height, width=width,
        num_frames=call["frames"], num_inference_steps=call["steps"], guidance_scale=call["guidance"],
        max_sequence_length=call["tokens"],
    )
    with torch.no_grad():
        guided = call["guidance"] > 1
        prompt, negative = pipe.encode_prompt(
            arguments["prompt"], arguments["negative_prompt"], guided, max_sequence_length=call["tokens"])
        out = pipe(**arguments, latents=latents, output_type="pt", callback_on_step_end=after)
    pipe.vae.decode = decode
    for hook in hooks:
        hook.remove()
    from diffusers.pipelines.wan.pipeline_wan import prompt_clean
    for name, text, embeds in (("prompt", arguments["prompt"], prompt), ("negative_prompt", arguments["negative_prompt"], negative)):
        if embeds is not None:
            ids = pipe.tokenizer(prompt_clean(text), padding="max_length", max_length=call["tokens"], truncation=True)
            keep(f"{name}_ids", torch.tensor(ids.input_ids))
            keep(f"{name}_embeds", embeds)
    keep("latents_init", latents)
    keep("frames", out.frames.permute(0, 1, 3, 4, 2))
    save_file(kept, path, metadata=dict(
        scheduler=type(pipe.scheduler).__name__, scheduler_config=json.dumps(dict(pipe.scheduler.config), default=list),
        call=json.dumps(arguments),
    ))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "goldens")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(2)
    for name in options.names or MODELS:
        spec = MODELS[name]
        torch.manual_seed(sum(name.encode()))
        pipe = pipeline(spec)
        pipe.set_progress_bar_config(disable=True)
        folder = options.out / f"{name}-ref"
        folder.mkdir(parents=True, exist_ok=True)
        pipe.save_pretrained(options.out / name)
        sentencepiece(tokenizer()[1], options.out / name / "tokenizer/spiece.model")
        for call in spec["calls"]:
            run(pipe, call, folder / f"{call['name']}.safetensors")
        by = pipe.vae.config.scale_factor_temporal
        h, w = spec["calls"][0]["size"]
        # diffusers feeds its encoder four frames at a time, whatever the model makes of them.
        video = torch.rand(1, 3, 1 + 2 * 4, h, w) * 2 - 1
        with torch.no_grad():
            made = pipe.vae.encode(video).latent_dist
        assert made.mean.shape[2] == 1 + 8 // by
        save_file(dict(video=video, mean=made.mean.contiguous(), logvar=made.logvar.contiguous()),
                  folder / "vae_encode.safetensors")


if __name__ == "__main__":
    main()
