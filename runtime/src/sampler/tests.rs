use std::convert::Infallible;

use super::*;

mod adaptive;
mod order;
mod resume;
mod text;

const DOPRI5: Solver = Solver::DormandPrince { rtol: 1e-5, atol: 1e-5 };
const ALL: [Solver; 5] = [Solver::Euler, Solver::Midpoint, Solver::Heun, Solver::Rk4, DOPRI5];

fn go_on(_: &Step, _: &[f32]) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Not linear, dependent on time, with a jump at t = 1/2 on which the adaptive solver stumbles.
fn bumpy(x: &[f32], t: f64, out: &mut [f32]) -> Result<(), Infallible> {
    for (u, x) in out.iter_mut().zip(x) {
        *u = if t >= 0.5 { 3.0 - 8.0 * x } else { x * (t as f32 - x) * 4.0 };
    }
    Ok(())
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Against a writing of the same methods in Python, with rational tableaux and each `f32` operation rounded by hand.
#[test]
fn the_bits_are_those_of_an_independent_computation() {
    let rough = Solver::DormandPrince { rtol: 1e-3, atol: 1e-6 };
    for (solver, want) in [
        (Solver::Euler, [0x3f0e_a493, 0x3f64_cc3b, 0x3f0e_a494, 0x3f99_999a]),
        (Solver::Midpoint, [0x3f00_08fb, 0xbe45_79d4, 0x401b_5108, 0xbf38_51ed]),
        (Solver::Heun, [0x3f0c_1e28, 0x3f1b_efe2, 0x3fb4_0f10, 0x3f50_20c4]),
        (Solver::Rk4, [0x3ebf_0f1d, 0x3e21_67ee, 0x3f1d_9e08, 0x3c1a_e1f0]),
        (DOPRI5, [0x3ec0_011c, 0x3ebd_fa9b, 0x3ec1_d3a9, 0x3ebc_7f94]),
        (rough, [0x3ec0_0150, 0x3ebd_f30e, 0x3ec1_dfb3, 0x3ebc_7221]),
    ] {
        let mut x = [0.5f32, 0.125, 2.0, 0.0];
        sample(solver, &[0.0, 0.1, 0.25, 0.6, 1.0], &mut x, None, bumpy, go_on).unwrap();
        assert_eq!(bits(&x), want, "{solver}: {x:?}");
    }
}

#[test]
fn straight_flow_is_exact_and_the_same_for_every_solver() {
    let velocity = |_: &[f32], _: f64, out: &mut [f32]| -> Result<(), Infallible> {
        out.copy_from_slice(&[0.3, -7.1, 1e-3, 0.0]);
        Ok(())
    };
    let begin = [1.0f32, 0.1, -3.7, 5.0];
    for solver in ALL {
        let (mut x, mut by_euler) = (begin, begin);
        let mut from = 0.0;
        sample(solver, &[0.0, 0.3, 0.55, 1.0], &mut x, None, velocity, |step, x| {
            assert_eq!(step.from, from);
            from = step.to;
            euler_step(&mut by_euler, &[0.3, -7.1, 1e-3, 0.0], (step.to - step.from) as f32);
            assert_eq!(bits(x), bits(&by_euler), "{solver}");
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(from, 1.0);
    }
}

#[test]
fn hand_computed_steps() {
    // x' = x over [0, 0.25, 1], all exact in f32: each step multiplies by the Taylor polynomial of the solver's order.
    for (solver, want) in [
        (Solver::Euler, [1.25, 2.1875]),
        (Solver::Midpoint, [1.28125, 1.28125 * 2.03125]),
        (Solver::Heun, [1.28125, 1.28125 * 2.03125]),
    ] {
        let mut x = [1.0f32, -2.0];
        let mut seen = Vec::new();
        let velocity = |x: &[f32], _: f64, out: &mut [f32]| -> Result<(), Infallible> {
            out.copy_from_slice(x);
            Ok(())
        };
        sample(solver, &[0.0, 0.25, 1.0], &mut x, None, velocity, |step, x| {
            assert_eq!((step.error, step.rejected), (None, 0));
            assert_eq!(Some(step.evaluations), solver.velocities_per_step());
            seen.push((step.index, step.of, step.from, step.to, x[0], step.position));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(x, [want[1], -2.0 * want[1]]);
        let position = |steps, time| Position::new(steps, time, None);
        assert_eq!(seen[0], (0, Some(2), 0.0, 0.25, want[0], position(1, 0.25)));
        assert_eq!(seen[1..], [(1, Some(2), 0.25, 1.0, want[1], position(2, 1.0))]);
    }
}

#[test]
fn stages_ask_at_their_times() {
    // What is asked for the end must be the end, which computing it does not give here.
    assert_ne!(0.2 + (0.9 - 0.2), 0.9);
    let asked = |solver: Solver, times: &[f64]| {
        let mut asked = Vec::new();
        let velocity = |_: &[f32], t: f64, out: &mut [f32]| -> Result<(), Infallible> {
            asked.push(t);
            out.fill(1.0);
            Ok(())
        };
        sample(solver, times, &mut [0.0], None, velocity, go_on).unwrap();
        asked
    };
    let half = 0.2 + 0.5 * (0.9 - 0.2);
    assert_eq!(asked(Solver::Euler, &[0.2, 0.9]), [0.2]);
    assert_eq!(asked(Solver::Midpoint, &[0.2, 0.9]), [0.2, half]);
    assert_eq!(asked(Solver::Heun, &[0.2, 0.9]), [0.2, 0.9]);
    assert_eq!(asked(Solver::Rk4, &[0.2, 0.9]), [0.2, half, half, 0.9]);
    assert_eq!(asked(DOPRI5, &[0.2, 0.9]).last(), Some(&0.9));
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
    for solver in ALL {
        let (mut x, mut told) = ([1.0f32], 0.0);
        let stop = |step: &Step, x: &[f32]| {
            told = x[0];
            if step.index == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let error = sample(solver, &[0.0, 0.25, 0.5, 1.0], &mut x, None, bumpy, stop).unwrap_err();
        let of = if solver.is_adaptive() { None } else { Some(3) };
        assert_eq!(error, SampleError::Cancelled { step: 2, of }, "{solver}");
        assert_eq!(x, [told]);
    }
}

/// Whichever evaluation fails, the state is that of the last finished step.
#[test]
fn a_failing_or_broken_model_leaves_the_last_good_state() {
    let begin = [1.0f32, 0.25];
    let times = [0.0, 0.5, 1.0];
    for solver in ALL {
        let mut evaluations = 0;
        let count = |step: &Step, _: &[f32]| {
            evaluations += step.evaluations;
            ControlFlow::Continue(())
        };
        sample(solver, &times, &mut begin.clone(), None, bumpy, count).unwrap();
        for failing in 0..evaluations {
            for bad in [None, Some(f32::NAN), Some(f32::NEG_INFINITY)] {
                let (mut x, mut good, mut steps, mut asked) = (begin, begin, 0, 0);
                let velocity = |x: &[f32], t: f64, out: &mut [f32]| {
                    let Ok(()) = bumpy(x, t, out);
                    asked += 1;
                    match bad {
                        None if asked > failing => return Err("lost"),
                        Some(value) if asked > failing => out[1] = value,
                        _ => {}
                    }
                    Ok(())
                };
                let keep = |_: &Step, x: &[f32]| {
                    good.copy_from_slice(x);
                    steps += 1;
                    ControlFlow::Continue(())
                };
                let error = sample(solver, &times, &mut x, None, velocity, keep).unwrap_err();
                assert_eq!((asked, bits(&x)), (failing + 1, bits(&good)), "{solver}");
                match (bad, error) {
                    (None, SampleError::Velocity { step, source: "lost", .. }) => assert_eq!(step, steps + 1),
                    (Some(bad), SampleError::NotFinite { step, element: 1, value, .. }) => {
                        assert_eq!((step, value.to_bits()), (steps + 1, bad.to_bits()));
                    }
                    (_, error) => panic!("{solver}: {error}"),
                }
            }
        }
    }
}

#[test]
fn errors_say_which_step() {
    let at = |solver| {
        let velocity = |_: &[f32], _: f64, out: &mut [f32]| -> Result<(), Infallible> {
            out.fill(f32::NAN);
            Ok(())
        };
        sample(solver, &[0.0, 0.5, 1.0], &mut [0.0], None, velocity, go_on).unwrap_err().to_string()
    };
    assert!(at(Solver::Heun).starts_with("step 1 of 2: the model's velocity is NaN at element 0"));
    assert!(at(DOPRI5).starts_with("step 1: the model's velocity is NaN"));
}

#[test]
fn bad_times_and_states_are_refused() {
    let never =
        |_: &[f32], _: f64, _: &mut [f32]| -> Result<(), Infallible> { panic!("no step may be taken") };
    for solver in ALL {
        for times in
            [&[][..], &[0.0], &[0.0, 0.0], &[0.0, 1.0, 0.5], &[0.0, f64::NAN, 1.0], &[0.0, f64::INFINITY]]
        {
            assert_eq!(sample(solver, times, &mut [0.0], None, never, go_on), Err(SampleError::BadTimes));
        }
        let error = sample(solver, &[0.0, 1.0], &mut [0.0, f32::INFINITY], None, never, go_on).unwrap_err();
        assert_eq!(error, SampleError::BadState { element: 1, value: f32::INFINITY });
    }
}

#[test]
fn an_empty_state_is_no_special_case() {
    for solver in ALL {
        sample(solver, &[0.0, 0.5, 1.0], &mut [], None, bumpy, go_on).unwrap();
    }
}
