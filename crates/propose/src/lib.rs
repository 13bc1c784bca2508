//! Grounded instruction proposer with a library of prompting tips
