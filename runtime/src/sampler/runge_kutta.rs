//! Explicit Runge-Kutta methods: their tableaux, and the arithmetic of one step.
//!
//! Every weighted sum of velocities is written around its first term,
//! `h (c k_p + a_q (k_q - k_p) + a_r (k_r - k_p) + ...)` with `c` the sum of the weights, in that order from left to right.
//! On straight flow all differences are exact zeros, so a solver of any order gives the bits of Euler, and on nearly straight
//! flow the rounding of the small terms hardly counts.

use super::SampleError;

/// A method: when and where its stages look at the velocity, and what they add up to.
pub(super) struct Tableau {
    /// The stages after the first, which is the velocity at the step's start.
    later: &'static [Row],
    /// The state at the step's end.
    end: Row,
    /// Weights that give the error of `end` by comparison with a method of lower order, in units of `h`; they add up to 0.
    /// The last one is of the velocity at the step's end.
    error: &'static [f64],
}

/// The state at `from + time * h`: the step's start plus `h` times the weighted earlier stages. The weights add up to `time`.
struct Row {
    time: f64,
    weights: &'static [f64],
}

const fn row(time: f64, weights: &'static [f64]) -> Row {
    Row { time, weights }
}

pub(super) static EULER: Tableau = Tableau { later: &[], end: row(1.0, &[1.0]), error: &[] };

pub(super) static MIDPOINT: Tableau =
    Tableau { later: &[row(0.5, &[0.5])], end: row(1.0, &[0.0, 1.0]), error: &[] };

pub(super) static HEUN: Tableau =
    Tableau { later: &[row(1.0, &[1.0])], end: row(1.0, &[0.5, 0.5]), error: &[] };

pub(super) static RK4: Tableau = Tableau {
    later: &[row(0.5, &[0.5]), row(0.5, &[0.0, 0.5]), row(1.0, &[0.0, 0.0, 1.0])],
    end: row(1.0, &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0]),
    error: &[],
};

/// J. R. Dormand and P. J. Prince, A family of embedded Runge-Kutta formulae, 1980: RK5(4)7M.
pub(super) static DORMAND_PRINCE: Tableau = Tableau {
    later: &[
        row(1.0 / 5.0, &[1.0 / 5.0]),
        row(3.0 / 10.0, &[3.0 / 40.0, 9.0 / 40.0]),
        row(4.0 / 5.0, &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0]),
        row(8.0 / 9.0, &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0]),
        row(1.0, &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0]),
    ],
    end: row(1.0, &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0]),
    error: &[
        71.0 / 57600.0,
        0.0,
        -71.0 / 16695.0,
        71.0 / 1920.0,
        -17253.0 / 339_200.0,
        22.0 / 525.0,
        -1.0 / 40.0,
    ],
};

impl Tableau {
    /// Evaluations of the velocity in one step; one that ends up as the first stage of the next step is not counted.
    pub(super) fn stages(&self) -> usize {
        1 + self.later.len()
    }
}

/// The time that one step covers.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Span {
    pub(super) fn size(self) -> f64 {
        self.to - self.from
    }

    /// A share of the way; all of it is exactly `to`, so that what is evaluated there is what the next step begins with.
    fn at(self, share: f64) -> f64 {
        if share == 1.0 { self.to } else { self.from + share * self.size() }
    }
}

/// The velocity callback, its answers checked and counted.
pub(super) struct Model<V> {
    velocity: V,
    /// Finished steps.
    done: usize,
    of: Option<usize>,
    /// Evaluations since the last finished step.
    evaluations: usize,
}

impl<V> Model<V> {
    pub(super) fn new(velocity: V, done: usize, of: Option<usize>) -> Self {
        Self { velocity, done, of, evaluations: 0 }
    }

    pub(super) fn evaluate<E>(&mut self, x: &[f32], t: f64, out: &mut [f32]) -> Result<(), SampleError<E>>
    where
        V: FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    {
        let (step, of) = (self.done + 1, self.of);
        self.evaluations += 1;
        (self.velocity)(x, t, out).map_err(|source| SampleError::Velocity { step, of, source })?;
        match out.iter().position(|v| !v.is_finite()) {
            Some(element) => Err(SampleError::NotFinite { step, of, element, value: out[element] }),
            None => Ok(()),
        }
    }

    /// Counts a step; the evaluations that it took.
    pub(super) fn finish_step(&mut self) -> usize {
        self.done += 1;
        std::mem::take(&mut self.evaluations)
    }
}

/// The buffers of one step of a method. The state itself is only read, so a step that fails leaves it alone.
pub(super) struct Stages {
    tableau: &'static Tableau,
    /// The velocities of the stages and, for a method that estimates its error, that at the step's end.
    k: Vec<Vec<f32>>,
    /// The state at the stage being evaluated, and at last at the step's end.
    x: Vec<f32>,
}

impl Stages {
    pub(super) fn new(tableau: &'static Tableau, len: usize) -> Self {
        let velocities = tableau.stages().max(tableau.error.len());
        Self { tableau, k: vec![vec![0.0; len]; velocities], x: vec![0.0; len] }
    }

    /// Evaluates the first stage.
    pub(super) fn first<E, V>(
        &mut self,
        time: f64,
        state: &[f32],
        model: &mut Model<V>,
    ) -> Result<(), SampleError<E>>
    where
        V: FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    {
        model.evaluate(state, time, &mut self.k[0])
    }

    /// Evaluates the later stages; [`end`](Self::end) then is the state at the step's end.
    pub(super) fn attempt<E, V>(
        &mut self,
        span: Span,
        state: &[f32],
        model: &mut Model<V>,
    ) -> Result<(), SampleError<E>>
    where
        V: FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    {
        for (row, i) in self.tableau.later.iter().zip(1..) {
            row.apply(span.size(), state, &self.k, &mut self.x);
            model.evaluate(&self.x, span.at(row.time), &mut self.k[i])?;
        }
        self.tableau.end.apply(span.size(), state, &self.k, &mut self.x);
        Ok(())
    }

    /// The state at the end of the last attempt.
    pub(super) fn end(&self) -> &[f32] {
        &self.x
    }

    /// Evaluates the velocity at the end of the last attempt, which the error estimate needs.
    pub(super) fn last<E, V>(&mut self, span: Span, model: &mut Model<V>) -> Result<(), SampleError<E>>
    where
        V: FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    {
        match self.k.last_mut() {
            Some(k) => model.evaluate(&self.x, span.to, k),
            None => Ok(()),
        }
    }

    /// Makes the velocity at the end of this step the first stage of the next (FSAL).
    pub(super) fn last_becomes_first(&mut self) {
        let last = self.k.len() - 1;
        self.k.swap(0, last);
    }

    /// The velocity of a stage.
    pub(super) fn velocity(&self, stage: usize) -> &[f32] {
        &self.k[stage]
    }

    /// Estimated error of one element at the end of the last attempt.
    pub(super) fn error(&self, element: usize, size: f64) -> f64 {
        let first = f64::from(self.k[0][element]);
        let weighted = self.tableau.error.iter().zip(&self.k).skip(1);
        size * weighted.fold(0.0, |sum, (weight, k)| sum + weight * (f64::from(k[element]) - first))
    }

    /// Takes an Euler step instead; the velocity at its end is that of stage 1 until the next attempt.
    pub(super) fn probe<E, V>(
        &mut self,
        span: Span,
        state: &[f32],
        model: &mut Model<V>,
    ) -> Result<(), SampleError<E>>
    where
        V: FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    {
        EULER.end.apply(span.size(), state, &self.k, &mut self.x);
        model.evaluate(&self.x, span.to, &mut self.k[1])
    }
}

impl Row {
    /// `out = state + size * (weighted velocities)`. Coefficients are rounded to `f32` once, operations one by one.
    fn apply(&self, size: f64, state: &[f32], k: &[Vec<f32>], out: &mut [f32]) {
        let mut terms = self.weights.iter().zip(k).filter(|(weight, _)| **weight != 0.0);
        let Some((_, pivot)) = terms.next() else { return out.copy_from_slice(state) };
        let scale = (size * self.time) as f32;
        for (o, p) in out.iter_mut().zip(pivot) {
            *o = scale * *p;
        }
        for (weight, k) in terms {
            let weight = (size * weight) as f32;
            for ((o, v), p) in out.iter_mut().zip(k).zip(pivot) {
                let away = *v - *p;
                let term = weight * away;
                *o += term;
            }
        }
        for (o, x) in out.iter_mut().zip(state) {
            *o += *x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_add_up() {
        for tableau in [&EULER, &MIDPOINT, &HEUN, &RK4, &DORMAND_PRINCE] {
            for row in tableau.later.iter().chain([&tableau.end]) {
                let sum: f64 = row.weights.iter().sum();
                assert!((sum - row.time).abs() < 1e-14, "{sum} is not {}", row.time);
            }
            assert!(tableau.error.iter().sum::<f64>().abs() < 1e-16);
            assert!(tableau.later.iter().zip(1..).all(|(row, stages)| row.weights.len() == stages));
        }
    }

    /// The formula of order 4 that is embedded in Dormand and Prince's meets the quadrature conditions of that order.
    #[test]
    fn the_embedded_method_is_of_fourth_order() {
        let times: Vec<f64> =
            [0.0].into_iter().chain(DORMAND_PRINCE.later.iter().map(|r| r.time)).chain([1.0]).collect();
        let fifth = DORMAND_PRINCE.end.weights.iter().chain([&0.0]);
        let fourth: Vec<f64> = fifth.zip(DORMAND_PRINCE.error).map(|(b, e)| b - e).collect();
        for power in 0..4 {
            let sum: f64 = fourth.iter().zip(&times).map(|(b, c)| b * c.powi(power)).sum();
            assert!((sum - 1.0 / f64::from(power + 1)).abs() < 1e-14, "{power}: {sum}");
        }
        assert!((fourth[6] - 1.0 / 40.0).abs() < 1e-16);
    }
}
