//! Lines of bounded length from a reader, in one buffer that is used again for each line.

use std::io::{self, BufRead};
use std::ops::Range;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing but white space.
    Blank,
    /// Longer than the limit; read past, not kept.
    TooLong,
    /// The line: these of [`Lines::bytes`].
    Bytes(Range<usize>),
}

/// The lines of a reader.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    limit: usize,
    number: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, number: 0, buffer: Vec::new() }
    }

    /// The number of the line read last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The bytes of the line read last.
    pub(super) fn bytes(&self, line: Range<usize>) -> &[u8] {
        self.buffer.get(line).unwrap_or_default()
    }

    /// The next line with its number, from 1; nothing at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Line)>> {
        self.buffer.clear();
        self.number += 1;
        // A byte order mark and the `\r` of a line end do not count.
        let most = self.limit.saturating_add(BYTE_ORDER_MARK.len() + 1);
        let (mut any, mut overflown) = (false, false);
        loop {
            let chunk = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            overflown |= self.buffer.len() + part.len() > most;
            if !overflown {
                self.buffer.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        let mut line = self.buffer.as_slice();
        if self.number == 1 {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = if overflown || line.len() > self.limit {
            Line::TooLong
        } else if line.iter().all(u8::is_ascii_whitespace) {
            Line::Blank
        } else {
            let start = if self.number == 1 && self.buffer.starts_with(BYTE_ORDER_MARK) { 3 } else { 0 };
            Line::Bytes(start..start + line.len())
        };
        Ok(Some((self.number, line)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_are_cut_at_any_size_of_buffer() {
        let text = "\u{feff}ab\r\n\n  \nabcd\nabcde\r\nabcd\r\nx".as_bytes();
        for capacity in [1, 2, 3, 7, 64] {
            let mut lines = Lines::new(BufReader::with_capacity(capacity, text), 4);
            let mut seen = Vec::new();
            while let Some((number, line)) = lines.next().unwrap() {
                seen.push(match line {
                    Line::Blank => format!("{number} blank"),
                    Line::TooLong => format!("{number} too long"),
                    Line::Bytes(line) => format!("{number} {}", String::from_utf8_lossy(lines.bytes(line))),
                });
            }
            assert_eq!(seen, ["1 ab", "2 blank", "3 blank", "4 abcd", "5 too long", "6 abcd", "7 x"]);
        }
    }
}
