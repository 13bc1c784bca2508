//! Studies in files: Optuna's journal format, shared between processes and with Optuna itself (feature
//! `journal`).
//!
//! A [`JournalStudy`] is a [`Study`] whose every question and answer is a line of an append-only file.
//! Nothing is kept that the file does not say: what this process asks and tells comes back to it by reading,
//! like what others write.
//!
//! ```text
//!   ask ──► lock ─► read news ─► suggest ─► append "trial, values" ─► unlock
//!   tell ─► lock ─► read news ─► check   ─► append "outcome"       ─► unlock
//! ```
//!
//! - **Crash-safe.** A line counts when it is whole; a torn last line is ignored, and removed by the next
//!   write. Outcomes have reached the disk when `tell` and `add_trial` return, and with them all lines
//!   before. A question is not waited for: where the machine dies, at most trials without an outcome are
//!   lost.
//! - **Many processes.** Trials of others that are still running are pending here and steer suggestions away.
//!   The lock is Optuna's symbolic link, with its 30 seconds of grace for a holder that died.
//! - **Both ways.** Optuna and its dashboard open these files and go on with them, and files of Optuna can be
//!   opened here, whatever their parameters were: trials with a value for every active parameter of the given
//!   space are used, others are left alone and only take up a number. Waiting trials (`enqueue_trial` in
//!   Optuna, [`JournalStudy::enqueue`] here) are asked by whoever asks next. Pruned trials keep out of the densities, which is where a suggestion differs
//!   from Optuna's.
//!
//! It is not for many short trials on a slow disk: every outcome waits for it.
//!
//! ```
//! use teleprompt_tpe::journal::JournalStudy;
//! use teleprompt_tpe::{Direction, Distribution, SearchSpace, TpeSampler};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("rates.journal");
//! let space = SearchSpace::builder().param("rate", Distribution::log_float(1e-5, 1.0)).build()?;
//! let open = || JournalStudy::open(&path, "rates", space.clone(), TpeSampler::default(), Direction::Minimize, 7);
//!
//! let mut study = open()?;
//! for _ in 0..5 {
//!     let trial = study.ask()?;
//!     let rate = trial.values.float("rate").unwrap_or(1.0);
//!     study.tell(trial.number, (rate.log10() + 2.0).powi(2))?;
//! }
//! // Another process, or this one after a crash:
//! let again = open()?;
//! assert_eq!(again.study().trials().len(), 5);
//! assert_eq!(again.study().best(), study.study().best());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod file;
mod record;
mod replay;

use std::io;
use std::path::Path;

use self::file::JournalFile;
use self::record::Writer;
use self::replay::Replay;
use crate::error::Error;
use crate::sampler::Sampler;
use crate::space::{SearchSpace, Values};
use crate::study::Study;
use crate::trial::{Direction, Outcome, Trial};

/// What can go wrong with a study in a journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file or its lock could not be read or written.
    #[error("the journal could not be read or written")]
    Io(#[from] io::Error),
    /// A line is whole and yet no record.
    #[error("line {number} of the journal is not a record")]
    Line {
        /// The line, from 1.
        number: u64,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// The study of this name has another direction, or several objectives.
    #[error("the study in the journal has other directions: {found:?}")]
    Direction {
        /// Per objective 1 for minimize and 2 for maximize.
        found: Vec<u8>,
    },
    /// The study has been deleted from the journal, by whoever.
    #[error("the study has been deleted from the journal")]
    Deleted,
    /// What a study in memory would report too.
    #[error(transparent)]
    Study(#[from] Error),
}

/// A study in a journal file. See the [module](self) for what that means.
///
/// # Determinism
///
/// That of [`Study`]: with one process, the same seed gives the same trials, in one go or resumed.
#[derive(Debug)]
pub struct JournalStudy<S> {
    file: JournalFile,
    writer: Writer,
    replay: Replay,
    study: Study<S>,
    study_id: usize,
}

impl<S: Sampler> JournalStudy<S> {
    /// Opens the study `name` of the journal at `path`, creating both where they are missing.
    ///
    /// `sampler` must be fresh. Trials in the file need not have been suggested for this `space`.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`], [`JournalError::Line`], [`JournalError::Direction`].
    pub fn open(
        path: impl AsRef<Path>,
        name: &str,
        space: SearchSpace,
        sampler: S,
        direction: Direction,
        seed: u64,
    ) -> Result<Self, JournalError> {
        let mut file = JournalFile::open(path.as_ref())?;
        let (writer, mut replay) = (Writer::new(), Replay::new(name));
        let lock = file.lock()?;
        replay.apply(&file.read_new()?)?;
        if replay.study().is_none() {
            let mut lines = Vec::new();
            writer.create_study(name, direction, &mut lines);
            file.append(&lines)?;
            file.persist()?;
            replay.apply(&file.read_new()?)?;
        }
        drop(lock);
        let (study_id, directions) = replay.study().ok_or(JournalError::Deleted)?;
        if directions != [record::code(direction)] {
            return Err(JournalError::Direction { found: directions.to_vec() });
        }
        let study = Study::new(space, sampler, direction, seed);
        let mut journal = Self { file, writer, replay, study, study_id };
        journal.take_over()?;
        Ok(journal)
    }

    /// The study as of the last call; [`sync`](Self::sync) brings it up to date.
    pub fn study(&self) -> &Study<S> {
        &self.study
    }

    /// Takes in what other processes have written.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`], [`JournalError::Line`], [`JournalError::Deleted`].
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.replay.apply(&self.file.read_new()?)?;
        self.take_over()
    }

    /// The next trial, with values for all active parameters: one that waits in the file first, by whomever it
    /// was enqueued; what such a trial leaves open is suggested.
    ///
    /// # Errors
    ///
    /// As [`sync`](Self::sync) and [`Study::ask`]. After an error of the disk the trial may be in the file or
    /// not.
    pub fn ask(&mut self) -> Result<Trial, JournalError> {
        let lock = self.file.lock()?;
        self.sync()?;
        let suggested = self.study.suggest()?;
        let (mut lines, own) = (Vec::new(), self.replay.own());
        let space = &self.study.problem().space;
        let (number, values) = match self.replay.waiting().and_then(|number| Some((number, own.get(number)?)))
        {
            Some((number, waiting)) => {
                let values = waiting.completed(space, &suggested)?;
                self.writer.start(waiting.trial_id, space, &values, &mut lines);
                (number as u64, values)
            }
            None => {
                let next = self.replay.next_trial_id();
                self.writer.ask(self.study_id, next, space, &suggested, &mut lines);
                (own.len() as u64, suggested)
            }
        };
        self.file.append(&lines)?;
        drop(lock);
        self.sync()?;
        Ok(Trial { number, values })
    }

    /// Sets the values of a coming trial, of this process or of another; several are asked in the order of the
    /// file.
    ///
    /// # Errors
    ///
    /// As [`sync`](Self::sync) and [`Study::enqueue`].
    pub fn enqueue(&mut self, values: &Values) -> Result<(), JournalError> {
        let space = self.study.problem().space.clone();
        let values = space.adopt(values)?;
        let lock = self.file.lock()?;
        self.sync()?;
        let mut lines = Vec::new();
        self.writer.enqueue(self.study_id, &space, &values, &mut lines);
        self.file.append(&lines)?;
        self.file.persist()?;
        drop(lock);
        self.sync()
    }

    /// Reports the outcome of a pending trial, of this process or of another.
    ///
    /// # Errors
    ///
    /// As [`sync`](Self::sync) and [`Study::tell`].
    pub fn tell(&mut self, number: u64, outcome: impl Into<Outcome>) -> Result<(), JournalError> {
        let outcome = outcome.into();
        check(outcome)?;
        let lock = self.file.lock()?;
        self.sync()?;
        let own = usize::try_from(number).ok().and_then(|number| self.replay.own().get(number));
        let trial_id = match own {
            None => return Err(Error::UnknownTrial { number }.into()),
            Some(own) if own.is_finished() => return Err(Error::AlreadyFinished { number }.into()),
            Some(own) => own.trial_id,
        };
        let mut lines = Vec::new();
        self.writer.tell(trial_id, outcome, &mut lines);
        self.file.append(&lines)?;
        self.file.persist()?;
        drop(lock);
        self.sync()
    }

    /// Adds a trial that was evaluated elsewhere and returns its number.
    ///
    /// # Errors
    ///
    /// As [`sync`](Self::sync) and [`Study::add_trial`].
    pub fn add_trial(&mut self, values: &Values, outcome: impl Into<Outcome>) -> Result<u64, JournalError> {
        let outcome = outcome.into();
        check(outcome)?;
        let space = self.study.problem().space.clone();
        let values = space.adopt(values)?;
        let lock = self.file.lock()?;
        self.sync()?;
        let number = self.replay.own().len() as u64;
        let mut lines = Vec::new();
        self.writer.add(self.study_id, &space, &values, outcome, &mut lines);
        self.file.append(&lines)?;
        self.file.persist()?;
        drop(lock);
        self.sync()?;
        Ok(number)
    }

    /// Brings the study in memory to the state of the replay.
    fn take_over(&mut self) -> Result<(), JournalError> {
        if self.replay.study().is_none_or(|(id, _)| id != self.study_id) {
            return Err(JournalError::Deleted);
        }
        for index in self.replay.take_changed() {
            let (own, number) = (&self.replay.own()[index], index as u64);
            let outcome = own.outcome();
            if outcome.is_none() && own.state != record::RUNNING {
                continue;
            }
            if let Some(values) = own.values(&self.study.problem().space) {
                self.study.import(Trial { number, values }, outcome)?;
            }
        }
        self.study.set_next(self.replay.own().len() as u64);
        Ok(())
    }
}

fn check(outcome: Outcome) -> Result<(), Error> {
    match outcome {
        Outcome::Complete(observation) => observation.check(),
        Outcome::Failed | Outcome::Pruned => Ok(()),
    }
}
