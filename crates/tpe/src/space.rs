//! Search spaces: named parameters in order, some of them only under a condition, and the values of all of
//! them.
//!
//! A [`SearchSpace`] is fixed before a search and cannot be invalid: building one reports every problem. It
//! is not define-by-run: conditional parameters are declared as a tree, a parameter being *active* when its
//! parent is active and has one of the listed choices.
//!
//! ```text
//!   optimizer ∈ {sgd, adam} ──sgd──► momentum ∈ [0, 1]
//!                           └─adam─► beta ∈ [0.9, 0.999]
//! ```

use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::distribution::{Distribution, ParamValue};
use crate::error::{Error, SpaceError};

/// One named parameter as it is declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// The name, unique in its space.
    pub name: Arc<str>,
    /// The values that it can take.
    pub distribution: Distribution,
    /// When it is active; `None` means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// The condition under which a parameter is active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The name of a categorical parameter that stands before the dependent one.
    pub parent: Arc<str>,
    /// The positions of its choices under which the dependent parameter is active; not empty.
    pub choices: Vec<usize>,
}

/// A checked list of named parameters; cheap to clone.
///
/// Serialized as the list of its parameters; reading checks it again.
///
/// ```
/// use teleprompt_tpe::{Distribution, ParamValue, SearchSpace};
///
/// let space = SearchSpace::builder()
///     .param("optimizer", Distribution::categorical(["sgd", "adam"]))
///     .param("rate", Distribution::log_float(1e-5, 1e-1))
///     .param_when("momentum", Distribution::float(0.0, 1.0), "optimizer", [0])
///     .build()?;
/// let values = space.values([("optimizer", ParamValue::Choice(1)), ("rate", 1e-3.into())])?;
/// assert_eq!(values.float("rate"), Some(1e-3));
/// assert_eq!(values.float("momentum"), None);
/// # Ok::<(), teleprompt_tpe::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Vec<Parameter>", into = "Vec<Parameter>")]
pub struct SearchSpace(Arc<Checked>);

#[derive(Debug, PartialEq)]
struct Checked {
    parameters: Vec<Parameter>,
    names: Arc<[Arc<str>]>,
    /// Per parameter, the index of its parent.
    parents: Vec<Option<usize>>,
}

impl PartialEq for SearchSpace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl SearchSpace {
    /// An empty builder.
    pub fn builder() -> SearchSpaceBuilder {
        SearchSpaceBuilder { parameters: Vec::new() }
    }

    /// The search space of `parameters`, in this order.
    ///
    /// # Errors
    ///
    /// [`Error::Space`] with every problem: no parameter, a name twice, a distribution without values, a
    /// condition on a parameter that does not stand before it or on choices that it does not have.
    pub fn new(parameters: impl IntoIterator<Item = Parameter>) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let mut checked: Vec<Parameter> = Vec::new();
        let mut parents = Vec::new();
        for Parameter { name, distribution, condition } in parameters {
            if checked.iter().any(|p| p.name == name) {
                problems.push(SpaceError::DuplicateName { name: name.to_string() });
            }
            parents.push(condition.as_ref().and_then(|Condition { parent, choices }| {
                let index = checked.iter().position(|p| p.name == *parent);
                let (name, parent) = (name.to_string(), parent.to_string());
                match index.map(|index| &checked[index].distribution) {
                    None => problems.push(SpaceError::UnknownParent { name, parent }),
                    Some(Distribution::Categorical { choices: known })
                        if !choices.is_empty() && choices.iter().all(|&c| c < known.len()) => {}
                    Some(_) => problems.push(SpaceError::UnknownParentChoice { name, parent }),
                }
                index
            }));
            let distribution = distribution.clone().checked().unwrap_or_else(|requirement| {
                problems.push(SpaceError::Distribution { name: name.to_string(), requirement });
                distribution
            });
            checked.push(Parameter { name, distribution, condition });
        }
        if checked.is_empty() {
            problems.push(SpaceError::Empty);
        }
        if !problems.is_empty() {
            return Err(Error::Space(problems));
        }
        let names = checked.iter().map(|p| Arc::clone(&p.name)).collect();
        Ok(Self(Arc::new(Checked { parameters: checked, names, parents })))
    }

    /// The parameters in order, with upper bounds on their grids.
    pub fn parameters(&self) -> &[Parameter] {
        &self.0.parameters
    }

    /// The number of parameters, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a search space is never empty")]
    pub fn len(&self) -> usize {
        self.0.parameters.len()
    }

    /// The number of different complete values, `None` where a parameter is not countable or from 2^128 on.
    pub fn cardinality(&self) -> Option<u128> {
        self.combinations(None, &Distribution::cardinality)
    }

    /// The number of combinations of all parameters under a choice, or of those without a parent, where
    /// `size` is the number of values of a distribution.
    pub(crate) fn combinations(
        &self,
        under: Option<(usize, usize)>,
        size: &dyn Fn(&Distribution) -> Option<u64>,
    ) -> Option<u128> {
        self.children(under)
            .try_fold(1_u128, |product, index| product.checked_mul(self.subtree(index, size)?))
    }

    /// The number of combinations of a parameter and all that depend on it.
    pub(crate) fn subtree(&self, index: usize, size: &dyn Fn(&Distribution) -> Option<u64>) -> Option<u128> {
        let n = size(&self.parameters()[index].distribution)?;
        if !self.is_parent(index) {
            return Some(n.into());
        }
        let under = |choice| self.combinations(Some((index, choice)), size);
        (0..n as usize).try_fold(0_u128, |sum, choice| sum.checked_add(under(choice)?))
    }

    /// The parameters that become active with a choice of their parent, `under = (parent, choice)`, or
    /// without one.
    pub(crate) fn children(&self, under: Option<(usize, usize)>) -> impl Iterator<Item = usize> {
        let admits = move |index: &usize| match (
            under,
            self.0.parents[*index],
            &self.parameters()[*index].condition,
        ) {
            (None, None, _) => true,
            (Some((parent, choice)), Some(own), Some(condition)) => {
                parent == own && condition.choices.contains(&choice)
            }
            _ => false,
        };
        (0..self.len()).filter(admits)
    }

    /// Whether other parameters depend on this one.
    pub(crate) fn is_parent(&self, index: usize) -> bool {
        self.0.parents.contains(&Some(index))
    }

    /// Whether parameter `index` is active, given the values of the parameters before it.
    ///
    /// `slots[i]` is the value of parameter `i`, `None` where it is inactive; slots from `index` on are not
    /// looked at. Samplers decide on the parameters in order and ask this before each. An index beyond the
    /// space is not active.
    pub fn is_active(&self, index: usize, slots: &[Option<ParamValue>]) -> bool {
        let Some(parameter) = self.0.parameters.get(index) else { return false };
        match (&parameter.condition, self.0.parents[index]) {
            (Some(condition), Some(parent)) => match slots.get(parent) {
                Some(Some(ParamValue::Choice(choice))) => condition.choices.contains(choice),
                _ => false,
            },
            _ => true,
        }
    }

    /// Values of this space from one slot per parameter, `None` where the parameter is inactive.
    ///
    /// # Errors
    ///
    /// As [`values`](Self::values); surplus slots are ignored and absent ones are `None`.
    pub fn from_slots(&self, mut slots: Vec<Option<ParamValue>>) -> Result<Values, Error> {
        slots.resize(self.len(), None);
        let values = Values { names: Arc::clone(&self.0.names), slots: slots.into_boxed_slice() };
        self.check(&values)?;
        Ok(values)
    }

    /// Values of this space from pairs of name and value, in any order.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownParameter`], [`Error::OutOfRange`], [`Error::MissingValue`] for an active parameter,
    /// [`Error::InactiveParameter`] for a value of an inactive one.
    pub fn values<'a>(
        &self,
        pairs: impl IntoIterator<Item = (&'a str, ParamValue)>,
    ) -> Result<Values, Error> {
        let mut slots = vec![None; self.len()];
        for (name, value) in pairs {
            let index = self.0.names.iter().position(|n| **n == *name);
            let index = index.ok_or_else(|| Error::UnknownParameter { name: name.to_owned() })?;
            slots[index] = Some(value);
        }
        self.from_slots(slots)
    }

    /// The same values, checked and tied to this space.
    pub(crate) fn adopt(&self, values: &Values) -> Result<Values, Error> {
        if Arc::ptr_eq(&values.names, &self.0.names) {
            self.check(values)?;
            return Ok(values.clone());
        }
        self.values(values.iter())
    }

    pub(crate) fn check(&self, values: &Values) -> Result<(), Error> {
        for (index, (parameter, slot)) in self.parameters().iter().zip(&values.slots).enumerate() {
            let name = || parameter.name.to_string();
            match (slot, self.is_active(index, &values.slots)) {
                (None, true) => return Err(Error::MissingValue { name: name() }),
                (Some(_), false) => return Err(Error::InactiveParameter { name: name() }),
                (&Some(value), true) if !parameter.distribution.contains(value) => {
                    return Err(Error::OutOfRange { name: name(), value });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl TryFrom<Vec<Parameter>> for SearchSpace {
    type Error = Error;

    fn try_from(parameters: Vec<Parameter>) -> Result<Self, Error> {
        Self::new(parameters)
    }
}

impl From<SearchSpace> for Vec<Parameter> {
    fn from(space: SearchSpace) -> Self {
        space.0.parameters.clone()
    }
}

/// Collects the parameters of a [`SearchSpace`].
#[derive(Debug, Clone)]
#[must_use]
pub struct SearchSpaceBuilder {
    parameters: Vec<Parameter>,
}

impl SearchSpaceBuilder {
    /// Adds a parameter that is always active.
    pub fn param(mut self, name: impl Into<Arc<str>>, distribution: Distribution) -> Self {
        self.parameters.push(Parameter { name: name.into(), distribution, condition: None });
        self
    }

    /// Adds a parameter that is active while the categorical `parent`, which must stand before it, is active
    /// and has a choice at one of the positions `choices`.
    pub fn param_when(
        mut self,
        name: impl Into<Arc<str>>,
        distribution: Distribution,
        parent: impl Into<Arc<str>>,
        choices: impl IntoIterator<Item = usize>,
    ) -> Self {
        let condition = Condition { parent: parent.into(), choices: choices.into_iter().collect() };
        self.parameters.push(Parameter { name: name.into(), distribution, condition: Some(condition) });
        self
    }

    /// The checked search space.
    ///
    /// # Errors
    ///
    /// As [`SearchSpace::new`].
    pub fn build(self) -> Result<SearchSpace, Error> {
        SearchSpace::new(self.parameters)
    }
}

/// The values of a trial: one per active parameter, in the order of the search space.
///
/// Serialized as a map from name to value.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    names: Arc<[Arc<str>]>,
    slots: Box<[Option<ParamValue>]>,
}

impl Values {
    /// The value of a parameter, `None` where it is inactive or unknown.
    pub fn get(&self, name: &str) -> Option<ParamValue> {
        let index = self.names.iter().position(|n| **n == *name)?;
        self.slots[index]
    }

    /// The position of the choice of a categorical parameter, from 0.
    pub fn choice(&self, name: &str) -> Option<usize> {
        match self.get(name)? {
            ParamValue::Choice(position) => Some(position),
            _ => None,
        }
    }

    /// The value of a float parameter.
    pub fn float(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            ParamValue::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The value of an integer parameter.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            ParamValue::Int(value) => Some(value),
            _ => None,
        }
    }

    /// One slot per parameter of the space, `None` where it is inactive.
    pub fn slots(&self) -> &[Option<ParamValue>] {
        &self.slots
    }

    /// The values as something with a total order: equal for equal values of one space.
    pub(crate) fn key(&self) -> Vec<u64> {
        let bits = |slot: &Option<ParamValue>| match *slot {
            None => u64::MAX,
            Some(ParamValue::Choice(position)) => position as u64,
            Some(ParamValue::Float(value)) => value.to_bits(),
            Some(ParamValue::Int(value)) => value as u64,
        };
        self.slots.iter().map(bits).collect()
    }

    /// The active parameters with their values, in the order of the space.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ParamValue)> {
        self.names.iter().zip(&self.slots).filter_map(|(name, slot)| Some((&**name, (*slot)?)))
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Values;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map from parameter names to values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
                let (mut names, mut slots) = (Vec::<Arc<str>>::new(), Vec::new());
                while let Some((name, value)) = map.next_entry::<String, ParamValue>()? {
                    names.push(name.into());
                    slots.push(Some(value));
                }
                Ok(Values { names: names.into(), slots: slots.into() })
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> SearchSpace {
        SearchSpace::builder()
            .param("kind", Distribution::categorical(["a", "b", "c"]))
            .param_when("depth", Distribution::int(1, 4), "kind", [0])
            .param_when("shape", Distribution::indices(2), "kind", [1, 2])
            .param_when("width", Distribution::stepped_float(0.0, 1.0, 0.5), "shape", [1])
            .build()
            .unwrap()
    }

    #[test]
    fn every_problem_is_reported() {
        let error = SearchSpace::builder()
            .param("x", Distribution::float(1.0, 0.0))
            .param("x", Distribution::indices(2))
            .param_when("y", Distribution::int(0, 1), "z", [0])
            .param_when("v", Distribution::int(0, 1), "x", [5])
            .build()
            .unwrap_err();
        let Error::Space(problems) = error else { panic!("{error}") };
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert_eq!(SearchSpace::builder().build(), Err(Error::Space(vec![SpaceError::Empty])));
    }

    #[test]
    fn values_follow_the_conditions() {
        let space = tree();
        let choice = ParamValue::Choice;
        let check = |pairs: &[(&str, ParamValue)]| space.values(pairs.iter().copied());
        assert!(check(&[("kind", choice(0)), ("depth", 2.into())]).is_ok());
        assert!(check(&[("kind", choice(2)), ("shape", choice(0))]).is_ok());
        let name = |name: &str| name.to_owned();
        assert_eq!(check(&[("kind", choice(0))]), Err(Error::MissingValue { name: name("depth") }));
        let values = [("kind", choice(0)), ("depth", 2.into()), ("width", 0.5.into())];
        assert_eq!(check(&values), Err(Error::InactiveParameter { name: name("width") }));
        let value = choice(3);
        assert_eq!(check(&[("kind", value)]), Err(Error::OutOfRange { name: name("kind"), value }));
        assert_eq!(check(&[("king", value)]), Err(Error::UnknownParameter { name: name("king") }));
    }

    #[test]
    fn combinations_are_counted_through_the_tree() {
        // kind a: 4 depths; kinds b and c: shape 0, or shape 1 with 3 widths.
        assert_eq!(tree().cardinality(), Some(4 + 2 * (1 + 3)));
        let space = SearchSpace::builder().param("x", Distribution::float(0.0, 1.0)).build().unwrap();
        assert_eq!(space.cardinality(), None);
    }

    #[test]
    fn json_round_trips_and_is_checked() {
        let space = tree();
        let json = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<SearchSpace>(&json).unwrap(), space);
        assert!(serde_json::from_str::<SearchSpace>("[]").is_err());

        let values = space.values([("kind", ParamValue::Choice(0)), ("depth", 3.into())]).unwrap();
        let json = serde_json::to_string(&values).unwrap();
        assert_eq!(json, r#"{"kind":{"choice":0},"depth":{"int":3}}"#);
        let read: Values = serde_json::from_str(&json).unwrap();
        assert_eq!(space.adopt(&read).unwrap(), values);
    }
}
