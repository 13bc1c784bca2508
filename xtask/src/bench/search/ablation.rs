//! The strategy with one ingredient taken out or changed, to measure what each is worth.

use teleprompt_miprov2::adaptive::AdaptiveConfig;

use crate::error::Error;

/// What is changed, by name.
pub(crate) const CHANGES: [&str; 19] = [
    "values apart as assumed",
    "rows shared by ease alone",
    "shares as assumed",
    "rows not stratified",
    "no own effects",
    "no pair effects",
    "no main effects",
    "no bump for the default",
    "one look ahead only",
    "scale not averaged",
    "no early end",
    "no confirmation",
    "nothing kept in reserve",
    "a guard of 0.7",
    "5 rows a chunk",
    "1 chunk at once",
    "4 chunks",
    "16 chunks",
    "32 chunks",
];

/// Applies a change.
pub(crate) fn apply(change: &str, config: &mut AdaptiveConfig) -> Result<(), Error> {
    let ingredients = &mut config.ingredients;
    match change {
        "values apart as assumed" => ingredients.values_by_answers = false,
        "rows shared by ease alone" => ingredients.rows_by_demos = false,
        "shares as assumed" => ingredients.assumed_scores = 1e9,
        "rows not stratified" => ingredients.stratify = false,
        "no own effects" => ingredients.own_sd = 0.0,
        "no pair effects" => ingredients.pair_sd = 0.0,
        "no main effects" => (ingredients.instruction_sd, ingredients.demos_sd) = (0.0, 0.0),
        "no bump for the default" => ingredients.bump_sd = 0.0,
        "one look ahead only" => ingredients.horizon.truncate(1),
        "scale not averaged" => ingredients.scales = vec![1.0],
        "no early end" => config.worthwhile = 0.0,
        "no confirmation" => ingredients.sure = 0.0,
        "nothing kept in reserve" => ingredients.reserve = 0.0,
        "a guard of 0.7" => config.guard = 0.7,
        "5 rows a chunk" => config.chunk_rows = 5,
        "1 chunk at once" => config.chunks = 1,
        "4 chunks" => config.chunks = 4,
        "16 chunks" => config.chunks = 16,
        "32 chunks" => config.chunks = 32,
        other => return Err(Error::Usage(format!("no change `{other}`"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_changes_something() {
        for change in CHANGES {
            let mut config = AdaptiveConfig::new(400);
            apply(change, &mut config).unwrap();
            assert_ne!(config, AdaptiveConfig::new(400), "{change}");
        }
        assert!(apply("nothing", &mut AdaptiveConfig::new(1)).is_err());
    }
}
