//! Devices made of others: another arithmetic, a fallback, devices for single components of models.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::sync::Arc;

use kinograph::{Device, Fallback, Numerics};

use crate::device::KinographDevice;
use crate::failure::{Failure, KinographError, guard};
use crate::pointers::{give, given, slot, text};
use crate::status::KinographStatus;

/// Makes a device that computes with another arithmetic: "native", which is the device as it is; "reproducible" (r16), which
/// gives the same bits on every device; "reproducible-r8", which is faster and less precise. docs/reproducible.md tells more. A
/// test of some milliseconds refuses a device that gives other bits with `KINOGRAPH_STATUS_DEVICE_OPEN`. Add fallbacks and
/// devices of components first: all of them are changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_device_with_numerics(
    device: Option<&KinographDevice>,
    numerics: *const c_char,
    made: Option<&mut MaybeUninit<*mut KinographDevice>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(made, "made")?;
        let device = given(device, "device")?;
        // SAFETY: a text of the caller.
        let numerics: Numerics = unsafe { text(numerics, "numerics") }?.parse().map_err(Failure::argument)?;
        give(slot, device.changed(|one| computing(one, numerics))?);
        Ok(())
    })
}

fn computing(device: &Arc<dyn Device>, numerics: Numerics) -> Result<Arc<dyn Device>, Failure> {
    match numerics_of(&**device) {
        Some(own) if numerics != Numerics::Native => {
            Err(Failure::argument(format!("the numerics of {} are {own} already", device.info().id)))
        }
        _ => Ok(numerics.on(device.clone())?),
    }
}

/// Makes a device that leaves to `fallback` what `device` does not take, which is an error otherwise. Graphs are cut into parts,
/// and tensors move between the two through the host. Both have the same numerics.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_device_with_fallback(
    device: Option<&KinographDevice>,
    fallback: Option<&KinographDevice>,
    made: Option<&mut MaybeUninit<*mut KinographDevice>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(made, "made")?;
        let (device, fallback) = (given(device, "device")?, given(fallback, "fallback")?.single("fallback")?);
        give(slot, device.changed(|one| falling_back(one, fallback))?);
        Ok(())
    })
}

/// A device says which numerics it has; one that were reproducible in parts would say so wrongly.
fn falling_back(device: &Arc<dyn Device>, fallback: &Arc<dyn Device>) -> Result<Arc<dyn Device>, Failure> {
    let [own, other] = [device, fallback].map(|one| numerics_of(&**one).unwrap_or("native"));
    if own != other {
        return Err(Failure::argument(format!(
            "the numerics of {} are {own}, those of its fallback {} are {other}: choose them for the device that has \
             the fallback",
            device.info().id,
            fallback.info().id
        )));
    }
    Ok(Arc::new(Fallback::new(device.clone(), fallback.clone())))
}

/// Makes a device on which one component of a model runs on a device of its own, and all else as before: `component` is "text"
/// for all text encoders, or one by its name, "backbone", "decoder" or "encoder". Loading a model that has no such component
/// fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_device_with_component(
    device: Option<&KinographDevice>,
    component: *const c_char,
    own: Option<&KinographDevice>,
    made: Option<&mut MaybeUninit<*mut KinographDevice>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(made, "made")?;
        let (device, own) = (given(device, "device")?, given(own, "own")?.single("own")?);
        let mut parts = device.parts.clone();
        // SAFETY: a text of the caller.
        parts.insert(unsafe { text(component, "component") }?.to_owned(), own.clone());
        give(slot, KinographDevice::new(device.device.clone(), parts));
        Ok(())
    })
}

impl KinographDevice {
    /// The same with each of its devices changed.
    fn changed(
        &self,
        change: impl Fn(&Arc<dyn Device>) -> Result<Arc<dyn Device>, Failure>,
    ) -> Result<Self, Failure> {
        let parts = self.parts.iter().map(|(name, device)| Ok((name.clone(), change(device)?)));
        let parts = parts.collect::<Result<BTreeMap<_, _>, Failure>>()?;
        Ok(Self::new(change(&self.device)?, parts))
    }

    /// The device, where it is one for all components.
    fn single(&self, name: &str) -> Result<&Arc<dyn Device>, Failure> {
        match self.parts.is_empty() {
            true => Ok(&self.device),
            false => Err(Failure::argument(format!("`{name}` has devices for single components"))),
        }
    }
}

/// The numerics that a device says it has, when they are not its own.
fn numerics_of(device: &dyn Device) -> Option<&str> {
    device.info().fact("numerics")
}
