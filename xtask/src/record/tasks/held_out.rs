//! The tasks of held-out data sets, for the last measurement alone: none of them was ever searched when it was added here.

use super::{Start, Task};
use crate::record::problems::Ask;
use crate::record::rows::{Between, Source};
use crate::record::steps::{Measure, Step};

/// The tasks, in the order in which they are best recorded.
pub(super) const TASKS: &[Task] = &[
    Task {
        name: "gsm8k-steps-plain",
        data: "gsm8k",
        adapter: "plain",
        measure: Measure::Exact("tool"),
        source: Source::Problems { ask: Ask::Kind },
        between: Some(Between {
            gold: "kind",
            field: "tool",
            of: &[
                ("age", "candle"),
                ("count", "fingers"),
                ("measure", "ruler"),
                ("money", "purse"),
                ("time", "clock"),
            ],
        }),
        start: Start::Bare,
        steps: &[
            Step {
                name: "kind",
                signature: "question -> kind: label[age, count, measure, money, time]",
                instructions: &[
                    "What does the question ask for?",
                    "Age is how old somebody is, money what something costs or earns, time how long it takes, measure a length, \
                     weight or volume, and count the number of anything else. Say which of them the question asks for.",
                    "What does the question ask for?\n`kind` is exactly one of: age, count, measure, money, time.",
                    "Solve the problem and write the result.",
                ],
                demo_sets: 3,
                demos: 5,
                max_tokens: 16,
            },
            Step {
                name: "tool",
                signature: "kind -> tool: label[candle, fingers, ruler, purse, clock]",
                instructions: &[
                    "Pick the thing to take along.",
                    "Pick the thing that helps: a candle on the cake shows an age, fingers count, a ruler measures, a purse holds \
                     money, a clock shows the time.",
                    "Pick the thing to take along.\nGive only `tool` (one label, spelled as given), without comments or explanations \
                     around it.",
                    "Always pick the ruler, since it is the lightest.",
                ],
                demo_sets: 3,
                demos: 5,
                max_tokens: 16,
            },
        ],
        candidates: 144,
        rows: 120,
    },
    Task {
        name: "lending-condition-plain",
        data: "lending",
        adapter: "plain",
        measure: Measure::Close { field: "condition", zero_at: 2.0 },
        source: Source::Sample { input: "note", label: "condition", most: 1000 },
        between: None,
        start: Start::Bare,
        steps: &[Step {
            name: "rate",
            signature: "note -> condition: int",
            instructions: &[
                "Rate the condition of what came back, from 1 (unusable) to 5 (as new).",
                "Rate the condition from 1 to 5. 5: complete, works, looks well. 4: works, but dirty or scratched. 3: works, but a \
                 part is missing or worn. 2: works only at times or in part. 1: cannot be used any more.",
                "Rate the condition of what came back, from 1 (unusable) to 5 (as new).\nGive only `condition` (integer), without \
                 comments or explanations around it.",
                "Write a number.",
                "You keep the books of a library of things. Read the note slowly, look for the worst that it names, and grade the \
                 thing like a teacher, 5 being the best grade.",
                "How long is the note, from 1 (short) to 5 (long)?",
            ],
            demo_sets: 6,
            demos: 6,
            max_tokens: 4,
        }],
        candidates: 36,
        rows: 120,
    },
    Task {
        name: "gsm8k-who-json",
        data: "gsm8k",
        adapter: "json",
        measure: Measure::TokenF1("who"),
        source: Source::Problems { ask: Ask::Who },
        between: None,
        start: Start::Bare,
        steps: &[Step {
            name: "name",
            signature: "problem -> who",
            instructions: &[
                "Write the name of the person that the question is about.",
                "The last sentence asks something about one person. Write that person's first name, and nothing else.",
                "Who?",
                "Write the first word of the problem.",
                "Write the name of the person that the question is about.\nGive only `who` (text), without comments or explanations \
                 around it.",
                "Solve the problem step by step and write who has the most.",
            ],
            demo_sets: 4,
            demos: 4,
            max_tokens: 12,
        }],
        candidates: 24,
        rows: 80,
    },
    Task {
        name: "lending-shelf-chat",
        data: "lending",
        adapter: "chat",
        measure: Measure::Exact("shelf"),
        source: Source::Sample { input: "note", label: "shelf", most: 1000 },
        between: None,
        start: Start::Settled,
        steps: &[Step {
            name: "shelve",
            signature: "note -> shelf: label[garden, kitchen, workshop, party, outdoor]",
            instructions: &[
                "A thing came back to a library of things. Say on which shelf it belongs: garden for tools that work in beds and \
                 lawns, kitchen for what cooks and bakes, workshop for what builds and repairs, party for what is needed at a feast, \
                 outdoor for what is taken along on a trip.",
                "Say on which shelf the thing belongs.",
                "Say on which shelf the thing belongs.\n`shelf` is exactly one of: garden, kitchen, outdoor, party, workshop.",
                "Sort.",
                "You are a volunteer with a broom in your hand. Things lie everywhere, and each has its place. Take the note, picture \
                 the thing, and carry it there.",
                "What is broken goes to the workshop, whatever it is.",
            ],
            demo_sets: 6,
            demos: 5,
            max_tokens: 16,
        }],
        candidates: 36,
        rows: 120,
    },
    Task {
        name: "gsm8k-kind-plain",
        data: "gsm8k",
        adapter: "plain",
        measure: Measure::Exact("kind"),
        source: Source::Problems { ask: Ask::Kind },
        between: None,
        start: Start::Settled,
        steps: &[Step {
            name: "kind",
            signature: "question -> kind: label[age, count, measure, money, time]",
            instructions: &[
                "Say what the question asks for: age for how old somebody is, money for what something costs or earns, time for \
                 hours, days and years, measure for lengths, weights and volumes, count for the number of anything else.",
                "Say what the question asks for.",
                "Say what the question asks for.\n`kind` is exactly one of: age, count, measure, money, time.",
                "Think about the sum that has to be done, the numbers that go into it, and the unit behind the result.",
                "Say what the question asks for.\nGive only `kind` (one label, spelled as given), without comments or explanations \
                 around it.",
                "Every question in this book is about money in the end. Say what it asks for.",
            ],
            demo_sets: 6,
            demos: 5,
            max_tokens: 16,
        }],
        candidates: 36,
        rows: 120,
    },
];
