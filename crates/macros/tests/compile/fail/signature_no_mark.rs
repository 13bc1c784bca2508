use teleprompt_macros::Signature;

#[derive(Signature)]
struct Answer {
    question: String,
    #[output]
    answer: String,
}

fn main() {}
