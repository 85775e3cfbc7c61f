//! Rules of the ops of reproducible numerics that sum: operands become whole numbers first, those of weights when they are uploaded.

use kinograph_backend::Refusal;
use kinograph_backend::attributes::size;
use kinograph_graph::exact::{self, CHUNK, Slices};
use kinograph_graph::{DType, Node, OpError, ValueId};

use super::attention::{self, Heads, score_scale};
use super::builder::{Builder, LowerError, Lowered, Step, input};
use super::conv::{self, Operands};
use super::products::{Units, matrix, products, rows_by_weight, word};
use super::reduce;
use super::weight::WholeWeight;
use crate::layout::{View, three_axes};
use crate::shader::{self, Multiply, Shader, constant};

/// The most elements of a row whose largest magnitude one invocation finds.
const PART: usize = 4096;

fn slices(node: &Node) -> Result<Slices, OpError> {
    Slices::from_count(node.attrs.int("slices")?).ok_or_else(|| OpError::invalid("there are 1 or 2 slices"))
}

/// How whole numbers lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// As `f32`.
    Floats,
    /// Two a word.
    Pairs,
    /// In slices of eight bits: the upper ones of eight numbers, then their lower ones.
    Slices,
    /// In slices as `f16`: the upper ones of all rows, then their lower ones.
    Halves,
}

/// The rows that are read beyond the last one of [`Form::Halves`], whatever they hold: what two squares of them are too long.
pub(crate) const BEYOND: usize = 31;

impl Form {
    /// What rows are padded to with zeros.
    pub(crate) fn step(self) -> usize {
        if self == Form::Halves { 16 } else { 8 }
    }

    /// The words that rows of that width take, without their units.
    pub(crate) fn words(self, slices: Slices, rows: usize, width: usize) -> usize {
        match self {
            Form::Floats => rows * width,
            Form::Pairs | Form::Slices => rows * width / 2,
            Form::Halves => (rows + BEYOND) * width / 2 * slices.count() as usize,
        }
    }
}

/// The forms of both operands of a product.
fn forms(b: &Builder<'_>) -> [Form; 2] {
    match b.traits.variant.multiply {
        Multiply::Floats => [Form::Floats, Form::Pairs],
        Multiply::Dots => [Form::Slices; 2],
        Multiply::Matrices(_) => [Form::Halves; 2],
    }
}

/// What rows were made of, and how: the key of [`Builder::whole`].
pub(super) type WholeKey = (View, Slices, Form);

/// Rows as whole numbers, dense, each padded to a multiple of eight or sixteen, and in which word their units begin.
#[derive(Clone)]
pub(super) struct Rows {
    view: View,
    units: usize,
}

/// The rows of a tensor along its last axis.
struct Source<'v> {
    view: &'v View,
    lead: [usize; 3],
    strides: [isize; 3],
    length: usize,
}

impl<'v> Source<'v> {
    fn of(view: &'v View) -> Result<Self, LowerError> {
        let last = view.shape.len() - 1;
        let axes = three_axes(&view.shape[..last], [view.strides[..last].to_vec()]);
        let (lead, [strides]) = axes.ok_or(Refusal::Rank(view.shape.len()))?;
        Ok(Self { view, lead, strides, length: view.shape[last] })
    }

    fn rows(&self) -> usize {
        self.lead.iter().product()
    }

    /// What the parameters of both kernels end in, from the sixth on; the strides are a vector, which is aligned to 16 bytes.
    fn place(&self) -> [u32; 11] {
        let [_, lead1, lead2] = self.lead.map(|n| n as u32);
        let inner = self.view.strides.last().copied().unwrap_or(1);
        let [s0, s1, s2] = self.strides.map(word);
        [self.view.start as u32, word(inner), lead1, lead2, 0, 0, 0, s0, s1, s2, 0]
    }
}

fn add(
    b: &mut Builder<'_>,
    node: &Node,
    shader: Shader,
    reads: Vec<usize>,
    out: &View,
    params: Vec<u32>,
) -> Lowered {
    let count = params[1] as usize;
    let cost = reads.iter().chain([&out.root]).map(|&root| b.storages[root].bytes).sum();
    let grid = b.grid(count.div_ceil(64))?;
    b.steps.push(Step { node: node.name.clone(), shader, reads, writes: vec![out.root], params, grid, cost });
    Ok(())
}

/// The largest magnitude of each row.
fn highest(b: &mut Builder<'_>, node: &Node, source: &Source<'_>) -> Result<View, LowerError> {
    let parts = source.length.div_ceil(PART);
    let count = source.rows() * parts;
    let out = b.temporary(DType::F32, false, &[source.rows(), parts])?;
    let mut params = vec![0, count as u32, source.length as u32, parts as u32, PART as u32];
    params.extend(source.place());
    let shader = shader::HIGHEST.with(&[], b.traits.variant);
    add(b, node, shader, vec![source.view.root], &out, params)?;
    if parts == 1 { Ok(out) } else { highest(b, node, &Source::of(&out)?) }
}

/// The rows of a tensor along its last axis as whole numbers: made once for all that read them.
fn rows(
    b: &mut Builder<'_>,
    node: &Node,
    view: &View,
    slices: Slices,
    form: Form,
) -> Result<Rows, LowerError> {
    let key = (view.clone(), slices, form);
    if let Some((_, known)) = b.whole.iter().find(|(own, _)| *own == key) {
        return Ok(known.clone());
    }
    let source = Source::of(view)?;
    let highest = highest(b, node, &source)?;
    let width = source.length.next_multiple_of(form.step());
    let numbers = source.rows() * width;
    let units = form.words(slices, source.rows(), width);
    let out = b.temporary(DType::F32, false, &[(units + source.rows()).next_multiple_of(4)])?;
    let mut params = vec![0, (numbers / 8) as u32, source.length as u32, width as u32, units as u32];
    params.extend(source.place());
    let mut declarations = shader::whole(slices);
    declarations.push(constant("FORM", format!("{}u", form as u32)));
    let shader = shader::WHOLE.with(&declarations, b.traits.variant);
    add(b, node, shader, vec![view.root, highest.root], &out, params)?;
    let mut shape = view.shape.clone();
    shape.pop();
    shape.push(width);
    let made = Rows { view: View::dense(out.root, DType::F32, &shape), units };
    b.whole.push((key, made.clone()));
    Ok(made)
}

pub(super) fn linear(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let out = b.view(node.outputs[0])?;
    let (x, weight, slices) = (b.view(input(node, 0)?)?, input(node, 1)?, slices(node)?);
    if out.elements() == 0 {
        return Ok(());
    }
    let &[columns, inner] = &b.desc(weight).shape[..] else { return Err(Refusal::Op.into()) };
    if inner == 0 {
        return Err(Refusal::Op.into());
    }
    let x = matrix(b, node, x)?;
    let a = rows(b, node, &x, slices, forms(b)[0])?;
    let bias = node.input(2).map(|id| b.dense(node, id)).transpose()?;
    for (part, first) in weight_rows(b, node, weight, slices)? {
        let units = Units { slices, a: a.units, b: part.units };
        rows_by_weight(b, node, &a.view, part.view, (first, columns), Some(units), bias.as_ref(), &out)?;
    }
    Ok(())
}

/// The rows of a matrix that is most often a weight, in as many parts as its bindings need, with the first row of each.
fn weight_rows(
    b: &mut Builder<'_>,
    node: &Node,
    id: ValueId,
    slices: Slices,
) -> Result<Vec<(Rows, usize)>, LowerError> {
    if !b.is_packed(id)? {
        let view = b.view(id)?;
        return Ok(vec![(rows(b, node, &view, slices, forms(b)[1])?, 0)]);
    }
    let form = forms(b)[1];
    let channels = b.desc(id).shape[1];
    let width = channels.next_multiple_of(form.step());
    let lay = WholeWeight { slices, channels, taps: 1, chunk: width, form };
    let parts = b.whole_weight(id, lay)?.into_iter();
    Ok(parts
        .map(|(root, first, count)| {
            let view = View::dense(root, DType::F32, &[count, width]);
            (Rows { view, units: lay.units(count) }, first)
        })
        .collect())
}

pub(super) fn mat_mul(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let out = b.view(node.outputs[0])?;
    let (x, w, slices) = (b.view(input(node, 0)?)?, b.view(input(node, 1)?)?, slices(node)?);
    if out.elements() == 0 {
        return Ok(());
    }
    if x.shape.last() == Some(&0) {
        return Err(Refusal::Op.into());
    }
    let turned = |view: &View| {
        let mut perm: Vec<usize> = (0..view.shape.len()).collect();
        perm.swap(view.shape.len() - 1, view.shape.len() - 2);
        view.transposed(&perm)
    };
    let [of_a, of_b] = forms(b);
    let a = rows(b, node, &x, slices, of_a)?;
    let columns = rows(b, node, &turned(&w), slices, of_b)?;
    let units = Units { slices, a: a.units, b: columns.units };
    products(b, node, a.view, turned(&columns.view), Some(units), &out)
}

pub(super) fn conv(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (x_id, w_id, slices) = (input(node, 0)?, input(node, 1)?, slices(node)?);
    let (x_desc, w_desc, out) = (b.desc(x_id), b.desc(w_id), b.view(node.outputs[0])?);
    if out.elements() == 0 {
        return Ok(());
    }
    // What is rare is written in other ops.
    if x_desc.elements() == 0 || w_desc.elements() == 0 || !b.is_packed(w_id)? {
        return Err(Refusal::Op.into());
    }
    let taps = w_desc.shape[2..].iter().product::<usize>();
    let chunk = (CHUNK / taps).max(1);
    let groups = size(node.attrs.int("group")?)?.max(1);
    let image = x_desc.elements() / (x_desc.shape[0] * groups);
    let x = b.dense(node, x_id)?;
    let by_group =
        View { shape: vec![x_desc.shape[0] * groups, image], strides: vec![image as isize, 1], ..x };
    let x = rows(b, node, &by_group, slices, Form::Floats)?;
    let lay = WholeWeight { slices, channels: w_desc.shape[1], taps, chunk, form: Form::Pairs };
    for (root, first, count) in b.whole_weight(w_id, lay)? {
        let mut declarations = shader::whole(slices);
        declarations.extend([shader::EIGHT_WHOLE.into(), constant("CHANNELS", format!("{chunk}u"))]);
        let weight = View::dense(root, DType::F32, &[count]);
        let whole = [image.next_multiple_of(8), x.units, lay.width(), lay.units(count)];
        let kernel = shader::CONV_EXACT;
        conv::convolution(
            b,
            node,
            Operands { kernel, declarations, x: &x.view, weight: &weight, first, whole },
        )?;
    }
    Ok(())
}

pub(super) fn attend(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let slices = slices(node)?;
    let Some(heads) = Heads::of(b, node)? else { return Ok(()) };
    if heads.k.shape[2] == 0 || heads.q.shape[3] == 0 {
        return Err(Refusal::Op.into());
    }
    let q = rows(b, node, &heads.q, slices, Form::Floats)?;
    let k = rows(b, node, &heads.k, slices, Form::Floats)?;
    let v = rows(b, node, &heads.v.transposed(&[0, 1, 3, 2]), slices, Form::Floats)?;
    let width = heads.k.shape[2].next_multiple_of(8);
    let places = [q.units, k.units, v.units, width].map(|n| n as u32).to_vec();
    let scale = exact::flush(score_scale(node, heads.q.shape[3])?);
    let roots = [q.view.root, k.view.root, v.view.root];
    let kernel = (shader::ATTENTION_EXACT, shader::whole(slices));
    heads.step(b, node, kernel, roots, attention::Operands { scale, places })
}

pub(super) fn rms_norm(b: &mut Builder<'_>, node: &Node) -> Lowered {
    reduce::norm(b, node, false, Some(slices(node)?))
}

pub(super) fn layer_norm(b: &mut Builder<'_>, node: &Node) -> Lowered {
    reduce::norm(b, node, true, Some(slices(node)?))
}
