//! Derive macros of teleprompt: Signature, Module, Label, program_source
