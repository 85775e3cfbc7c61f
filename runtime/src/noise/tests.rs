use super::transform::{ln, sin_cos_of_turn};
use super::*;

/// The `philox4x32 10` lines of Random123's `kat_vectors`: counter, key, result.
const KNOWN_ANSWERS: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
    ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
    ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
    (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
        [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
    ),
];

#[test]
fn philox_gives_the_published_answers() {
    for (counter, key, want) in KNOWN_ANSWERS {
        assert_eq!(Philox::new(join(key[0], key[1])).block(counter), want);
    }
}

#[test]
fn own_functions_agree_with_the_platforms() {
    for i in 1..20_000u32 {
        let x = f64::from(i) / 20_000.0;
        assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(0.3), "ln({x})");
        let turn = u64::from(i) * ((1u64 << 53) / 20_000) + u64::from(i * 7);
        let angle = turn as f64 / (1u64 << 53) as f64 * std::f64::consts::TAU;
        let (s, c) = sin_cos_of_turn(turn);
        assert!((s - angle.sin()).abs() < 1.5e-15 && (c - angle.cos()).abs() < 1.5e-15, "{angle}");
        assert!((s * s + c * c - 1.0).abs() < 5e-16);
    }
    assert_eq!(ln(1.0), 0.0);
    let smallest = 1.0 / (1u64 << 53) as f64;
    assert!((ln(smallest) + 53.0 * std::f64::consts::LN_2).abs() < 1e-14);
}

#[test]
fn corner_words_stay_finite() {
    let corners = [0, 1, 1 << 10, 1 << 11, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 1 << 61, 3 << 61];
    for radius in corners {
        for angle in corners {
            for x in transform::box_muller(radius, angle) {
                assert!(x.is_finite() && x.abs() < 8.58, "{radius:x} {angle:x}: {x}");
            }
        }
    }
    // The longest tail there is: the smallest uniform, along an axis.
    assert_eq!(transform::box_muller(0, 0)[0], 8.571_674);
    assert_eq!(transform::box_muller(u64::MAX, 0), [0.0, 0.0]);
}

#[test]
fn any_part_in_any_order_is_the_same() {
    let mut whole = [0.0; 101];
    fill_normal(&mut whole, 7, 3);
    for first in 0..12u64 {
        for len in 0..12 {
            let mut part = vec![0.0; len];
            fill_normal_at(&mut part, 7, 3, first);
            let start = usize::try_from(first).unwrap();
            assert_eq!(part, whole[start..start + len]);
        }
    }
    for (i, x) in whole.iter().enumerate() {
        assert_eq!(normal(7, 3, i as u64), *x);
    }
    let mut end = [0.0; 3];
    fill_normal_at(&mut end, 7, 3, u64::MAX);
    assert_eq!(end[1..], whole[..2]);
}

#[test]
fn seeds_and_streams_do_not_meet() {
    let first = |seed, stream| normal(seed, stream, 0).to_bits();
    let all = [first(0, 0), first(1, 0), first(1 << 32, 0), first(0, 1), first(0, 1 << 32)];
    for (i, a) in all.iter().enumerate() {
        assert!(!all[i + 1..].contains(a));
    }
}

/// Bits committed once, for ever: a change here changes every picture that anybody generated.
#[test]
fn golden_bits() {
    for (seed, stream, index, bits) in GOLDEN {
        let x = normal(seed, stream, index);
        assert_eq!(x.to_bits(), bits, "({seed}, {stream}, {index}) -> {x} = {:#010x}", x.to_bits());
    }
}

/// `(seed, stream, index, bits of the f32)`, computed by a separate Python program from the definition.
const GOLDEN: [(u64, u64, u64, u32); 10] = [
    (0, 0, 0, 0xbecb_9b14),
    (0, 0, 1, 0xbe9e_ec28),
    (0, 0, 2, 0x3fb1_841e),
    (0, 0, 3, 0x3ea8_8ea2),
    (42, 0, 0, 0xbf2a_5602),
    (42, 1, 12_345, 0x3f51_d1ae),
    (0xDEAD_BEEF_0BAD_F00D, 5, 73_728 * 16, 0xbf9e_edfe),
    (u64::MAX, u64::MAX, u64::MAX, 0x3eb6_5233),
    (1, 0, 1 << 33, 0x3ff6_e50b),
    (1_000_000_007, 2, 999_999, 0x3d9d_9a44),
];

const SAMPLES: usize = 1_000_000;

fn samples() -> Vec<f64> {
    let mut x = vec![0.0; SAMPLES];
    fill_normal(&mut x, 2026, 0);
    x.into_iter().map(f64::from).collect()
}

#[test]
fn moments_are_normal() {
    let x = samples();
    let n = x.len() as f64;
    let moment = |p: i32| x.iter().map(|v| v.powi(p)).sum::<f64>() / n;
    // Five standard errors each: sqrt(1/n), sqrt(2/n), sqrt(15/n), sqrt(96/n).
    assert!(moment(1).abs() < 5.0 * (1.0 / n).sqrt(), "mean {}", moment(1));
    assert!((moment(2) - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "variance {}", moment(2));
    assert!(moment(3).abs() < 5.0 * (15.0 / n).sqrt(), "skew {}", moment(3));
    assert!((moment(4) - 3.0).abs() < 5.0 * (96.0 / n).sqrt(), "kurtosis {}", moment(4));
    let lag = |d: usize| x.iter().zip(&x[d..]).map(|(a, b)| a * b).sum::<f64>() / n;
    for d in [1, 2, 3, 64] {
        assert!(lag(d).abs() < 5.0 / n.sqrt(), "correlation at lag {d}: {}", lag(d));
    }
}

/// The normal distribution function by Marsaglia's series (J. Stat. Softw. 11(4), 2004).
fn cdf(x: f64) -> f64 {
    let (mut term, mut sum, mut k) = (x, x, 1.0);
    while term.abs() > 1e-18 {
        k += 2.0;
        term *= x * x / k;
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

#[test]
fn kolmogorov_smirnov_finds_nothing() {
    let mut x = samples();
    x.sort_by(f64::total_cmp);
    let n = x.len() as f64;
    let distance = x.iter().enumerate().map(|(i, v)| {
        let (p, i) = (cdf(*v), i as f64);
        (p - i / n).abs().max((p - (i + 1.0) / n).abs())
    });
    let d = distance.fold(0.0, f64::max);
    // 1.63 / sqrt(n) is the 1 % critical value.
    assert!(d * n.sqrt() < 1.63, "D * sqrt(n) = {}", d * n.sqrt());
}
