use teleprompt_macros::Module;

#[derive(Module)]
enum Program {
    Short,
    Long,
}

fn main() {}
