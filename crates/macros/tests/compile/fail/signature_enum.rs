use teleprompt_macros::Signature;

#[derive(Signature)]
enum Answer {
    Yes,
    No,
}

fn main() {}
