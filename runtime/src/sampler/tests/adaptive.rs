use super::super::adaptive::{MAX_STEPS, fifth_root};
use super::*;

/// What a run of the adaptive solver came to.
struct Turned {
    /// Root mean square of the error at the end.
    error: f64,
    /// The largest true error of a step as a share of its tolerance.
    worst: f64,
    steps: usize,
    evaluations: usize,
}

/// Speed of turning, with a narrow peak.
fn speed(t: f64) -> f64 {
    4.0 + 30.0 / (1.0 + 400.0 * (t - 0.6) * (t - 0.6))
}

/// The angle turned by from one time to another: the integral of the speed.
fn angle(from: f64, to: f64) -> f64 {
    let primitive = |t: f64| 4.0 * t + 1.5 * (20.0 * (t - 0.6)).atan();
    primitive(to) - primitive(from)
}

/// Distance of `z` from `from` turned by that angle, in the solver's norm with both tolerances 1.
fn off(z: &[f32], from: &[f32], angle: f64) -> f64 {
    let [[x, y], [z_x, z_y]] = [from, z].map(|v| [f64::from(v[0]), f64::from(v[1])]);
    let (sin, cos) = angle.sin_cos();
    let scaled = |got: f64, want: f64, before: f64| (got - want) / (1.0 + before.abs().max(got.abs()));
    scaled(z_x, cos * x - sin * y, x).hypot(scaled(z_y, sin * x + cos * y, y)) / 2f64.sqrt()
}

fn turning(z: &[f32], t: f64, out: &mut [f32]) -> Result<(), Infallible> {
    out[0] = (-speed(t) * f64::from(z[1])) as f32;
    out[1] = (speed(t) * f64::from(z[0])) as f32;
    Ok(())
}

fn turn(tolerance: f64) -> Turned {
    let begin = [1.0f32, 0.0];
    let (mut z, mut before) = (begin, begin);
    let mut asked = 0;
    let velocity = |z: &[f32], t: f64, out: &mut [f32]| {
        asked += 1;
        turning(z, t, out)
    };
    let (mut worst, mut steps, mut evaluations, mut time) = (0f64, 0, 0, 0.0);
    let solver = Solver::DormandPrince { rtol: tolerance, atol: tolerance };
    // The time in the middle is no step's end.
    sample(solver, &[0.0, 0.123, 1.0], &mut z, None, velocity, |step, z| {
        assert!((0.0..=1.0).contains(&step.error.unwrap()) && step.of.is_none() && step.index == steps);
        assert!(step.from == time && step.to > time && step.to != 0.123);
        assert_eq!((step.position.steps, step.position.time), (steps + 1, step.to));
        worst = worst.max(off(z, &before, angle(step.from, step.to)) / tolerance);
        before.copy_from_slice(z);
        steps += 1;
        time = step.to;
        evaluations += step.evaluations;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((time, asked), (1.0, evaluations));
    Turned { error: off(&z, &begin, angle(0.0, 1.0)), worst, steps, evaluations }
}

/// The true error of every single step is within the tolerance; as the flow only turns, that of the run is within their sum.
///
/// Looser ones are no test: at 1e-2 one step leaps over most of the peak, where an embedded estimate, being one of the leading
/// term, is too small.
#[test]
fn the_tolerance_is_met_and_a_looser_one_is_cheaper() {
    let mut before: Option<Turned> = None;
    for tolerance in [1e-3, 1e-4, 1e-5, 1e-6] {
        let run = turn(tolerance);
        assert!(run.worst <= 1.0, "{tolerance}: a step's error is {} of it", run.worst);
        // The norm's scale lies between one and two tolerances, here and there.
        assert!(run.error <= 2.0 * run.steps as f64 * tolerance * run.worst, "{tolerance}: {}", run.error);
        if let Some(looser) = before {
            assert!(looser.evaluations < run.evaluations && looser.steps < run.steps);
            assert!(run.error < looser.error / 2.0, "{tolerance}: {} after {}", run.error, looser.error);
        }
        before = Some(run);
    }
}

/// The step follows the peak of the speed: the shortest one is at it, and the longest is more than three times as long.
#[test]
fn steps_are_short_where_the_flow_is_fast() {
    let mut spans = Vec::new();
    sample(DOPRI5, &[0.0, 1.0], &mut [1.0, 0.0], None, turning, |step, _| {
        spans.push((step.from, step.to));
        ControlFlow::Continue(())
    })
    .unwrap();
    let size = |&(from, to): &(f64, f64)| to - from;
    let shortest = spans.iter().min_by(|a, b| size(a).total_cmp(&size(b))).unwrap();
    assert!(shortest.0 < 0.65 && 0.55 < shortest.1, "{shortest:?}");
    let longest = spans.iter().map(size).fold(0.0, f64::max);
    assert!(longest > 3.0 * size(shortest), "{longest} and {shortest:?}");
}

#[test]
fn no_growth_directly_after_a_rejection() {
    let mut sizes = Vec::new();
    sample(DOPRI5, &[0.0, 1.0], &mut [0.5, 2.0], None, bumpy, |step, _| {
        let next = step.position.next_step.unwrap();
        sizes.push((step.rejected, next / (step.to - step.from)));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(sizes.iter().any(|(rejected, _)| *rejected > 0));
    assert!(
        sizes
            .iter()
            .all(|&(rejected, factor)| (0.2..=if rejected > 0 { 1.0 } else { 10.0 }).contains(&factor))
    );
}

#[test]
fn no_tiny_last_step() {
    for (size, want) in [(0.499, vec![1.0]), (0.49, vec![0.99, 1.0])] {
        let mut ends = Vec::new();
        let from = Position::new(1, 0.5, Some(size));
        sample(DOPRI5, &[0.0, 1.0], &mut [0.375], Some(from), bumpy, |step, _| {
            ends.push(step.to);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(ends, want);
    }
}

#[test]
fn zero_velocity_from_zero_is_quick() {
    let mut steps = 0;
    let still = |_: &[f32], _: f64, out: &mut [f32]| -> Result<(), Infallible> {
        out.fill(0.0);
        Ok(())
    };
    let count = |_: &Step, _: &[f32]| {
        steps += 1;
        ControlFlow::Continue(())
    };
    let mut x = [0.0f32; 2];
    sample(DOPRI5, &[0.0, 1.0], &mut x, None, still, count).unwrap();
    assert_eq!(x, [0.0; 2]);
    // From a millionth of the way, ten times as far each time.
    assert!(steps <= 8, "{steps}");
}

#[test]
fn a_model_that_no_step_size_suits_is_an_error() {
    // Noise of size 1 in the velocity: shorter steps do not make it smaller fast enough.
    let mut state = 1u32;
    let noise = |_: &[f32], _: f64, out: &mut [f32]| -> Result<(), Infallible> {
        for u in out {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *u = (state >> 8) as f32 * 1e6;
        }
        Ok(())
    };
    let solver = Solver::DormandPrince { rtol: 1e-6, atol: 1e-12 };
    let mut x = [0.0f32; 4];
    let error = sample(solver, &[0.0, 1.0], &mut x, None, noise, go_on).unwrap_err();
    let SampleError::Tolerance { step: 1, time: 0.0, rejected, rtol: 1e-6, atol: 1e-12 } = error else {
        panic!("{error}");
    };
    assert!(rejected > 1);
    assert!(error.to_string().contains("loosen"), "{error}");
    assert_eq!(x, [0.0; 4]);
}

/// In the first trial the velocities are finite but their differences are not; a fifth of its length does.
#[test]
fn an_overflowing_trial_is_rejected() {
    let fall = |_: &[f32], t: f64, out: &mut [f32]| -> Result<(), Infallible> {
        out[0] = ((1.0 - 2.0 * t) * 3e38) as f32;
        Ok(())
    };
    let mut x = [0.0f32];
    let mut rejected = Vec::new();
    let all_at_once = Position::new(0, 0.0, Some(1.0));
    sample(DOPRI5, &[0.0, 1.0], &mut x, Some(all_at_once), fall, |step, x| {
        let t = step.to;
        let exact = (t - t * t) * 3e38;
        assert!((f64::from(x[0]) - exact).abs() < 1e-5 * 3e38, "{t}: {} is not {exact}", x[0]);
        rejected.push(step.rejected);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(rejected[0], 1);
}

#[test]
fn the_number_of_steps_is_capped() {
    let last = Position::new(MAX_STEPS - 1, 0.25, Some(0.25));
    let mut x = [0.5f32];
    let error = sample(DOPRI5, &[0.0, 1.0], &mut x, Some(last), bumpy, go_on).unwrap_err();
    assert!(matches!(error, SampleError::TooManySteps { steps: MAX_STEPS, .. }), "{error}");
    assert!(error.to_string().contains("loosen") && x != [0.5], "{error}");
}

#[test]
fn the_fifth_root_is_good_to_the_last_digits() {
    for k in -60..60 {
        assert_eq!(fifth_root(32f64.powi(k)), 2f64.powi(k));
    }
    let mut x = f64::MIN_POSITIVE;
    while x < f64::MAX / 2.0 {
        // One unit in the last place of the root is five of its fifth power, whose products add two.
        let off = fifth_root(x).powi(5) / x - 1.0;
        assert!(off.abs() <= 8.0 * f64::EPSILON, "{x:e}: {off:e}");
        x *= 1.0625;
    }
    assert!((fifth_root(f64::from_bits(1)) / (2f64.powf(0.2) * 2f64.powi(-215)) - 1.0).abs() < 1e-15);
}
