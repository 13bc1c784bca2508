//! The files of a repository in memory, so that rules can be tested without a disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::error::Error;

/// The endings of files whose text the rules read.
const READ: [&str; 3] = ["rs", "toml", "md"];

/// Relative paths with forward slashes, in order, with their text. Files that no rule reads have an empty text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree(BTreeMap<String, String>);

impl Tree {
    /// A tree from pairs of path and text.
    #[cfg(test)]
    pub(crate) fn from_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect())
    }

    /// Reads the tree under `root`, without build outputs and hidden folders.
    pub(crate) fn load(root: &Path) -> Result<Self, Error> {
        let mut tree = Self::default();
        tree.enter(root, "")?;
        Ok(tree)
    }

    fn enter(&mut self, folder: &Path, prefix: &str) -> Result<(), Error> {
        let entries = fs::read_dir(folder).map_err(Error::file("list", folder))?;
        for entry in entries {
            let entry = entry.map_err(Error::file("list", folder))?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let kind = entry.file_type().map_err(Error::file("look at", &path))?;
            let relative = format!("{prefix}{name}");
            if kind.is_dir() {
                if !ignored(&name) {
                    self.enter(&path, &format!("{relative}/"))?;
                }
            } else if path.extension().is_some_and(|ending| READ.iter().any(|read| ending == *read)) {
                let text = fs::read(&path).map_err(Error::file("read", &path))?;
                self.0.insert(relative, String::from_utf8_lossy(&text).into_owned());
            } else {
                self.0.insert(relative, String::new());
            }
        }
        Ok(())
    }

    /// The number of files.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The text of one file.
    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Whether a file or folder is there. The root is the empty path.
    pub(crate) fn contains(&self, path: &str) -> bool {
        if path.is_empty() || self.0.contains_key(path) {
            return true;
        }
        let folder = format!("{path}/");
        self.0.range(folder.clone()..).next().is_some_and(|(first, _)| first.starts_with(&folder))
    }

    /// All files in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// All files with this ending, such as `.rs`.
    pub(crate) fn ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.iter().filter(move |(path, _)| path.ends_with(ending))
    }
}

/// Folders that hold nothing of the repository's own.
fn ignored(folder: &str) -> bool {
    let hidden = folder.starts_with('.') && ![".ci", ".cargo", ".github"].contains(&folder);
    hidden || folder == "target" || folder.starts_with("target-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_contained() {
        let tree = Tree::from_files([("docs/a.md", ""), ("docs.md", "")]);
        assert!(tree.contains("docs"));
        assert!(tree.contains("docs/a.md"));
        assert!(tree.contains(""));
        assert!(!tree.contains("doc"));
        assert!(!tree.contains("docs/a"));
    }

    #[test]
    fn build_outputs_and_hidden_folders_are_ignored() {
        assert!(ignored("target"));
        assert!(ignored("target-x"));
        assert!(ignored(".git"));
        assert!(!ignored(".ci"));
        assert!(!ignored("targets"));
    }
}
