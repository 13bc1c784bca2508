//! Events as JSON Lines, for other programs to read.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use teleprompt_core::{Event, Observer};

/// Writes every event as one line of JSON: `{"event":"trial","number":3,..}`.
///
/// ```
/// use teleprompt_core::{Event, Observer};
/// use teleprompt_miprov2::EventLog;
/// let log = EventLog::new(Vec::new());
/// log.on_event(&Event::Warning { message: "few rows".into() });
/// let text = String::from_utf8(log.into_inner()).unwrap();
/// assert_eq!(text, "{\"event\":\"warning\",\"message\":\"few rows\"}\n");
/// ```
#[derive(Debug)]
pub struct EventLog<W> {
    state: Mutex<(W, Option<io::Error>)>,
}

impl<W: Write + Send> EventLog<W> {
    /// An observer that writes to `out`.
    pub fn new(out: W) -> Self {
        Self { state: Mutex::new((out, None)) }
    }

    /// The first error of writing, after which nothing is written any more: an observer cannot end a run.
    pub fn error(&self) -> Option<io::Error> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.take()
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).0
    }
}

impl<W: Write + Send> Observer for EventLog<W> {
    fn on_event(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (out, error) = &mut *state;
        if error.is_none() {
            let line = serde_json::to_vec(event).map_err(io::Error::from);
            *error = line
                .and_then(|mut line| {
                    line.push(b'\n');
                    out.write_all(&line)
                })
                .err();
        }
    }
}
