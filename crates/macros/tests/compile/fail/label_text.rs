use teleprompt_macros::Label;

#[derive(Label)]
#[label("kinds")]
enum Kind {
    #[label]
    Praise,
    #[label("")]
    Bug,
    #[label(" question")]
    Question,
    #[label(text = "else")]
    Other,
    #[label("a")]
    #[label("b")]
    Twice,
    ALL,
}

fn main() {}
