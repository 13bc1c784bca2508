use teleprompt_macros::Signature;

#[derive(Signature)]
struct Braces {}

#[derive(Signature)]
struct Unit;

fn main() {}
