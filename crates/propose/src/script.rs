//! Scripts: in which writing a text is, told by its letters. Languages, of which several share one script, are in
//! [`crate::language`].

use std::collections::BTreeMap;

/// A script, by number: scripts used together (Han and kana) share one, and a script without a number of its own here is told
/// by its block of 128 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Script(u32);

/// The scripts with a name, by number.
const NAMES: [&str; 10] = [
    "Latin",
    "Greek",
    "Cyrillic",
    "Arabic",
    "Chinese or Japanese",
    "Korean",
    "Hebrew",
    "Devanagari",
    "Thai",
    "Armenian or Georgian",
];
/// Numbers from here on are blocks.
const BLOCKS: u32 = 16;

impl Script {
    /// The script of a letter; `None` for what is no letter.
    pub(crate) fn of(c: char) -> Option<Self> {
        if !c.is_alphabetic() {
            return None;
        }
        Some(Self(match u32::from(c) {
            0x0000..=0x024F | 0x1E00..=0x1EFF | 0x2C60..=0x2C7F | 0xA720..=0xA7FF | 0xFF21..=0xFF5A => 0,
            0x0370..=0x03FF | 0x1F00..=0x1FFF => 1,
            0x0400..=0x052F | 0x1C80..=0x1C8F | 0x2DE0..=0x2DFF | 0xA640..=0xA69F => 2,
            0x0600..=0x06FF | 0x0750..=0x077F | 0x0870..=0x08FF | 0xFB50..=0xFDFF | 0xFE70..=0xFEFF => 3,
            0x2E80..=0x30FF | 0x31F0..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF => 4,
            0x1100..=0x11FF | 0x3130..=0x318F | 0xA960..=0xA97F | 0xAC00..=0xD7FF => 5,
            0x0590..=0x05FF | 0xFB1D..=0xFB4F => 6,
            0x0900..=0x097F | 0xA8E0..=0xA8FF => 7,
            0x0E00..=0x0E7F => 8,
            0x0530..=0x058F | 0x10A0..=0x10FF | 0x1C90..=0x1CBF => 9,
            other => BLOCKS + (other >> 7),
        }))
    }

    /// Whether words stand apart in it and keep their beginnings when they are inflected, so that these can be compared.
    pub(crate) fn has_stems(self) -> bool {
        matches!(self.0, 0 | 1 | 2 | 9)
    }

    /// Its name; `other` for a script that is told by its block only.
    pub(crate) fn name(self) -> &'static str {
        NAMES.get(self.0 as usize).copied().unwrap_or("other")
    }
}

/// The script of most letters; of equals the one with the lowest number. `None` without letters.
pub(crate) fn main_script(text: &str) -> Option<Script> {
    let mut counts: BTreeMap<Script, usize> = BTreeMap::new();
    for script in text.chars().filter_map(Script::of) {
        *counts.entry(script).or_default() += 1;
    }
    // `max_by_key` gives the last of equals.
    counts.into_iter().rev().max_by_key(|&(_, count)| count).map(|(script, _)| script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_script_is_that_of_most_letters() {
        let name = |text: &str| main_script(text).map(Script::name);
        assert_eq!(name("Où est ma commande №5?"), Some("Latin"));
        assert_eq!(name("Где заказ order?"), Some("Cyrillic"));
        assert_eq!(name("我的包裹 A"), Some("Chinese or Japanese"));
        assert_eq!(name("ሰላም"), Some("other"));
        assert_eq!(name("12:30 !?"), None);
    }
}
