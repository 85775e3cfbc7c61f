//! What a job will need, before it runs.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

use kinograph::{Plan, StagePlan};

use crate::callbacks::KinographStage;
use crate::failure::{Failure, KinographError, c_text, free, guard};
use crate::model::KinographModel;
use crate::pointers::{Versioned, fill, give, given, slot};
use crate::request::KinographRequest;
use crate::status::KinographStatus;

/// What a job will need. Several threads may read it at once.
#[derive(Debug)]
pub struct KinographPlan {
    plan: Plan,
    components: Vec<CString>,
}

/// What a job will need. Memory is in bytes and counts what grows with model and job, not the program around it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPlanInfo {
    /// The size of this struct.
    pub struct_size: usize,
    /// Frames of the video.
    pub frames: usize,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Channels, frames, rows and columns of the latent.
    pub latent: [usize; 4],
    /// The most memory that the job needs at a time.
    pub peak: u64,
    /// Bytes of all weights as they are stored.
    pub weight_bytes: u64,
    /// Numbers in all weights.
    pub parameters: u64,
    /// Floating-point operations; negative when that is not known, as with an adaptive solver.
    pub flops: f64,
    /// Tiles in rows and columns that the frames are decoded in, in latent positions; 0: whole frames.
    pub spatial_size: usize,
    /// 1 when a stage's memory is given back before the next begins.
    pub release: u32,
    /// 1 when prompt and negative prompt run one after the other.
    pub split_guidance: u32,
    /// 1 when what depends on the text alone is computed in every step and not kept.
    pub recompute_text: u32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: `repr(C)`, the size first, and plain numbers.
unsafe impl Versioned for KinographPlanInfo {}

/// What one component of a job does and needs.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographStagePlan {
    /// The size of this struct.
    pub struct_size: usize,
    /// The component; lives as long as the plan.
    pub component: *const c_char,
    /// Numbers in its weights.
    pub parameters: u64,
    /// Bytes of its weights as they are stored.
    pub weight_bytes: u64,
    /// Floating-point operations of one forward: one text, one state, or the largest tile.
    pub flops: u64,
    /// Forwards in all; 0 when that is not known, as with an adaptive solver.
    pub forwards: u64,
    /// Bytes of one run on the device at its peak.
    pub run: u64,
    /// Bytes of weights that the device reads in place.
    pub weights_in_place: u64,
    /// Bytes of weights that the device keeps as its own copy.
    pub weights_copied: u64,
    /// Bytes of tensors of the host beside the run.
    pub host: u64,
    /// The longest sequence that attends to itself; 0 when none does.
    pub tokens: usize,
    /// Tiles of the whole stage, in time times in space.
    pub tiles: usize,
    /// A `KinographStage`.
    pub stage: i32,
    /// Zero.
    pub reserved: i32,
    /// Floating-point operations before the first forward, once for the whole job: what depends on the texts alone.
    pub flops_once: u64,
}

// SAFETY: `repr(C)`, the size first, and zeros are a null text and plain numbers.
unsafe impl Versioned for KinographStagePlan {}

/// Says what a request would need on a model, without running it.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_model_plan(
    model: Option<&KinographModel>,
    request: Option<&KinographRequest>,
    plan: Option<&mut MaybeUninit<*mut KinographPlan>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(plan, "plan")?;
        let (model, request) = (given(model, "model")?, given(request, "request")?);
        let plan = model.model.plan(&request.request)?;
        let components = plan.stages.iter().map(|stage| c_text(stage.component.as_str())).collect();
        give(slot, KinographPlan { plan, components });
        Ok(())
    })
}

/// Says what the whole job needs; set `info->struct_size` first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_plan_info(
    plan: Option<&KinographPlan>,
    info: *mut KinographPlanInfo,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let plan = &given(plan, "plan")?.plan;
        // SAFETY: a struct of the caller, or null.
        unsafe { fill(info, info_of(plan), "info") }
    })
}

fn info_of(plan: &Plan) -> KinographPlanInfo {
    let (frames, width, height) = plan.video;
    KinographPlanInfo {
        struct_size: 0,
        frames,
        width,
        height,
        latent: plan.latent,
        peak: plan.peak,
        weight_bytes: plan.weight_bytes(),
        parameters: plan.parameters(),
        flops: plan.flops().unwrap_or(-1.0),
        spatial_size: plan.tactics.spatial.map_or(0, |tiles| tiles.size()),
        release: u32::from(plan.tactics.release),
        split_guidance: u32::from(plan.tactics.split_guidance),
        recompute_text: u32::from(plan.tactics.recompute_text),
        reserved: 0,
    }
}

/// How many components the job runs, in their order; 0 of null.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_plan_stage_count(plan: Option<&KinographPlan>) -> usize {
    plan.map_or(0, |plan| plan.components.len())
}

/// Says what one component needs; set `stage->struct_size` first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_plan_stage(
    plan: Option<&KinographPlan>,
    index: usize,
    stage: *mut KinographStagePlan,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let plan = given(plan, "plan")?;
        let found = plan.plan.stages.get(index).zip(plan.components.get(index));
        let missing =
            || Failure::argument(format!("there are {} stages, none at {index}", plan.components.len()));
        let (of, component) = found.ok_or_else(missing)?;
        // SAFETY: a struct of the caller, or null.
        unsafe { fill(stage, stage_of(of, component), "stage") }
    })
}

fn stage_of(stage: &StagePlan, component: &CString) -> KinographStagePlan {
    KinographStagePlan {
        struct_size: 0,
        component: component.as_ptr(),
        parameters: stage.parameters,
        weight_bytes: stage.weight_bytes,
        flops: stage.flops,
        forwards: stage.forwards.unwrap_or(0),
        run: stage.memory.run,
        weights_in_place: stage.memory.weights_in_place,
        weights_copied: stage.memory.weights_copied,
        host: stage.host,
        tokens: stage.tokens.unwrap_or(0),
        tiles: stage.tiles,
        stage: KinographStage::of(stage.stage) as i32,
        reserved: 0,
        flops_once: stage.flops_once,
    }
}

/// Frees a plan; null is fine.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_plan_free(plan: Option<Box<KinographPlan>>) {
    free(plan);
}
