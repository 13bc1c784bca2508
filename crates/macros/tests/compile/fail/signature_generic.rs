use teleprompt_macros::Signature;

#[derive(Signature)]
struct Answer<T> {
    #[input]
    question: T,
    #[output]
    answer: String,
}

fn main() {}
