//! Independent uniform draws: the baseline, and the start-up of other samplers.

use rand::RngExt;

use super::{AskContext, Sampler};
use crate::axis::Dimension;
use crate::error::Error;
use crate::space::Values;
use crate::trial::{FinishedTrial, Problem};

/// Draws every parameter uniformly on its own scale: choices and grid values equally likely (on a logarithmic
/// integer scale: by the logarithmic width of their cells), logarithmic floats log-uniform.
///
/// # Cost
///
/// O(parameters) per ask, nothing kept.
///
/// # Determinism
///
/// Reads the stream `random` of the trial, and nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomSampler;

impl Sampler for RandomSampler {
    fn observe(&mut self, _: &Problem, _: &FinishedTrial) {}

    fn suggest(&mut self, cx: &AskContext<'_>) -> Result<Values, Error> {
        let (space, mut rng) = (&cx.problem.space, cx.rng("random"));
        let mut slots = Vec::with_capacity(space.len());
        for (index, parameter) in space.parameters().iter().enumerate() {
            let active = space.is_active(index, &slots);
            slots.push(active.then(|| Dimension::new(&parameter.distribution).at(rng.random())));
        }
        space.from_slots(slots)
    }
}
