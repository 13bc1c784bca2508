//! Rules about `Cargo.toml` files: which crate may depend on which, and what every package inherits.
//!
//! The arrows of `docs/ARCHITECTURE.md` stand here as a table. A new arrow is a change to this table, made in a
//! commit of its own that gives the reason.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mask::line_of;
use super::{Finding, Tree};

/// What one crate may depend on, by role (the folder's name).
struct Rule {
    role: &'static str,
    /// In `[dependencies]` and `[build-dependencies]`.
    normal: &'static [&'static str],
    /// In `[dev-dependencies]` besides those, itself and the testkit.
    dev: &'static [&'static str],
}

/// Every crate under `crates`.
const RULES: [Rule; 10] = [
    Rule { role: "core", normal: &["macros"], dev: &[] },
    Rule { role: "macros", normal: &[], dev: &["core", "teleprompt"] },
    Rule { role: "tpe", normal: &[], dev: &[] },
    Rule { role: "lm", normal: &["core"], dev: &["macros"] },
    Rule { role: "data", normal: &["core"], dev: &["macros"] },
    Rule { role: "testkit", normal: &["core"], dev: &["macros"] },
    Rule { role: "propose", normal: &["core"], dev: &["macros"] },
    Rule { role: "miprov2", normal: &["core", "propose", "tpe"], dev: &["macros"] },
    Rule {
        role: "teleprompt",
        normal: &["core", "macros", "tpe", "lm", "data", "testkit", "propose", "miprov2"],
        dev: &[],
    },
    Rule { role: "cli", normal: &["teleprompt"], dev: &[] },
];

/// What every package takes from the workspace.
const INHERITED: [&str; 4] = ["version", "edition", "license", "rust-version"];

/// The findings of all manifests below the root.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.ending("/Cargo.toml").filter_map(|(file, text)| Manifest::new(file, text));
    let mut findings = Vec::new();
    for manifest in manifests {
        match DeTable::parse(manifest.text) {
            // A workspace of its own, such as that of the fuzz targets, has nothing to inherit.
            Ok(table) if entry(table.get_ref(), &["workspace"]).is_some() => {}
            Ok(table) => {
                findings.extend(inheritance(&manifest, table.get_ref()));
                findings.extend(publication(&manifest, table.get_ref()));
                findings.extend(direction(&manifest, table.get_ref()));
            }
            Err(error) => {
                let line = error.span().map_or(0, |span| line_of(manifest.text, span.start));
                let message = error.message().to_owned();
                findings.push(Finding::fail("manifest", manifest.file, line, message, "correct the TOML"));
            }
        }
    }
    findings
}

/// A package's manifest and what its place says about it.
struct Manifest<'a> {
    file: &'a str,
    text: &'a str,
    /// The folder's name.
    role: &'a str,
    /// Whether it stands under `crates`, so is meant for users.
    published: bool,
}

impl<'a> Manifest<'a> {
    fn new(file: &'a str, text: &'a str) -> Option<Self> {
        let folder = file.strip_suffix("/Cargo.toml")?;
        let role = folder.strip_prefix("crates/").unwrap_or(folder);
        let published = folder != role;
        let ours = if published { !role.contains('/') } else { !folder.starts_with("crates/") };
        ours.then_some(Self { file, text, role, published })
    }

    fn line(&self, at: usize) -> usize {
        line_of(self.text, at)
    }
}

/// The value under a path of keys, and where the last key stands.
fn entry<'a, 'i>(table: &'a DeTable<'i>, path: &[&str]) -> Option<(usize, &'a Spanned<DeValue<'i>>)> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    if rest.is_empty() { Some((key.span().start, value)) } else { entry(value.get_ref().as_table()?, rest) }
}

fn is_true(table: &DeTable<'_>, path: &[&str]) -> bool {
    entry(table, path).is_some_and(|(_, value)| value.get_ref().as_bool() == Some(true))
}

fn inheritance(manifest: &Manifest<'_>, table: &DeTable<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !is_true(table, &["lints", "workspace"]) {
        let remedy = "add `[lints]` with `workspace = true`";
        findings.push(Finding::fail(
            "lints",
            manifest.file,
            0,
            "does not take the workspace's lints",
            remedy,
        ));
    }
    for key in INHERITED {
        if !is_true(table, &["package", key, "workspace"]) {
            let line = entry(table, &["package", key]).map_or(0, |(at, _)| manifest.line(at));
            let message = format!("`{key}` is not inherited");
            let remedy = format!("write `{key}.workspace = true` under `[package]`");
            findings.push(Finding::fail("inheritance", manifest.file, line, message, remedy));
        }
    }
    findings
}

/// Crates under `crates` can be published, with a description; all others cannot.
fn publication(manifest: &Manifest<'_>, table: &DeTable<'_>) -> Vec<Finding> {
    let publish = entry(table, &["package", "publish"]);
    let closed = publish.is_some_and(|(_, value)| value.get_ref().as_bool() == Some(false));
    let line = publish.map_or(0, |(at, _)| manifest.line(at));
    let fail = |message: &str, remedy: &str| Finding::fail("publish", manifest.file, line, message, remedy);
    let mut findings = Vec::new();
    match (manifest.published, closed) {
        (false, false) => findings.push(fail(
            "a package for development could be published",
            "write `publish = false` under `[package]`",
        )),
        (true, true) => findings.push(fail("a crate for users is not published", "remove `publish = false`")),
        _ => {}
    }
    if manifest.published && entry(table, &["package", "description"]).is_none() {
        findings.push(fail("`description` is missing", "add it under `[package]`"));
    }
    findings
}

fn direction(manifest: &Manifest<'_>, table: &DeTable<'_>) -> Vec<Finding> {
    let examples = Rule { role: "examples", normal: &["teleprompt"], dev: &[] };
    let rule = match (manifest.published, manifest.role) {
        (true, role) => match RULES.iter().find(|rule| rule.role == role) {
            Some(rule) => rule,
            None => {
                let message = format!("no rule says what `{role}` may depend on");
                let remedy =
                    "add it to the table in `xtask/src/tidy/manifests.rs` and to docs/ARCHITECTURE.md";
                return vec![Finding::fail("dependency-direction", manifest.file, 0, message, remedy)];
            }
        },
        (false, role) if role == "examples" || role.starts_with("examples/") => &examples,
        (false, _) => return Vec::new(),
    };

    let mut findings = Vec::new();
    for dependency in dependencies(table) {
        let role = dependency.role;
        let allowed = rule.normal.contains(&role)
            || (dependency.dev && (rule.dev.contains(&role) || role == rule.role || role == "testkit"));
        if !allowed {
            let message = format!("`{}` must not depend on `{role}`", rule.role);
            let remedy = match rule.normal {
                [] => "it depends on no crate of the workspace".to_owned(),
                normal => format!("it may depend on {}", normal.join(", ")),
            };
            let remedy = format!("{remedy} (docs/ARCHITECTURE.md); let `core` hold what both need");
            let line = manifest.line(dependency.at);
            findings.push(Finding::fail("dependency-direction", manifest.file, line, message, remedy));
        }
    }
    findings
}

/// A dependency on a crate of the workspace.
struct Dependency<'a> {
    role: &'a str,
    dev: bool,
    at: usize,
}

fn dependencies<'a>(table: &'a DeTable<'_>) -> Vec<Dependency<'a>> {
    let mut found = Vec::new();
    let targets = entry(table, &["target"]).and_then(|(_, value)| value.get_ref().as_table());
    let platforms = targets.into_iter().flat_map(|targets| targets.iter());
    let tables = platforms.filter_map(|(_, value)| value.get_ref().as_table());
    for table in std::iter::once(table).chain(tables) {
        for (kind, dev) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            let entries = entry(table, &[kind]).and_then(|(_, value)| value.get_ref().as_table());
            for (key, value) in entries.into_iter().flat_map(|entries| entries.iter()) {
                let renamed = value.get_ref().as_table().and_then(|table| entry(table, &["package"]));
                let package = renamed.and_then(|(_, value)| value.get_ref().as_str());
                if let Some(role) = role_of(package.unwrap_or(key.get_ref())) {
                    found.push(Dependency { role, dev, at: key.span().start });
                }
            }
        }
    }
    found
}

/// The role of a package of this workspace: `teleprompt-lm` is `lm`.
fn role_of(package: &str) -> Option<&str> {
    if package == "teleprompt" { Some(package) } else { package.strip_prefix("teleprompt-") }
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;

    const PACKAGE: &str = "[package]\nname = \"x\"\ndescription = \"X\"\nversion.workspace = true\n\
        edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\
        repository.workspace = true\n[lints]\nworkspace = true\n";

    /// What is found in a complete manifest with `rest` from line 11 on.
    fn check(file: &str, rest: &str, expect: &[(&'static str, usize)]) {
        assert_eq!(found(&[(file, &format!("{PACKAGE}{rest}"))]), expect, "{file}: {rest}");
    }

    #[test]
    fn the_arrows_are_enforced() {
        check("crates/core/Cargo.toml", "[dependencies]\nserde = \"1\"\n", &[]);
        check(
            "crates/core/Cargo.toml",
            "[dependencies]\nteleprompt-lm.workspace = true\n",
            &[("dependency-direction", 12)],
        );
        check("crates/propose/Cargo.toml", "[dependencies]\nteleprompt-core = { workspace = true }\n", &[]);
        check(
            "crates/propose/Cargo.toml",
            "[dependencies.teleprompt-lm]\nworkspace = true\n",
            &[("dependency-direction", 11)],
        );
        check("crates/miprov2/Cargo.toml", "[dependencies]\nteleprompt-tpe.workspace = true\n", &[]);
        check(
            "crates/tpe/Cargo.toml",
            "[dependencies]\nteleprompt-core.workspace = true\n",
            &[("dependency-direction", 12)],
        );
        check("crates/teleprompt/Cargo.toml", "[dependencies]\nteleprompt-lm.workspace = true\n", &[]);
        check("crates/new/Cargo.toml", "", &[("dependency-direction", 0)]);
    }

    #[test]
    fn hidden_arrows_are_found_too() {
        let renamed = "[dependencies]\nmodels = { package = \"teleprompt-lm\", path = \"../lm\" }\n";
        check("crates/miprov2/Cargo.toml", renamed, &[("dependency-direction", 12)]);
        let platform = "[target.'cfg(unix)'.dependencies]\nteleprompt-lm.workspace = true\n";
        check("crates/miprov2/Cargo.toml", platform, &[("dependency-direction", 12)]);
    }

    #[test]
    fn tests_may_use_the_testkit_and_themselves() {
        for role in ["core", "tpe", "propose", "lm"] {
            let rest = "[dev-dependencies]\nteleprompt-testkit.workspace = true\n";
            check(&format!("crates/{role}/Cargo.toml"), rest, &[]);
        }
        let itself = "[dev-dependencies]\nteleprompt-tpe = { path = \".\", features = [\"testing\"] }\n";
        check("crates/tpe/Cargo.toml", itself, &[]);
        let lm = "[dev-dependencies]\nteleprompt-lm.workspace = true\n";
        check("crates/miprov2/Cargo.toml", lm, &[("dependency-direction", 12)]);
    }

    #[test]
    fn packages_inherit() {
        let manifest = "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition.workspace = true\n\
            rust-version.workspace = true\nlicense.workspace = true\npublish = false\n";
        assert_eq!(found(&[("xtask/Cargo.toml", manifest)]), [("lints", 0), ("inheritance", 3)]);
    }

    #[test]
    fn only_crates_are_published() {
        check("examples/Cargo.toml", "", &[("publish", 0)]);
        let closed = PACKAGE.replace("name = \"x\"", "name = \"x\"\npublish = false");
        assert_eq!(found(&[("examples/Cargo.toml", &closed)]), []);
        assert_eq!(found(&[("crates/core/Cargo.toml", &closed)]), [("publish", 3)]);
        let bare = PACKAGE.replace("description = \"X\"\n", "");
        assert_eq!(found(&[("crates/core/Cargo.toml", &bare)]), [("publish", 0)]);
    }

    #[test]
    fn examples_in_folders_and_other_workspaces_are_told_apart() {
        let closed = PACKAGE.replace("name = \"x\"", "name = \"x\"\npublish = false");
        let core = format!("{closed}[dependencies]\nteleprompt-core.workspace = true\n");
        assert_eq!(found(&[("examples/x/Cargo.toml", &core)]), [("dependency-direction", 13)]);
        assert_eq!(found(&[("fuzz/Cargo.toml", "[package]\nname = \"x\"\n[workspace]\n")]), []);
        assert_eq!(found(&[("crates/core/tests/x/Cargo.toml", "[package]\nname = \"x\"\n")]), []);
    }

    #[test]
    fn broken_manifests_are_reported() {
        assert_eq!(found(&[("crates/core/Cargo.toml", "[package]\nname = \n")]).len(), 1);
    }

    #[test]
    fn every_allowed_arrow_points_to_a_known_crate() {
        for rule in &RULES {
            for role in rule.normal.iter().chain(rule.dev) {
                assert!(RULES.iter().any(|rule| rule.role == *role), "{role}");
            }
        }
    }
}
