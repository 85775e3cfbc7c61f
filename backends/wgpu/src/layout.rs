//! How the elements of a value lie in its storage.

use kinograph_graph::DType;

/// A storage of the plan, by position.
pub(crate) type Root = usize;

/// Elements of a storage, by strides: what slices, transposes and broadcasts are, without a copy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) root: Root,
    /// The type of the elements. Floats are kept as `f32` unless they are halves, narrow integers as `i32`, truth values as `u32` 0 or 1,
    /// and 64-bit integers as two words.
    pub(crate) dtype: DType,
    /// Whether the elements, which are floats, are kept as `f16`, two bytes each.
    pub(crate) half: bool,
    /// The type of a weight that lies as in its file, several elements a word; else nothing.
    pub(crate) packed: Option<DType>,
    /// The position of the first element.
    pub(crate) start: usize,
    pub(crate) shape: Vec<usize>,
    /// The distance between neighbours along each axis, in elements.
    pub(crate) strides: Vec<isize>,
}

impl View {
    /// A whole storage.
    pub(crate) fn dense(root: Root, dtype: DType, shape: &[usize]) -> Self {
        let strides = dense_strides(shape);
        Self { root, dtype, half: false, packed: None, start: 0, shape: shape.to_vec(), strides }
    }

    /// The same, of halves or not.
    pub(crate) fn of_halves(self, half: bool) -> Self {
        Self { half, ..self }
    }

    /// The type in which a kernel that reads words finds the elements, which are floats.
    pub(crate) fn stored(&self) -> DType {
        self.packed.unwrap_or(if self.half { DType::F16 } else { DType::F32 })
    }

    pub(crate) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the elements lie one after the other.
    pub(crate) fn is_dense(&self) -> bool {
        let dense = dense_strides(&self.shape);
        self.elements() == 0
            || (0..self.shape.len()).all(|a| self.shape[a] == 1 || self.strides[a] == dense[a])
    }

    /// The same elements under a shape that broadcasts it, aligned at the last axis.
    pub(crate) fn broadcast(&self, shape: &[usize]) -> Self {
        let missing = shape.len() - self.shape.len();
        let stride = |a: usize| match a.checked_sub(missing) {
            Some(own) if self.shape[own] == shape[a] => self.strides[own],
            _ => 0,
        };
        Self { shape: shape.to_vec(), strides: (0..shape.len()).map(stride).collect(), ..self.clone() }
    }

    /// Another order of the axes.
    pub(crate) fn transposed(&self, perm: &[usize]) -> Self {
        let shape = perm.iter().map(|&a| self.shape[a]).collect();
        let strides = perm.iter().map(|&a| self.strides[a]).collect();
        Self { shape, strides, ..self.clone() }
    }

    /// Another shape over the same elements, if they need no copy for it.
    pub(crate) fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        if self.is_dense() {
            return Some(Self { shape: shape.to_vec(), strides: dense_strides(shape), ..self.clone() });
        }
        split_or_merge(&self.shape, &self.strides, shape).map(|strides| Self {
            shape: shape.to_vec(),
            strides,
            ..self.clone()
        })
    }

    /// The part of an axis from `first` on.
    pub(crate) fn part(&self, axis: usize, first: usize, len: usize) -> Self {
        let mut part = self.clone();
        part.shape[axis] = len;
        if part.elements() > 0 {
            part.start = (part.start as isize + first as isize * part.strides[axis]) as usize;
        }
        part
    }
}

/// Row-major strides.
pub(crate) fn dense_strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for a in (1..shape.len()).rev() {
        strides[a - 1] = strides[a] * shape[a].max(1) as isize;
    }
    strides
}

/// The strides of a new shape over strided elements: groups of axes with equal products are matched, and within one the old
/// axes must lie behind one another.
fn split_or_merge(old: &[usize], strides: &[isize], new: &[usize]) -> Option<Vec<isize>> {
    let own: Vec<usize> = (0..old.len()).filter(|&a| old[a] != 1).collect();
    let mut result = vec![0; new.len()];
    let (mut i, mut j) = (0, 0);
    while i < own.len() || j < new.len() {
        let (first_i, first_j) = (i, j);
        let (mut left, mut right) = (1, 1);
        loop {
            if left == right && i > first_i && j > first_j {
                break;
            }
            if left < right || i == first_i && i < own.len() {
                left *= old[*own.get(i)?];
                i += 1;
            } else if j < new.len() {
                right *= new[j];
                j += 1;
            } else if left == right && i == first_i {
                break;
            } else {
                return None;
            }
        }
        let group = &own[first_i..i];
        if group.windows(2).any(|w| strides[w[0]] != strides[w[1]] * old[w[1]] as isize) {
            return None;
        }
        let mut stride = group.last().map_or(0, |&a| strides[a]);
        for axis in (first_j..j).rev() {
            result[axis] = stride;
            stride *= new[axis] as isize;
        }
    }
    Some(result)
}

/// Axes that a walk goes through together, merged where every operand allows it: the sizes, and the strides of each operand.
pub(crate) fn merged(shape: &[usize], operands: &[Vec<isize>]) -> (Vec<usize>, Vec<Vec<isize>>) {
    let mut sizes: Vec<usize> = Vec::new();
    let mut strides: Vec<Vec<isize>> = vec![Vec::new(); operands.len()];
    for (a, &size) in shape.iter().enumerate() {
        if size == 1 {
            continue;
        }
        let joins = !sizes.is_empty()
            && operands
                .iter()
                .zip(&strides)
                .all(|(own, so_far)| so_far.last() == Some(&(own[a] * size as isize)));
        if joins {
            *sizes.last_mut().unwrap_or(&mut 0) *= size;
        } else {
            sizes.push(size);
        }
        for (own, so_far) in operands.iter().zip(&mut strides) {
            if joins {
                so_far.pop();
            }
            so_far.push(own[a]);
        }
    }
    (sizes, strides)
}

/// The same as three axes, missing ones in front; nothing where it takes more.
pub(crate) fn three_axes<const N: usize>(
    shape: &[usize],
    operands: [Vec<isize>; N],
) -> Option<([usize; 3], [[isize; 3]; N])> {
    let (sizes, strides) = merged(shape, &operands);
    let missing = 3usize.checked_sub(sizes.len())?;
    let own = |i: usize| i.checked_sub(missing);
    Some((
        std::array::from_fn(|i| own(i).map_or(1, |i| sizes[i])),
        std::array::from_fn(|n| std::array::from_fn(|i| own(i).map_or(0, |i| strides[n][i]))),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshapes_keep_strides_where_they_can() {
        let view = View::dense(0, DType::F32, &[2, 6, 4]).part(2, 1, 2);
        let split = view.reshaped(&[2, 3, 2, 2]).unwrap();
        assert_eq!(split.strides, [24, 8, 4, 1]);
        assert_eq!(view.reshaped(&[12, 2]).unwrap().strides, [4, 1]);
        assert_eq!(view.reshaped(&[2, 12]), None);
        assert_eq!(view.reshaped(&[1, 2, 6, 1, 2]).unwrap().strides[1..3], [24, 4]);
        let turned = View::dense(0, DType::F32, &[3, 4]).transposed(&[1, 0]);
        assert_eq!(turned.reshaped(&[12]), None);
        assert_eq!(turned.reshaped(&[2, 2, 3]).unwrap().strides, [2, 1, 4]);
    }

    #[test]
    fn axes_merge_only_where_all_operands_allow() {
        let dense = dense_strides(&[2, 3, 4]);
        assert_eq!(merged(&[2, 3, 4], std::slice::from_ref(&dense)), (vec![24], vec![vec![1]]));
        let row = vec![0, 0, 1];
        assert_eq!(merged(&[2, 3, 4], &[dense, row]), (vec![6, 4], vec![vec![4, 1], vec![0, 1]]));
    }
}
