//! Records of comma-separated values from a reader: cells with the place where each begins, of bounded size.
//!
//! RFC 4180, read generously: either line end, and a quote inside an unquoted cell stands for itself. A cell in quotes may hold
//! line ends; a quote that is never closed ends at the limit, not with the machine's memory.

use std::io::{self, BufRead, Read};

use crate::error::{Problem, ProblemKind};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A cell and where it begins: line and column, from 1, the column in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) place: (u64, u64),
    quoted: bool,
}

/// The records of a reader.
#[derive(Debug)]
pub(super) struct Records<R> {
    reader: R,
    delimiter: u8,
    limit: usize,
    /// Where the next byte stands.
    line: u64,
    column: u64,
    /// Bytes of the record so far.
    used: usize,
    begun: bool,
    /// The first bytes of the file, which were looked at for a byte order mark, last one first.
    pending: Vec<u8>,
}

/// What ends a cell.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Cell,
    Record,
    File,
}

/// Why a record could not be read.
enum Fault {
    Io(io::Error),
    Problem(Problem),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<R: BufRead> Records<R> {
    pub(super) fn new(reader: R, delimiter: u8, limit: usize) -> Self {
        Self { reader, delimiter, limit, line: 1, column: 1, used: 0, begun: false, pending: Vec::new() }
    }

    /// The line of the next byte, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The next record that is not a blank line; after a faulty one, reading goes on with the next line.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<Vec<Cell>, Problem>>> {
        if !self.begun {
            self.begun = true;
            self.skip_mark()?;
        }
        loop {
            self.used = 0;
            let mut cells = Vec::new();
            let end = loop {
                match self.cell() {
                    Ok((cell, end)) => {
                        cells.push(cell);
                        if end != End::Cell {
                            break end;
                        }
                    }
                    Err(Fault::Io(error)) => return Err(error),
                    Err(Fault::Problem(problem)) => {
                        self.skip_line()?;
                        return Ok(Some(Err(problem)));
                    }
                }
            };
            // A line that is quite empty is none; one of two quotes is a record of one empty cell.
            let blank = matches!(cells.as_slice(), [Cell { text, quoted: false, .. }] if text.is_empty());
            match (blank, end) {
                (true, End::File) => return Ok(None),
                (true, _) => {}
                (false, _) => return Ok(Some(Ok(cells))),
            }
        }
    }

    fn cell(&mut self) -> Result<(Cell, End), Fault> {
        let place = (self.line, self.column);
        let quoted = self.peek()? == Some(b'"');
        if quoted {
            self.take()?;
        }
        let mut bytes = Vec::new();
        let end = if quoted { self.quoted(&mut bytes)? } else { self.plain(&mut bytes)? };
        match String::from_utf8(bytes) {
            Ok(text) => Ok((Cell { text, place, quoted }, end)),
            Err(error) => {
                let byte =
                    error.as_bytes().get(error.utf8_error().valid_up_to()).copied().unwrap_or_default();
                let kind = ProblemKind::NotUtf8 { byte };
                Err(Fault::Problem(Problem { line: place.0, column: place.1, kind }))
            }
        }
    }

    fn plain(&mut self, bytes: &mut Vec<u8>) -> Result<End, Fault> {
        loop {
            match self.peek()? {
                Some(byte) if byte == self.delimiter => {
                    self.take()?;
                    return Ok(End::Cell);
                }
                None => return Ok(End::File),
                Some(b'\n') => {
                    self.take()?;
                    if bytes.last() == Some(&b'\r') {
                        bytes.pop();
                    }
                    return Ok(End::Record);
                }
                Some(byte) => {
                    self.take()?;
                    bytes.push(byte);
                }
            }
        }
    }

    fn quoted(&mut self, bytes: &mut Vec<u8>) -> Result<End, Fault> {
        loop {
            match self.take()? {
                None => return Err(self.expected("the closing `\"` of a cell", None)),
                Some(b'"') if self.peek()? == Some(b'"') => {
                    self.take()?;
                    bytes.push(b'"');
                }
                Some(b'"') => break,
                Some(byte) => bytes.push(byte),
            }
        }
        let after = self.peek()?;
        match after {
            None => return Ok(End::File),
            Some(byte) if byte == self.delimiter => {
                self.take()?;
                return Ok(End::Cell);
            }
            Some(b'\n') => {
                self.take()?;
                return Ok(End::Record);
            }
            Some(b'\r') => {
                self.take()?;
                if self.peek()? == Some(b'\n') {
                    self.take()?;
                    return Ok(End::Record);
                }
            }
            Some(_) => {}
        }
        Err(self.expected("the end of the cell after its closing `\"`", after))
    }

    fn expected(&self, expected: &str, found: Option<u8>) -> Fault {
        let found = match found {
            None => "the end of the file".to_owned(),
            Some(byte) if byte.is_ascii_graphic() => format!("`{}`", char::from(byte)),
            Some(byte) => format!("byte 0x{byte:02x}"),
        };
        let kind = ProblemKind::Syntax { expected: format!("expected {expected}, found {found}") };
        Fault::Problem(Problem { line: self.line, column: self.column, kind })
    }

    /// The next byte, left where it is.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        if let Some(byte) = self.pending.last() {
            return Ok(Some(*byte));
        }
        loop {
            match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                chunk => return Ok(chunk?.first().copied()),
            }
        }
    }

    /// The next byte, taken, within the limit of a record.
    fn take(&mut self) -> Result<Option<u8>, Fault> {
        let byte = self.advance()?;
        self.used += usize::from(byte.is_some());
        // The two bytes of a line end do not count.
        if self.used > self.limit.saturating_add(2) {
            let kind = ProblemKind::TooLong { limit: self.limit };
            return Err(Fault::Problem(Problem { line: self.line, column: self.column, kind }));
        }
        Ok(byte)
    }

    fn advance(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            if self.pending.pop().is_none() {
                self.reader.consume(1);
            }
            if byte == b'\n' {
                (self.line, self.column) = (self.line + 1, 1);
            } else if byte & 0xc0 != 0x80 {
                self.column += 1;
            }
        }
        Ok(byte)
    }

    /// Reads past the rest of the line.
    fn skip_line(&mut self) -> io::Result<()> {
        if self.column > 1 || self.used == 0 {
            while !matches!(self.advance()?, None | Some(b'\n')) {}
        }
        Ok(())
    }

    fn skip_mark(&mut self) -> io::Result<()> {
        let mut first = Vec::new();
        (&mut self.reader).take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut first)?;
        if first != BYTE_ORDER_MARK {
            first.reverse();
            self.pending = first;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn read(text: &str, limit: usize, capacity: usize) -> Vec<String> {
        let mut records = Records::new(BufReader::with_capacity(capacity, text.as_bytes()), b',', limit);
        let mut seen = Vec::new();
        while let Some(record) = records.next().unwrap() {
            seen.push(match record {
                Ok(cells) => {
                    let cells =
                        cells.iter().map(|cell| format!("{}:{} {:?}", cell.place.0, cell.place.1, cell.text));
                    cells.collect::<Vec<_>>().join(" | ")
                }
                Err(problem) => problem.to_string(),
            });
        }
        seen
    }

    #[test]
    fn cells_are_read_with_their_places() {
        let check = |text: &str, expect: &[&str]| {
            for capacity in [1, 2, 5, 64] {
                assert_eq!(read(text, 1000, capacity), expect, "{text:?}");
            }
        };
        check("a,b\n1,2\n", &["1:1 \"a\" | 1:3 \"b\"", "2:1 \"1\" | 2:3 \"2\""]);
        check("\u{feff}ä,\r\n\r\n,b", &["1:1 \"ä\" | 1:3 \"\"", "3:1 \"\" | 3:2 \"b\""]);
        check("\"a,\"\"b\"\"\n\",c\r\nd", &["1:1 \"a,\\\"b\\\"\\n\" | 2:3 \"c\"", "3:1 \"d\""]);
        check("5\" disk,x\ry", &["1:1 \"5\\\" disk\" | 1:9 \"x\\ry\""]);
        check("\"\"\n\n\"\"", &["1:1 \"\"", "3:1 \"\""]);
        check("", &[]);
        check("\n\r\n\n", &[]);
        check(
            "\"a\"b,c\nd",
            &["1:4: expected the end of the cell after its closing `\"`, found `b`", "2:1 \"d\""],
        );
        check(
            "a\n\"b\nc",
            &["1:1 \"a\"", "3:2: expected the closing `\"` of a cell, found the end of the file"],
        );
    }

    #[test]
    fn records_are_bounded() {
        assert_eq!(
            read("abcd\nabcdefgh\nx", 4, 3),
            ["1:1 \"abcd\"", "2:8: the line is longer than 4 bytes (`Limits::line_bytes`)", "3:1 \"x\"",]
        );
        let open = format!("\"{}", "x\n".repeat(1000));
        assert!(read(&open, 10, 64).first().unwrap().contains("longer than 10 bytes"));
    }
}
