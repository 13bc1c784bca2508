use teleprompt_macros::Signature;

#[derive(Signature)]
struct Answer {
    #[input]
    question: String,
    #[input]
    #[output]
    answer: String,
}

fn main() {}
