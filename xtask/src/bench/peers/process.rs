//! A peer as a process: one JSON object a line to its standard input, one answer a line from its standard output.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::FOLDER;
use crate::error::Error;
use crate::workspace::Workspace;

/// How long a peer may take for one answer.
const PATIENCE: Duration = Duration::from_secs(600);

/// Another project's program, running, or the reason why it is not.
#[derive(Debug)]
pub(crate) struct Peer {
    name: String,
    state: State,
    /// The program and its arguments.
    words: Vec<OsString>,
}

#[derive(Debug)]
enum State {
    Running { process: Process, version: String },
    Missing(String),
}

impl Peer {
    /// A peer that has no figures.
    pub(super) fn absent(name: &str, reason: String) -> Self {
        Self { name: name.to_owned(), state: State::Missing(reason), words: Vec::new() }
    }

    /// Starts the peer's driver, a file of the folder with arguments, and asks for its version.
    pub(super) fn start(workspace: &Workspace, name: &str, driver: &[String], python: &Path) -> Self {
        let mut words = driver.iter();
        let file = words.next().map(String::as_str).unwrap_or_default();
        let mut command = Command::new(python);
        Self::program(name, command.arg(workspace.path(FOLDER).join(file)).args(words))
    }

    /// Starts any program that speaks a driver's protocol and asks for its version.
    pub(crate) fn program(name: &str, command: &mut Command) -> Self {
        let state = match Process::start(command).and_then(Process::with_version) {
            Ok((process, version)) => State::Running { process, version },
            Err(problem) => State::Missing(format!("not started: {problem}")),
        };
        let words = std::iter::once(command.get_program()).chain(command.get_args()).map(OsString::from);
        Self { name: name.to_owned(), state, words: words.collect() }
    }

    /// The same program, started anew; a peer that never started stays as it is.
    #[cfg_attr(
        not(feature = "models"),
        expect(dead_code, reason = "only the family task starts peers again")
    )]
    pub(crate) fn again(&self) -> Self {
        match self.words.split_first() {
            Some((program, arguments)) => Self::program(&self.name, Command::new(program).args(arguments)),
            None => Self::absent(&self.name, self.version()),
        }
    }

    /// The number of the process, while it runs.
    #[cfg_attr(
        not(feature = "models"),
        expect(dead_code, reason = "only the family task measures processes")
    )]
    pub(crate) fn process_id(&self) -> Option<u32> {
        match &self.state {
            State::Running { process, .. } => Some(process.child.id()),
            State::Missing(_) => None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Ends the peer, which has failed, for good.
    #[cfg_attr(not(any(feature = "bench", test)), expect(dead_code, reason = "only families give up"))]
    pub(crate) fn give_up(&mut self, error: &Error) {
        let reason = format!("{}: {error}", self.version());
        self.state = State::Missing(reason);
    }

    /// The version, or why there is none.
    pub(crate) fn version(&self) -> String {
        match &self.state {
            State::Running { version, .. } => version.clone(),
            State::Missing(reason) => reason.lines().next().unwrap_or_default().to_owned(),
        }
    }

    /// Why the peer cannot be measured.
    pub(crate) fn missing(&self) -> Option<&str> {
        match &self.state {
            State::Running { .. } => None,
            State::Missing(reason) => Some(reason),
        }
    }

    /// The answer to a request.
    ///
    /// # Errors
    ///
    /// What the peer reports, and when it gives no answer.
    #[cfg_attr(not(any(feature = "bench", test)), expect(dead_code, reason = "only families ask"))]
    pub(crate) fn request(&mut self, request: &Value) -> Result<Value, Error> {
        self.request_within(request, PATIENCE)
    }

    /// The same, given up after so long: the peer answers no further request then.
    pub(crate) fn request_within(&mut self, request: &Value, patience: Duration) -> Result<Value, Error> {
        let answer = match &mut self.state {
            State::Running { process, .. } => process.request(request, patience),
            State::Missing(reason) => Err(reason.clone()),
        };
        answer.map_err(|problem| Error::Measurement { subject: self.name.clone(), problem })
    }
}

/// A process that answers.
#[derive(Debug)]
struct Process {
    child: Child,
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Process {
    fn start(command: &mut Command) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let requests = child.stdin.take();
        let output = child.stdout.take();
        let (sender, answers) = channel();
        // A thread of its own reads, so that a silent peer can be given up.
        thread::spawn(move || {
            for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()) {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, requests, answers })
    }

    fn with_version(mut self) -> Result<(Self, String), String> {
        let answer = self.request(&json!({"op": "version"}), PATIENCE)?;
        let version = answer.get("version").and_then(Value::as_str).ok_or("it has no version")?.to_owned();
        Ok((self, version))
    }

    fn request(&mut self, request: &Value, patience: Duration) -> Result<Value, String> {
        let input = self.requests.as_mut().ok_or("its input is closed")?;
        let sent = writeln!(input, "{request}").and_then(|()| input.flush());
        sent.map_err(|error| format!("it takes no requests: {error}"))?;
        let line = self.answers.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("no answer within {} s", patience.as_secs()),
            RecvTimeoutError::Disconnected => "it ended without an answer".to_owned(),
        })?;
        let answer: Value =
            serde_json::from_str(&line).map_err(|error| format!("`{line}` is no JSON: {error}"))?;
        match answer.get("error").and_then(Value::as_str) {
            Some(problem) => Err(problem.to_owned()),
            None => Ok(answer),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input ends a driver by itself; one that hangs is ended. Neither can fail in a way that
        // matters here.
        self.requests = None;
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_peer_says_why() {
        let mut peer = Peer::absent("optuna", "not installed: no Python\ndetails".into());
        assert_eq!(peer.version(), "not installed: no Python");
        let message = peer.request(&json!({})).unwrap_err().to_string();
        assert!(message.starts_with("optuna: not installed"), "{message}");
    }

    #[test]
    fn a_peer_that_is_given_up_says_what_it_failed_with() {
        let mut peer = Peer::absent("optuna", "5.0.0".into());
        peer.give_up(&Error::Usage("no answer".into()));
        assert_eq!(peer.missing(), Some("5.0.0: no answer"));
    }

    #[test]
    fn a_program_that_does_not_exist_is_no_error() {
        assert!(Process::start(&mut Command::new("teleprompt-no-such-program")).is_err());
    }

    #[test]
    fn a_program_that_ends_gives_no_answer() {
        // The test program itself, asked for no test, ends at once without a line of JSON.
        let mut command = Command::new(std::env::current_exe().unwrap());
        let process = Process::start(command.args(["--exact", "none"])).unwrap();
        assert!(process.with_version().is_err());
    }
}
