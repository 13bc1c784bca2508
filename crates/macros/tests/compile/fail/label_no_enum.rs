use teleprompt_macros::Label;

#[derive(Label)]
struct Kind;

#[derive(Label)]
enum Nothing {}

#[derive(Label)]
enum Generic<const N: usize> {
    A,
}

fn main() {}
