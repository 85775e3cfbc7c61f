//! Shapes and strides: broadcasting, merging of dimensions, walking.

/// The strides, in elements, of a dense row-major tensor.
pub(crate) fn dense_strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![0; shape.len()];
    let mut stride = 1;
    for (axis, &d) in shape.iter().enumerate().rev() {
        strides[axis] = stride;
        stride *= d.max(1) as isize;
    }
    strides
}

/// The strides by which a dense tensor of `shape` is read at the indices of `out`, to which it
/// broadcasts: 0 along the axes that it lacks or has only one element of.
pub(crate) fn broadcast_strides(shape: &[usize], out: &[usize]) -> Vec<isize> {
    let lead = out.len() - shape.len();
    let dense = dense_strides(shape);
    (0..out.len())
        .map(|axis| match axis.checked_sub(lead) {
            Some(own) if shape[own] != 1 => dense[own],
            _ => 0,
        })
        .collect()
}

/// A walk over the indices of a shape with several operands, each at its strides, with as few
/// dimensions as the strides allow: neighbours that every operand crosses evenly are merged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Walk {
    /// The merged dimensions, outermost first; never empty.
    pub(crate) dims: Vec<usize>,
    /// For each operand, its stride along each merged dimension.
    pub(crate) strides: Vec<Vec<isize>>,
}

impl Walk {
    pub(crate) fn new(shape: &[usize], operands: &[Vec<isize>]) -> Self {
        let mut dims: Vec<usize> = Vec::new();
        let mut strides: Vec<Vec<isize>> = vec![Vec::new(); operands.len()];
        for (axis, &d) in shape.iter().enumerate().filter(|(_, d)| **d != 1) {
            let even = |(merged, own): (&Vec<isize>, &Vec<isize>)| {
                merged.last().is_some_and(|&outer| outer == own[axis] * d as isize)
            };
            let merge = !dims.is_empty() && strides.iter().zip(operands).all(even);
            match dims.last_mut() {
                Some(last) if merge => *last *= d,
                _ => dims.push(d),
            }
            for (merged, own) in strides.iter_mut().zip(operands) {
                match merged.last_mut() {
                    Some(last) if merge => *last = own[axis],
                    _ => merged.push(own[axis]),
                }
            }
        }
        if dims.is_empty() {
            dims.push(1);
            strides.iter_mut().for_each(|s| s.push(1));
        }
        Self { dims, strides }
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// The innermost dimension.
    pub(crate) fn inner(&self) -> usize {
        self.dims[self.dims.len() - 1]
    }

    /// The stride of an operand along the innermost dimension.
    pub(crate) fn inner_stride(&self, operand: usize) -> isize {
        self.strides[operand][self.dims.len() - 1]
    }

    /// The offset of an operand at a flat position.
    pub(crate) fn offset(&self, operand: usize, mut flat: usize) -> isize {
        let mut offset = 0;
        for (d, s) in self.dims.iter().zip(&self.strides[operand]).rev() {
            offset += (flat % d) as isize * s;
            flat /= d;
        }
        offset
    }

    /// Calls `f(position, operand offset, length)` for each stretch of an operand within one innermost row that
    /// lies in so many flat positions from a start on; positions count from that start.
    pub(crate) fn stretches(
        &self,
        operand: usize,
        start: usize,
        len: usize,
        mut f: impl FnMut(usize, isize, usize),
    ) {
        let inner = self.inner();
        let mut done = 0;
        while done < len {
            let at = start + done;
            let run = (inner - at % inner).min(len - done);
            f(done, self.offset(operand, at), run);
            done += run;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_strides() {
        assert_eq!(broadcast_strides(&[3, 1], &[2, 3, 4]), [0, 1, 0]);
        assert_eq!(broadcast_strides(&[], &[2]), [0]);
    }

    #[test]
    fn dimensions_merge_where_all_operands_allow() {
        let out = [2, 3, 4, 5];
        let all = Walk::new(&out, &[dense_strides(&out), broadcast_strides(&[], &out)]);
        assert_eq!(all.dims, [120]);
        let channel = Walk::new(&out, &[dense_strides(&out), broadcast_strides(&[3, 1, 1], &out)]);
        assert_eq!(channel.dims, [2, 3, 20]);
        assert_eq!(channel.strides[1], [0, 1, 0]);
        assert_eq!(Walk::new(&[1, 1], &[vec![7, 7]]).dims, [1]);
    }

    #[test]
    fn stretches_cover_a_range() {
        let walk = Walk::new(&[2, 3], &[vec![1, 2]]);
        let mut seen = Vec::new();
        walk.stretches(0, 1, 4, |at, offset, len| seen.push((at, offset, len)));
        assert_eq!(seen, [(0, 2, 2), (2, 1, 2)]);
    }
}
