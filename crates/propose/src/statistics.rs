//! Figures about a data set, computed and not guessed: how many rows, how long the texts and in which language, script and
//! format, how the labels are balanced.
//!
//! ```text
//!   rows ─▶ DataStatistics ─▶ Display: a line for each field, for the prompt LM
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use teleprompt_core::value::format_value;
use teleprompt_core::{Example, Value};

use crate::known::{Part, closed_set, names};
use crate::language::language_of;
use crate::render::{cut, words};
use crate::script::{Script, main_script};

/// Values listed with their counts.
const LISTED: usize = 12;
/// What a tenth of the rows have is worth saying.
const WORTH_SAYING: f64 = 0.1;

/// Figures about a data set.
///
/// ```
/// use teleprompt_core::{Example, Fields};
/// use teleprompt_propose::DataStatistics;
///
/// let row = |text: &str, team: &str| Example::new(Fields::new().with("text", text).with("team", team)).with_inputs(&["text"]).unwrap();
/// let rows: Vec<Example> = (0..9).map(|i| row("see https://a.example", ["a", "b", "b"][i % 3])).collect();
/// assert_eq!(
///     DataStatistics::of(&rows).to_string(),
///     "9 rows\n\
///      input `text`: text of 4 words in Latin script; URLs in 100 %\n\
///      expected answer `team`: 2 values (b 6, a 3)"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DataStatistics {
    /// Number of rows.
    pub rows: usize,
    /// The inputs, then the labels, each in the order in which they first appear.
    pub fields: Vec<FieldStatistics>,
}

/// Figures about one field of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FieldStatistics {
    /// Its name.
    pub name: String,
    /// Whether it is a label; else an input.
    pub label: bool,
    /// Rows that lack it.
    pub missing: usize,
    /// Its values.
    pub values: Values,
}

/// The values of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Values {
    /// Few values that come again and again, with their numbers of rows: the most frequent first, then by name.
    Closed(Vec<(String, usize)>),
    /// Numbers.
    Numbers {
        /// The lowest.
        low: f64,
        /// The highest.
        high: f64,
    },
    /// Lists, by their number of items.
    Lists(Spread),
    /// Text.
    Text {
        /// Length in words; a character of a script without spaces is a word.
        words: Spread,
        /// The script of most letters of a value, with the number of values; the most frequent first. Values without
        /// letters are not counted.
        scripts: Vec<(String, usize)>,
        /// The language of a value, by its English name, with the number of values; the most frequent first. Short values
        /// rarely tell their language: those are not counted.
        #[serde(default)]
        languages: Vec<(String, usize)>,
        /// What values hold, with the number of values that do.
        formats: Vec<(Format, usize)>,
        /// How many values there are.
        count: usize,
    },
}

/// Counts at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// The lowest.
    pub low: usize,
    /// The middle one, of two the higher.
    pub median: usize,
    /// The highest.
    pub high: usize,
}

/// What a text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// It is a JSON object or array.
    Json,
    /// Headings, lists, fences, links or emphasis of Markdown.
    Markdown,
    /// A closing tag.
    Html,
    /// A web address.
    Urls,
    /// A number.
    Numbers,
    /// More than one line.
    Lines,
}

impl Format {
    const ALL: [Self; 6] = [Self::Json, Self::Markdown, Self::Html, Self::Urls, Self::Numbers, Self::Lines];

    fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Markdown => "Markdown",
            Self::Html => "HTML",
            Self::Urls => "URLs",
            Self::Numbers => "numbers",
            Self::Lines => "several lines",
        }
    }

    /// Whether `text` holds this.
    fn holds(self, text: &str) -> bool {
        let text = text.trim();
        match self {
            Self::Json => {
                text.starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
            }
            Self::Markdown => {
                let marked = |line: &str| {
                    let line = line.trim_start();
                    ["# ", "## ", "### ", "- ", "* ", "> ", "```"].iter().any(|mark| line.starts_with(mark))
                };
                text.lines().any(marked) || text.contains("](") || text.matches("**").count() >= 2
            }
            Self::Html => text.contains("</") && text.contains('>'),
            Self::Urls => ["http://", "https://", "www."].iter().any(|start| text.contains(start)),
            Self::Numbers => text
                .split(|c: char| !c.is_alphanumeric())
                .any(|word| word.starts_with(|c: char| c.is_ascii_digit())),
            Self::Lines => text.contains('\n'),
        }
    }
}

impl DataStatistics {
    /// The figures of these rows. Takes time linear in the length of the rows.
    pub fn of(rows: &[Example]) -> Self {
        let parts: [(bool, Part); 2] = [(false, |row| &row.inputs), (true, |row| &row.labels)];
        let fields = parts.into_iter().flat_map(|(label, part)| {
            names(rows, part).into_iter().map(move |name| {
                let values: Vec<&Value> = rows.iter().filter_map(|row| part(row).get(&name)).collect();
                FieldStatistics {
                    missing: rows.len() - values.len(),
                    values: Values::of(&values),
                    label,
                    name,
                }
            })
        });
        Self { rows: rows.len(), fields: fields.collect() }
    }
}

impl fmt::Display for DataStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.rows)?;
        for field in &self.fields {
            let kind = if field.label { "expected answer" } else { "input" };
            write!(f, "\n{kind} `{}`: {}", field.name, field.values)?;
            if field.missing > 0 {
                write!(f, "; missing in {} rows", field.missing)?;
            }
        }
        Ok(())
    }
}

impl Values {
    fn of(values: &[&Value]) -> Self {
        if let Some(counted) = closed_set(values.iter().copied()) {
            return Self::Closed(counted);
        }
        let numbers: Vec<f64> = values.iter().filter_map(|value| value.as_f64()).collect();
        if numbers.len() == values.len() && !numbers.is_empty() {
            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            return Self::Numbers { low, high };
        }
        let lists: Vec<usize> = values.iter().filter_map(|value| Some(value.as_array()?.len())).collect();
        if lists.len() == values.len() && !lists.is_empty() {
            return Self::Lists(Spread::of(lists));
        }
        let texts: Vec<String> = values.iter().map(|value| format_value(value)).collect();
        let count = |format: Format| texts.iter().filter(|text| format.holds(text)).count();
        let formats = Format::ALL.into_iter().map(|format| (format, count(format)));
        Self::Text {
            words: Spread::of(texts.iter().map(|text| words(text).len())),
            scripts: counted(texts.iter().filter_map(|text| main_script(text)).map(Script::name)),
            languages: counted(texts.iter().filter_map(|text| language_of(text))),
            formats: formats.filter(|(_, count)| *count > 0).collect(),
            count: texts.len(),
        }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(counted) => {
                let shown = counted.iter().take(LISTED);
                let mut list: Vec<String> =
                    shown.map(|(value, count)| format!("{} {count}", cut(value, 10))).collect();
                if counted.len() > LISTED {
                    list.push(format!("{} more", counted.len() - LISTED));
                }
                write!(f, "{} values ({})", counted.len(), list.join(", "))
            }
            Self::Numbers { low, high } => write!(f, "numbers from {low} to {high}"),
            Self::Lists(items) => write!(f, "lists of {items} items"),
            Self::Text { words, scripts, languages, formats, count: total } => {
                write!(f, "text of {words} words")?;
                let sum = |counts: &[(String, usize)]| counts.iter().map(|(_, count)| count).sum::<usize>();
                let lettered = sum(scripts);
                let main_scripts = scripts.iter().filter(|(_, count)| often(*count, lettered)).count();
                // Few values that tell their language say nothing of the others, nor of another script.
                if main_scripts == 1 && !languages.is_empty() && often(sum(languages), lettered) {
                    write!(f, " in {}", shares(languages))?;
                } else if main_scripts > 0 {
                    write!(f, " in {} script", shares(scripts))?;
                }
                for (format, count) in formats.iter().filter(|(_, count)| often(*count, *total)) {
                    write!(f, "; {} in {} %", format.name(), percent(*count, *total))?;
                }
                Ok(())
            }
        }
    }
}

/// Names with the number of times that each comes, the most frequent first, then by name.
fn counted(names: impl Iterator<Item = &'static str>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> =
        counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    // Stable: of equals, the first by name comes first.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn often(count: usize, of: usize) -> bool {
    count as f64 >= WORTH_SAYING * of as f64
}

fn percent(count: usize, of: usize) -> f64 {
    (100.0 * count as f64 / of as f64).round()
}

/// Those that are worth saying, with their shares of all where there are several: `English (80 %), French (20 %)`.
fn shares(counts: &[(String, usize)]) -> String {
    let all = counts.iter().map(|(_, count)| count).sum();
    let main: Vec<&(String, usize)> = counts.iter().filter(|(_, count)| often(*count, all)).collect();
    let share = |(name, count): &&(String, usize)| match main.len() {
        1 => name.clone(),
        _ => format!("{name} ({} %)", percent(*count, all)),
    };
    main.iter().map(share).collect::<Vec<_>>().join(", ")
}

impl Spread {
    fn of(counts: impl IntoIterator<Item = usize>) -> Self {
        let mut counts: Vec<usize> = counts.into_iter().collect();
        counts.sort_unstable();
        let at = |index: usize| counts.get(index).copied().unwrap_or_default();
        Self { low: at(0), median: at(counts.len() / 2), high: at(counts.len().saturating_sub(1)) }
    }
}

/// `3 to 40 (median 12)`; one number where all are the same.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, median, high } = self;
        if low < high { write!(f, "{low} to {high} (median {median})") } else { write!(f, "{low}") }
    }
}

#[cfg(test)]
mod tests {
    use teleprompt_core::Fields;

    use super::*;

    #[test]
    fn figures_are_counted() {
        let row = |i: usize| {
            let fields = Fields::new()
                .with("message", "word ".repeat(i + 1))
                .with("age", i)
                .with("team", if i.is_multiple_of(3) { "billing" } else { "delivery" });
            Example::new(fields).with_inputs(&["message", "age"]).unwrap()
        };
        let rows: Vec<Example> = (0..9).map(row).collect();
        assert_eq!(
            DataStatistics::of(&rows).to_string(),
            "9 rows\ninput `message`: text of 1 to 9 (median 5) words in Latin script\n\
             input `age`: numbers from 0 to 8\nexpected answer `team`: 2 values (delivery 6, billing 3)"
        );
        assert_eq!(DataStatistics::of(&[]).to_string(), "0 rows");
    }

    #[test]
    fn scripts_and_formats_are_told_apart() {
        let described = |texts: &[&str]| {
            let values: Vec<Value> = texts.iter().map(|text| Value::from(*text)).collect();
            Values::of(&values.iter().collect::<Vec<_>>()).to_string()
        };
        assert_eq!(
            described(&["где заказ", "where"]),
            "text of 1 to 2 (median 2) words in Cyrillic (50 %), Latin (50 %) script"
        );
        assert_eq!(
            described(&["我的", "{\"a\": 1}"]),
            "text of 2 words in Chinese or Japanese (50 %), Latin (50 %) script; JSON in 50 %; numbers in 50 %"
        );
        assert_eq!(
            described(&["# T\n- a", "x"]),
            "text of 1 to 2 (median 2) words in Latin script; Markdown in 50 %; several lines in 50 %"
        );
        assert_eq!(described(&["12", "13"]), "text of 1 words; numbers in 100 %");
        assert_eq!(
            described(&["<b>x</b>", "mp3 [y](https://z.example)"]),
            "text of 3 to 5 (median 5) words in Latin script; Markdown in 50 %; HTML in 50 %; URLs in 50 %"
        );
    }

    #[test]
    fn the_figures_survive_a_file() {
        let rows =
            vec![Example::new(Fields::new().with("a", "x 1").with("b", 2)).with_inputs(&["a"]).unwrap()];
        let figures = DataStatistics::of(&rows);
        let text = serde_json::to_string(&figures).unwrap();
        assert_eq!(serde_json::from_str::<DataStatistics>(&text).unwrap(), figures);
    }
}
