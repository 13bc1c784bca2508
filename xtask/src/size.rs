//! The size of a program that runs a saved file: built for size, measured, held to a limit.
//!
//! It is no step of `ci`: the build optimizes all dependencies together, which takes minutes, and the limit is five times
//! what is needed.

use std::fs;
use std::process::ExitCode;

use crate::error::Error;
use crate::workspace::{Workspace, shown};

/// The most bytes that the stripped program may have.
const LIMIT: u64 = 15_000_000;

/// The package and its program.
const PROGRAM: &str = "teleprompt-runner";

/// Builds the program with the profile `small` and looks at its size.
///
/// # Errors
///
/// When it does not build, or is above the limit.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode, Error> {
    let arguments = ["build", "--profile", "small", "--package", PROGRAM];
    let command = shown(&[], "cargo", &arguments);
    let status = workspace.command("cargo").args(arguments).status();
    let status = status.map_err(|source| Error::Start { command: command.clone(), source })?;
    if !status.success() {
        return Err(Error::Command { command, status });
    }
    let path = workspace.target().join("small").join(PROGRAM).with_extension(std::env::consts::EXE_EXTENSION);
    let bytes = fs::metadata(&path).map_err(Error::file("look at", &path))?.len();
    println!("{}", verdict(bytes)?);
    Ok(ExitCode::SUCCESS)
}

fn verdict(bytes: u64) -> Result<String, Error> {
    let size = format!("{PROGRAM} has {:.2} MB ({bytes} bytes)", bytes as f64 / 1e6);
    let limit = LIMIT as f64 / 1e6;
    if bytes < LIMIT {
        Ok(format!("size: {size}, below {limit} MB"))
    } else {
        let problem = format!("{size}, the limit is {limit} MB: see with `cargo tree` what was added");
        Err(Error::Measurement { subject: "size".into(), problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_held() {
        assert_eq!(
            verdict(3_046_384).unwrap(),
            "size: teleprompt-runner has 3.05 MB (3046384 bytes), below 15 MB"
        );
        assert!(verdict(LIMIT).unwrap_err().to_string().contains("the limit is 15 MB"));
    }
}
