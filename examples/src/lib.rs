//! Examples of teleprompt: see the `examples/` folder of the repository.
