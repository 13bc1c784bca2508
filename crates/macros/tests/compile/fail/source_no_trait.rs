use teleprompt_macros::program_source;

struct Solve;

#[program_source]
impl Solve {
    fn solve(&self) {}
}

#[program_source]
fn solve() {}

fn main() {}
