use super::*;
use crate::schedule::Schedule;

/// Error at t = 1.
type Problem = fn(Solver, &[f64]) -> f64;

/// z' = i w(t) z with w = 4 + 6 t^2, turning by 6 radians: z = exp(i (4 t + 2 t^3)).
fn turning(solver: Solver, times: &[f64]) -> f64 {
    let mut z = [1.0f32, 0.0];
    let velocity = |z: &[f32], t: f64, out: &mut [f32]| -> Result<(), Infallible> {
        let w = 4.0 + 6.0 * t * t;
        out[0] = (-w * f64::from(z[1])) as f32;
        out[1] = (w * f64::from(z[0])) as f32;
        Ok(())
    };
    sample(solver, times, &mut z, None, velocity, go_on).unwrap();
    (f64::from(z[0]) - 6f64.cos()).hypot(f64::from(z[1]) - 6f64.sin())
}

/// x' = a'(t) (1 + x^2) with a = 1.2 (t + t^2 - 1): x = tan(a), from -2.6 to 2.6.
fn tangent(solver: Solver, times: &[f64]) -> f64 {
    let mut x = [(-1.2f64).tan() as f32];
    // The solution through the start as it is in f32.
    let begin = f64::from(x[0]).atan();
    let velocity = |x: &[f32], t: f64, out: &mut [f32]| -> Result<(), Infallible> {
        let x = f64::from(x[0]);
        out[0] = (1.2 * (1.0 + 2.0 * t) * (1.0 + x * x)) as f32;
        Ok(())
    };
    sample(solver, times, &mut x, None, velocity, go_on).unwrap();
    (f64::from(x[0]) - (begin + 2.4).tan()).abs()
}

/// By how many powers of two the error falls when the step is halved.
fn order(problem: Problem, solver: Solver, steps: usize) -> f64 {
    let error = |steps| problem(solver, &Schedule::Linear.times(steps).unwrap());
    (error(steps) / error(2 * steps)).log2()
}

/// Measured on the `f32` solvers themselves. The step counts are large enough for the leading term of the error to rule and
/// small enough for it to stay far above the rounding of `f32`: rk4's smallest error here is some 1e-5.
#[test]
fn each_solver_is_of_its_order() {
    for (solver, want, counts) in [
        (Solver::Euler, 1.0, [800, 1600]),
        (Solver::Midpoint, 2.0, [60, 120]),
        (Solver::Heun, 2.0, [60, 120]),
        (Solver::Rk4, 4.0, [16, 24]),
    ] {
        for (name, problem) in [("turning", turning as Problem), ("tangent", tangent)] {
            for steps in counts {
                let order = order(problem, solver, steps);
                assert!((order - want).abs() < 0.2, "{solver}, {name}, {steps} steps: order {order}");
            }
        }
    }
}
