//! Every solver on a flow whose rounding can be bounded: each step, from the state before it, against the method in f64.

use kinograph::guidance::Guidance;
use kinograph::sampler::{Solver, Step};
use kinograph::schedule::Schedule;

use super::{Host, Score};
use crate::random::Rng;

const UNIT: f64 = 1.0 / (1u64 << 24) as f64;
const LENGTH: usize = 257;

/// The linear flow `u = a x + b (1 + t - t^2)`, one `a` and `b` an element, under a prompt and under a negative one.
struct Flow {
    text: [Vec<f32>; 2],
    negative: [Vec<f32>; 2],
    guidance: Guidance,
}

/// A number in f64, and how far its f32 twin may be from it.
#[derive(Clone, Copy)]
struct Near {
    value: f64,
    error: f64,
}

pub(super) fn solver(
    host: &dyn Host,
    solver: &str,
    schedule: &str,
    steps: usize,
    guidance: &str,
) -> Result<Score, String> {
    let solver: Solver = solver.parse().map_err(|e| format!("{e}"))?;
    let schedule: Schedule = schedule.parse().map_err(|e| format!("{e}"))?;
    let (method, times) = (method(solver)?, host.times(&schedule, steps)?);
    let flow = Flow::new(guidance.parse().map_err(|e| format!("{e}"))?);
    let mut state = vec![0.0; LENGTH];
    host.noise(&mut state, 5, 0, 0);
    let mut before = state.clone();
    let (mut score, mut failed, mut seen) = (Score::default(), None, 0);
    let mut velocity = |x: &[f32], t: f64, out: &mut [f32]| {
        flow.velocity(host, x, t, out);
        Ok(())
    };
    let mut after = |step: &Step, state: &[f32]| {
        seen += 1;
        let planned = if solver.is_adaptive() { None } else { times.get(step.index..step.index + 2) };
        if planned.is_some_and(|pair| pair != [step.from, step.to]) {
            failed.get_or_insert(format!("step {} goes from {} to {}", step.index, step.from, step.to));
        }
        if step.error.is_some_and(|e| !(0.0..=1.0).contains(&e)) {
            failed.get_or_insert(format!("step {} was taken with an error of {:?}", step.index, step.error));
        }
        for (i, (&x, &found)) in before.iter().zip(state).enumerate() {
            let due = step_of(&method, f64::from(x), (step.from, step.to), |x, t| flow.exact(i, x, t));
            score.at = format!("step {}, element {i}", step.index);
            score.add(due.value, f64::from(found), due.error);
        }
        before.copy_from_slice(state);
    };
    host.sample(solver, &times, &mut state, &mut velocity, &mut after)?;
    if !solver.is_adaptive() && seen != steps {
        return Err(format!("{seen} steps were taken, due were {steps}"));
    }
    match failed {
        Some(failed) => Err(failed),
        None => Ok(score),
    }
}

impl Flow {
    fn new(guidance: Guidance) -> Self {
        let mut rng = Rng::new(9);
        let mut draw =
            |low: f64, high: f64| (0..LENGTH).map(|_| (low + (high - low) * rng.unit()) as f32).collect();
        let text = [draw(-2.0, 1.0), draw(-1.0, 1.0)];
        Self { text, negative: [draw(-2.0, 1.0), draw(-1.0, 1.0)], guidance }
    }

    /// In f32, each operation rounded.
    fn velocity(&self, host: &dyn Host, x: &[f32], t: f64, out: &mut [f32]) {
        let bend = (1.0 + t - t * t) as f32;
        let fill = |[a, b]: &[Vec<f32>; 2], out: &mut [f32]| {
            for (i, u) in out.iter_mut().enumerate() {
                let (linear, free) = (a[i] * x[i], b[i] * bend);
                *u = linear + free;
            }
        };
        fill(&self.text, out);
        let scale = self.guidance.scale_at(t);
        if scale != 1.0 {
            let mut negative = vec![0.0; out.len()];
            fill(&self.negative, &mut negative);
            host.guide(out, &negative, scale);
        }
    }

    /// In f64, with the error that the f32 above may have when `x` has one.
    fn exact(&self, i: usize, x: Near, t: f64) -> Near {
        let bend = 1.0 + t - t * t;
        let one = |[a, b]: &[Vec<f32>; 2]| {
            let (a, b) = (f64::from(a[i]), f64::from(b[i]));
            let (linear, free) = (a * x.value, b * bend);
            // Each product, the bend and the sum are rounded once.
            let error = a.abs() * x.error + 3.0 * UNIT * (linear.abs() + free.abs());
            Near { value: linear + free, error }
        };
        let (text, scale) = (one(&self.text), f64::from(self.guidance.scale_at(t)));
        if scale == 1.0 {
            return text;
        }
        let negative = one(&self.negative);
        let away = text.value - negative.value;
        let size = text.value.abs() + negative.value.abs();
        let error = negative.error * (1.0 + scale)
            + text.error * scale
            + 4.0 * UNIT * (negative.value.abs() + scale * size);
        Near { value: negative.value + scale * away, error }
    }
}

/// The weights of a method: for each stage its time and what it takes of the stages before; then those of the step.
type Method = (Vec<(f64, Vec<f64>)>, Vec<f64>);

/// The textbook's tables (Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, II.1 and II.5).
fn method(solver: Solver) -> Result<Method, String> {
    Ok(match solver {
        Solver::Euler => (vec![(0.0, vec![])], vec![1.0]),
        Solver::Midpoint => (vec![(0.0, vec![]), (0.5, vec![0.5])], vec![0.0, 1.0]),
        Solver::Heun => (vec![(0.0, vec![]), (1.0, vec![1.0])], vec![0.5, 0.5]),
        Solver::Rk4 => (
            vec![(0.0, vec![]), (0.5, vec![0.5]), (0.5, vec![0.0, 0.5]), (1.0, vec![0.0, 0.0, 1.0])],
            vec![1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
        ),
        Solver::DormandPrince { .. } => {
            let row = |over: f64, parts: &[f64]| parts.iter().map(|p| p / over).collect::<Vec<f64>>();
            let stages = vec![
                (0.0, vec![]),
                (0.2, vec![0.2]),
                (0.3, row(40.0, &[3.0, 9.0])),
                (0.8, row(45.0, &[44.0, -168.0, 160.0])),
                (8.0 / 9.0, row(6561.0, &[19372.0, -76080.0, 64448.0, -1908.0])),
                (
                    1.0,
                    vec![9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
                ),
            ];
            let end = vec![35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0];
            (stages, end)
        }
        other => return Err(format!("the suite has no formula for the solver {other}")),
    })
}

/// One step in f64, and how far one in f32 may be from it: at most six roundings for each velocity of a weighted sum, which may
/// be written around its first one.
fn step_of(
    (stages, end): &Method,
    x: f64,
    (from, to): (f64, f64),
    velocity: impl Fn(Near, f64) -> Near,
) -> Near {
    let h = to - from;
    let mut slopes: Vec<Near> = Vec::new();
    let combine = |weights: &[f64], slopes: &[Near]| {
        let (mut value, mut size, mut error) = (x, x.abs(), 0.0);
        let first = slopes.first().map_or(0.0, |k| k.value.abs());
        for (w, k) in weights.iter().zip(slopes) {
            value += h * w * k.value;
            size += h * w.abs() * (k.value.abs() + first);
            error += h * w.abs() * k.error;
        }
        let roundings = 2.0 + 6.0 * weights.len() as f64;
        // A state of the start itself is not rounded at all.
        let rounding = if weights.is_empty() { 0.0 } else { roundings * UNIT * size };
        Near { value, error: error + rounding }
    };
    for (time, weights) in stages {
        let at = combine(weights, &slopes);
        slopes.push(velocity(at, from + time * h));
    }
    combine(end, &slopes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;

    #[test]
    fn steps_are_those_of_the_python_script() {
        let bytes = include_bytes!("../../goldens/pytorch.safetensors");
        let file = SafeTensors::deserialize(bytes).unwrap();
        let draw = |seed: u64| {
            let mut rng = Rng::new(seed);
            (0..33).map(|_| f64::from((2.0 * rng.unit() - 1.0) as f32)).collect::<Vec<_>>()
        };
        let (a, b) = (draw(9), draw(10));
        let times = [0.0, 0.1, 0.15, 0.5, 0.9, 1.0];
        for solver in ["euler", "midpoint", "heun", "rk4"] {
            let due = doubles(file.tensor(&format!("flow.{solver}")).unwrap().data());
            let (mut x, method) = (draw(11), method(solver.parse().unwrap()).unwrap());
            for (pair, due) in times.windows(2).zip(due.chunks(33)) {
                for (i, x) in x.iter_mut().enumerate() {
                    let velocity = |x: Near, t: f64| Near {
                        value: a[i] * x.value + b[i] * (1.0 + t - t * t),
                        error: 0.0,
                    };
                    *x = step_of(&method, *x, (pair[0], pair[1]), velocity).value;
                    assert!((*x - due[i]).abs() < 1e-14, "{solver}: {x} instead of {}", due[i]);
                }
            }
        }
    }

    fn doubles(bytes: &[u8]) -> Vec<f64> {
        bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    }
}
