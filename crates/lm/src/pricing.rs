//! [`PriceTable`]: what tokens cost, from a dated list that a user can override.
//!
//! The bundled list (`prices.json`) is right on its date at best: providers change prices without notice, and
//! discounts, tiers by prompt length and batch prices are not in it. A model that is not listed has no price,
//! which is never taken for zero.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use teleprompt_core::lm::{ModelId, Usage};

const BUNDLED: &str = include_str!("../prices.json");
/// Names a list whose prices come before those of the bundled one.
const VARIABLE: &str = "TELEPROMPT_PRICES";
/// The largest list that is read, in bytes.
const MOST_BYTES: u64 = 16 << 20;

/// What one million tokens of a model cost, in USD.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// Tokens of prompts.
    pub input: f64,
    /// Tokens of prompts that the provider took from its prompt cache; as `input` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<f64>,
    /// Tokens of completions.
    pub output: f64,
}

impl Price {
    /// What these tokens cost, in USD.
    pub fn cost(&self, usage: &Usage) -> f64 {
        let cached = usage.cached_tokens.min(usage.input_tokens);
        let fresh = usage.input_tokens - cached;
        let parts = [
            (fresh, self.input),
            (cached, self.cached_input.unwrap_or(self.input)),
            (usage.output_tokens, self.output),
        ];
        parts.into_iter().map(|(tokens, price)| tokens as f64 * price).sum::<f64>() / 1e6
    }

    /// Whether nothing costs anything.
    pub fn is_free(&self) -> bool {
        [self.input, self.cached_input.unwrap_or(0.0), self.output].iter().all(|price| *price == 0.0)
    }

    fn is_valid(&self) -> bool {
        [self.input, self.cached_input.unwrap_or(0.0), self.output].iter().all(|p| p.is_finite() && *p >= 0.0)
    }
}

/// Why a list of prices could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PriceError {
    /// The file cannot be read.
    #[error("cannot read the prices in `{}`: {reason}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The text is no list of prices.
    #[error(
        "no list of prices: {reason}; expected {{\"date\": .., \"models\": {{\"openai/NAME\": {{\"input\": USD, \
         \"output\": USD}}}}}}, in USD per million tokens"
    )]
    Format {
        /// What is wrong, with line and column.
        reason: String,
    },
    /// A price is negative or not a number.
    #[error("the price of `{model}` is negative or not a number")]
    Price {
        /// The model.
        model: String,
    },
}

/// Prices by model, with the date on which they were right.
///
/// ```
/// use teleprompt_core::lm::{ModelId, Usage};
/// use teleprompt_lm::pricing::PriceTable;
/// let prices = PriceTable::bundled();
/// let usage = Usage { input_tokens: 1_000_000, output_tokens: 1_000_000, ..Usage::default() };
/// assert_eq!(prices.cost(&ModelId::new("openai/gpt-4o-mini"), &usage), Some(0.75));
/// assert_eq!(prices.cost(&ModelId::new("openai/unheard-of"), &usage), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PriceTable {
    date: String,
    models: BTreeMap<String, Price>,
}

impl PriceTable {
    /// The list that comes with this crate; [`PriceTable::date`] says how old it is.
    pub fn bundled() -> Self {
        // A test reads it: it is never empty in a release.
        Self::parse(BUNDLED).unwrap_or_default()
    }

    /// The bundled list, overridden by the file that the variable `TELEPROMPT_PRICES` names, where it names one.
    ///
    /// # Errors
    /// Any [`PriceError`] of that file: prices that a user has set are not silently left out.
    pub fn current() -> Result<Self, PriceError> {
        Self::current_from(&|name| std::env::var_os(name).map(PathBuf::from))
    }

    fn current_from(env: &dyn Fn(&str) -> Option<PathBuf>) -> Result<Self, PriceError> {
        match env(VARIABLE).filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => Ok(Self::bundled().overridden_by(Self::load(path)?)),
            None => Ok(Self::bundled()),
        }
    }

    /// A list from its JSON, in the shape of `prices.json`.
    ///
    /// # Errors
    /// [`PriceError::Format`] or [`PriceError::Price`].
    pub fn parse(json: &str) -> Result<Self, PriceError> {
        let table: Self =
            serde_json::from_str(json).map_err(|error| PriceError::Format { reason: error.to_string() })?;
        match table.models.iter().find(|(_, price)| !price.is_valid()) {
            Some((model, _)) => Err(PriceError::Price { model: model.clone() }),
            None => Ok(table),
        }
    }

    /// A list from a file.
    ///
    /// # Errors
    /// Any [`PriceError`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PriceError> {
        let path = path.as_ref();
        let failed =
            |error: std::io::Error| PriceError::Read { path: path.to_owned(), reason: error.to_string() };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MOST_BYTES).read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text)
    }

    /// These prices, with those of `other` in the place of or beside them; the date is `other`'s.
    #[must_use]
    pub fn overridden_by(mut self, other: Self) -> Self {
        self.models.extend(other.models);
        self.date = other.date;
        self
    }

    /// These prices with one more.
    #[must_use]
    pub fn with(mut self, model: &ModelId, price: Price) -> Self {
        self.models.insert(model.as_str().to_owned(), price);
        self
    }

    /// The day on which the prices were right, as `YYYY-MM-DD`.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// The price of a model; a dated version (`..-2024-07-18`, `..-20250514`) has that of its family, and the embedded
    /// model (`local/..`) costs nothing. `None` is an unknown price.
    pub fn price(&self, model: &ModelId) -> Option<Price> {
        let name = model.as_str();
        let listed = self.models.get(name).or_else(|| self.models.get(undated(name)?)).copied();
        let embedded = Price { input: 0.0, cached_input: None, output: 0.0 };
        listed.or_else(|| name.starts_with("local/").then_some(embedded))
    }

    /// What these tokens of a model cost, in USD; `None` when its price is unknown.
    pub fn cost(&self, model: &ModelId, usage: &Usage) -> Option<f64> {
        self.price(model).map(|price| price.cost(usage))
    }
}

/// The name without a date at its end.
fn undated(name: &str) -> Option<&str> {
    let dashed = |pattern: &str| {
        let (head, tail) = name.split_at_checked(name.len().checked_sub(pattern.len())?)?;
        let fits = tail
            .chars()
            .zip(pattern.chars())
            .all(|(c, p)| if p == '0' { c.is_ascii_digit() } else { c == p });
        fits.then_some(head)
    };
    dashed("-0000-00-00").or_else(|| dashed("-00000000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_list_is_whole() {
        let table = PriceTable::parse(BUNDLED).unwrap();
        assert!(table.models.len() > 10 && table.date().len() == 10);
    }

    #[test]
    fn a_version_has_the_price_of_its_family_and_a_sibling_has_not() {
        let table = PriceTable::bundled();
        let price = |name: &str| table.price(&ModelId::new(name)).map(|p| p.input);
        assert_eq!(price("openai/gpt-4o-mini-2024-07-18"), Some(0.15));
        assert_eq!(price("anthropic/claude-sonnet-4-20250514"), Some(3.0));
        assert_eq!(price("local/smollm2-135m-instruct-q4_1"), Some(0.0));
        for name in ["anthropic/claude-sonnet-4-5", "openai/gpt-4o-audio", "gpt-4o", "", "-20250514", "é"] {
            assert_eq!(price(name), None, "{name}");
        }
    }

    #[test]
    fn cached_tokens_have_their_own_price() {
        let price = Price { input: 2.0, cached_input: Some(0.5), output: 8.0 };
        let usage = Usage {
            input_tokens: 1_000_000,
            output_tokens: 500_000,
            cached_tokens: 400_000,
            ..Usage::default()
        };
        assert!((price.cost(&usage) - (1.2 + 0.2 + 4.0)).abs() < 1e-9);
    }

    #[test]
    fn a_bad_list_says_what_is_wrong() {
        let check = |text: &str, part: &str| {
            let error = PriceTable::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        check("{", "line 1");
        check(r#"{"date": "x", "models": {"m": {"input": 1}}}"#, "missing field `output`");
        check(r#"{"date": "x", "models": {"m": {"input": -1, "output": 1}}}"#, "price of `m`");
        assert!(PriceTable::load("/nowhere/prices.json").unwrap_err().to_string().contains("/nowhere"));
    }

    #[test]
    fn a_user_s_prices_come_first() {
        let mine = r#"{"date": "2026-01-01", "models": {"openai/gpt-4o": {"input": 9, "output": 9}}}"#;
        let table = PriceTable::bundled().overridden_by(PriceTable::parse(mine).unwrap());
        assert_eq!(table.price(&ModelId::new("openai/gpt-4o")).unwrap().input, 9.0);
        assert!(table.price(&ModelId::new("openai/o3")).is_some());
        assert_eq!(table.date(), "2026-01-01");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prices.json");
        std::fs::write(&path, mine).unwrap();
        assert_eq!(PriceTable::current_from(&|_| Some(path.clone())), Ok(table));
        assert_eq!(PriceTable::current_from(&|_| None), Ok(PriceTable::bundled()));
        let missing = PriceTable::current_from(&|_| Some("/nowhere/p.json".into())).unwrap_err();
        assert!(matches!(missing, PriceError::Read { .. }), "{missing}");
    }
}
