use teleprompt_macros::Label;

#[derive(Label)]
enum Kind {
    BugReport,
    #[label("bug_report")]
    Defect,
}

fn main() {}
