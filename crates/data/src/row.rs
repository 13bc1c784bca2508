//! A row on its way from a file to a program: its fields, and where each of them stands.

use teleprompt_core::Fields;

use crate::error::{Problem, ProblemKind};

/// A row and where it stands.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) fields: Fields,
    pub(crate) places: Places<'a>,
}

/// Where a row and its fields stand.
#[derive(Debug)]
pub(crate) enum Places<'a> {
    /// In one line of text: for each field, in order, where its name and its value begin, in bytes.
    Text { line: u64, text: &'a str, start: usize, fields: Vec<(usize, usize)> },
    /// In cells below a header: line and column of the row, and of each field's value.
    Cells { row: (u64, u64), fields: Vec<(u64, u64)> },
    /// In a table: the number of the row; a field's column is its place among the fields.
    #[cfg(feature = "parquet")]
    Table { row: u64 },
}

impl Row<'_> {
    /// A problem with the row as a whole.
    pub(crate) fn problem(&self, kind: ProblemKind) -> Problem {
        let (line, column) = match &self.places {
            Places::Text { line, text, start, .. } => (*line, column(text, *start)),
            Places::Cells { row, .. } => *row,
            #[cfg(feature = "parquet")]
            Places::Table { row } => (*row, 1),
        };
        Problem { line, column, kind }
    }

    /// A problem with a field's name.
    pub(crate) fn name_problem(&self, field: &str, kind: ProblemKind) -> Problem {
        self.field_problem(field, true, kind)
    }

    /// A problem with a field's value.
    pub(crate) fn value_problem(&self, field: &str, kind: ProblemKind) -> Problem {
        self.field_problem(field, false, kind)
    }

    fn field_problem(&self, field: &str, name: bool, kind: ProblemKind) -> Problem {
        let index = self.fields.names().position(|known| known == field);
        let place = index.and_then(|index| match &self.places {
            Places::Text { line, text, fields, .. } => {
                let (name_at, value_at) = fields.get(index)?;
                Some((*line, column(text, if name { *name_at } else { *value_at })))
            }
            Places::Cells { fields, .. } => fields.get(index).copied(),
            #[cfg(feature = "parquet")]
            Places::Table { row } => Some((*row, index as u64 + 1)),
        });
        match place {
            Some((line, column)) => Problem { line, column, kind },
            None => self.problem(kind),
        }
    }
}

/// The column of a byte of a line, from 1, in characters.
pub(crate) fn column(text: &str, at: usize) -> u64 {
    text.char_indices().take_while(|(start, _)| *start < at).count() as u64 + 1
}

/// A name cut to 80 characters, with `…` where something is cut.
pub(crate) fn shorten(name: &str) -> String {
    match name.char_indices().nth(80) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}
