//! The SIMD level, chosen at run time.

use kinograph_backend::DeviceError;
use pulp::WithSimd;

/// The instruction set that kernels are run with: the best that the machine has, or a lesser one
/// that an option asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    Plain,
}

impl Level {
    /// Those that this machine has, best first.
    pub(crate) fn available() -> Vec<Level> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(pulp::x86::V4::try_new().map(Level::Avx512));
            levels.extend(pulp::x86::V3::try_new().map(Level::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        levels.extend(pulp::aarch64::Neon::try_new().map(Level::Neon));
        levels.push(Level::Plain);
        levels
    }

    /// The best that this machine has.
    pub(crate) fn best() -> Level {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V4::try_new() {
            return Level::Avx512(simd);
        } else if let Some(simd) = pulp::x86::V3::try_new() {
            return Level::Avx2(simd);
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(simd) = pulp::aarch64::Neon::try_new() {
            return Level::Neon(simd);
        }
        Level::Plain
    }

    /// The one of that name, if this machine has it.
    pub(crate) fn named(name: &str) -> Result<Level, DeviceError> {
        let available = Self::available();
        available.iter().copied().find(|level| level.name() == name).ok_or_else(|| {
            let names: Vec<&str> = available.iter().map(|level| level.name()).collect();
            DeviceError::Internal(format!("no SIMD level `{name}` here; there are {}", names.join(", ")))
        })
    }

    /// Its name in options and facts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Level::Neon(_) => "neon",
            Level::Plain => "plain",
        }
    }

    /// Runs a kernel compiled for this level.
    #[inline(always)]
    pub(crate) fn run<Op: WithSimd>(self, op: Op) -> Op::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(simd) => pulp::Simd::vectorize(simd, op),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(simd) => pulp::Simd::vectorize(simd, op),
            #[cfg(target_arch = "aarch64")]
            Level::Neon(simd) => pulp::Simd::vectorize(simd, op),
            Level::Plain => pulp::Simd::vectorize(pulp::Scalar, op),
        }
    }

    /// Runs plain loops compiled for this level, for the compiler to vectorise. The closure must be
    /// marked `#[inline(always)]`, and so must what it calls.
    #[inline(always)]
    pub(crate) fn loops<R>(self, loops: impl FnMut() -> R) -> R {
        self.run(Loops(loops))
    }
}

/// Called by reference: a call by value goes through a shim that need not be inlined, and code that
/// is not inlined is not compiled for the level.
struct Loops<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Loops<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}
