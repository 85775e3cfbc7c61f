//! Widening of the 16-bit float types. The result is exact, and so the same at every SIMD level:
//! the best instructions of the machine are used whatever level was asked for.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::simd::Level;

/// Widens as many elements as there are.
pub(crate) fn widen_f16(from: &[f16], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V4::try_new() {
        return simd.vectorize(WidenF16 { simd, from, out });
    }
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("f16c") {
        #[allow(unsafe_code)]
        // SAFETY: the processor has the instructions that this is compiled with.
        return unsafe { widen_f16c(from, out) };
    }
    from.convert_to_f32_slice(out);
}

/// Eight at a time. The crate `half` has these instructions too, behind a call for each eight, which takes several times as long.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "f16c")]
fn widen_f16c(from: &[f16], out: &mut [f32]) {
    let (from, from_rest) = from.as_chunks::<8>();
    let (out, out_rest) = out.as_chunks_mut::<8>();
    for (out, from) in out.iter_mut().zip(from) {
        let bits: [u16; 8] = bytemuck::cast(*from);
        *out = bytemuck::cast(std::arch::x86_64::_mm256_cvtph_ps(bytemuck::cast(bits)));
    }
    out_rest.iter_mut().zip(from_rest).for_each(|(o, v)| *o = v.to_f32());
}

/// Sixteen at a time, where there is an instruction for it.
#[cfg(target_arch = "x86_64")]
struct WidenF16<'a> {
    simd: pulp::x86::V4,
    from: &'a [f16],
    out: &'a mut [f32],
}

#[cfg(target_arch = "x86_64")]
impl pulp::NullaryFnOnce for WidenF16<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (from, from_rest) = self.from.as_chunks::<16>();
        let (out, out_rest) = self.out.as_chunks_mut::<16>();
        for (out, from) in out.iter_mut().zip(from) {
            let bits: [u16; 16] = bytemuck::cast(*from);
            *out = bytemuck::cast(self.simd.avx512f._mm512_cvtph_ps(bytemuck::cast(bits)));
        }
        out_rest.iter_mut().zip(from_rest).for_each(|(o, v)| *o = v.to_f32());
    }
}

/// Widens as many elements as there are.
pub(crate) fn widen_bf16(from: &[bf16], out: &mut [f32]) {
    Level::best().loops(
        #[inline(always)]
        || {
            for (o, v) in out.iter_mut().zip(from) {
                *o = f32::from_bits(u32::from(v.to_bits()) << 16);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_widened_exactly() {
        // An odd number, so that some are left over.
        let halves: Vec<f16> = (1..=u16::MAX).map(f16::from_bits).collect();
        let mut wide = vec![0.0; halves.len()];
        widen_f16(&halves, &mut wide);
        for (half, wide) in halves.iter().zip(wide) {
            assert_eq!(wide.to_bits(), half.to_f32().to_bits(), "{:#x}", half.to_bits());
        }
    }
}
