use teleprompt_macros::Signature;

#[derive(Signature)]
#[signature(crate = teleprompt_core)]
#[signature(crate = teleprompt_core)]
struct Answer {
    #[input]
    #[input]
    question: String,
    #[output(desc = "a", desc = "b")]
    answer: String,
}

fn main() {}
