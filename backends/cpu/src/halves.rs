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
    from.convert_to_f32_slice(out);
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
