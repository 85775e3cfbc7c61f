use std::convert::Infallible;

use super::*;
use crate::schedule::Schedule;

fn go_on(_: &Step, _: &[f32]) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

const SOLVERS: [Solver; 5] = [
    Solver::Euler,
    Solver::Midpoint,
    Solver::Heun,
    Solver::Rk4,
    Solver::DormandPrince { rtol: 1e-4, atol: 1e-4 },
];

/// dx/dt = -8 t x^2, which is neither linear nor independent of time; from x(0) = 1 it goes to x(t) = 1 / (1 + 4 t^2).
fn flow(x: &[f32], t: f64, out: &mut [f32]) -> Result<(), Infallible> {
    for (u, x) in out.iter_mut().zip(x) {
        *u = (-8.0 * t * f64::from(*x) * f64::from(*x)) as f32;
    }
    Ok(())
}

/// The error at t = 1, and how often the velocity was asked for.
fn error_with(solver: Solver, steps: usize) -> (f64, usize) {
    let times = Schedule::Linear.times(steps).unwrap();
    let (mut x, mut asked) = ([1.0f32], 0);
    let velocity = |x: &[f32], t: f64, out: &mut [f32]| {
        asked += 1;
        flow(x, t, out)
    };
    sample(solver, &times, &mut x, None, velocity, go_on).unwrap();
    ((f64::from(x[0]) - 0.2).abs(), asked)
}

/// Halving the step divides the error by two to the power of the order. The numbers of steps are small enough that the
/// rounding of the f32 state, some 1e-7, does not show.
#[test]
fn orders_of_convergence() {
    for (solver, order, steps) in [
        (Solver::Euler, 1, [64, 128, 256]),
        (Solver::Midpoint, 2, [16, 32, 64]),
        (Solver::Heun, 2, [16, 32, 64]),
        (Solver::Rk4, 4, [4, 5, 6]),
    ] {
        for steps in steps {
            let (coarse, asked) = error_with(solver, steps);
            let found = (coarse / error_with(solver, 2 * steps).0).log2();
            println!("{solver}, {steps} steps: error {coarse:.2e}, order {found:.2}");
            assert!((found - f64::from(order)).abs() < 0.3, "{solver}, {steps} steps: order {found}");
            assert_eq!(Some(asked), solver.velocities_per_step().map(|each| each * steps));
        }
    }
}

#[test]
fn the_adaptive_solver_meets_its_tolerance_with_no_more_work_than_that() {
    let mut before = usize::MAX;
    for rtol in [1e-6, 1e-5, 1e-4, 1e-3] {
        let (error, asked) = error_with(Solver::DormandPrince { rtol, atol: rtol }, 1);
        println!("rtol {rtol:e}: error {error:.2e}, {asked} evaluations");
        // Errors of steps add up; the tolerance is of each.
        assert!(error < 10.0 * rtol, "rtol {rtol:e}: {error:e}");
        assert!(asked <= before, "rtol {rtol:e}: {asked} after {before}");
        before = asked;
    }
    assert!(before < error_with(Solver::DormandPrince { rtol: 1e-6, atol: 1e-6 }, 1).1);
}

#[test]
fn the_adaptive_solver_reports_its_steps() {
    let solver = Solver::DormandPrince { rtol: 1e-5, atol: 1e-5 };
    let (mut x, mut steps, mut asked) = ([0.5f32], Vec::new(), 0);
    let velocity = |x: &[f32], t: f64, out: &mut [f32]| {
        asked += 1;
        flow(x, t, out)
    };
    sample(solver, &[0.0, 0.3, 1.0], &mut x, None, velocity, |step, _| {
        steps.push(*step);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((steps[0].from, steps.last().unwrap().to), (0.0, 1.0));
    assert!(
        steps.windows(2).all(|w| w[0].to == w[1].from && w[0].to < w[1].to && w[0].index + 1 == w[1].index)
    );
    assert!(steps.iter().all(|s| s.of.is_none() && s.error.is_some_and(|e| (0.0..=1.0).contains(&e))));
    assert_eq!(steps.iter().map(|s| s.evaluations).sum::<usize>(), asked);
}

#[test]
fn what_cannot_be_met_is_told() {
    // A velocity that jumps at random has no step size that is good enough.
    let mut state = 1u32;
    let velocity = |_: &[f32], _: f64, out: &mut [f32]| -> Result<(), Infallible> {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        out[0] = if state >> 31 == 0 { 1e6 } else { -1e6 };
        Ok(())
    };
    let solver = Solver::DormandPrince { rtol: 1e-6, atol: 1e-12 };
    let error = sample(solver, &[0.0, 1.0], &mut [0.5], None, velocity, go_on).unwrap_err();
    assert!(error.to_string().contains("loosen"), "{error}");
}

/// After every step of every solver: what goes on from there has the bits of what was never stopped.
#[test]
fn resuming_gives_the_same_bits() {
    let times = Schedule::default().times(6).unwrap();
    let begin = [0.5f32, 0.3, 0.9, 0.01];
    for solver in SOLVERS {
        let mut whole = begin;
        let mut stops: Vec<(Position, [f32; 4])> = Vec::new();
        sample(solver, &times, &mut whole, None, flow, |step, x| {
            stops.push((step.position, x.try_into().unwrap()));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(stops.len() >= 3, "{solver}: {}", stops.len());
        for (position, state) in stops {
            let mut x = state;
            sample(solver, &times, &mut x, Some(position), flow, go_on).unwrap();
            assert_eq!(x.map(f32::to_bits), whole.map(f32::to_bits), "{solver} from {position:?}");
        }
    }
}

#[test]
fn positions_of_other_runs_are_refused() {
    let times = [0.0, 0.25, 1.0];
    let adaptive = Solver::DormandPrince { rtol: 1e-4, atol: 1e-4 };
    for (solver, position) in [
        (Solver::Euler, Position::new(1, 0.5, None)),
        (Solver::Euler, Position::new(9, 1.0, None)),
        (Solver::Euler, Position::new(1, 0.25, Some(0.1))),
        (Solver::Heun, Position::new(1, f64::NAN, None)),
        (adaptive, Position::new(1, 0.5, None)),
        (adaptive, Position::new(1, 2.0, Some(0.1))),
        (adaptive, Position::new(1, 0.5, Some(f64::NAN))),
        (adaptive, Position::new(1, 0.5, Some(-0.1))),
        (adaptive, Position::new(usize::MAX, 0.5, Some(0.1))),
    ] {
        let mut x = [0.5];
        let ended = sample(solver, &times, &mut x, Some(position), flow, go_on);
        assert!(matches!(ended, Err(SampleError::BadPosition { .. })), "{solver} {position:?}: {ended:?}");
        assert_eq!(x, [0.5]);
    }
}

#[test]
fn straight_flow_is_exact() {
    for solver in SOLVERS {
        let mut x = [0.0f32, 1.0];
        let velocity = |_: &[f32], _: f64, out: &mut [f32]| -> Result<(), Infallible> {
            out.fill(2.0);
            Ok(())
        };
        sample(solver, &[0.0, 0.5, 1.0], &mut x, None, velocity, go_on).unwrap();
        // The weights of the adaptive solver's stages are no binary fractions.
        let off = if solver.is_adaptive() { 2.0 * f32::EPSILON } else { 0.0 };
        assert!((x[0] - 2.0).abs() <= 2.0 * off && (x[1] - 3.0).abs() <= 2.0 * off, "{solver}: {x:?}");
    }
}

#[test]
fn the_fifth_root_needs_no_library() {
    for i in -300..=300 {
        let x = 1.37 * 10f64.powi(i);
        let root = adaptive::fifth_root(x);
        assert!((root.powi(5) / x - 1.0).abs() < 1e-14, "{x:e}: {root:e}");
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
    sample(Solver::Euler, &[0.0, 0.25, 1.0], &mut x, None, velocity, |step, x| {
        seen.push((step.index, step.of, step.from, step.to, x[0]));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(x, [2.1875, -4.375]);
    assert_eq!(seen, [(0, Some(2), 0.0, 0.25, 1.25), (1, Some(2), 0.25, 1.0, 2.1875)]);
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
    let stop = |step: &Step, _: &[f32]| {
        if step.index == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let error = sample(Solver::Euler, &[0.0, 0.25, 0.5, 1.0], &mut x, None, velocity, stop).unwrap_err();
    assert_eq!(error, SampleError::Cancelled { step: 2, of: Some(3) });
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
        let error = sample(Solver::Euler, &times, &mut x, None, velocity, go_on).unwrap_err();
        (error, x[1])
    };
    let (error, x) = run(|t| if t == 0.0 { Ok(1.0) } else { Err("lost".into()) });
    assert_eq!((error, x), (SampleError::Velocity { step: 2, of: Some(2), source: "lost".to_owned() }, 0.5));
    let (error, x) = run(|t| Ok(if t == 0.0 { 1.0 } else { f32::INFINITY }));
    assert_eq!(x, 0.5);
    assert!(matches!(error, SampleError::NotFinite { step: 2, of: Some(2), element: 1, .. }));
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
        assert_eq!(
            sample(Solver::Euler, times, &mut [0.0], None, velocity, go_on),
            Err(SampleError::BadTimes)
        );
    }
}

#[test]
fn solver_names() {
    for text in ["euler", "midpoint", "heun", "rk4", "dopri5", "dopri5:1e-3:1e-4"] {
        let solver: Solver = text.parse().unwrap();
        assert_eq!(solver.to_string(), text);
        let json = serde_json::to_string(&solver).unwrap();
        assert_eq!(serde_json::from_str::<Solver>(&json).unwrap(), solver);
        assert_eq!(solver.is_adaptive(), solver.velocities_per_step().is_none());
    }
    assert_eq!(Solver::default().to_string(), "euler");
    for (text, says) in [
        ("", "use euler"),
        ("Heun", "use euler"),
        ("rk4:3", "no parameter"),
        ("dopri5:", "both tolerances"),
        ("dopri5:1e-3", "both tolerances"),
        ("dopri5:x:y", "both tolerances"),
        ("dopri5:NaN:1e-3", "must be from"),
        ("dopri5:0:0", "must be from"),
        ("dopri5:1e-3:inf", "must be from"),
    ] {
        let error = text.parse::<Solver>().unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    let wild = Solver::DormandPrince { rtol: f64::NAN, atol: 1.0 };
    assert!(matches!(sample(wild, &[0.0, 1.0], &mut [0.5], None, flow, go_on), Err(SampleError::Solver(_))));
}
