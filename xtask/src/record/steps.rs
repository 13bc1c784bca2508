//! A program made of data: predictors one after the other, each given the row's fields and what those before it said.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use teleprompt_core::lm::LmSettings;
use teleprompt_core::{
    Ctx, Error, Example, Fields, NamedPredictor, Prediction, Predictor, Program, SignatureError,
    SignatureSpec, metric,
};

/// One predictor of a program, and what candidates may choose for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// The predictor's name.
    pub(crate) name: &'static str,
    /// The text form of its signature.
    pub(crate) signature: &'static str,
    /// The instructions, the program's own first.
    pub(crate) instructions: &'static [&'static str],
    /// How many demo sets there are; set 0 has no demos.
    pub(crate) demo_sets: usize,
    /// Most demos in a set.
    pub(crate) demos: usize,
    /// Most tokens of an answer.
    pub(crate) max_tokens: u32,
}

/// The program of some steps.
#[derive(Debug)]
pub(crate) struct Steps {
    predictors: Vec<(&'static str, Predictor)>,
}

impl Steps {
    /// The program, each predictor with its own first instruction.
    pub(crate) fn new(steps: &[Step]) -> Result<Self, SignatureError> {
        let predictors = steps.iter().map(|step| {
            let spec = SignatureSpec::parse(step.signature)?
                .with_instruction(step.instructions.first().copied().unwrap_or_default());
            let settings = LmSettings { max_tokens: Some(step.max_tokens), ..LmSettings::default() };
            Ok((step.name, Predictor::new(spec).with_settings(settings)))
        });
        Ok(Self { predictors: predictors.collect::<Result<_, _>>()? })
    }
}

impl Program for Steps {
    fn predictors(&self) -> Vec<NamedPredictor<'_>> {
        self.predictors
            .iter()
            .map(|(name, predictor)| NamedPredictor { name: (*name).into(), predictor, frozen: false })
            .collect()
    }

    fn forward<'a>(&'a self, cx: &'a Ctx, inputs: Fields) -> BoxFuture<'a, Result<Prediction, Error>> {
        async move {
            let mut known = inputs;
            let mut outputs = Fields::new();
            for (_, predictor) in &self.predictors {
                let given = known.only(predictor.spec().inputs().iter().map(|field| field.name.as_str()));
                outputs = predictor.call(cx, given).await?;
                known.extend(outputs.clone());
            }
            Ok(Prediction { outputs })
        }
        .boxed()
    }
}

/// What an answer scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Measure {
    /// 1 for the label, else 0.
    Exact(&'static str),
    /// The F1 of the words of the answer and of the label, without case.
    TokenF1(&'static str),
    /// 1 for the number, falling in a straight line to 0 at this distance.
    Close {
        /// The field.
        field: &'static str,
        /// The distance of score 0, in the field's units.
        zero_at: f64,
    },
}

impl Measure {
    /// The name that a landscape gives it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exact(_) => "exact_match",
            Self::TokenF1(_) => "token_f1",
            Self::Close { .. } => "closeness",
        }
    }

    /// The least score of a run that becomes a demo.
    pub(crate) fn accepted(self) -> f64 {
        match self {
            Self::Exact(_) => 1.0,
            Self::TokenF1(_) => 0.5,
            Self::Close { .. } => 0.75,
        }
    }

    /// The score, in `[0, 1]`.
    pub(crate) fn score(self, gold: &Example, prediction: &Prediction) -> f64 {
        match self {
            Self::Exact(field) => f64::from(u8::from(metric::same(gold, prediction, field).unwrap_or(false))),
            Self::TokenF1(field) => token_f1(&gold.labels.text(field), &prediction.outputs.text(field)),
            Self::Close { field, zero_at } => {
                let number = |fields: &Fields| fields.typed::<f64>(field).ok();
                match (number(&gold.labels), number(&prediction.outputs)) {
                    (Some(gold), Some(said)) => (1.0 - (gold - said).abs() / zero_at).max(0.0),
                    _ => 0.0,
                }
            }
        }
    }
}

/// The harmonic mean of precision and recall of words, each counted as often as it stands there.
fn token_f1(gold: &str, said: &str) -> f64 {
    let words = |text: &str| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            *counts.entry(word.to_lowercase()).or_default() += 1;
        }
        counts
    };
    let (gold, said) = (words(gold), words(said));
    let common: usize = gold.iter().map(|(word, n)| (*n).min(said.get(word).copied().unwrap_or(0))).sum();
    let total: usize = gold.values().sum::<usize>() + said.values().sum::<usize>();
    if total == 0 { 0.0 } else { 2.0 * common as f64 / total as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_between_wrong_and_right() {
        let gold =
            Example { inputs: Fields::new(), labels: Fields::new().with("a", "card arrival").with("n", 4.0) };
        let check = |measure: Measure, said: Fields, expect: f64| {
            let score = measure.score(&gold, &Prediction { outputs: said });
            assert!((score - expect).abs() < 1e-12, "{measure:?}: {score}, not {expect}");
        };
        let close = Measure::Close { field: "n", zero_at: 2.0 };
        check(Measure::Exact("a"), Fields::new().with("a", " Card arrival."), 1.0);
        check(Measure::Exact("a"), Fields::new().with("a", "card"), 0.0);
        check(Measure::TokenF1("a"), Fields::new().with("a", "The card's late arrival"), 2.0 * 2.0 / 7.0);
        check(Measure::TokenF1("a"), Fields::new(), 0.0);
        check(close, Fields::new().with("n", 4.5), 0.75);
        check(close, Fields::new().with("n", -9.0), 0.0);
        check(close, Fields::new(), 0.0);
    }
}
