//! Where things are, and the programs that tasks run.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// The workspace that this program belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the workspace around the current directory, else the one that this program was built from.
    pub(crate) fn find() -> Result<Self, Error> {
        let here = env::current_dir().map_err(Error::file("find", "."))?;
        let built = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here
            .ancestors()
            .chain(built.ancestors())
            .find(|folder| folder.join("xtask").is_dir() && folder.join("Cargo.toml").is_file())
            .ok_or_else(|| Error::Usage("run this inside the workspace".into()))?;
        Ok(Self { root: root.to_path_buf() })
    }

    /// The folder of the root manifest.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A file of the workspace, from a relative path with forward slashes.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Where builds go: `CARGO_TARGET_DIR`, else `target`.
    pub(crate) fn target(&self) -> PathBuf {
        self.root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
    }

    /// The text of a file.
    pub(crate) fn read(&self, relative: &str) -> Result<String, Error> {
        let path = self.path(relative);
        fs::read_to_string(&path).map_err(Error::file("read", path))
    }

    /// A program to be run in the root. `cargo` is the one that runs this task.
    pub(crate) fn command(&self, program: &str) -> Command {
        let cargo = if program == "cargo" { env::var_os("CARGO") } else { None };
        let mut command = Command::new(cargo.unwrap_or_else(|| program.into()));
        command.current_dir(&self.root);
        command
    }
}

/// A command line as one would type it.
pub(crate) fn shown(environment: &[(&str, String)], program: &str, arguments: &[impl AsRef<str>]) -> String {
    let mut text = String::new();
    for (name, value) in environment {
        let _ = write!(text, "{name}={} ", quoted(value));
    }
    text.push_str(program);
    for argument in arguments {
        let _ = write!(text, " {}", quoted(argument.as_ref()));
    }
    text
}

fn quoted(word: &str) -> String {
    if word.is_empty() || word.contains(char::is_whitespace) {
        format!("\"{word}\"")
    } else {
        word.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_found() {
        let workspace = Workspace::find().unwrap();
        assert!(workspace.read("xtask/Cargo.toml").unwrap().contains("name = \"xtask\""));
    }

    #[test]
    fn a_command_is_shown_as_typed() {
        assert_eq!(
            shown(&[("A", "x y".to_owned())], "cargo", &["doc", "--no-deps"]),
            "A=\"x y\" cargo doc --no-deps"
        );
    }
}
