use teleprompt_macros::Label;

#[derive(Label)]
#[label(rename_all = "kebab-case")]
enum Kind {
    BugReport,
}

fn main() {}
