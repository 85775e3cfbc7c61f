use proptest::prelude::*;

use super::*;

#[test]
fn text_goes_both_ways() {
    for (text, solver) in [
        ("euler", Solver::Euler),
        ("midpoint", Solver::Midpoint),
        ("heun", Solver::Heun),
        ("rk4", Solver::Rk4),
        ("dopri5", DOPRI5),
        ("dopri5:1e-3:1e-6", Solver::DormandPrince { rtol: 1e-3, atol: 1e-6 }),
        ("dopri5:2.5e-4:1e-12", Solver::DormandPrince { rtol: 2.5e-4, atol: 1e-12 }),
    ] {
        assert_eq!(text.parse(), Ok(solver));
        assert_eq!(solver.to_string(), text);
        let json = serde_json::to_string(&solver).unwrap();
        assert_eq!(serde_json::from_str::<Solver>(&json).unwrap(), solver);
    }
    assert_eq!("dopri5:0.00001:0.00001".parse(), Ok(DOPRI5));
    assert_eq!(Solver::default(), Solver::Euler);
}

#[test]
fn bad_text_says_what_to_write() {
    for (text, says) in [
        ("", "use euler, midpoint, heun, rk4, dopri5"),
        ("Euler", "use euler"),
        ("rk45", "use euler"),
        (" heun", "use euler"),
        (":", "use euler"),
        ("heun:", "takes no parameter"),
        ("euler:1e-3:1e-3", "takes no parameter"),
        ("dopri5:", "both tolerances or none"),
        ("dopri5:1e-3", "both tolerances or none"),
        ("dopri5::", "both tolerances or none"),
        ("dopri5:1e-3:1e-3:1e-3", "both tolerances or none"),
        ("dopri5:1e-3:x", "both tolerances or none"),
        ("dopri5:0:1e-3", "RTOL must be"),
        ("dopri5:1e-3:0", "RTOL must be"),
        ("dopri5:nan:1e-3", "RTOL must be"),
        ("dopri5:1e-3:inf", "RTOL must be"),
        ("dopri5:-1e-3:1e-3", "RTOL must be"),
        ("dopri5:1e-7:1e-3", "from 1e-6 to 1"),
    ] {
        let error = text.parse::<Solver>().unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(serde_json::from_str::<Solver>("\"rk45\"").unwrap_err().to_string().contains("use euler"));
}

#[test]
fn a_solver_that_text_could_not_name_takes_no_step() {
    for (rtol, atol) in [(f64::NAN, 1e-5), (1e-5, 0.0), (2.0, 1e-5), (1e-5, f64::INFINITY)] {
        let solver = Solver::DormandPrince { rtol, atol };
        let error = sample(solver, &[0.0, 1.0], &mut [1.0], None, bumpy, go_on).unwrap_err();
        assert!(matches!(error, SampleError::Solver(SolverError::BadTolerance { .. })), "{error}");
    }
}

#[test]
fn plans_know_the_cost_of_a_step() {
    let costs = ALL.map(|solver| (solver.velocities_per_step(), solver.is_adaptive()));
    assert_eq!(costs, [(Some(1), false), (Some(2), false), (Some(2), false), (Some(4), false), (None, true)]);
}

proptest! {
    #[test]
    fn any_text_is_a_solver_that_prints_as_itself_or_an_error(text in "(dopri5)?(:?[0-9e.+-]{0,6}){0,3}|\\PC{0,12}") {
        if let Ok(solver) = text.parse::<Solver>() {
            prop_assert_eq!(solver.to_string().parse(), Ok(solver));
        }
    }

    #[test]
    fn any_tolerance_survives_its_text(rtol in 1e-6f64..=1.0, atol in 1e-12f64..=1.0) {
        let solver = Solver::DormandPrince { rtol, atol };
        prop_assert_eq!(solver.to_string().parse(), Ok(solver));
    }
}
