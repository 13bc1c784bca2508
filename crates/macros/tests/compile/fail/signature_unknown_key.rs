use teleprompt_macros::Signature;

#[derive(Signature)]
#[signature(name = "Other")]
struct Answer {
    #[input(description = "what is asked")]
    question: String,
    #[input("what is known")]
    context: String,
    #[input = "what was said"]
    history: String,
    #[output(desc)]
    answer: String,
    #[output(prefix = 3)]
    number: String,
}

fn main() {}
