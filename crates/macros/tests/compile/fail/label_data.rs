use teleprompt_macros::Label;

#[derive(Label)]
enum Kind {
    Praise,
    Bug(String),
    Other { why: String },
}

fn main() {}
