//! [`Bill`]: what a run has cost, by role and model, from a meter's counts and a list of prices.
//!
//! A cost that is not known is said to be unknown, in a line and in the sum: a model without a price, and answers that
//! did not say their tokens. Deliberately absent: what failed attempts may have cost. The provider knows, and a
//! [`Budget`](crate::Budget) counts them at their worst.

use std::fmt;

use serde::{Deserialize, Serialize};
use teleprompt_core::ModelCalls;
use teleprompt_core::lm::Usage;

use crate::pricing::PriceTable;

/// What calls cost, line by line.
///
/// ```
/// use teleprompt_core::lm::{ModelId, Usage};
/// use teleprompt_core::{CallCounts, CallRole, ModelCalls};
/// use teleprompt_lm::{Bill, PriceTable};
///
/// let usage = Usage { input_tokens: 2_000_000, output_tokens: 1_000_000, ..Usage::default() };
/// let counts = CallCounts { requests: 500, usage, ..CallCounts::default() };
/// // A meter gives these: `ctx.meter().by_model()`.
/// let calls = ModelCalls { role: CallRole::Task, model: ModelId::new("openai/gpt-4o-mini"), counts };
/// let bill = Bill::new(&PriceTable::bundled(), &[calls]);
/// assert_eq!(bill.usd(), Some(0.9));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// The day on which the prices were right, as `YYYY-MM-DD`.
    pub prices_of: String,
    /// One line for each role and model, in the order of the counts.
    pub lines: Vec<BillLine>,
}

/// What calls of one model in one role cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BillLine {
    /// Role, model and counts.
    #[serde(flatten)]
    pub calls: ModelCalls,
    /// USD; `None` where the model's price or the tokens of an answer are not known.
    pub usd: Option<f64>,
}

impl Bill {
    /// The bill of these calls at these prices.
    pub fn new(prices: &PriceTable, calls: &[ModelCalls]) -> Self {
        let line = |calls: &ModelCalls| {
            let price = prices.price(&calls.model);
            let free = price.is_some_and(|price| price.is_free()) || calls.counts.paid() == 0;
            let usd = match price {
                _ if free => Some(0.0),
                Some(price) if calls.counts.unmetered == 0 => Some(price.cost(&calls.counts.usage)),
                _ => None,
            };
            BillLine { calls: calls.clone(), usd }
        };
        Self { prices_of: prices.date().to_owned(), lines: calls.iter().map(line).collect() }
    }

    /// The sum in USD; `None` where one line's is not known.
    pub fn usd(&self) -> Option<f64> {
        self.lines.iter().map(|line| line.usd).sum()
    }

    /// The tokens of all lines.
    pub fn usage(&self) -> Usage {
        let mut total = Usage::default();
        self.lines.iter().for_each(|line| total += line.calls.counts.usage);
        total
    }
}

/// A line for each role and model, and the sum.
impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for BillLine { calls, usd } in &self.lines {
            let counts = &calls.counts;
            write!(
                f,
                "{} on {}: {} calls paid, {} known before",
                calls.role,
                calls.model,
                counts.paid(),
                counts.cached
            )?;
            if counts.failed > 0 {
                write!(f, ", {} failed", counts.failed)?;
            }
            writeln!(f, "; {}; {}", Tokens(&counts.usage), Usd(*usd))?;
        }
        write!(f, "in all: {}; {} (prices of {})", Tokens(&self.usage()), Usd(self.usd()), self.prices_of)
    }
}

struct Tokens<'a>(&'a Usage);

impl fmt::Display for Tokens<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Usage { input_tokens, output_tokens, cached_tokens, reasoning_tokens } = self.0;
        write!(f, "{input_tokens} tokens in")?;
        if *cached_tokens > 0 {
            write!(f, " ({cached_tokens} from the provider's cache)")?;
        }
        write!(f, ", {output_tokens} out")?;
        if *reasoning_tokens > 0 {
            write!(f, " ({reasoning_tokens} of reasoning)")?;
        }
        Ok(())
    }
}

struct Usd(Option<f64>);

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(usd) => write!(f, "{usd:.4} USD"),
            None => f.write_str("cost unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use teleprompt_core::lm::ModelId;
    use teleprompt_core::{CallCounts, CallRole};

    use super::*;

    fn calls(role: CallRole, model: &str, unmetered: u64) -> ModelCalls {
        let usage = Usage {
            input_tokens: 1_000_000,
            output_tokens: 100_000,
            cached_tokens: 0,
            reasoning_tokens: 60_000,
        };
        let counts =
            CallCounts { requests: 12, cached: 2, failed: 1, unmetered, usage, ..CallCounts::default() };
        ModelCalls { role, model: ModelId::new(model), counts }
    }

    #[test]
    fn a_bill_has_a_line_for_each_role_and_model_and_unknown_is_never_zero() {
        let known =
            [calls(CallRole::Task, "openai/gpt-4o-mini", 0), calls(CallRole::Task, "local/smollm2", 3)];
        let bill = Bill::new(&PriceTable::bundled(), &known);
        assert_eq!(
            bill.to_string(),
            "task on openai/gpt-4o-mini: 9 calls paid, 2 known before, 1 failed; 1000000 tokens in, 100000 out (60000 of \
             reasoning); 0.2100 USD\n\
             task on local/smollm2: 9 calls paid, 2 known before, 1 failed; 1000000 tokens in, 100000 out (60000 of \
             reasoning); 0.0000 USD\n\
             in all: 2000000 tokens in, 200000 out (120000 of reasoning); 0.2100 USD (prices of 2025-08-15)"
        );
        for unknown in
            [calls(CallRole::Prompt, "openai/unheard-of", 0), calls(CallRole::Judge, "openai/gpt-4o", 1)]
        {
            let bill = Bill::new(&PriceTable::bundled(), &[known[0].clone(), unknown]);
            assert_eq!(bill.usd(), None);
            assert!(bill.to_string().ends_with("cost unknown (prices of 2025-08-15)"), "{bill}");
        }
        let json = serde_json::to_string(&bill).unwrap();
        assert_eq!(serde_json::from_str::<Bill>(&json).unwrap(), bill);
    }

    #[test]
    fn what_was_never_answered_costs_nothing_even_without_a_price() {
        let counts = CallCounts { requests: 3, cached: 1, failed: 2, ..CallCounts::default() };
        let calls = ModelCalls { role: CallRole::Teacher, model: ModelId::new("who"), counts };
        assert_eq!(Bill::new(&PriceTable::bundled(), &[calls]).usd(), Some(0.0));
    }
}
