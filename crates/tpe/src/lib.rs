//! Bayesian optimization with tree-structured Parzen estimators: studies, ask and tell
