//! The figures that the quickstart writes: there, and finite. Whether they are good is for the benchmarks to say.

use std::fs;
use std::io::ErrorKind;

use serde_json::Value;

use crate::error::Error;
use crate::workspace::Workspace;

/// Where the step lets the quickstart write.
pub(super) const JSON: &str = "target/quickstart-smoke.json";

/// Where the step lets the quickstart keep answers: a file of its own, removed before each run, so that the model is asked.
pub(super) const CACHE: &str = "target/quickstart-smoke.db";

/// Where the step lets the quickstart save the program.
pub(super) const PROGRAM: &str = "target/quickstart-smoke-program.json";

/// What the file must hold, each a finite number.
const KEYS: [&str; 9] = [
    "majority",
    "baseline",
    "optimized",
    "diff",
    "diff_low",
    "diff_high",
    "test_rows",
    "lm_calls",
    "seconds",
];

/// Removes the figures and answers of an earlier run, and makes the folder.
pub(super) fn forget(workspace: &Workspace) -> Result<(), Error> {
    let path = workspace.path(JSON);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
    }
    for file in [JSON.to_owned(), CACHE.to_owned(), format!("{CACHE}-wal"), format!("{CACHE}-shm")] {
        let path = workspace.path(&file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::file("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks the figures of the run that just ended, and prints them.
pub(super) fn verify(workspace: &Workspace) -> Result<(), Error> {
    let text = workspace.read(JSON)?;
    check(&text).map_err(|problem| Error::Content { file: JSON.into(), problem })?;
    println!("{}", text.trim_end());
    Ok(())
}

/// Checks the text of the file; the problem names every key that is wrong.
fn check(text: &str) -> Result<(), String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    let mut problems = Vec::new();
    for key in KEYS {
        match value.get(key).map(Value::as_f64) {
            Some(Some(number)) if number.is_finite() => {}
            Some(_) => problems.push(format!("`{key}` is no finite number")),
            None => problems.push(format!("`{key}` is missing")),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(change: impl Fn(&mut serde_json::Map<String, Value>)) -> String {
        let mut map: serde_json::Map<String, Value> =
            KEYS.iter().map(|key| ((*key).to_owned(), Value::from(0.5))).collect();
        change(&mut map);
        Value::Object(map).to_string()
    }

    #[test]
    fn complete_figures_pass() {
        assert_eq!(check(&text(|_| {})), Ok(()));
        assert_eq!(check(&text(|map| drop(map.insert("model".into(), Value::from("x"))))), Ok(()));
    }

    #[test]
    fn every_wrong_key_is_named() {
        let wrong = text(|map| {
            map.remove("majority");
            map.insert("diff".into(), Value::Null);
        });
        assert_eq!(check(&wrong), Err("`majority` is missing, `diff` is no finite number".into()));
        assert!(check("{").unwrap_err().starts_with("is no JSON"));
    }
}
