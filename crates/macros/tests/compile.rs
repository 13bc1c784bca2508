//! What does not compile, with the messages that users read.
//!
//! After a change of a message: `TRYBUILD=overwrite cargo test -p teleprompt-macros --test compile`, then read the diff.
//! Only errors of the macros themselves are here: the wording of rustc's own changes with its version.

#[test]
fn mistakes_are_named_where_they_are() {
    trybuild::TestCases::new().compile_fail("tests/compile/fail/*.rs");
}
