//! What the fast convolution reads: a padded copy of its input with three spatial axes.

use kinograph_graph::{Attrs, OpError, Tensor};

/// Sizes of a convolution with three spatial axes; missing ones are in front and have one position.
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) out_channels: usize,
    pub(super) group: usize,
    pub(super) input: [usize; 3],
    pub(super) padded: [usize; 3],
    pub(super) output: [usize; 3],
    pub(super) kernel: [usize; 3],
    pub(super) strides: [usize; 3],
    pub(super) dilations: [usize; 3],
    begins: [usize; 3],
    mode: String,
}

impl Sizes {
    pub(super) fn of(x: &Tensor, w: &Tensor, attrs: &Attrs, output: &[usize]) -> Result<Self, OpError> {
        let axes = x.shape().len() - 2;
        let pads = attrs.opt_ints("pads")?.unwrap_or(&[]);
        let begins = three(pads.get(..axes).unwrap_or(&[]), 0);
        let ends = three(pads.get(axes..).unwrap_or(&[]), 0);
        let input = three_sizes(&x.shape()[2..]);
        Ok(Self {
            batch: x.shape()[0],
            channels: x.shape()[1],
            out_channels: w.shape()[0],
            group: attrs.int("group")? as usize,
            input,
            padded: std::array::from_fn(|a| begins[a] + input[a] + ends[a]),
            output: three_sizes(&output[2..]),
            kernel: three_sizes(&w.shape()[2..]),
            strides: three(attrs.opt_ints("strides")?.unwrap_or(&[]), 1),
            dilations: three(attrs.opt_ints("dilations")?.unwrap_or(&[]), 1),
            begins,
            mode: attrs.str("pad_mode")?.to_owned(),
        })
    }

    /// The position of the input that a padded one shows; `None` for zeros.
    fn source(&self, axis: usize, padded: usize) -> Option<usize> {
        let (at, last) = (padded as i64 - self.begins[axis] as i64, self.input[axis] as i64 - 1);
        let inside = (0..=last).contains(&at);
        let at = match self.mode.as_str() {
            _ if inside => at,
            "edge" => at.clamp(0, last.max(0)),
            "reflect" if at < 0 => -at,
            "reflect" => 2 * last - at,
            _ => return None,
        };
        usize::try_from(at).ok().filter(|_| last >= 0)
    }

    /// One image of the batch, padded: \[channels, planes, rows, columns\].
    pub(super) fn padded(&self, x: &[f64], image: usize) -> Vec<f64> {
        let [d, h, w] = self.padded;
        let [id, ih, iw] = self.input;
        let mut out = vec![0.0; self.channels * d * h * w];
        let columns: Vec<Option<usize>> = (0..w).map(|i| self.source(2, i)).collect();
        for channel in 0..self.channels {
            for plane in 0..d {
                let Some(from_plane) = self.source(0, plane) else { continue };
                for row in 0..h {
                    let Some(from_row) = self.source(1, row) else { continue };
                    let from = (((image * self.channels + channel) * id + from_plane) * ih + from_row) * iw;
                    let to = ((channel * d + plane) * h + row) * w;
                    for (value, column) in out[to..to + w].iter_mut().zip(&columns) {
                        *value = column.map_or(0.0, |c| x[from + c]);
                    }
                }
            }
        }
        out
    }
}

fn three(values: &[i64], missing: usize) -> [usize; 3] {
    let skip = 3 - values.len().min(3);
    std::array::from_fn(|a| if a < skip { missing } else { values[a - skip] as usize })
}

fn three_sizes(values: &[usize]) -> [usize; 3] {
    let skip = 3 - values.len().min(3);
    std::array::from_fn(|a| if a < skip { 1 } else { values[a - skip] })
}
