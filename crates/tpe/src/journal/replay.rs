//! What the lines of a journal amount to, for one of its studies.
//!
//! Identifiers are not written, they are the order of creation in the file: of studies whose name was free,
//! and of trials over all studies that existed. What is forbidden (a trial of a deleted study, a change of a
//! finished trial) has happened all the same in a file that several write, and is passed over, as in Optuna.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::JournalError;
use super::record::{self, Record, Stored};
use crate::axis::Dimension;
use crate::distribution::ParamValue;
use crate::error::Error;
use crate::space::{SearchSpace, Values};
use crate::trial::{Observation, Outcome};

/// The state of a journal, as far as it was read.
#[derive(Debug)]
pub(super) struct Replay {
    /// The name of the study that matters here.
    name: String,
    /// How many lines were read.
    lines: u64,
    /// All studies ever: name and directions, `None` for a deleted one.
    studies: Vec<Option<(String, Vec<u8>)>>,
    /// All trials: of the study that matters its number, of others nothing.
    trials: Vec<Option<usize>>,
    /// The trials of the study that matters, by number.
    own: Vec<Own>,
    /// The numbers of trials that have changed since they were last taken.
    changed: BTreeSet<usize>,
    /// The numbers of trials that wait to be asked for.
    waiting: BTreeSet<usize>,
    /// Distributions by their text, each parsed once.
    distributions: BTreeMap<String, Arc<Stored>>,
}

/// A trial of the study that matters.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) trial_id: usize,
    pub(super) state: u8,
    value: Option<f64>,
    params: BTreeMap<String, (f64, Arc<Stored>)>,
    observation: Option<Observation>,
    /// The values that a waiting trial shall have, by name.
    fixed: BTreeMap<String, serde_json::Value>,
    /// The sum of all violations of constraints.
    violation: f64,
}

impl Replay {
    pub(super) fn new(name: &str) -> Self {
        let (studies, trials, own, changed, waiting, distributions) = Default::default();
        Self { name: name.to_owned(), lines: 0, studies, trials, own, changed, waiting, distributions }
    }

    /// The identifier and the directions of the study that matters, once it exists.
    pub(super) fn study(&self) -> Option<(usize, &[u8])> {
        self.studies.iter().enumerate().find_map(|(id, study)| match study {
            Some((name, directions)) if *name == self.name => Some((id, directions.as_slice())),
            _ => None,
        })
    }

    /// The identifier of the next trial.
    pub(super) fn next_trial_id(&self) -> usize {
        self.trials.len()
    }

    /// The trials of the study that matters, by number.
    pub(super) fn own(&self) -> &[Own] {
        &self.own
    }

    /// The number of the trial that has waited longest to be asked for.
    pub(super) fn waiting(&self) -> Option<usize> {
        self.waiting.first().copied()
    }

    /// The numbers of the trials that changed since the last call, ascending.
    pub(super) fn take_changed(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.changed)
    }

    /// Applies whole lines.
    pub(super) fn apply(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        for line in bytes.split(|&byte| byte == b'\n') {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            self.lines += 1;
            let number = self.lines;
            let record = Record::parse(line).map_err(|source| JournalError::Line { number, source })?;
            self.apply_record(record).map_err(|source| JournalError::Line { number, source })?;
        }
        Ok(())
    }

    fn apply_record(&mut self, record: Record) -> Result<(), serde_json::Error> {
        match record.op_code {
            record::CREATE_STUDY => {
                let name = record.study_name.unwrap_or_default();
                if !self.studies.iter().flatten().any(|(other, _)| *other == name) {
                    self.studies.push(Some((name, record.directions.unwrap_or_default())));
                }
            }
            record::DELETE_STUDY => {
                let own = self.study().map(|(id, _)| id);
                if let Some(study) = record.study_id.and_then(|id| self.studies.get_mut(id)) {
                    *study = None;
                }
                if own.is_some() && own == record.study_id {
                    self.own.clear();
                    self.changed.clear();
                    self.waiting.clear();
                    self.trials.fill(None);
                }
            }
            record::CREATE_TRIAL => self.create_trial(record)?,
            _ => self.change_trial(record)?,
        }
        Ok(())
    }

    fn create_trial(&mut self, record: Record) -> Result<(), serde_json::Error> {
        let Some(study_id) = record.study_id else { return Ok(()) };
        if !matches!(self.studies.get(study_id), Some(Some(_))) {
            return Ok(());
        }
        let trial_id = self.trials.len();
        if self.study().map(|(id, _)| id) != Some(study_id) {
            self.trials.push(None);
            return Ok(());
        }
        let mut own = Own {
            trial_id,
            state: record.state.unwrap_or(record::RUNNING),
            value: record.value.or(only(record.values)),
            params: BTreeMap::new(),
            observation: observation(record.user_attrs),
            violation: record::violations(&record.system_attrs).sum(),
            fixed: fixed(&record.system_attrs),
        };
        if own.state == record::WAITING {
            self.waiting.insert(self.own.len());
        }
        for (name, internal) in record.params {
            if let (Some(internal), Some(text)) = (internal, record.distributions.get(&name)) {
                own.params.insert(name, (internal, self.stored(text)?));
            }
        }
        self.changed.insert(self.own.len());
        self.trials.push(Some(self.own.len()));
        self.own.push(own);
        Ok(())
    }

    fn change_trial(&mut self, record: Record) -> Result<(), serde_json::Error> {
        let Some(&Some(number)) = record.trial_id.and_then(|id| self.trials.get(id)) else { return Ok(()) };
        if self.own[number].is_finished() {
            return Ok(());
        }
        self.changed.insert(number);
        match record.op_code {
            record::SET_TRIAL_PARAM => {
                if let (Some(name), Some(internal), Some(text)) =
                    (record.param_name, record.param_value_internal, record.distribution)
                {
                    let stored = self.stored(&text)?;
                    self.own[number].params.insert(name, (internal, stored));
                }
            }
            record::SET_TRIAL_STATE_VALUES => {
                let own = &mut self.own[number];
                own.state = record.state.unwrap_or(own.state);
                own.value = only(record.values).or(own.value);
                if own.state != record::WAITING {
                    self.waiting.remove(&number);
                }
            }
            record::SET_TRIAL_USER_ATTR => {
                let own = &mut self.own[number];
                own.observation = observation(record.user_attr).or(own.observation);
            }
            record::SET_TRIAL_SYSTEM_ATTR => {
                self.own[number].violation += record::violations(&record.system_attr).sum::<f64>();
            }
            _ => {}
        }
        Ok(())
    }

    fn stored(&mut self, text: &str) -> Result<Arc<Stored>, serde_json::Error> {
        if let Some(stored) = self.distributions.get(text) {
            return Ok(Arc::clone(stored));
        }
        let stored = Arc::new(Stored::parse(text)?);
        self.distributions.insert(text.to_owned(), Arc::clone(&stored));
        Ok(stored)
    }
}

impl Own {
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.state, record::COMPLETE | record::PRUNED | record::FAIL)
    }

    /// How the trial ended, `None` while it has not. A value that is no number counts as a failure.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match (self.state, self.value) {
            (record::COMPLETE, Some(value)) => {
                let observation = self.observation.unwrap_or(Observation::new(value));
                Some(Outcome::Complete(Observation { value, violation: self.violation, ..observation }))
            }
            (record::COMPLETE | record::FAIL, _) => Some(Outcome::Failed),
            (record::PRUNED, _) => Some(Outcome::Pruned),
            _ => None,
        }
    }

    /// The values that a waiting trial shall have, what it leaves open taken from `suggested`, and what becomes
    /// active by it from the middle of its range.
    pub(super) fn completed(&self, space: &SearchSpace, suggested: &Values) -> Result<Values, Error> {
        let mut slots = Vec::with_capacity(space.len());
        for (index, parameter) in space.parameters().iter().enumerate() {
            let distribution = &parameter.distribution;
            let own =
                || self.fixed.get(&*parameter.name).and_then(|value| record::fixed(value, distribution));
            let value =
                || own().or(suggested.slots()[index]).unwrap_or_else(|| Dimension::new(distribution).at(0.5));
            slots.push(space.is_active(index, &slots).then(value));
        }
        space.from_slots(slots)
    }

    /// The trial's values of `space`, `None` where a parameter is missing or its value is not of the space.
    ///
    /// Parameters that the space does not have are ignored, so a study whose parameters changed over time
    /// gives what it can.
    pub(super) fn values(&self, space: &SearchSpace) -> Option<Values> {
        let mut slots = Vec::with_capacity(space.len());
        for (index, parameter) in space.parameters().iter().enumerate() {
            let value = || -> Option<ParamValue> {
                let (internal, stored) = self.params.get(&*parameter.name)?;
                stored.value(*internal, &parameter.distribution)
            };
            slots.push(if space.is_active(index, &slots) { Some(value()?) } else { None });
        }
        space.from_slots(slots).ok()
    }
}

fn fixed(attributes: &BTreeMap<String, serde_json::Value>) -> BTreeMap<String, serde_json::Value> {
    let fixed = attributes.get(record::FIXED).and_then(serde_json::Value::as_object);
    fixed.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The value of a trial with one objective.
fn only(values: Option<Vec<Option<f64>>>) -> Option<f64> {
    values?.into_iter().next()?
}

fn observation(mut attributes: BTreeMap<String, serde_json::Value>) -> Option<Observation> {
    let observation: Observation = serde_json::from_value(attributes.remove(record::OBSERVATION)?).ok()?;
    observation.check().is_ok().then_some(observation)
}
