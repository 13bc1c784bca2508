//! Studies over a struct of the user's own, without a macro: one function says what to choose and builds it.
//!
//! The function is run with a [`Suggest`], which it asks for each value by name. Before the search it is run a
//! few times to find out what it asks for: once with the first choice everywhere, and once for every other
//! choice. What it asks for under some choices only becomes a parameter with a condition. The space is thus
//! declared first, as everywhere in this crate, and the declaration is the code that uses it.

use std::collections::{BTreeMap, BTreeSet};

use crate::axis::Dimension;
use crate::distribution::{Choice, Distribution, ParamValue};
use crate::error::Error;
use crate::sampler::Sampler;
use crate::space::{SearchSpace, Values};
use crate::study::Study;
use crate::trial::{Direction, Trial};

/// Hands out the values of a trial by name. See [`TypedStudy`].
#[derive(Debug)]
pub struct Suggest<'a>(Mode<'a>);

#[derive(Debug)]
enum Mode<'a> {
    /// Every value is the first one but for these choices; what is asked for is noted.
    Discover { choices: &'a BTreeMap<String, usize>, asked: Vec<(String, Distribution)> },
    /// The values of a trial.
    Read(&'a Values),
}

impl Suggest<'_> {
    /// The value of parameter `name`.
    ///
    /// # Errors
    ///
    /// [`Error::MissingValue`] where the function did not ask for this parameter when the study was made, or
    /// for another kind of it: it must ask for the same whenever its choices are the same.
    pub fn value(&mut self, name: &str, distribution: Distribution) -> Result<ParamValue, Error> {
        match &mut self.0 {
            Mode::Discover { choices, asked } => {
                let first = match &distribution {
                    Distribution::Categorical { .. } => {
                        ParamValue::Choice(choices.get(name).copied().unwrap_or(0))
                    }
                    numeric => Dimension::new(numeric).at(0.0),
                };
                asked.push((name.to_owned(), distribution));
                Ok(first)
            }
            Mode::Read(values) => {
                let missing = || Error::MissingValue { name: name.to_owned() };
                values.get(name).filter(|value| distribution.contains(*value)).ok_or_else(missing)
            }
        }
    }

    /// A real number in `[low, high]`.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value), here and below.
    pub fn float(&mut self, name: &str, low: f64, high: f64) -> Result<f64, Error> {
        self.number(name, Distribution::float(low, high))
    }

    /// A real number in `[low, high]` on a logarithmic scale.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
    pub fn log_float(&mut self, name: &str, low: f64, high: f64) -> Result<f64, Error> {
        self.number(name, Distribution::log_float(low, high))
    }

    /// An integer in `[low, high]`.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
    pub fn int(&mut self, name: &str, low: i64, high: i64) -> Result<i64, Error> {
        match self.value(name, Distribution::int(low, high))? {
            ParamValue::Int(value) => Ok(value),
            _ => Err(Error::MissingValue { name: name.to_owned() }),
        }
    }

    /// One of `options`, each with a label that stands for it in files.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
    pub fn choose<L, T>(&mut self, name: &str, options: impl IntoIterator<Item = (L, T)>) -> Result<T, Error>
    where
        L: Into<Choice>,
    {
        let (labels, options): (Vec<L>, Vec<T>) = options.into_iter().unzip();
        match self.value(name, Distribution::categorical(labels))? {
            ParamValue::Choice(position) => options.into_iter().nth(position),
            _ => None,
        }
        .ok_or_else(|| Error::MissingValue { name: name.to_owned() })
    }

    fn number(&mut self, name: &str, distribution: Distribution) -> Result<f64, Error> {
        match self.value(name, distribution)? {
            ParamValue::Float(value) => Ok(value),
            _ => Err(Error::MissingValue { name: name.to_owned() }),
        }
    }
}

/// A [`Study`] whose trials are values of a type of the user's own.
///
/// ```
/// use teleprompt_tpe::{Direction, Error, Suggest, TpeSampler, TypedStudy};
///
/// enum Model {
///     Linear,
///     Tree { depth: i64 },
/// }
/// struct Config {
///     rate: f64,
///     model: Model,
/// }
///
/// fn config(suggest: &mut Suggest<'_>) -> Result<Config, Error> {
///     let model = match suggest.choose("model", [("linear", false), ("tree", true)])? {
///         true => Model::Tree { depth: suggest.int("depth", 1, 8)? },
///         false => Model::Linear,
///     };
///     Ok(Config { rate: suggest.log_float("rate", 1e-4, 1.0)?, model })
/// }
///
/// let mut study = TypedStudy::new(config, TpeSampler::default(), Direction::Minimize, 7)?;
/// for _ in 0..40 {
///     let (trial, Config { rate, model }) = study.ask()?;
///     let miss = match model {
///         Model::Linear => 3,
///         Model::Tree { depth } => (depth - 5).abs(),
///     };
///     study.study.tell(trial.number, miss as f64 + (rate.log10() + 2.0).abs())?;
/// }
/// let best = study.best().ok_or("no trial was told")??;
/// assert!(matches!(best.model, Model::Tree { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TypedStudy<F, S> {
    /// The study, to tell outcomes to and to look at.
    pub study: Study<S>,
    build: F,
}

impl<T, F: Fn(&mut Suggest<'_>) -> Result<T, Error>, S: Sampler> TypedStudy<F, S> {
    /// A study without trials.
    ///
    /// `build` must be a function of the values alone, and what it asks for must depend on choices, each on
    /// one.
    ///
    /// # Errors
    ///
    /// [`Error::Space`] as [`SearchSpace::new`]; [`Error::Config`] where a parameter is asked for twice in one
    /// run, has two distributions, or depends on several choices at once or on a number;
    /// what `build` reports.
    ///
    /// # Cost
    ///
    /// One run of `build`, and one more for each choice but the first of every categorical parameter.
    pub fn new(build: F, sampler: S, direction: Direction, seed: u64) -> Result<Self, Error> {
        Ok(Self { study: Study::new(space(&build)?, sampler, direction, seed), build })
    }

    /// The next trial, and what `build` makes of its values.
    ///
    /// # Errors
    ///
    /// As [`Study::ask`] and [`Suggest::value`].
    pub fn ask(&mut self) -> Result<(Trial, T), Error> {
        let trial = self.study.ask()?;
        let built = self.build(&trial.values)?;
        Ok((trial, built))
    }

    /// What `build` makes of the best trial's values; `None` before there is one.
    pub fn best(&self) -> Option<Result<T, Error>> {
        Some(self.build(&self.study.best()?.values))
    }

    /// What `build` makes of some values.
    ///
    /// # Errors
    ///
    /// As [`Suggest::value`].
    pub fn build(&self, values: &Values) -> Result<T, Error> {
        (self.build)(&mut Suggest(Mode::Read(values)))
    }
}

/// One run of the function: the choices that it saw, and what it asked for.
type Run = (BTreeMap<String, usize>, Vec<(String, Distribution)>);

/// The search space of what `build` asks for, in the order in which it first does.
fn space<T>(build: &impl Fn(&mut Suggest<'_>) -> Result<T, Error>) -> Result<SearchSpace, Error> {
    let run = |choices: BTreeMap<String, usize>| -> Result<Run, Error> {
        let mut suggest = Suggest(Mode::Discover { choices: &choices, asked: Vec::new() });
        build(&mut suggest)?;
        let Mode::Discover { asked, .. } = suggest.0 else { return Ok((choices, Vec::new())) };
        let seen = asked.iter().filter(|(_, d)| matches!(d, Distribution::Categorical { .. }));
        let seen = seen.map(|(name, _)| (name.clone(), choices.get(name).copied().unwrap_or(0))).collect();
        Ok((seen, asked))
    };
    let mut runs = vec![run(BTreeMap::new())?];
    let mut varied = BTreeSet::new();
    let mut next = 0;
    while let Some((choices, asked)) = runs.get(next).cloned() {
        for (name, distribution) in &asked {
            let Distribution::Categorical { choices: labels } = distribution else { continue };
            if varied.insert(name.clone()) {
                for choice in 1..labels.len() {
                    let mut choices = choices.clone();
                    choices.insert(name.clone(), choice);
                    runs.push(run(choices)?);
                }
            }
        }
        next += 1;
    }
    assemble(&runs)
}

/// The space that explains what all runs asked for.
fn assemble(runs: &[Run]) -> Result<SearchSpace, Error> {
    let mut known: Vec<(String, Distribution)> = Vec::new();
    for (_, asked) in runs {
        let mut place = 0;
        for (name, distribution) in asked {
            match known.iter().position(|(other, _)| other == name) {
                Some(at) if known[at].1 == *distribution => place = at + 1,
                Some(_) => {
                    let requirement = "a parameter must have the same distribution whenever it is asked for";
                    return Err(Error::Config { setting: "suggest", requirement });
                }
                None => {
                    known.insert(place, (name.clone(), distribution.clone()));
                    place += 1;
                }
            }
        }
    }
    let has = |run: &Run, name: &str| run.1.iter().any(|(other, _)| other == name);
    let mut builder = SearchSpace::builder();
    for (index, (name, distribution)) in known.iter().enumerate() {
        // The nearest choice before it that decides alone whether it is asked for.
        let parent = known[..index].iter().rev().find_map(|(parent, kind)| {
            let Distribution::Categorical { choices: labels } = kind else { return None };
            let with = |choice: usize| runs.iter().filter(move |run| run.0.get(parent) == Some(&choice));
            let active: Vec<usize> =
                (0..labels.len()).filter(|&choice| with(choice).any(|run| has(run, name))).collect();
            let decides = runs
                .iter()
                .all(|run| has(run, name) == run.0.get(parent).is_some_and(|choice| active.contains(choice)));
            decides.then(|| (parent.clone(), active))
        });
        let always = runs.iter().all(|run| has(run, name));
        builder = match parent {
            _ if always => builder.param(name.as_str(), distribution.clone()),
            Some((parent, active)) => builder.param_when(name.as_str(), distribution.clone(), parent, active),
            None => {
                let requirement = "whether a parameter is asked for must depend on one choice before it";
                return Err(Error::Config { setting: "suggest", requirement });
            }
        };
    }
    if runs.iter().any(|(_, asked)| (1..asked.len()).any(|i| asked[..i].iter().any(|a| a.0 == asked[i].0))) {
        let requirement = "a parameter must be asked for once only";
        return Err(Error::Config { setting: "suggest", requirement });
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AutoSampler, RandomSampler};

    #[derive(Debug, PartialEq)]
    enum Kind {
        Plain,
        Deep { layers: i64, width: Option<f64> },
    }

    fn nested(suggest: &mut Suggest<'_>) -> Result<(f64, Kind, bool), Error> {
        let x = suggest.float("x", 0.0, 1.0)?;
        let kind = match suggest.choose("kind", [("plain", 0), ("thin", 1), ("wide", 2)])? {
            0 => Kind::Plain,
            kind => {
                let layers = suggest.int("layers", 1, 3)?;
                let own = kind == 2 && suggest.choose("own", [(false, false), (true, true)])?;
                let width = if own { Some(suggest.log_float("width", 1.0, 64.0)?) } else { None };
                Kind::Deep { layers, width }
            }
        };
        Ok((x, kind, suggest.choose("last", [(0, false), (1, true)])?))
    }

    #[test]
    fn a_space_is_found_with_its_conditions() {
        let found = space(&nested).unwrap();
        let expect = SearchSpace::builder()
            .param("x", Distribution::float(0.0, 1.0))
            .param("kind", Distribution::categorical(["plain", "thin", "wide"]))
            .param_when("layers", Distribution::int(1, 3), "kind", [1, 2])
            .param_when("own", Distribution::categorical([false, true]), "kind", [2])
            .param_when("width", Distribution::log_float(1.0, 64.0), "own", [1])
            .param("last", Distribution::categorical([0, 1]))
            .build()
            .unwrap();
        assert_eq!(found, expect);
    }

    #[test]
    fn every_trial_can_be_built() {
        let mut study = TypedStudy::new(nested, AutoSampler::new(), Direction::Minimize, 3).unwrap();
        assert!(study.best().is_none());
        for _ in 0..30 {
            let (trial, (x, kind, last)) = study.ask().unwrap();
            assert_eq!(trial.values.float("x"), Some(x));
            assert_eq!(kind == Kind::Plain, trial.values.choice("kind") == Some(0));
            study.study.tell(trial.number, x + f64::from(u8::from(last))).unwrap();
        }
        assert!(!study.best().unwrap().unwrap().2);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let both = |suggest: &mut Suggest<'_>| {
            let a = suggest.choose("a", [(0, false), (1, true)])?;
            let b = suggest.choose("b", [(0, false), (1, true)])?;
            if a || b { suggest.float("x", 0.0, 1.0).map(|_| ()) } else { Ok(()) }
        };
        assert!(matches!(space(&both), Err(Error::Config { .. })));
        let twice = |suggest: &mut Suggest<'_>| {
            suggest.int("a", 0, 1)?;
            suggest.int("a", 0, 1)
        };
        assert!(matches!(space(&twice), Err(Error::Config { .. })));
        let other = |suggest: &mut Suggest<'_>| {
            let a = suggest.choose("a", [(0, 1), (1, 2)])?;
            suggest.int("b", 0, a)
        };
        assert!(TypedStudy::new(other, RandomSampler, Direction::Maximize, 0).is_err());
        let empty = |_: &mut Suggest<'_>| Ok(());
        assert!(matches!(space(&empty), Err(Error::Space(_))));
    }
}
