//! Inference of one node: arity, types, the op's own rule, limits.

use crate::{Args, Attrs, Limits, OpDef, OpError, TensorDesc};

/// Checks the inputs of a node against the op's row and infers its outputs.
pub(crate) fn infer(
    op: &'static OpDef,
    inputs: &[Option<&TensorDesc>],
    attrs: &Attrs,
    limits: &Limits,
) -> Result<Vec<TensorDesc>, OpError> {
    check_inputs(op, inputs)?;
    let outputs = (op.infer)(&Args { op, inputs, attrs })?;
    outputs.iter().try_for_each(|desc| limits.check(desc))?;
    Ok(outputs)
}

fn check_inputs(op: &'static OpDef, inputs: &[Option<&TensorDesc>]) -> Result<(), OpError> {
    let variadic = op.inputs.last().is_some_and(|s| s.variadic);
    if inputs.len() > op.inputs.len() && !variadic {
        return Err(OpError::TooManyInputs { given: inputs.len(), most: op.inputs.len() });
    }
    for index in 0..inputs.len().max(op.inputs.len()) {
        let Some(spec) = op.inputs.get(index).or(op.inputs.last()) else { break };
        match inputs.get(index).copied().flatten() {
            Some(desc) if !spec.types.contains(desc.dtype) => {
                return Err(OpError::InputType {
                    name: spec.name,
                    index,
                    found: desc.dtype,
                    expected: spec.types.name(),
                });
            }
            None if spec.required => return Err(OpError::MissingInput { name: spec.name, index }),
            _ => {}
        }
    }
    Ok(())
}
