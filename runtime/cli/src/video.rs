//! The options that decide what a job makes and how: shared by `generate` and `plan`.

use clap::Args;
use kinograph::Request;
use kinograph::guidance::Guidance;
use kinograph::sampler::Solver;
use kinograph::schedule::Schedule;
use kinograph::tiling::Tiles;

use crate::config::Config;

#[derive(Args, Debug)]
pub(crate) struct Video {
    /// Number of frames; 1 makes an image.
    #[arg(long, value_name = "N")]
    pub(crate) frames: Option<usize>,
    /// Size in pixels.
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub(crate) size: Option<(usize, usize)>,
    /// Frames per second, told to the model and written into the file.
    #[arg(long, value_name = "N")]
    pub(crate) fps: Option<u32>,
    /// Steps of the sampler: more are slower and a little better.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,
    /// How a step is taken: euler, midpoint, heun, rk4, unipc (unipc:ORDER), or dopri5 (dopri5:RTOL:ATOL), which chooses its
    /// steps.
    #[arg(long, value_name = "NAME")]
    pub(crate) solver: Option<Solver>,
    /// Spacing of the steps: linear, linear-quadratic (linear-quadratic:N), shifted:S, levels:S:LEAST, or
    /// explicit:0,0.2,...,1.
    #[arg(long, value_name = "NAME")]
    pub(crate) schedule: Option<Schedule>,
    /// How strongly the prompt steers, such as 7.5, or 7.5@0.1-0.8 for only between two times of sampling, which goes
    /// from 0 to 1; 1 is no guidance and halves the time.
    #[arg(long, value_name = "SCALE")]
    pub(crate) guidance: Option<Guidance>,
    /// Pad or cut prompts to so many tokens, instead of what the model's package says.
    #[arg(long, value_name = "N")]
    pub(crate) text_tokens: Option<usize>,
    /// The decoder's tiles in latent frames and how many of them neighbours share, such as 4:2.
    #[arg(long, value_name = "N:M")]
    pub(crate) tiles: Option<Tiles>,
    /// Decode each frame in tiles of so many latent rows and columns, such as 16:4; saves memory.
    #[arg(long, value_name = "N:M")]
    pub(crate) spatial_tiles: Option<Tiles>,
}

impl Video {
    /// These options as a request for a prompt, with the limit of the configuration.
    pub(crate) fn request(&self, prompt: &str, config: &Config) -> Request {
        let mut request = Request::new(prompt);
        if let Some(frames) = self.frames {
            request = request.frames(frames);
        }
        if let Some((width, height)) = self.size {
            request = request.size(width, height);
        }
        if let Some(fps) = self.fps {
            request = request.fps(fps);
        }
        if let Some(steps) = self.steps {
            request = request.steps(steps);
        }
        if let Some(solver) = self.solver {
            request = request.solver(solver);
        }
        if let Some(schedule) = &self.schedule {
            request = request.schedule(schedule.clone());
        }
        if let Some(guidance) = self.guidance {
            request = request.guidance(guidance);
        }
        if let Some(tokens) = self.text_tokens {
            request = request.text_tokens(tokens);
        }
        if let Some(tiles) = self.tiles {
            request = request.tiles(tiles);
        }
        if let Some(tiles) = self.spatial_tiles {
            request = request.spatial_tiles(tiles);
        }
        match config.memory_limit.value {
            Some(limit) => request.memory_limit(limit.0),
            None => request,
        }
    }
}

pub(crate) fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let sizes = text.split_once(['x', 'X']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sizes.ok_or_else(|| "give width and height in pixels, for example 96x64".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("96x64"), Ok((96, 64)));
        for bad in ["96", "x", "96x", "-1x2", "1x2x3", "99999999999999999999x1"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
