//! Tips: short hints on style that make the proposals for one predictor differ from each other, as data.
//!
//! A [`TipLibrary`] holds [`Tip`]s; each says when it applies to a signature and how often it is wanted. The kinds of the
//! standard library are those of the reference (none, creative, simple, description, high stakes, persona) and eight that
//! go with how a signature is built; the wording is our own.
//!
//! For one predictor, tips are drawn without replacement from those that apply, and from a fresh round of all of them once
//! they are used up, so that two candidates share a tip only when there are more candidates than tips.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use teleprompt_core::{FieldType, REASONING, SignatureSpec, rng};

use crate::error::ConfigProblem;

/// A hint on style for the model that writes an instruction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tip {
    /// The name in reports; unique in a library.
    pub key: String,
    /// What the prompt LM reads; empty for no hint at all.
    pub text: String,
    /// To which signatures it applies.
    #[serde(default)]
    pub applies: TipCondition,
    /// How often it is drawn compared with the others: finite and above 0; 1 is the usual weight.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

impl Tip {
    /// A tip that applies always, of weight 1.
    pub fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { key: key.into(), text: text.into(), applies: TipCondition::Always, weight: 1.0 }
    }

    /// The same tip under a condition.
    #[must_use]
    pub fn when(mut self, applies: TipCondition) -> Self {
        self.applies = applies;
        self
    }

    /// The same tip with a weight: finite and above 0.
    #[must_use]
    pub fn weighing(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }
}

/// To which signatures a tip applies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TipCondition {
    /// To all.
    #[default]
    Always,
    /// To those with an output `reasoning`, as [`teleprompt_core::ChainOfThought`] makes.
    WithReasoning,
    /// To those whose outputs have a form to keep: several of them (the reasoning apart), or one that is not free text.
    WithStructuredOutput,
    /// To those with free text among their outputs (the reasoning apart).
    WithOpenText,
    /// To those that have a field of this name.
    WithField(String),
}

impl TipCondition {
    /// Whether it holds for this signature.
    pub fn holds(&self, spec: &SignatureSpec) -> bool {
        let mut answers = spec.outputs().iter().filter(|field| field.name != REASONING);
        match self {
            Self::Always => true,
            Self::WithReasoning => spec.outputs().iter().any(|field| field.name == REASONING),
            Self::WithStructuredOutput => {
                let structured = answers.clone().any(|field| field.ty != FieldType::Text);
                structured || answers.count() > 1
            }
            Self::WithOpenText => answers.any(|field| field.ty == FieldType::Text),
            Self::WithField(name) => spec.fields().any(|field| field.name == *name),
        }
    }
}

/// An ordered set of tips with unique keys.
///
/// ```
/// use teleprompt_propose::{Tip, TipLibrary};
/// let tips = TipLibrary::standard()
///     .without("high_stakes")
///     .with(Tip::new("units", "Say that every quantity is given with its unit."))
///     .weighing("simple", 3.0);
/// assert!(tips.get("high_stakes").is_none());
/// assert_eq!(tips.get("simple").unwrap().weight, 3.0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TipLibrary {
    tips: Vec<Tip>,
}

impl Default for TipLibrary {
    fn default() -> Self {
        Self::standard()
    }
}

impl FromIterator<Tip> for TipLibrary {
    fn from_iter<I: IntoIterator<Item = Tip>>(tips: I) -> Self {
        Self { tips: tips.into_iter().collect() }
    }
}

impl TipLibrary {
    /// No tips.
    pub fn empty() -> Self {
        Self { tips: Vec::new() }
    }

    /// The tips that come with the crate: 14, all of weight 1.
    pub fn standard() -> Self {
        use TipCondition::{WithOpenText, WithReasoning, WithStructuredOutput};
        [
            Tip::new("none", ""),
            Tip::new(
                "creative",
                "Take an unexpected angle on the task; do not settle for the first wording.",
            ),
            Tip::new("simple", "Keep it plain and short: one or two sentences that anyone can follow."),
            Tip::new("description", "Describe at length what a good answer takes into account, and why."),
            Tip::new(
                "high_stakes",
                "Set the task in a situation where a wrong answer has serious consequences, and say which.",
            ),
            Tip::new("persona", "Begin by telling the model who it is: an expert whose trade is this task."),
            Tip::new("specific", "Use exact, unambiguous words. Name what to look at and how to decide."),
            Tip::new(
                "edge_cases",
                "Say what to do when the input is unclear, incomplete or fits two answers.",
            ),
            Tip::new("contrast", "Say how to tell apart the answers that are most easily confused."),
            Tip::new("steps", "Lay the task out as a few numbered steps, in the order to follow."),
            Tip::new(
                "chain_of_thought",
                "Ask for the reasoning to go step by step before the answer is given.",
            )
            .when(WithReasoning),
            Tip::new(
                "output_format",
                "State precisely what form the answer has, and that nothing else is written.",
            )
            .when(WithStructuredOutput),
            Tip::new("structured", "Go through the output fields one by one and say what each must hold.")
                .when(WithStructuredOutput),
            Tip::new(
                "role_play",
                "Put the model into the scene in which its answer is read, and name the reader.",
            )
            .when(WithOpenText),
        ]
        .into_iter()
        .collect()
    }

    /// The same library with a tip added at the end; a tip of the same key is replaced in its place.
    #[must_use]
    pub fn with(mut self, tip: Tip) -> Self {
        match self.tips.iter_mut().find(|known| known.key == tip.key) {
            Some(known) => *known = tip,
            None => self.tips.push(tip),
        }
        self
    }

    /// The same library without the tip of this key, if it has one.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.tips.retain(|tip| tip.key != key);
        self
    }

    /// The same library with another weight for the tip of this key, if it has one.
    #[must_use]
    pub fn weighing(mut self, key: &str, weight: f64) -> Self {
        for tip in self.tips.iter_mut().filter(|tip| tip.key == key) {
            tip.weight = weight;
        }
        self
    }

    /// The tips, in order.
    pub fn tips(&self) -> &[Tip] {
        &self.tips
    }

    /// The tip of this key.
    pub fn get(&self, key: &str) -> Option<&Tip> {
        self.tips.iter().find(|tip| tip.key == key)
    }

    /// The tips for one predictor in the order in which its candidates use them; never ends, unless no tip applies.
    ///
    /// # Determinism
    /// A function of the library, `spec`, `seed` and `predictor` (its index): stream `tip` at `[predictor]`.
    pub fn draw(&self, spec: &SignatureSpec, seed: u64, predictor: u64) -> TipDraw<'_> {
        self.draw_at(spec, seed, &[predictor])
    }

    /// As [`TipLibrary::draw`], from the stream `tip` at these indices.
    pub(crate) fn draw_at(&self, spec: &SignatureSpec, seed: u64, indices: &[u64]) -> TipDraw<'_> {
        let tips = self.tips.iter().filter(|tip| tip.applies.holds(spec)).collect();
        TipDraw { tips, left: Vec::new(), rng: rng::stream(seed, "tip", indices) }
    }

    /// What is wrong with the library.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        for (i, tip) in self.tips.iter().enumerate() {
            if self.tips[..i].iter().any(|other| other.key == tip.key) {
                problems.push(ConfigProblem::SameTip { key: tip.key.clone() });
            }
            if !(tip.weight.is_finite() && tip.weight > 0.0) {
                let weight = tip.weight.to_string();
                problems.push(ConfigProblem::Weight { key: tip.key.clone(), weight });
            }
        }
        problems
    }
}

/// Tips in drawn order; made by [`TipLibrary::draw`].
#[derive(Clone, Debug)]
pub struct TipDraw<'a> {
    tips: Vec<&'a Tip>,
    left: Vec<&'a Tip>,
    rng: ChaCha8Rng,
}

impl<'a> Iterator for TipDraw<'a> {
    type Item = &'a Tip;

    fn next(&mut self) -> Option<&'a Tip> {
        if self.left.is_empty() {
            self.left.clone_from(&self.tips);
        }
        if self.left.is_empty() {
            return None;
        }
        let total: f64 = self.left.iter().map(|tip| tip.weight).sum();
        let mut point = self.rng.random::<f64>() * total;
        let drawn = self.left.iter().position(|tip| {
            point -= tip.weight;
            point < 0.0
        });
        // Rounding can leave the point just past the end: then the last one is meant.
        Some(self.left.remove(drawn.unwrap_or(self.left.len() - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> SignatureSpec {
        SignatureSpec::parse(text).unwrap()
    }

    fn keys<'a>(draw: impl Iterator<Item = &'a Tip>) -> Vec<String> {
        draw.map(|tip| tip.key.clone()).collect()
    }

    #[test]
    fn conditions_follow_the_signature() {
        let check = |text: &str, expect: &[&str]| {
            let tips = TipLibrary::standard();
            let conditional = tips.tips().iter().filter(|tip| tip.applies != TipCondition::Always);
            assert_eq!(keys(conditional.filter(|tip| tip.applies.holds(&spec(text)))), expect, "{text}");
        };
        check("message -> team: label[a, b]", &["output_format", "structured"]);
        check("question -> answer", &["role_play"]);
        check("question -> reasoning, answer", &["chain_of_thought", "role_play"]);
        check("text -> title, body", &["output_format", "structured", "role_play"]);
        assert!(TipCondition::WithField("text".into()).holds(&spec("text -> title")));
    }

    #[test]
    fn tips_are_drawn_without_replacement_and_then_again() {
        let tips = TipLibrary::standard();
        let spec = spec("a -> b");
        let drawn = keys(tips.draw(&spec, 9, 0).take(22));
        let sorted = |part: &[String]| {
            let mut part = part.to_vec();
            part.sort();
            part
        };
        assert_eq!(sorted(&drawn[..11]), sorted(&drawn[11..]));
        let mut first = sorted(&drawn[..11]);
        first.dedup();
        assert_eq!(first.len(), 11);
        assert_eq!(drawn, keys(tips.draw(&spec, 9, 0).take(22)));
        assert_ne!(drawn, keys(tips.draw(&spec, 9, 1).take(22)));
        assert_ne!(drawn, keys(tips.draw(&spec, 10, 0).take(22)));
        assert_eq!(TipLibrary::empty().draw(&spec, 9, 0).next(), None);
    }

    #[test]
    fn weights_decide_how_often_a_tip_comes_first() {
        let tips = TipLibrary::empty().with(Tip::new("a", "")).with(Tip::new("b", "")).weighing("b", 9.0);
        let spec = spec("a -> b");
        let first = |seed| tips.draw(&spec, seed, 0).next().unwrap().key.clone();
        let often = (0..1000).filter(|&seed| first(seed) == "b").count();
        // Nine in ten, give or take four standard deviations.
        assert!((862..=938).contains(&often), "{often}");
    }
}
