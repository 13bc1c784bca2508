//! Signatures, modules, traces, candidates and evaluation: the contracts of teleprompt
