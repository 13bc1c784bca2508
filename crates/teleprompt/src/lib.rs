//! Optimize the prompts of language-model programs: typed programs, MIPROv2, and a model that runs without a key
