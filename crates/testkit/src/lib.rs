//! Scripted models, simulated tasks and conformance suites for testing teleprompt programs
