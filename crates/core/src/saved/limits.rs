//! What a program file may hold at most: looked at before it is parsed, so that no small file takes much memory.

use super::SavedError;

/// The largest program file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Lists and objects may stand in each other this deep. The deepest part that DSPy writes itself is 4.
pub(super) const MAX_DEPTH: usize = 64;

/// Values in a file: 10,000 demos of 100 fields each.
pub(super) const MAX_VALUES: usize = 1_000_000;

/// Predictors in a file.
pub(super) const MAX_PREDICTORS: usize = 1_000;

/// Counts brackets and commas outside of strings. What is no JSON is counted too, and left to the parser to refuse.
///
/// # Errors
/// [`SavedError::TooLarge`], [`SavedError::TooDeep`] or [`SavedError::TooMany`].
pub(super) fn check(bytes: &[u8]) -> Result<(), SavedError> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(SavedError::TooLarge { most: MAX_FILE_BYTES });
    }
    let (mut depth, mut values) = (0_usize, 1_usize);
    let (mut in_text, mut escaped) = (false, false);
    for byte in bytes {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => {
                depth += 1;
                values += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(SavedError::TooDeep { most: MAX_DEPTH });
        }
        if values > MAX_VALUES {
            return Err(SavedError::TooMany { most: MAX_VALUES });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_texts_do_not_count() {
        let text = format!(r#"{{"a": "{}\\\"[{{"}}"#, "[".repeat(1000));
        check(text.as_bytes()).unwrap();
    }

    #[test]
    fn depth_and_values_are_bounded_before_parsing() {
        let deep = |depth: usize| check("[".repeat(depth).as_bytes());
        deep(MAX_DEPTH).unwrap();
        assert!(matches!(deep(MAX_DEPTH + 1), Err(SavedError::TooDeep { .. })));
        let many = |values: usize| check(format!("[0{}]", ",0".repeat(values - 2)).as_bytes());
        many(MAX_VALUES).unwrap();
        assert!(matches!(many(MAX_VALUES + 1), Err(SavedError::TooMany { .. })));
    }
}
