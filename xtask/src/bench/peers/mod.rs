//! The other projects that are measured beside ours: which there are, which are wanted, and starting them.
//!
//! ```text
//!   peers.toml ──select──► wanted ──install (once)──► virtual environment ──start──► Peer (a process)
//! ```
//!
//! A peer that cannot be installed or started is no error: the table says why it has no figures.

mod process;

use serde::Deserialize;

use crate::error::Error;
use crate::python;
use crate::workspace::Workspace;

pub(crate) use process::Peer;

/// The folder with the catalogue and the drivers, relative to the root.
const FOLDER: &str = "xtask/peers";

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
    /// The families that it takes part in.
    families: Vec<String>,
    /// The driver's file in the folder, and its arguments.
    driver: Vec<String>,
    /// What the Python package installer is asked for, all pinned.
    packages: Vec<String>,
}

impl Peers {
    /// Reads the catalogue.
    pub(crate) fn load(workspace: &Workspace) -> Result<Self, Error> {
        let file = format!("{FOLDER}/peers.toml");
        let text = workspace.read(&file)?;
        Self::parse(&text).map_err(|problem| Error::Content { file, problem })
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

    /// What a peer is installed from; nothing where it is not in the catalogue.
    pub(crate) fn packages(&self, name: &str) -> Vec<String> {
        let own = self.entries.iter().filter(|entry| entry.name == name);
        own.flat_map(|entry| entry.packages.iter().cloned()).collect()
    }

    /// Installs and starts those that take part in a family.
    pub(crate) fn start(&self, workspace: &Workspace, family: &str) -> Vec<Peer> {
        let takes_part = |entry: &&Entry| entry.families.iter().any(|name| name == family);
        let start = |entry: &Entry| {
            eprintln!("{family}: setting up {}", entry.name);
            let folder = workspace.target().join("bench-peers").join(&entry.name);
            match python::environment(&folder, &entry.packages) {
                Ok(python) => Peer::start(workspace, entry, &python),
                Err(error) => Peer::absent(&entry.name, format!("not installed: {error}")),
            }
        };
        self.entries.iter().filter(takes_part).map(start).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Peers {
        let entry = |name: &str, family: &str| {
            format!("[[peer]]\nname = \"{name}\"\nfamilies = [\"{family}\"]\ndriver = []\npackages = []\n")
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
        assert!(names(&peers).contains(&"optuna"));
        for entry in &peers.entries {
            assert!(entry.packages.iter().all(|package| package.contains("==")), "{entry:?}");
            assert!(workspace.path(FOLDER).join(&entry.driver[0]).is_file(), "{entry:?}");
        }
    }
}
