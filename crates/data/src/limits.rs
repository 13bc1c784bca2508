//! How much is read of a file that may be of any size.

/// How much of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes in a line of JSONL without its end, or in a record of CSV; 1 MiB by default.
    pub line_bytes: usize,
    /// Rows; one million by default.
    pub rows: usize,
    /// Bytes that a row group of a Parquet file may take unpacked; 1 GiB by default.
    pub group_bytes: u64,
    /// Problems after which reading stops; 10 by default, at least 1.
    pub problems: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line_bytes: 1 << 20, rows: 1_000_000, group_bytes: 1 << 30, problems: 10 }
    }
}

impl Limits {
    /// The same limits with this many bytes in a line.
    #[must_use]
    pub fn with_line_bytes(mut self, bytes: usize) -> Self {
        self.line_bytes = bytes;
        self
    }

    /// The same limits with this many rows.
    #[must_use]
    pub fn with_rows(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }

    /// The same limits with this many bytes in a row group of a Parquet file.
    #[must_use]
    pub fn with_group_bytes(mut self, bytes: u64) -> Self {
        self.group_bytes = bytes;
        self
    }

    /// The same limits, with reading stopped after this many problems; 0 counts as 1.
    #[must_use]
    pub fn with_problems(mut self, problems: usize) -> Self {
        self.problems = problems.max(1);
        self
    }
}
