//! Passes on what a command prints, and counts the closing lines of its tests.

use std::io::{self, BufRead, BufReader, Read, Write};

/// The sums of all `test result:` lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    binaries: usize,
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Tally {
    /// Copies `output` to `terminal` line by line, until it ends.
    pub(super) fn forward(&mut self, output: impl Read, mut terminal: impl Write) -> io::Result<()> {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            terminal.write_all(&line)?;
            terminal.flush()?;
            self.count(&String::from_utf8_lossy(&line));
            line.clear();
        }
        Ok(())
    }

    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; ..`; others are passed over.
    fn count(&mut self, line: &str) {
        let Some(result) = line.trim().strip_prefix("test result:") else { return };
        self.binaries += 1;
        let words: Vec<&str> = result.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let [number, what] = pair else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            match *what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// One line, if any test ran.
    pub(super) fn summary(&self) -> Option<String> {
        let Self { binaries, passed, failed, ignored } = self;
        (*binaries > 0).then(|| {
            format!(
                "test result: {passed} passed; {failed} failed; {ignored} ignored, in {binaries} binaries"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_summed() {
        let mut tally = Tally::default();
        assert_eq!(tally.summary(), None);
        let ok = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.03s\n";
        tally.count(ok);
        tally.count("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n");
        tally.count("test net::ok ... ok\n");
        let expect = "test result: 15 passed; 2 failed; 1 ignored, in 2 binaries";
        assert_eq!(tally.summary().as_deref(), Some(expect));
    }

    #[test]
    fn output_without_a_last_line_break_is_counted() {
        let mut tally = Tally::default();
        let mut terminal = Vec::new();
        tally.forward(&b"a\ntest result: ok. 1 passed; 0 failed; 0 ignored"[..], &mut terminal).unwrap();
        assert_eq!(tally.passed, 1);
        assert!(terminal.ends_with(b"ignored"));
    }
}
