use teleprompt_macros::Signature;

#[derive(Signature)]
struct Answer(#[input] String, #[output] String);

fn main() {}
