//! The prompts as the backbone takes them.

use kinograph_backend::{BufferRef, HostData, HostTensor};
use kinograph_graph::OpError;

use super::component::expect;
use super::job::Job;
use super::{Model, TextEncoder};
use crate::Error;
use crate::progress::{Run, Stage};
use crate::tokenize::Tokens;

/// The texts of a job, encoded: all prompts, then all negative prompts when there is guidance.
pub(super) struct Text {
    /// \[texts, tokens, width\]
    features: Vec<f32>,
    /// \[texts, tokens\]
    mask: Vec<u8>,
    pub(super) tokens: usize,
    width: usize,
}

/// What one encoder makes of the texts.
struct Part<'a> {
    name: &'a str,
    /// Tokens of each text, padding included.
    length: usize,
    tokens: Vec<Tokens>,
    features: HostTensor,
}

impl Text {
    /// Features and mask of some of the texts, on the device.
    pub(super) fn upload(
        &self,
        model: &Model,
        texts: std::ops::Range<usize>,
    ) -> Result<[BufferRef; 2], Error> {
        let tensor = |e| Error::tensor("text", e);
        let rows = texts.start * self.tokens..texts.end * self.tokens;
        let features = self.features[rows.start * self.width..rows.end * self.width].to_vec();
        let features = HostTensor::f32([texts.len(), self.tokens, self.width], features).map_err(tensor)?;
        let mask = HostData::Bool(self.mask[rows].to_vec());
        let mask = HostTensor::new([texts.len(), self.tokens], mask).map_err(tensor)?;
        let upload = |tensor| model.backbone.upload(tensor);
        Ok([upload(features)?, upload(mask)?])
    }
}

impl Model {
    /// Runs every text encoder on all texts of the job, as one batch.
    pub(super) fn encode_text(&self, job: &Job, run: &mut Run<'_>) -> Result<Text, Error> {
        let texts = job.texts();
        run.tell(Stage::Text, 0, self.text.len())?;
        let mut parts = Vec::new();
        for (i, encoder) in self.text.iter().enumerate() {
            parts.push(self.encode_with(encoder, job, &texts, run)?);
            run.tell(Stage::Text, i + 1, self.text.len())?;
        }
        let text = concatenate(texts.len(), &parts);
        run.done(Stage::Text);
        text
    }

    fn encode_with<'a>(
        &self,
        encoder: &'a TextEncoder,
        job: &Job,
        texts: &[&str],
        run: &Run<'_>,
    ) -> Result<Part<'a>, Error> {
        let TextEncoder { component, tokenizer } = encoder;
        let name = component.name();
        let length = job.text_tokens.unwrap_or(tokenizer.options().max_length);
        let encoded = texts.iter().map(|text| tokenizer.encode_to(text, length));
        let tokens = encoded.collect::<Result<Vec<Tokens>, _>>();
        let tokens = tokens.map_err(|source| Error::tokenize(name, source))?;
        let (ids, mask) = token_tensors(&tokens, length).map_err(|e| Error::tensor(name, e))?;
        let upload = |tensor| component.upload(tensor);
        let inputs = [upload(ids)?, upload(mask)?];
        let executable = component.prepare(vec![("B", texts.len()), ("L", length)])?;
        let features = component.run(&*executable, &inputs, run.control)?;
        Ok(Part { name, length, tokens, features })
    }
}

/// Ids and masks of a batch of texts, \[batch, length\].
fn token_tensors(tokens: &[Tokens], length: usize) -> Result<(HostTensor, HostTensor), OpError> {
    let ids = tokens.iter().flat_map(|t| t.ids.iter().copied()).collect();
    let mask = tokens.iter().flat_map(|t| t.mask.iter().map(|&m| u8::from(m))).collect();
    let shape = [tokens.len(), length];
    Ok((HostTensor::new(shape, HostData::I64(ids))?, HostTensor::new(shape, HostData::Bool(mask))?))
}

/// Concatenates the encoders' outputs along the sequence.
fn concatenate(texts: usize, parts: &[Part<'_>]) -> Result<Text, Error> {
    let width = parts.first().and_then(|p| p.features.desc().shape.get(2)).copied().unwrap_or(0);
    for part in parts {
        expect(part.name, "gives text of", Some(part.features.desc()), &[texts, part.length, width])?;
    }
    let (mut features, mut mask) = (Vec::new(), Vec::new());
    for t in 0..texts {
        for part in parts {
            let row = part.length * width;
            features.extend_from_slice(&part.features.as_f32().unwrap_or(&[])[t * row..(t + 1) * row]);
            mask.extend(part.tokens[t].mask.iter().map(|&m| u8::from(m)));
        }
    }
    Ok(Text { features, mask, tokens: parts.iter().map(|p| p.length).sum(), width })
}
