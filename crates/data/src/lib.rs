//! Data sets for teleprompt: JSONL with errors that name line and column, seeded splits
