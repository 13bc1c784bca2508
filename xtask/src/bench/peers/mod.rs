//! The other projects that are measured beside ours: which there are, which are wanted, and starting them.
//!
//! ```text
//!   peers.toml ──select──► wanted ──install (once)──► virtual environment ──start──► Peer (a process)
//! ```
//!
//! The catalogue is the one place with versions; `cargo xtask golden` asks it for DSPy. A peer that cannot be installed or
//! started is no error: the table says why it has no figures.

mod process;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::Error;
use crate::python;
use crate::workspace::Workspace;

pub(crate) use process::Peer;

/// The folder with the catalogue and the drivers, relative to the root.
const FOLDER: &str = "xtask/peers";
/// The catalogue, relative to the root.
const FILE: &str = "xtask/peers/peers.toml";

/// Some of the catalogue's peers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peers {
    #[serde(rename = "peer")]
    entries: Vec<Entry>,
}

/// One peer of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    name: String,
    /// By family that it takes part in: the driver's file in the folder, and its arguments.
    drivers: BTreeMap<String, Vec<String>>,
    /// What the Python package installer is asked for, all pinned.
    packages: Vec<String>,
}

impl Peers {
    /// Reads the catalogue.
    pub(crate) fn load(workspace: &Workspace) -> Result<Self, Error> {
        let text = workspace.read(FILE)?;
        Self::parse(&text).map_err(|problem| Error::Content { file: FILE.into(), problem })
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The peers with these names; `all` and `none` are what they say.
    ///
    /// # Errors
    ///
    /// When a name is not in the catalogue.
    pub(crate) fn select(self, names: &[String]) -> Result<Self, Error> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["all"] => return Ok(self),
            ["none"] => return Ok(Self { entries: Vec::new() }),
            _ => {}
        }
        let known: Vec<&str> = self.entries.iter().map(|entry| entry.name.as_str()).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
            let message = format!("no peer `{unknown}`; there are {}, and all or none", known.join(", "));
            return Err(Error::Usage(message));
        }
        let wanted = |entry: &Entry| names.contains(&entry.name.as_str());
        Ok(Self { entries: self.entries.iter().filter(|entry| wanted(entry)).cloned().collect() })
    }

    /// The names of those that take part in a family, or have data for it (`FAMILY-...`).
    pub(crate) fn of(&self, family: &str) -> Vec<&str> {
        let of_family = |name: &String| name.split('-').next() == Some(family);
        let takes_part = |entry: &&Entry| entry.drivers.keys().any(of_family);
        self.entries.iter().filter(takes_part).map(|entry| entry.name.as_str()).collect()
    }

    /// Installs and starts those that take part in a family.
    pub(crate) fn start(&self, workspace: &Workspace, family: &str) -> Vec<Peer> {
        let start = |entry: &Entry| {
            let driver = entry.drivers.get(family)?;
            eprintln!("{family}: setting up {}", entry.name);
            Some(match entry.install(workspace) {
                Ok(python) => Peer::start(workspace, &entry.name, driver, &python),
                Err(error) => Peer::absent(&entry.name, format!("not installed: {error}")),
            })
        };
        self.entries.iter().filter_map(start).collect()
    }

    /// The Python interpreter of a peer's environment, installed if need be.
    ///
    /// # Errors
    ///
    /// When the catalogue has no such peer, or it cannot be installed.
    pub(crate) fn install(&self, workspace: &Workspace, name: &str) -> Result<PathBuf, Error> {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        let entry = entry.ok_or_else(|| Error::Usage(format!("`{FILE}` has no peer `{name}`")))?;
        entry.install(workspace)
    }
}

impl Entry {
    fn install(&self, workspace: &Workspace) -> Result<PathBuf, Error> {
        python::environment(&workspace.target().join("bench-peers").join(&self.name), &self.packages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Peers {
        let entry = |name: &str, family: &str| {
            format!("[[peer]]\nname = \"{name}\"\ndrivers = {{ {family} = [] }}\npackages = []\n")
        };
        Peers::parse(&(entry("a", "tpe") + &entry("b", "task"))).unwrap()
    }

    fn names(peers: &Peers) -> Vec<&str> {
        peers.entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn peers_are_selected_by_name() {
        let select = |wanted: &[&str]| {
            catalogue().select(&wanted.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(names(&select(&["all"]).unwrap()), ["a", "b"]);
        assert_eq!(names(&select(&["none"]).unwrap()), [""; 0]);
        assert_eq!(names(&select(&["b"]).unwrap()), ["b"]);
        assert!(select(&["a", "c"]).unwrap_err().to_string().contains("no peer `c`; there are a, b"));
    }

    #[test]
    fn the_catalogue_pins_every_package_and_its_drivers_exist() {
        let workspace = Workspace::find().unwrap();
        let peers = Peers::load(&workspace).unwrap();
        assert_eq!(peers.of("search"), ["optuna"]);
        for entry in &peers.entries {
            assert!(entry.packages.iter().all(|package| package.contains("==")), "{entry:?}");
            for driver in entry.drivers.values() {
                assert!(workspace.path(FOLDER).join(&driver[0]).is_file(), "{entry:?}");
            }
        }
    }

    #[test]
    fn a_package_has_the_same_version_wherever_it_is() {
        let peers = Peers::load(&Workspace::find().unwrap()).unwrap();
        let mut pins: BTreeMap<&str, &str> = BTreeMap::new();
        for package in peers.entries.iter().flat_map(|entry| &entry.packages) {
            let (name, version) = package.split_once("==").unwrap();
            assert_eq!(*pins.entry(name).or_insert(version), version, "{name}");
        }
    }

    #[test]
    fn only_a_peer_of_the_catalogue_can_be_installed() {
        let error = catalogue().install(&Workspace::find().unwrap(), "c").unwrap_err();
        assert!(error.to_string().contains("no peer `c`"), "{error}");
    }
}
