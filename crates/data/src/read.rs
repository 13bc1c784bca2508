//! From rows to values: all of a file at once with all of its problems, or one by one.

use std::path::PathBuf;

use teleprompt_core::{Example, Fields, SignatureSpec};

use crate::check;
use crate::error::{DataError, Problem};
use crate::limits::Limits;
use crate::row::Row;

/// What reads the rows of one format.
pub(crate) trait Rows {
    /// The next row or what is wrong with it; nothing at the end.
    ///
    /// # Errors
    /// When nothing more can be read.
    fn next(&mut self) -> Result<Option<Result<Row<'_>, Problem>>, DataError>;

    /// The line that was read last, from 1.
    fn line(&self) -> u64;
}

/// Turns a row into a value, or adds at least one problem.
pub(crate) trait Convert<T>: FnMut(Row<'_>, &mut Vec<Problem>) -> Option<T> {}

impl<T, F: FnMut(Row<'_>, &mut Vec<Problem>) -> Option<T>> Convert<T> for F {}

/// Reads to the end, or to the last problem allowed.
pub(crate) fn all<T>(
    mut rows: impl Rows,
    path: PathBuf,
    limits: Limits,
    mut convert: impl Convert<T>,
) -> Result<Vec<T>, DataError> {
    let most = limits.problems.max(1);
    let (mut problems, mut values) = (Vec::new(), Vec::new());
    let mut seen = 0;
    while problems.len() < most {
        let Some(row) = counted(&mut rows, &path, limits, &mut seen)? else { break };
        match row {
            Ok(row) => values.extend(convert(row, &mut problems)),
            Err(problem) => problems.push(problem),
        }
    }
    let stopped = problems.len() >= most;
    problems.truncate(most);
    if !problems.is_empty() {
        return Err(DataError::Rows { path, problems, stopped });
    }
    if values.is_empty() {
        return Err(DataError::Empty { path });
    }
    Ok(values)
}

/// Reads the rows one by one; ends after the first that is no row.
pub(crate) fn each<T>(
    mut rows: impl Rows,
    path: PathBuf,
    limits: Limits,
    mut convert: impl Convert<T>,
) -> impl Iterator<Item = Result<T, DataError>> {
    let mut seen = 0;
    let mut next = move || -> Result<Option<T>, DataError> {
        let mut problems = Vec::new();
        let value = match counted(&mut rows, &path, limits, &mut seen)? {
            None => return Ok(None),
            Some(Ok(row)) => convert(row, &mut problems),
            Some(Err(problem)) => {
                problems.push(problem);
                None
            }
        };
        match value {
            Some(value) => Ok(Some(value)),
            None => Err(DataError::Rows { path: path.clone(), problems, stopped: true }),
        }
    };
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let row = next().transpose();
        ended = !matches!(row, Some(Ok(_)));
        row
    })
}

/// The next row, if there may be one more.
fn counted<'a, R: Rows>(
    rows: &'a mut R,
    path: &std::path::Path,
    limits: Limits,
    seen: &mut usize,
) -> Result<Option<Result<Row<'a>, Problem>>, DataError> {
    let over = *seen >= limits.rows;
    if over {
        // Another row is one too many; the end is not.
        if rows.next()?.is_none() {
            return Ok(None);
        }
        return Err(DataError::TooManyRows { path: path.to_owned(), line: rows.line(), limit: limits.rows });
    }
    *seen += 1;
    rows.next()
}

/// The rows of a format that a signature or names are checked against: what every reader offers.
pub(crate) fn named<'n>(inputs: &'n [&'n str], labels: &'n [&'n str]) -> impl Convert<Example> + 'n {
    move |row: Row<'_>, problems: &mut Vec<Problem>| check::named(row, inputs, labels, problems)
}

/// Rows as examples of a signature.
pub(crate) fn fitting(spec: &SignatureSpec) -> impl Convert<Example> + '_ {
    move |row: Row<'_>, problems: &mut Vec<Problem>| check::signature(row, spec, problems)
}

/// Rows as they are.
pub(crate) fn fields() -> impl Convert<Fields> {
    |row: Row<'_>, _: &mut Vec<Problem>| Some(row.fields)
}
