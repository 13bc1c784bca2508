use teleprompt_macros::Signature;

#[derive(Signature)]
#[signature(krate = teleprompt_core)]
struct Answer<'a> {
    question: &'a str,
    #[input(descr = "what is known")]
    context: String,
    #[input]
    #[output]
    answer: String,
}

fn main() {}
