use super::*;

const TIMES: [f64; 7] = [0.0, 0.1, 0.3, 0.35, 0.6, 0.7, 1.0];
const BEGIN: [f32; 3] = [0.5, 0.125, 2.0];

/// Every step of a run from there on, and the bits of the state after it.
fn steps(solver: Solver, state: &mut [f32], from: Option<Position>) -> Vec<(Step, Vec<u32>)> {
    let mut steps = Vec::new();
    sample(solver, &TIMES, state, from, bumpy, |step, x| {
        steps.push((*step, bits(x)));
        ControlFlow::Continue(())
    })
    .unwrap();
    steps
}

#[test]
fn resuming_after_any_step_gives_the_same_bits() {
    let rough = Solver::DormandPrince { rtol: 1e-2, atol: 1e-3 };
    for solver in ALL.into_iter().chain([rough]) {
        let whole = steps(solver, &mut BEGIN.clone(), None);
        assert_eq!(solver.is_adaptive(), whole.iter().any(|(step, _)| step.rejected > 0), "{solver}");
        for (i, (step, state)) in whole.iter().enumerate() {
            let mut state: Vec<f32> = state.iter().map(|&b| f32::from_bits(b)).collect();
            let mut rest = steps(solver, &mut state, Some(step.position));
            if let Some((first, _)) = rest.first_mut()
                && solver.is_adaptive()
            {
                // The first stage, evaluated once more.
                first.evaluations -= 1;
            }
            assert_eq!(rest, whole[i + 1..], "{solver} after step {i}");
        }
    }
}

#[test]
fn an_adaptive_run_evaluates_first_stages_only_once() {
    let mut asked = 0;
    let velocity = |x: &[f32], t: f64, out: &mut [f32]| {
        asked += 1;
        bumpy(x, t, out)
    };
    let mut told = 0;
    sample(DOPRI5, &TIMES, &mut BEGIN.clone(), None, velocity, |step, _| {
        let first = if step.index == 0 { 2 } else { 0 };
        assert_eq!(step.evaluations, first + 6 * (1 + step.rejected));
        told += step.evaluations;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(asked, told);
}

#[test]
fn positions_that_do_not_fit_are_refused() {
    let refused = |solver: Solver, position: Position| {
        let never =
            |_: &[f32], _: f64, _: &mut [f32]| -> Result<(), Infallible> { panic!("no step may be taken") };
        let mut state = BEGIN;
        let result = sample(solver, &TIMES, &mut state, Some(position), never, go_on);
        assert_eq!(state, BEGIN);
        match result {
            Err(SampleError::BadPosition { reason }) => reason,
            result => panic!("{solver}, {position:?}: {result:?}"),
        }
    };
    for (position, why) in [
        (Position::new(1, 0.1, Some(0.1)), "adaptive solver made it"),
        (Position::new(1, 0.3, None), "not that of the schedule"),
        (Position::new(2, f64::NAN, None), "not that of the schedule"),
        (Position::new(0, 0.1, None), "not that of the schedule"),
        (Position::new(7, 1.0, None), "more steps"),
        (Position::new(usize::MAX, 1.0, None), "more steps"),
    ] {
        assert!(refused(Solver::Heun, position).contains(why), "{position:?}");
    }
    for (position, why) in [
        (Position::new(1, 0.1, None), "fixed steps made it"),
        (Position::new(1, -0.1, Some(0.1)), "outside"),
        (Position::new(1, 1.5, Some(0.1)), "outside"),
        (Position::new(1, f64::NAN, Some(0.1)), "outside"),
        (Position::new(1, 0.1, Some(0.0)), "moves the time on"),
        (Position::new(1, 0.1, Some(-0.1)), "moves the time on"),
        (Position::new(1, 0.1, Some(1e-300)), "moves the time on"),
        (Position::new(1, 0.1, Some(f64::NAN)), "moves the time on"),
        (Position::new(1, 0.1, Some(f64::INFINITY)), "moves the time on"),
        (Position::new(usize::MAX, 0.1, Some(0.1)), "more steps"),
    ] {
        assert!(refused(DOPRI5, position).contains(why), "{position:?}");
    }
    // Whatever size a file names, the run stays within its time.
    let mut state = BEGIN;
    let far = Position::new(1, 0.1, Some(f64::MAX));
    assert_eq!(steps(DOPRI5, &mut state, Some(far)).last().unwrap().0.to, 1.0);
}
