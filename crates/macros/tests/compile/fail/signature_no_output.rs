use teleprompt_macros::Signature;

#[derive(Signature)]
struct Answer {
    #[input]
    question: String,
}

fn main() {}
