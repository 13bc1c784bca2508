use teleprompt_macros::Signature;

#[derive(Signature)]
struct Answer {
    #[input(prefix = "Question:")]
    question: String,
    #[output(prefix = "")]
    first: String,
    #[output]
    net_income: f64,
    #[output(prefix = "NET income")]
    income: f64,
    #[output(prefix = "Spare")]
    other: String,
    #[output]
    spare: String,
}

fn main() {}
