//! How a command-line example ends.

#![expect(clippy::print_stderr, reason = "a command-line program speaks on standard error")]

use std::error::Error;
use std::process::ExitCode;

/// Says an error on standard error, and what the process gives its caller.
pub fn exit(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
