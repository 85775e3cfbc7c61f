//! The small backbone followed by every solver, with guidance: the state after each step against the same steps of the exact
//! evaluation, as far as devices at the bounds of their ops may stray.

use kinograph::guidance::Guidance;
use kinograph::sampler::Solver;
use kinograph::schedule::Schedule;
use kinograph_backend::{Control, Device, Executable, HostTensor};
use kinograph_graph::{DType, Tensor, TensorDesc};

use super::score::Stopped;
use super::{Ended, HeatMap, Score, Subject, tiny};
use crate::oracle::{self, Mode};
use crate::problem::{Problem, Spread};

/// States after each step.
type Path = Vec<Vec<f32>>;

/// Prompt and negative prompt run as one batch, as the runtime runs them.
const BATCH: usize = 2;

struct Plan {
    problem: Problem,
    solver: Solver,
    times: Vec<f64>,
    guidance: Guidance,
    noise: Vec<f32>,
}

pub(super) fn run(
    subject: &Subject,
    solver: &str,
    schedule: &str,
    steps: usize,
    guidance: &str,
    seed: u64,
) -> Ended {
    let words = |e: &dyn std::fmt::Display| e.to_string();
    let schedule: Schedule = schedule.parse().map_err(|e| words(&e))?;
    let problem = tiny::problem("backbone", &[("B", BATCH)], seed)?;
    let length = problem.inputs[0].data().len() / BATCH;
    let mut noise = vec![0.0; length];
    subject.host.noise(&mut noise, seed.wrapping_add(11), 0, 0);
    let plan = Plan {
        solver: solver.parse().map_err(|e| words(&e))?,
        times: subject.host.times(&schedule, steps)?,
        guidance: guidance.parse().map_err(|e| words(&e))?,
        problem,
        noise,
    };
    let executable = plan.problem.compile(&*subject.device)?;
    let (mut seconds, mut runs) = (0.0, 0);
    let found = plan.follow(subject, |inputs| {
        runs += 1;
        let begin = std::time::Instant::now();
        let made = on_device(&*subject.device, &*executable, inputs);
        seconds += begin.elapsed().as_secs_f64();
        made
    })?;
    // What is exact is the same for every device, and so is the runtime's arithmetic there.
    let own = Subject::new(subject.device.clone());
    let exact = plan.follow(&own, |inputs| plan.oracle(Mode::Exact, inputs))?;
    let moved = [1, 2].map(|coin| plan.follow(&own, |inputs| plan.oracle(Mode::AtBounds(coin), inputs)));
    let flops = plan.problem.graph().flops().saturating_mul(runs);
    let mut score = Score { seconds, flops, ..Score::default() };
    let mut shares = Vec::new();
    for moved in moved {
        let moved = moved?;
        shares = plan.compare(&exact, &found, &moved, shares)?;
    }
    plan.judge(&mut score, &exact, &found, &shares);
    Ok(score)
}

fn on_device(
    device: &dyn Device,
    executable: &dyn Executable,
    inputs: Vec<HostTensor>,
) -> Result<Vec<f32>, String> {
    let words = |e: &dyn std::fmt::Display| e.to_string();
    let buffers =
        inputs.into_iter().map(|t| device.upload(t)).collect::<Result<Vec<_>, _>>().map_err(|e| words(&e))?;
    let made = executable.run(&buffers, &Control::new()).map_err(|e| words(&e))?;
    let made = device.download(&made[0]).map_err(|e| words(&e))?;
    Ok(made.as_f32().unwrap_or_default().to_vec())
}

impl Plan {
    /// The states after each step, where `backbone` gives the velocities of both halves of the batch.
    fn follow(
        &self,
        subject: &Subject,
        mut backbone: impl FnMut(Vec<HostTensor>) -> Result<Vec<f32>, String>,
    ) -> Result<Path, String> {
        let (mut state, mut path) = (self.noise.clone(), Vec::new());
        let [latent, _, text, mask] = &self.problem.inputs[..] else {
            return Err("the backbone has four inputs".into());
        };
        let mut velocity = |x: &[f32], t: f64, out: &mut [f32]| {
            let words = |e: kinograph_graph::OpError| e.to_string();
            let x = HostTensor::f32(latent.desc().shape.clone(), x.repeat(BATCH)).map_err(words)?;
            let time = HostTensor::f32([BATCH], vec![t as f32; BATCH]).map_err(words)?;
            let both = backbone(vec![x, time, text.clone(), mask.clone()])?;
            if both.len() != BATCH * out.len() {
                return Err(format!("the velocity has {} elements", both.len()));
            }
            out.copy_from_slice(&both[..out.len()]);
            let scale = self.guidance.scale_at(t);
            if scale != 1.0 {
                subject.host.guide(out, &both[out.len()..], scale);
            }
            Ok(())
        };
        let mut after = |_: &kinograph::sampler::Step, state: &[f32]| path.push(state.to_vec());
        subject.host.sample(self.solver, &self.times, &mut state, &mut velocity, &mut after)?;
        Ok(path)
    }

    fn oracle(&self, mode: Mode, inputs: Vec<HostTensor>) -> Result<Vec<f32>, String> {
        let graph = self.problem.graph();
        let feed = |name: &str| {
            let input = graph.inputs().iter().position(|&id| graph.value(id).name == name);
            Ok(match input {
                Some(i) => inputs[i].to_reference(),
                None => self.problem.feed[name].clone(),
            })
        };
        let values = oracle::evaluate(graph, mode, feed).map_err(|e| e.to_string())?;
        let made = oracle::outputs(graph, &values).map_err(|e| e.to_string())?;
        Ok(made[0].data().iter().map(|&v| v as f32).collect())
    }

    /// The share of each step, the least over the moved paths that were seen.
    fn compare(
        &self,
        exact: &Path,
        found: &Path,
        moved: &Path,
        before: Vec<f64>,
    ) -> Result<Vec<f64>, Stopped> {
        let other = || format!("{} steps were taken, due were {}", found.len(), exact.len());
        if !self.solver.is_adaptive() && found.len() != exact.len() {
            return Err(other().into());
        }
        // An adaptive solver may place its steps otherwise: only the end compares.
        let steps: Vec<usize> =
            if self.solver.is_adaptive() { vec![usize::MAX] } else { (0..exact.len()).collect() };
        let wide = |path: &Path, step: usize| -> Option<Vec<f64>> {
            let state = path.get(step.min(path.len().saturating_sub(1)))?;
            Some(state.iter().map(|&v| f64::from(v)).collect())
        };
        let mut shares = Vec::new();
        for (i, step) in steps.into_iter().enumerate() {
            let states = (wide(exact, step), wide(found, step), wide(moved, step));
            let (Some(exact), Some(found), Some(moved)) = states else {
                return Err(other().into());
            };
            let strayed = Spread::between(&exact, &moved);
            // The state is rounded to f32 in each step, to either side of what was near the middle.
            let (ulp, largest) = (f64::from(f32::EPSILON), exact.iter().fold(0.0f64, |m, x| m.max(x.abs())));
            let steps = (i + 1) as f64;
            let most = Spread {
                relative: strayed.relative + steps * ulp,
                largest: strayed.largest + steps * ulp * largest,
            };
            let share = most.share(Spread::between(&exact, &found));
            shares.push(before.get(i).map_or(share, |b: &f64| b.min(share)));
        }
        Ok(shares)
    }

    fn judge(&self, score: &mut Score, exact: &Path, found: &Path, shares: &[f64]) {
        score.elements = shares.len() * self.noise.len();
        for (step, &share) in shares.iter().enumerate() {
            score.worst = score.worst.max(share);
            score.squares += share * share * self.noise.len() as f64;
            if share > 1.0 && score.first.is_none() {
                let of = shares.len();
                score.first =
                    Some(format!("step {} of {of}: the state is {share:.3} of what may be away", step + 1));
                score.problem = self.problem_at(if step == 0 { &self.noise } else { &found[step - 1] }, step);
            }
        }
        if let (Some(e), Some(f)) = (exact.last(), found.last()) {
            let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            score.largest = Spread::between(&wide(e), &wide(f)).largest;
        }
        score.maps.push(HeatMap {
            title: "Share of the allowed error after each step".into(),
            rows: vec!["share".into()],
            columns: "step".into(),
            values: vec![shares.iter().map(|&s| Some(s)).collect()],
            marks: Vec::new(),
        });
    }

    /// The backbone's graph on the inputs of a step, for looking into it.
    fn problem_at(&self, state: &[f32], step: usize) -> Option<Box<Problem>> {
        let mut problem = self.problem.clone();
        let state: Vec<f64> = state.repeat(BATCH).iter().map(|&v| f64::from(v)).collect();
        let latent = TensorDesc::new(DType::F32, problem.inputs[0].desc().shape.clone());
        problem.set_input(0, Tensor::new(latent, state).ok()?);
        let time = vec![*self.times.get(step)?; BATCH];
        problem.set_input(1, Tensor::new(TensorDesc::new(DType::F32, [BATCH]), time).ok()?);
        Some(Box::new(problem))
    }
}
