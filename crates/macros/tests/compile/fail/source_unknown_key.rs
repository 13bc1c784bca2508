use teleprompt_macros::program_source;

struct Solve;

#[program_source(text = "none")]
impl Default for Solve {
    fn default() -> Self {
        Self
    }
}

fn main() {}
