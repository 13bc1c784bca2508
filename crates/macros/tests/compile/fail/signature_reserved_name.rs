use teleprompt_macros::Signature;

#[derive(Signature)]
struct Task {
    #[input]
    task: String,
    #[output]
    completed: bool,
}

fn main() {}
