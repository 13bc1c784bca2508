//! MIPROv2: joint optimization of instructions and demos of language-model programs
