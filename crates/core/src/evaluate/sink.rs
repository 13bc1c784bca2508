//! Where the results of rows go: files of JSON lines and CSV, or a closure.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use super::row::{RowErrorKind, RowResult};
use crate::example::Example;
use crate::fields::Fields;

/// Takes the results of an evaluation, row by row, in row order. Implemented for closures
/// `FnMut(&Example, &RowResult) -> io::Result<()>`.
pub trait RowSink {
    /// Takes one row.
    ///
    /// # Errors
    /// When it cannot be kept; no further row is then begun.
    fn row(&mut self, example: &Example, result: &RowResult) -> io::Result<()>;

    /// Says that no further row comes.
    ///
    /// # Errors
    /// When what is still held back cannot be written.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&Example, &RowResult) -> io::Result<()>> RowSink for F {
    fn row(&mut self, example: &Example, result: &RowResult) -> io::Result<()> {
        self(example, result)
    }
}

/// Writes one JSON object a line:
/// `{"row": 0, "score": 1.0, "inputs": {..}, "labels": {..}, "outputs": {..}}`, and for a failed row
/// `{"row": 1, "score": 0.0, "inputs": {..}, "labels": {..}, "error": {"kind": "answer", "message": "..", "raw_answer": ".."}}`.
/// `score` is `null` where the row has none. Give it a buffered writer.
#[derive(Clone, Debug)]
pub struct JsonLines<W>(W);

impl<W: Write> JsonLines<W> {
    /// A sink into `writer`.
    pub fn new(writer: W) -> Self {
        Self(writer)
    }
}

/// A line of [`JsonLines`].
#[derive(Serialize)]
struct Line<'a> {
    row: usize,
    score: Option<f64>,
    inputs: &'a Fields,
    labels: &'a Fields,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<&'a Fields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Failure<'a> {
    kind: RowErrorKind,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_answer: Option<&'a str>,
}

impl<W: Write> RowSink for JsonLines<W> {
    fn row(&mut self, example: &Example, result: &RowResult) -> io::Result<()> {
        let error = result.outcome.as_ref().err().map(|error| Failure {
            kind: error.kind,
            message: &error.message,
            raw_answer: error.raw_answer.as_deref(),
        });
        let line = Line {
            row: result.row,
            score: result.score(),
            inputs: &example.inputs,
            labels: &example.labels,
            outputs: result.outcome.as_ref().ok().map(|scored| &scored.prediction.outputs),
            error,
        };
        serde_json::to_writer(&mut self.0, &line)?;
        self.0.write_all(b"\n")
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes a table of comma-separated values (RFC 4180) with the columns `row`, `score`, `error`, then the inputs and the
/// labels that the first row has (`input.NAME`, `label.NAME`), then the outputs (`output.NAME`) given to [`CsvRows::new`].
///
/// Texts stand as they are, other values as JSON; what is not there is an empty cell. A row with a field that has no column is
/// an error, so that nothing is lost unseen. Give it a buffered writer.
#[derive(Clone, Debug)]
pub struct CsvRows<W> {
    writer: W,
    outputs: Vec<String>,
    /// The names of the inputs and of the labels, once a row has come.
    columns: Option<(Vec<String>, Vec<String>)>,
}

impl<W: Write> CsvRows<W> {
    /// A sink into `writer` with a column for each of `outputs`.
    pub fn new(writer: W, outputs: &[&str]) -> Self {
        let outputs = outputs.iter().map(|name| (*name).to_owned()).collect();
        Self { writer, outputs, columns: None }
    }
}

impl<W: Write> RowSink for CsvRows<W> {
    fn row(&mut self, example: &Example, result: &RowResult) -> io::Result<()> {
        let names = |fields: &Fields| fields.names().map(str::to_owned).collect::<Vec<_>>();
        let first = self.columns.is_none();
        let (inputs, labels) =
            self.columns.get_or_insert_with(|| (names(&example.inputs), names(&example.labels)));
        if first {
            let plain = ["row", "score", "error"].map(str::to_owned).into_iter();
            let parts = [("input", &*inputs), ("label", &*labels), ("output", &self.outputs)];
            let named =
                parts.iter().flat_map(|(part, names)| names.iter().map(move |name| format!("{part}.{name}")));
            write_record(&mut self.writer, plain.chain(named))?;
        }
        let none = Fields::new();
        let outputs = result.outcome.as_ref().map_or(&none, |scored| &scored.prediction.outputs);
        let mut cells = vec![
            result.row.to_string(),
            result.score().map_or_else(String::new, |score| score.to_string()),
            result.outcome.as_ref().err().map_or_else(String::new, |error| error.message.clone()),
        ];
        for (part, fields, columns) in [
            ("input", &example.inputs, &*inputs),
            ("label", &example.labels, &*labels),
            ("output", outputs, &self.outputs),
        ] {
            if let Some(lost) = fields.names().find(|name| !columns.iter().any(|column| column == name)) {
                let row = result.row;
                return Err(io::Error::other(format!(
                    "row {row} has the field `{lost}`, for which there is no column `{part}.{lost}`"
                )));
            }
            cells.extend(columns.iter().map(|column| match fields.get(column) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            }));
        }
        write_record(&mut self.writer, cells.into_iter())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// One record, ended by `\r\n`; cells with a comma, a quote or a line end are quoted.
fn write_record(mut writer: impl Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    for (i, cell) in cells.enumerate() {
        if i > 0 {
            writer.write_all(b",")?;
        }
        if cell.contains([',', '"', '\n', '\r']) {
            write!(writer, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            writer.write_all(cell.as_bytes())?;
        }
    }
    writer.write_all(b"\r\n")
}
