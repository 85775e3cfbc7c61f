//! Flat arrays back to a graph.
#![allow(unsafe_code)]

use kinograph_graph::{Attr, Graph, GraphBuilder, OpError, TensorDesc, ValueId, ops};
use kinograph_plugin_abi::*;

use crate::codes::{Failure, dtype_of};
use crate::guard::{borrow, list, text};
use crate::weights::HostWeights;

impl From<OpError> for Failure {
    fn from(error: OpError) -> Self {
        Failure::invalid(error.to_string())
    }
}

/// The graph that the host lends, built and checked anew, and its weights, which may be without data.
///
/// # Safety
/// `graph` is as the interface says: every pointer in it is valid during the call, and the data of weights as long as the weights.
pub(crate) unsafe fn read(graph: *const KinographPluginGraph) -> Result<(Graph, HostWeights), Failure> {
    // SAFETY: the caller's, here and in what follows.
    unsafe {
        let flat = borrow(graph)?;
        let mut reader = Reader {
            builder: GraphBuilder::new(text(flat.name)?),
            flat: list(flat.values, flat.value_count as usize)?,
            ids: vec![None; flat.value_count as usize],
            weights: HostWeights::default(),
        };
        for &at in list(flat.inputs, flat.input_count as usize)? {
            let value = reader.value(at)?;
            reader.ids[at as usize] = Some(reader.builder.input(text(value.name)?, desc(value)?)?);
        }
        for &weight in list(flat.weights, flat.weight_count as usize)? {
            reader.weight(borrow(weight)?)?;
        }
        for &node in list(flat.nodes, flat.node_count as usize)? {
            reader.node(borrow(node)?)?;
        }
        let outputs = list(flat.outputs, flat.output_count as usize)?
            .iter()
            .map(|&output| {
                let output = borrow(output)?;
                Ok((text(output.name)?, reader.id(output.value)?))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        Ok((reader.builder.finish(outputs)?, reader.weights))
    }
}

struct Reader<'a> {
    builder: GraphBuilder,
    flat: &'a [*const KinographPluginValue],
    ids: Vec<Option<ValueId>>,
    weights: HostWeights,
}

/// # Safety
/// The value is as the interface says.
unsafe fn desc(value: &KinographPluginValue) -> Result<TensorDesc, Failure> {
    // SAFETY: the caller's.
    let shape = unsafe { list(value.shape, value.rank as usize) }?;
    Ok(TensorDesc::new(dtype_of(value.dtype)?, sizes(shape)?))
}

/// Dimensions as this machine counts.
pub(crate) fn sizes(shape: &[u64]) -> Result<Vec<usize>, Failure> {
    let sizes = shape.iter().map(|&d| usize::try_from(d).ok()).collect::<Option<Vec<_>>>();
    sizes.ok_or_else(|| Failure::invalid("a dimension is beyond what this machine counts"))
}

impl<'a> Reader<'a> {
    /// # Safety
    /// As [`read`].
    unsafe fn value(&self, at: u32) -> Result<&'a KinographPluginValue, Failure> {
        let value =
            self.flat.get(at as usize).ok_or_else(|| Failure::invalid("there is no value at a position"))?;
        // SAFETY: the caller's.
        unsafe { borrow(*value) }
    }

    fn id(&self, at: u32) -> Result<ValueId, Failure> {
        let id = self.ids.get(at as usize).copied().flatten();
        id.ok_or_else(|| Failure::invalid("a value is read before it is made"))
    }

    /// # Safety
    /// As [`read`].
    unsafe fn weight(&mut self, weight: &KinographPluginWeight) -> Result<(), Failure> {
        // SAFETY: the caller's.
        unsafe {
            let value = self.value(weight.value)?;
            let (name, desc) = (text(value.name)?, desc(value)?);
            if weight.dtype != KINOGRAPH_PLUGIN_DTYPE_NONE {
                let bytes = if weight.data.is_null() { 0 } else { weight.bytes as usize };
                let (dtype, data) = (dtype_of(weight.dtype)?, weight.data.cast::<u8>());
                self.weights.insert(name, dtype, desc.shape.clone(), data, bytes);
            }
            self.ids[weight.value as usize] = Some(self.builder.weight(name, desc)?);
        }
        Ok(())
    }

    /// # Safety
    /// As [`read`].
    unsafe fn node(&mut self, node: &KinographPluginNode) -> Result<(), Failure> {
        // SAFETY: the caller's.
        unsafe {
            let (op, name) = (text(node.op)?, text(node.name)?);
            let unknown = || {
                Failure::new(KINOGRAPH_PLUGIN_UNSUPPORTED, format!("this plugin does not know the op `{op}`"))
            };
            let op = ops::find(op).ok_or_else(unknown)?;
            let inputs = list(node.inputs, node.input_count as usize)?
                .iter()
                .map(|&at| if at == KINOGRAPH_PLUGIN_NO_VALUE { Ok(None) } else { self.id(at).map(Some) })
                .collect::<Result<Vec<_>, _>>()?;
            let attrs = list(node.attrs, node.attr_count as usize)?
                .iter()
                .map(|&attr| attribute(borrow(attr)?))
                .collect::<Result<Vec<_>, _>>()?;
            // A node of a newer host may have an attribute that this plugin's table lacks.
            let refused = |e: OpError| Failure::new(KINOGRAPH_PLUGIN_UNSUPPORTED, e.to_string());
            let made = self.builder.node(op, &inputs, attrs, name).map_err(refused)?;
            let outputs = list(node.outputs, node.output_count as usize)?;
            if made.len() != outputs.len() {
                return Err(Failure::invalid(format!("`{name}` has {} outputs", made.len())));
            }
            for (&at, id) in outputs.iter().zip(made) {
                let due = desc(self.value(at)?)?;
                if *self.builder.desc(id) != due {
                    return Err(Failure::invalid(format!(
                        "`{name}` makes {}, due is {due}",
                        self.builder.desc(id)
                    )));
                }
                self.ids[at as usize] = Some(id);
            }
        }
        Ok(())
    }
}

/// # Safety
/// The attribute is as the interface says.
unsafe fn attribute(attr: &KinographPluginAttr) -> Result<(String, Attr), Failure> {
    // SAFETY: the caller's.
    unsafe {
        let value = match attr.kind {
            KINOGRAPH_PLUGIN_ATTR_INT => Attr::Int(attr.integer),
            KINOGRAPH_PLUGIN_ATTR_FLOAT => Attr::Float(attr.real),
            KINOGRAPH_PLUGIN_ATTR_BOOL => Attr::Bool(attr.integer != 0),
            KINOGRAPH_PLUGIN_ATTR_TEXT => Attr::Str(text(attr.text)?.to_owned()),
            KINOGRAPH_PLUGIN_ATTR_INTS => Attr::Ints(list(attr.integers, attr.count)?.to_vec()),
            KINOGRAPH_PLUGIN_ATTR_FLOATS => Attr::Floats(list(attr.reals, attr.count)?.to_vec()),
            kind => return Err(Failure::invalid(format!("{kind} is no kind of attribute"))),
        };
        Ok((text(attr.name)?.to_owned(), value))
    }
}
