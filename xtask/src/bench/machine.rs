//! The machine that figures were measured on, as far as it tells.

use std::env;
use std::fs;
use std::process::Command;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::workspace::Workspace;

/// What a reader needs to judge a figure. Words that the system does not tell are `unknown`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Machine {
    pub(crate) os: String,
    pub(crate) arch: String,
    pub(crate) cpu: String,
    /// How many threads can run at once.
    pub(crate) cores: usize,
    pub(crate) rustc: String,
}

impl Machine {
    /// The machine that this program runs on.
    pub(crate) fn this(workspace: &Workspace) -> Self {
        let rustc = workspace.command("rustc").arg("--version").output().ok();
        let rustc = rustc.and_then(|output| String::from_utf8(output.stdout).ok());
        Self {
            os: env::consts::OS.to_owned(),
            arch: env::consts::ARCH.to_owned(),
            cpu: processor().unwrap_or_else(|| "unknown".to_owned()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            rustc: rustc.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned()),
        }
    }

    /// One line for people.
    pub(crate) fn describe(&self) -> String {
        let Self { os, arch, cpu, cores, rustc } = self;
        format!("{cpu}, {cores} cores, {os} {arch}, {rustc}")
    }
}

/// The processor's name, from whichever place this system keeps it in.
fn processor() -> Option<String> {
    let linux = || {
        let text = fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        line.split_once(':').map(|(_, name)| name.trim().to_owned())
    };
    let mac = || {
        let output = Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
        String::from_utf8(output.stdout).ok().map(|name| name.trim().to_owned())
    };
    let windows = || env::var("PROCESSOR_IDENTIFIER").ok();
    linux().or_else(mac).or_else(windows).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::this(&Workspace::find().unwrap());
        assert!(machine.cores >= 1);
        assert!(machine.rustc.starts_with("rustc"), "{}", machine.rustc);
        assert!(machine.describe().contains(&machine.arch));
    }
}
