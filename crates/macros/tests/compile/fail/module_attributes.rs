use teleprompt_macros::Module;

#[derive(Module)]
#[module(skip)]
struct Program {
    #[module(skip, frozen)]
    both: u8,
    #[module(ignore)]
    unknown: u8,
    #[module(skip, skip)]
    again: u8,
    #[module(skip)]
    #[module(frozen)]
    twice: u8,
    #[module(skip = true)]
    value: u8,
    #[module(frozen("yes"))]
    argument: u8,
    #[module("frozen")]
    text: u8,
}

fn main() {}
