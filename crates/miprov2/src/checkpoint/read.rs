//! Reading a checkpoint: line by line, bounded, with an error that names the line.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use teleprompt_core::Stage;
use teleprompt_core::lm::LmResponse;

use super::record::{Header, Outcome, Record};
use super::{CheckpointError, Fingerprint, VERSION};
use crate::caps::Spent;
use crate::digest::Digest;

/// The longest line that is read, in bytes: far more than any answer.
const MAX_LINE: u64 = 64 * 1024 * 1024;
/// How a header begins.
const MARK: &[u8] = b"{\"teleprompt_checkpoint\":";

/// What a checkpoint holds.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// What each call came to, in the order in which it was asked.
    pub(crate) outcomes: BTreeMap<Digest, VecDeque<Outcome>>,
    /// What was paid for each answer, and what was reserved for it.
    pub(crate) paid: BTreeMap<Digest, (Spent, Spent)>,
    /// What calls may have used that were begun and gave no answer.
    pub(crate) lost: BTreeMap<Digest, Vec<Spent>>,
    pub(crate) stages: BTreeMap<Stage, Digest>,
    pub(crate) trials: BTreeMap<usize, Digest>,
    /// How the last process of the run ended, if it did.
    pub(crate) ended: Option<String>,
    /// Where the last good line ends.
    pub(super) bytes: u64,
}

impl Known {
    /// Answers that need not be asked for.
    pub(crate) fn answers(&self) -> usize {
        let answer = |outcome: &&Outcome| matches!(outcome, Outcome::Answer(_));
        self.outcomes.values().flatten().filter(answer).count()
    }

    pub(super) fn take(&mut self, record: Record) {
        match record {
            Record::Begun { key, most } => self.lost.entry(key).or_default().push(most),
            Record::Answer { key, text, usage, finish, logprobs, others, cached, nano_usd, .. } => {
                let mut answer = LmResponse::new(text).with_usage(usage).with_finish(finish);
                answer = answer.with_logprobs(logprobs).with_others(others);
                answer.cached = cached;
                let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
                let paid = if cached { Spent::default() } else { Spent::of(1, tokens, nano_usd) };
                let most = self.lost.get_mut(&key).and_then(Vec::pop);
                self.paid.insert(key, (paid, most.unwrap_or(paid)));
                self.outcomes.entry(key).or_default().push_back(Outcome::Answer(answer));
            }
            Record::Failed { key, kind, detail, .. } => {
                self.outcomes.entry(key).or_default().push_back(Outcome::Failed(kind, detail));
            }
            Record::Stage { stage, digest } => drop(self.stages.insert(stage, digest)),
            Record::Trial { number, digest, .. } => drop(self.trials.insert(number, digest)),
            Record::Ended { how } => {
                if how == "failed" {
                    self.forget_failures();
                }
                self.ended = Some(how);
            }
        }
    }

    /// What failed before the run gave up may succeed now: it is asked again, and what was found without it is void.
    fn forget_failures(&mut self) {
        for outcomes in self.outcomes.values_mut() {
            outcomes.retain(|outcome| match outcome {
                Outcome::Answer(_) => true,
                Outcome::Failed(kind, _) => kind.is_of_the_request(),
            });
        }
        self.stages.clear();
        self.trials.clear();
    }
}

/// What the file holds; `None` for one that is empty, or that was torn in its first line.
pub(super) fn read(
    path: &Path,
    file: &mut File,
    fingerprint: &Fingerprint,
) -> Result<Option<Known>, CheckpointError> {
    let io = |source| CheckpointError::Io { path: path.to_owned(), source };
    let mut lines = Lines { reader: BufReader::new(file), line: Vec::new() };
    if !lines.next().map_err(io)? {
        return Ok(None);
    }
    let first = lines.line.as_slice();
    let header: Header = match serde_json::from_slice(first) {
        Ok(header) if first.ends_with(b"\n") => header,
        _ => {
            let torn = !first.ends_with(b"\n") && (first.starts_with(MARK) || MARK.starts_with(first));
            // A header of a later version may have another form, but says its version first.
            return match (torn, version_of(first)) {
                (true, _) => Ok(None),
                (false, Some(version)) if version > VERSION => {
                    Err(CheckpointError::Newer { path: path.to_owned(), version })
                }
                _ => Err(CheckpointError::Foreign { path: path.to_owned() }),
            };
        }
    };
    if header.version > VERSION {
        return Err(CheckpointError::Newer { path: path.to_owned(), version: header.version });
    }
    let changed = header.fingerprint.changes(fingerprint);
    if !changed.is_empty() {
        return Err(CheckpointError::Changed { path: path.to_owned(), changed });
    }
    let mut known = Known { bytes: lines.line.len() as u64, ..Known::default() };
    let mut bad: Option<(usize, String)> = None;
    let mut number = 1;
    while lines.next().map_err(io)? {
        number += 1;
        // The last line may be torn. One before it cannot be.
        if let Some((line, problem)) = bad.take() {
            return Err(CheckpointError::Corrupt { path: path.to_owned(), line, problem });
        }
        if lines.line.len() as u64 > MAX_LINE {
            let problem = format!("it has more than {MAX_LINE} bytes");
            return Err(CheckpointError::Corrupt { path: path.to_owned(), line: number, problem });
        }
        if !lines.line.ends_with(b"\n") {
            bad = Some((number, "it has no end".to_owned()));
            continue;
        }
        match serde_json::from_slice::<Record>(&lines.line) {
            Ok(record) => {
                known.take(record);
                known.bytes += lines.line.len() as u64;
            }
            Err(error) => bad = Some((number, error.to_string())),
        }
    }
    Ok(Some(known))
}

fn version_of(line: &[u8]) -> Option<u32> {
    let header: serde_json::Value = serde_json::from_slice(line).ok()?;
    u32::try_from(header.get("teleprompt_checkpoint")?.as_u64()?).ok()
}

/// Lines of at most [`MAX_LINE`] bytes and one.
struct Lines<R> {
    reader: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Reads a line with its end; `false` at the end of the file.
    fn next(&mut self) -> std::io::Result<bool> {
        self.line.clear();
        (&mut self.reader).take(MAX_LINE + 1).read_until(b'\n', &mut self.line)?;
        Ok(!self.line.is_empty())
    }
}
