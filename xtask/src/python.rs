//! Python environments with pinned packages, each made once and kept below the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::workspace::shown;

/// Names of the interpreter, the most usual one first.
const INTERPRETERS: [&str; 2] = ["python3", "python"];
/// The interpreter of a virtual environment: on most systems, and on Windows.
const INSIDE: [&str; 2] = ["bin/python", "Scripts/python.exe"];

/// The interpreter of the environment in `folder`, in which `packages` are installed.
///
/// # Errors
///
/// When there is no Python, or a package cannot be installed.
pub(crate) fn environment(folder: &Path, packages: &[String]) -> Result<PathBuf, Error> {
    // Written last, so that an installation that was broken off is made again.
    let stamp = folder.join("installed.txt");
    let listed = packages.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == listed)
        && let Some(python) = inside(folder)
    {
        return Ok(python);
    }

    let interpreter = INTERPRETERS.iter().find(|name| {
        let version =
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    });
    let interpreter = interpreter.ok_or_else(|| Error::Usage("there is no Python".into()))?;
    finish(Command::new(interpreter).args(["-m", "venv", "--clear"]).arg(folder), "python -m venv")?;
    let python = inside(folder).ok_or_else(|| Error::Usage("the environment has no Python".into()))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    eprintln!("installing {} packages into {}", packages.len(), folder.display());
    // The list is long; what pip says of it is on the terminal.
    let first = packages.first().map(String::as_str).unwrap_or_default();
    let command = shown(&[], "pip install", &[first, "..."]);
    finish(Command::new(&python).args(pip).args(packages), &command)?;
    fs::write(&stamp, listed).map_err(Error::file("write", stamp))?;
    Ok(python)
}

fn inside(folder: &Path) -> Option<PathBuf> {
    INSIDE.iter().map(|path| folder.join(path)).find(|path| path.is_file())
}

fn finish(command: &mut Command, shown: &str) -> Result<(), Error> {
    // What pip prints goes to the terminal, but not among the tables.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.map_err(|source| Error::Start { command: shown.to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Command { command: shown.to_owned(), status }) }
}
