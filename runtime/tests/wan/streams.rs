//! A clip in pieces is the clip at once.

use kinograph::HostTensor;

use crate::graphs::{Part, States};
use crate::reference::{close, everywhere, with_encoded};

/// Frames `from..to` of a tensor [1, channels, frames, height, width].
fn cut(tensor: &HostTensor, from: usize, to: usize) -> HostTensor {
    let &[_, c, t, h, w] = &tensor.desc().shape[..] else { panic!("five axes") };
    let data = tensor.as_f32().unwrap();
    let plane = h * w;
    let channels = (0..c).flat_map(|c| data[(c * t + from) * plane..(c * t + to) * plane].iter().copied());
    HostTensor::f32([1, c, to - from, h, w], channels.collect()).unwrap()
}

/// The pieces of an output [channels, frames, plane] one after another in time.
fn joined(pieces: &[Vec<f32>], channels: usize) -> Vec<f32> {
    (0..channels)
        .flat_map(|c| {
            pieces.iter().flat_map(move |piece| {
                let each = piece.len() / channels;
                piece[c * each..(c + 1) * each].iter().copied()
            })
        })
        .collect()
}

fn in_pieces(part: &Part, tensor: &HostTensor, ends: &[usize], output: &str) -> Vec<Vec<f32>> {
    let mut states = States::new();
    let mut begin = 0;
    let mut made = Vec::new();
    for &end in ends {
        let &[_, _, _, h, w] = &tensor.desc().shape[..] else { panic!("five axes") };
        let first = usize::from(begin == 0);
        let sizes = [("B", 1), ("T", end - begin), ("H", h), ("W", w), ("FIRST", first)];
        let executable = part.compile(part.graph(&sizes, &[], &[]));
        let mut outputs = part.run(&*executable, &[cut(tensor, begin, end)], &mut states);
        made.push(outputs.remove(output).unwrap());
        begin = end;
    }
    made
}

#[test]
fn decoding_in_pieces_is_decoding_at_once() {
    for (device, mut reference) in everywhere() {
        reference.name = format!("{}: {}", device.info().id, reference.name);
        let package = reference.package();
        let part = Part::new(&device, &reference.files, &package, package.manifest().decoder.clone());
        let latents = reference.tensor("vae.in");
        let frames = latents.desc().shape[2];
        let mut ways: Vec<Vec<usize>> = vec![vec![frames], (1..=frames).collect()];
        if frames > 2 {
            ways.extend([vec![2, frames], vec![1, frames]]);
        }
        for ends in ways {
            let made = joined(&in_pieces(&part, latents, &ends, "video"), 3);
            close(&format!("{}: pieces {ends:?}", reference.name), &made, reference.tensor("vae.out"));
        }
    }
}

#[test]
fn encoding_in_pieces_is_encoding_at_once() {
    for (device, (files, tensors)) in with_encoded() {
        let package = kinograph::Package::in_memory(files.clone()).unwrap();
        let part = Part::new(&device, &files, &package, package.manifest().encoder.clone().unwrap());
        let frames = tensors["video"].desc().shape[2];
        let by = package.manifest().latent.compression.0;
        let channels = tensors["mean"].desc().shape[1];
        let ends: Vec<usize> = (1..=frames).step_by(by).collect();
        let made = joined(&in_pieces(&part, &tensors["video"], &ends, "latent"), channels);
        close(&format!("{}: pieces {ends:?}", device.info().id), &made, &tensors["mean"]);
    }
}
