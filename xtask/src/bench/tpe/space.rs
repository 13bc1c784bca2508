//! Spaces and points as problems, drivers and our crate see them.
//!
//! A point has a slot per parameter, `None` where the parameter's condition does not hold.

use serde_json::{Value, json};
use teleprompt_tpe::{Distribution, ParamValue, SearchSpace, Values};

use super::failed;
use crate::bench::stats::SplitMix64;
use crate::error::Error;

/// What values one dimension of a space has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Float { low: f64, high: f64, log: bool },
    Int { low: i64, high: i64, log: bool },
    Choice { n: usize },
}

/// One dimension of a space.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Parameter {
    pub(crate) kind: Kind,
    /// The place of a categorical parameter before this one, and its choice under which this one is active.
    pub(crate) when: Option<(usize, usize)>,
}

/// The values at a point.
pub(crate) type Point = Vec<Option<ParamValue>>;

impl Parameter {
    pub(crate) fn float(low: f64, high: f64) -> Self {
        Self { kind: Kind::Float { low, high, log: false }, when: None }
    }

    pub(crate) fn log_float(low: f64, high: f64) -> Self {
        Self { kind: Kind::Float { low, high, log: true }, when: None }
    }

    pub(crate) fn int(low: i64, high: i64) -> Self {
        Self { kind: Kind::Int { low, high, log: false }, when: None }
    }

    pub(crate) fn log_int(low: i64, high: i64) -> Self {
        Self { kind: Kind::Int { low, high, log: true }, when: None }
    }

    pub(crate) fn choice(n: usize) -> Self {
        Self { kind: Kind::Choice { n }, when: None }
    }

    /// The same under a condition.
    pub(crate) fn when(self, parent: usize, choice: usize) -> Self {
        Self { when: Some((parent, choice)), ..self }
    }

    fn is_active(&self, point: &[Option<ParamValue>]) -> bool {
        self.when.is_none_or(|(parent, choice)| {
            point.get(parent).copied().flatten() == Some(ParamValue::Choice(choice))
        })
    }
}

/// A random point, uniform on each parameter's scale.
pub(crate) fn draw(space: &[Parameter], random: &mut SplitMix64) -> Point {
    let mut point = Vec::with_capacity(space.len());
    for parameter in space {
        let u = random.unit();
        let scaled = |low: f64, high: f64, log| {
            if log { libm::exp(libm::log(low) + u * libm::log(high / low)) } else { low + u * (high - low) }
        };
        let value = match parameter.kind {
            Kind::Float { low, high, log } => ParamValue::Float(scaled(low, high, log).clamp(low, high)),
            Kind::Int { low, high, log } => {
                let x = scaled(low as f64 - 0.5, high as f64 + 0.5, log).round() as i64;
                ParamValue::Int(x.clamp(low, high))
            }
            Kind::Choice { n } => ParamValue::Choice(((u * n as f64) as usize).min(n - 1)),
        };
        point.push(parameter.is_active(&point).then_some(value));
    }
    point
}

/// All points of a space without floats and conditions.
pub(crate) fn all(space: &[Parameter]) -> impl Iterator<Item = Point> {
    let sizes: Vec<(i64, usize)> = (space.iter())
        .map(|parameter| match parameter.kind {
            Kind::Float { .. } => (0, 0),
            Kind::Int { low, high, .. } => (low, (high - low + 1) as usize),
            Kind::Choice { n } => (0, n),
        })
        .collect();
    let is_int: Vec<bool> = space.iter().map(|p| matches!(p.kind, Kind::Int { .. })).collect();
    let total: usize = sizes.iter().map(|(_, n)| n).product();
    (0..total).map(move |mut code| {
        let digit = |(&(low, n), &int): (&(i64, usize), &bool)| {
            let place = code % n;
            code /= n;
            Some(if int { ParamValue::Int(low + place as i64) } else { ParamValue::Choice(place) })
        };
        sizes.iter().zip(&is_int).map(digit).collect()
    })
}

/// The number at a place, a choice as its index; NaN, which a comparison refuses, where there is none.
pub(crate) fn number(point: &[Option<ParamValue>], index: usize) -> f64 {
    match point.get(index).copied().flatten() {
        Some(ParamValue::Float(value)) => value,
        Some(ParamValue::Int(value)) => value as f64,
        Some(ParamValue::Choice(value)) => value as f64,
        None => f64::NAN,
    }
}

/// The index of the choice at a place; one that no dimension has if there is none.
pub(crate) fn choice(point: &[Option<ParamValue>], index: usize) -> usize {
    match point.get(index) {
        Some(Some(ParamValue::Choice(value))) => *value,
        _ => usize::MAX / 1024,
    }
}

pub(crate) fn name(index: usize) -> String {
    format!("p{index}")
}

/// The space as our crate takes it.
pub(crate) fn space_of(parameters: &[Parameter]) -> Result<SearchSpace, Error> {
    let mut builder = SearchSpace::builder();
    for (index, parameter) in parameters.iter().enumerate() {
        let distribution = match parameter.kind {
            Kind::Float { low, high, log: false } => Distribution::float(low, high),
            Kind::Float { low, high, log: true } => Distribution::log_float(low, high),
            Kind::Int { low, high, log: false } => Distribution::int(low, high),
            Kind::Int { low, high, log: true } => Distribution::log_int(low, high),
            Kind::Choice { n } => Distribution::indices(n),
        };
        builder = match parameter.when {
            None => builder.param(name(index), distribution),
            Some((parent, choice)) => builder.param_when(name(index), distribution, name(parent), [choice]),
        };
    }
    builder.build().map_err(failed)
}

pub(crate) fn point_of(values: &Values) -> Point {
    values.slots().to_vec()
}

/// The space as a driver takes it.
pub(crate) fn described(parameters: &[Parameter]) -> Value {
    let describe = |parameter: &Parameter| {
        let mut described = match parameter.kind {
            Kind::Float { low, high, log } => json!({"kind": "float", "low": low, "high": high, "log": log}),
            Kind::Int { low, high, log } => json!({"kind": "int", "low": low, "high": high, "log": log}),
            Kind::Choice { n } => json!({"kind": "choice", "n": n}),
        };
        if let (Some((parent, choice)), Value::Object(map)) = (parameter.when, &mut described) {
            map.insert("when".into(), json!([parent, choice]));
        }
        described
    };
    parameters.iter().map(describe).collect()
}

/// The point in a driver's answer.
pub(crate) fn parse(parameters: &[Parameter], answer: &Value) -> Option<Point> {
    let values = answer.get("values")?.as_array()?;
    let mut point = Vec::with_capacity(parameters.len());
    for (parameter, value) in parameters.iter().zip(values) {
        if !parameter.is_active(&point) {
            point.push(None);
            continue;
        }
        point.push(Some(match parameter.kind {
            Kind::Float { .. } => ParamValue::Float(value.as_f64()?),
            Kind::Int { low, high, .. } => {
                ParamValue::Int(value.as_i64().filter(|x| (low..=high).contains(x))?)
            }
            Kind::Choice { n } => {
                ParamValue::Choice(usize::try_from(value.as_u64()?).ok().filter(|index| *index < n)?)
            }
        }));
    }
    (point.len() == parameters.len()).then_some(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_outside_the_space_are_refused() {
        let space = [Parameter::choice(3), Parameter::float(0.0, 1.0), Parameter::int(2, 4).when(0, 1)];
        let expect = vec![Some(ParamValue::Choice(2)), Some(ParamValue::Float(0.5)), None];
        assert_eq!(parse(&space, &json!({"values": [2, 0.5, null]})), Some(expect));
        assert!(parse(&space, &json!({"values": [1, 0.5, 4]})).is_some());
        assert_eq!(parse(&space, &json!({"values": [1, 0.5, 5]})), None);
        assert_eq!(parse(&space, &json!({"values": [3, 0.5, null]})), None);
        assert_eq!(parse(&space, &json!({"values": [2]})), None);
        assert_eq!(parse(&space, &json!({})), None);
    }

    #[test]
    fn points_are_of_our_space_and_all_are_listed() {
        let space = [Parameter::choice(3), Parameter::log_int(2, 4), Parameter::choice(2)];
        assert_eq!(all(&space).count(), 18);
        let tree = [Parameter::choice(2), Parameter::log_float(0.1, 2.0).when(0, 1)];
        let ours = space_of(&tree).unwrap();
        let mut random = SplitMix64::new(1);
        for _ in 0..50 {
            assert!(ours.from_slots(draw(&tree, &mut random)).is_ok());
        }
    }
}
