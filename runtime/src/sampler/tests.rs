use std::convert::Infallible;

use super::*;
use crate::schedule::Schedule;

fn go_on(_: Step, _: &[f32]) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Error at t = 1 of dx/dt = -2 x + t, x(0) = 1, whose solution is t/2 - 1/4 + (5/4) exp(-2 t).
fn error_with(steps: usize) -> f64 {
    let times = Schedule::Linear.times(steps).unwrap();
    let mut x = [1.0f32];
    let velocity = |x: &[f32], t: f64, out: &mut [f32]| -> Result<(), Infallible> {
        out[0] = -2.0 * x[0] + t as f32;
        Ok(())
    };
    sample(Solver::Euler, &times, &mut x, velocity, go_on).unwrap();
    let exact = 0.25 + 1.25 * (-2.0f64).exp();
    (f64::from(x[0]) - exact).abs()
}

#[test]
fn euler_is_of_first_order() {
    for steps in [20, 40, 80, 160] {
        let ratio = error_with(steps) / error_with(2 * steps);
        assert!((1.85..2.15).contains(&ratio), "{steps}: halving the step divided the error by {ratio}");
    }
}

#[test]
fn hand_computed_steps() {
    // x' = x over [0, 0.25, 1]: 1 -> 1.25 -> 2.1875, all exact in f32.
    let mut x = [1.0f32, -2.0];
    let mut seen = Vec::new();
    let velocity = |x: &[f32], t: f64, out: &mut [f32]| -> Result<(), Infallible> {
        assert!(t == 0.0 || t == 0.25);
        out.copy_from_slice(x);
        Ok(())
    };
    sample(Solver::Euler, &[0.0, 0.25, 1.0], &mut x, velocity, |step, x| {
        seen.push((step.index, step.of, step.from, step.to, x[0]));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(x, [2.1875, -4.375]);
    assert_eq!(seen, [(0, 2, 0.0, 0.25, 1.25), (1, 2, 0.25, 1.0, 2.1875)]);
}

#[test]
fn each_operation_rounds_on_its_own() {
    // (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24: a fused step would keep the last term.
    let u = 1.0 + 2f32.powi(-12);
    let mut x = [-1.0f32];
    euler_step(&mut x, &[u], u);
    assert_eq!(x[0], 2f32.powi(-11));
    let mut text = [u];
    guide(&mut text, &[0.0], u);
    assert_eq!(text[0], 1.0 + 2f32.powi(-11));
}

#[test]
fn guidance_by_hand() {
    let mut u = [1.0f32, 3.0, -1.0];
    guide(&mut u, &[0.0, 2.0, 1.0], 7.5);
    assert_eq!(u, [7.5, 9.5, -14.0]);
    guide(&mut u, &[1.0, 1.0, 1.0], 0.0);
    assert_eq!(u, [1.0; 3]);
}

#[test]
fn cancelling_keeps_the_finished_step() {
    let mut x = [0.0f32];
    let velocity = |_: &[f32], _: f64, out: &mut [f32]| -> Result<(), Infallible> {
        out.fill(1.0);
        Ok(())
    };
    let stop = |step: Step, _: &[f32]| {
        if step.index == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let error = sample(Solver::Euler, &[0.0, 0.25, 0.5, 1.0], &mut x, velocity, stop).unwrap_err();
    assert_eq!(error, SampleError::Cancelled { step: 2, of: 3 });
    assert_eq!(x, [0.5]);
}

#[test]
fn a_failing_or_broken_model_leaves_the_last_good_state() {
    let times = [0.0, 0.5, 1.0];
    let run = |answer: fn(f64) -> Result<f32, String>| {
        let mut x = [0.0f32; 2];
        let velocity = |_: &[f32], t: f64, out: &mut [f32]| {
            out[1] = answer(t)?;
            Ok(())
        };
        let error = sample(Solver::Euler, &times, &mut x, velocity, go_on).unwrap_err();
        (error, x[1])
    };
    let (error, x) = run(|t| if t == 0.0 { Ok(1.0) } else { Err("lost".into()) });
    assert_eq!((error, x), (SampleError::Velocity { step: 2, of: 2, source: "lost".to_owned() }, 0.5));
    let (error, x) = run(|t| Ok(if t == 0.0 { 1.0 } else { f32::INFINITY }));
    assert_eq!(x, 0.5);
    assert!(matches!(error, SampleError::NotFinite { step: 2, of: 2, element: 1, .. }));
    let (error, _) = run(|_| Ok(f32::NAN));
    assert!(error.to_string().contains("NaN"), "{error}");
}

#[test]
fn bad_times_are_refused() {
    for times in
        [&[][..], &[0.0], &[0.0, 0.0], &[0.0, 1.0, 0.5], &[0.0, f64::NAN, 1.0], &[0.0, f64::INFINITY]]
    {
        let velocity =
            |_: &[f32], _: f64, _: &mut [f32]| -> Result<(), Infallible> { panic!("no step may be taken") };
        assert_eq!(sample(Solver::Euler, times, &mut [0.0], velocity, go_on), Err(SampleError::BadTimes));
    }
}

#[test]
fn solver_names() {
    assert_eq!("euler".parse(), Ok(Solver::Euler));
    assert_eq!(Solver::default().to_string(), "euler");
    assert!("heun".parse::<Solver>().unwrap_err().to_string().contains("use euler"));
    assert_eq!(Solver::Euler.velocities_per_step(), 1);
    assert_eq!(serde_json::from_str::<Solver>("\"euler\"").unwrap(), Solver::Euler);
}
