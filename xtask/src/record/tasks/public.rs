//! The tasks of public data sets, for tuning.

use super::{Start, Task};
use crate::record::rows::{Between, Source};
use crate::record::steps::{Measure, Step};

/// A question to its kind of answer.
const SORT: Step = Step {
    name: "sort",
    signature: "question -> answer: label[person, place, date, number, thing, explanation]",
    instructions: &[
        "Say which kind of answer the question wants.",
        "Which kind of answer does the question want? A person for who, a place for where, a date for when, a number for \
         how many or how much, a thing for what or which, an explanation for why or how something works.",
        "Classify.\n`answer` is exactly one of: date, explanation, number, person, place, thing.",
        "You help in a library. Visitors type questions, and each must go to the right shelf. Read the question, think \
         of what its answer would look like, and name that kind.",
        "Say which kind of answer the question wants.\nGive only `answer` (one label, spelled as given), without comments \
         or explanations around it.",
        "Answer the question with a place, since most visitors look for a place.",
    ],
    demo_sets: 6,
    demos: 6,
    max_tokens: 32,
};

/// The question word of each kind of answer.
const WORDS: Between = Between {
    gold: "answer",
    field: "word",
    of: &[
        ("person", "who"),
        ("place", "where"),
        ("date", "when"),
        ("number", "how many"),
        ("thing", "what"),
        ("explanation", "why"),
    ],
};

/// The tasks, in the order in which they are best recorded.
pub(super) const TASKS: &[Task] = &[
    Task {
        name: "questions-plain",
        data: "questions",
        adapter: "plain",
        measure: Measure::Exact("answer"),
        source: Source::Sample { input: "question", label: "answer", most: 1000 },
        between: None,
        start: Start::Bare,
        steps: &[SORT],
        candidates: 36,
        rows: 120,
    },
    Task {
        name: "helpdesk-steps-plain",
        data: "helpdesk",
        adapter: "plain",
        measure: Measure::Exact("team"),
        source: Source::Sample { input: "message", label: "team", most: 100 },
        between: None,
        start: Start::Bare,
        steps: &[
            Step {
                name: "subject",
                signature: "message -> subject: label[money, parcel, refund, login, question, defect]",
                instructions: &[
                    "Name the subject of the message.",
                    "What is the message about? Money: charges and invoices. Parcel: where it is. Refund: sending something back. \
                     Login: the profile. Question: what an article can do. Defect: something does not work.",
                    "Read the message and pick the first word that comes to mind.",
                ],
                demo_sets: 3,
                demos: 4,
                max_tokens: 32,
            },
            Step {
                name: "route",
                signature: "subject -> team: label[billing, delivery, returns, account, product, repair]",
                instructions: &[
                    "Decide which team answers a message of this subject.",
                    "Money goes to billing, a parcel to delivery, a refund to returns, a login to account, a question to product, \
                     a defect to repair.",
                    "Decide which team answers a message of this subject.\n`team` is exactly one of: account, billing, delivery, \
                     product, repair, returns.",
                    "Ignore the subject. Every message goes to delivery.",
                ],
                demo_sets: 3,
                demos: 4,
                max_tokens: 32,
            },
        ],
        candidates: 108,
        rows: 120,
    },
    Task {
        name: "iris-petal-plain",
        data: "iris",
        adapter: "plain",
        measure: Measure::Close { field: "petal_length", zero_at: 2.0 },
        source: Source::Iris { label: "petal_length" },
        between: None,
        start: Start::Bare,
        steps: &[Step {
            name: "estimate",
            signature: "sepal_length: float, species -> petal_length: float",
            instructions: &[
                "Estimate the length of the petals.",
                "Estimate the length of the petals of an iris in centimetres, with one decimal. Setosa has about 1.5, versicolor \
                 about 4.3, virginica about 5.6; flowers with longer sepals have longer petals.",
                "You measure flowers. Give `petal_length` (number), without comments or explanations around it.",
                "Petals are the inner leaves of a flower. What are they like?",
                "The petals are half as long as the sepals, whatever the species.",
                "Estimate the length of the petals. It is between 1.0 and 6.9, and larger for virginica than for setosa.",
            ],
            demo_sets: 4,
            demos: 6,
            max_tokens: 10,
        }],
        candidates: 24,
        rows: 80,
    },
    Task {
        name: "banking-topic-plain",
        data: "banking",
        adapter: "plain",
        measure: Measure::TokenF1("topic"),
        source: Source::Banking {
            label: "topic",
            categories: &[
                "activate_my_card",
                "age_limit",
                "apple_pay_or_google_pay",
                "card_arrival",
                "card_not_working",
                "change_pin",
                "country_support",
                "declined_transfer",
                "exchange_rate",
                "lost_or_stolen_phone",
                "pending_transfer",
                "terminate_account",
            ],
        },
        between: None,
        start: Start::Bare,
        steps: &[Step {
            name: "topic",
            signature: "text -> topic",
            instructions: &[
                "Write the topic of the message.",
                "Write the topic of the customer's message in two to five small words, such as the heading of a help page: the \
                 thing it is about and what happened to it.",
                "Name the topic in as few words as you can, without a full sentence.",
                "Answer the customer.",
                "Write the topic of the message.\nGive only `topic` (text), without comments or explanations around it.",
                "Repeat the message in other words.",
            ],
            demo_sets: 4,
            demos: 6,
            max_tokens: 8,
        }],
        candidates: 24,
        rows: 80,
    },
    Task {
        name: "scone-word-json",
        data: "scone",
        adapter: "json",
        measure: Measure::TokenF1("word"),
        source: Source::Scone,
        between: None,
        start: Start::Bare,
        steps: &[Step {
            name: "word",
            signature: "premise, hypothesis -> word",
            instructions: &[
                "Write the word of the hypothesis that is not in the premise.",
                "The two sentences are the same but for one word. Compare them from the first word to the last, and \
                 write the word by which the second one differs.",
                "Which word?",
                "Write the first word of the premise.",
                "Write the word of the hypothesis that is not in the premise.\nGive only `word` (text), without \
                 comments or explanations around it.",
                "Say whether the hypothesis follows from the premise.",
            ],
            demo_sets: 4,
            demos: 6,
            max_tokens: 16,
        }],
        candidates: 24,
        rows: 80,
    },
    Task {
        name: "scone-steps-plain",
        data: "scone",
        adapter: "plain",
        measure: Measure::TokenF1("replaced"),
        source: Source::Scone,
        between: None,
        start: Start::Bare,
        steps: &[
            Step {
                name: "word",
                signature: "premise, hypothesis -> word",
                instructions: &[
                    "Write the word of the hypothesis that is not in the premise.",
                    "The two sentences are the same but for one word. Compare them from the first word to the last, \
                     and write the word by which the second one differs.",
                    "Write the first word of the premise.",
                ],
                demo_sets: 3,
                demos: 4,
                max_tokens: 8,
            },
            Step {
                name: "find",
                signature: "premise, word -> replaced",
                instructions: &[
                    "Write the word of the premise whose place the word could take.",
                    "One word of the premise is of the same kind as the given word: more general, or more special. \
                     Write that word of the premise, and nothing else.",
                    "Write the last word of the premise.",
                ],
                demo_sets: 3,
                demos: 4,
                max_tokens: 8,
            },
        ],
        candidates: 81,
        rows: 80,
    },
    Task {
        name: "banking-plain",
        data: "banking",
        adapter: "plain",
        measure: Measure::Exact("intent"),
        source: Source::Banking {
            label: "intent",
            categories: &[
                "card_arrival",
                "change_pin",
                "exchange_rate",
                "lost_or_stolen_card",
                "top_up_failed",
                "transfer_timing",
            ],
        },
        between: None,
        start: Start::Bare,
        steps: &[Step {
            name: "classify",
            signature: "text -> intent: label[card arrival, change pin, exchange rate, lost or stolen card, top up failed, \
                transfer timing]",
            instructions: &[
                "Name the intent of the customer's message.",
                "A bank's customer writes. Card arrival: a new card has not come. Change pin: a new code. Exchange rate: prices of \
         currencies. Lost or stolen card: it is gone. Top up failed: money did not get onto the account. Transfer timing: \
         how long a payment takes.",
                "Name the intent of the customer's message.\n`intent` is exactly one of: card arrival, change pin, exchange rate, \
         lost or stolen card, top up failed, transfer timing.",
                "You are a friendly assistant of a bank. Be polite and helpful.",
                "Name the intent of the customer's message.\nGive only `intent` (one label, spelled as given), without comments or \
         explanations around it.",
                "Customers who write to a bank have mostly lost their card. Name the intent.",
            ],
            demo_sets: 6,
            demos: 6,
            max_tokens: 32,
        }],
        candidates: 36,
        rows: 120,
    },
    Task {
        name: "questions-steps-plain",
        data: "questions",
        adapter: "plain",
        measure: Measure::Exact("answer"),
        source: Source::Sample { input: "question", label: "answer", most: 1000 },
        between: Some(WORDS),
        start: Start::Bare,
        steps: &[
            Step {
                name: "word",
                signature: "question -> word: label[who, where, when, how many, what, why]",
                instructions: &[
                    "Say with which question word the question begins.",
                    "With which word could the question begin? Who for people, where for places, when for times, how \
                     many for amounts, what for things, why for reasons.",
                    "Read the question and pick a word at random.",
                ],
                demo_sets: 3,
                demos: 6,
                max_tokens: 32,
            },
            Step {
                name: "sort",
                signature: "word -> answer: label[person, place, date, number, thing, explanation]",
                instructions: &[
                    "Say which kind of answer the question wants.",
                    "Who wants a person, where a place, when a date, how many a number, what a thing, why an explanation.",
                    "Classify.\n`answer` is exactly one of: date, explanation, number, person, place, thing.",
                    "Answer the question with a place, since most visitors look for a place.",
                ],
                demo_sets: 3,
                demos: 6,
                max_tokens: 32,
            },
        ],
        candidates: 108,
        rows: 120,
    },
    Task {
        name: "questions-chat",
        data: "questions",
        adapter: "chat",
        measure: Measure::Exact("answer"),
        source: Source::Sample { input: "question", label: "answer", most: 1000 },
        between: None,
        start: Start::Bare,
        steps: &[SORT],
        candidates: 36,
        rows: 120,
    },
    Task {
        name: "questions-steps-chat",
        data: "questions",
        adapter: "chat",
        measure: Measure::Exact("answer"),
        source: Source::Sample { input: "question", label: "answer", most: 1000 },
        between: Some(WORDS),
        start: Start::Bare,
        steps: &[
            Step {
                name: "word",
                signature: "question -> word: label[who, where, when, how many, what, why]",
                instructions: &[
                    "Which question word fits the question best?",
                    "People ask about persons (who), places (where), times (when), amounts (how many), things (what) and reasons \
                     (why), often without the word itself. Say which word the question could begin with.",
                    "Which question word fits the question best?\n`word` is exactly one of: how many, what, when, where, who, why.",
                    "Copy the first word of the question if it is in the list. Else say what.",
                ],
                demo_sets: 3,
                demos: 6,
                max_tokens: 32,
            },
            Step {
                name: "sort",
                signature: "word -> answer: label[person, place, date, number, thing, explanation]",
                instructions: &[
                    "Which kind of answer does a question with this word want?",
                    "Somebody asks with this word. Who is answered by a person, where by a place, when by a date, how many by a \
                     number, what by a thing, why by an explanation.",
                    "Which kind of answer does a question with this word want?\nGive only `answer` (one label, spelled as given), \
                     without comments or explanations around it.",
                    "Words are things. Whatever the word, the answer is a thing.",
                ],
                demo_sets: 3,
                demos: 6,
                max_tokens: 32,
            },
        ],
        candidates: 144,
        rows: 120,
    },
    Task {
        name: "banking-page-json",
        data: "banking",
        adapter: "json",
        measure: Measure::Exact("page"),
        source: Source::Banking {
            label: "page",
            categories: &[
                "atm_support",
                "automatic_top_up",
                "disposable_card_limits",
                "edit_personal_details",
                "getting_spare_card",
                "passcode_forgotten",
                "receiving_money",
                "visa_or_mastercard",
            ],
        },
        between: None,
        start: Start::Settled,
        steps: &[Step {
            name: "find",
            signature: "text -> page: label[atm support, automatic top up, disposable card limits, edit personal details, getting \
                spare card, passcode forgotten, receiving money, visa or mastercard]",
            instructions: &[
                "Name the help page that answers the message of a bank's customer: atm support for cash machines, automatic top up \
                 for money that is added by itself, disposable card limits for cards that are used once, edit personal details for \
                 a new name or address, getting spare card for one more card, passcode forgotten for a lost code, receiving money \
                 for wages and payments that come in, visa or mastercard for the brand of a card.",
                "Name the help page that answers the message.",
                "Name the help page that answers the message.\n`page` is exactly one of: atm support, automatic top up, disposable \
                 card limits, edit personal details, getting spare card, passcode forgotten, receiving money, visa or mastercard.",
                "Read the message twice. Think about what the customer wants to do next, who could help, and what that person would \
                 look up. Then name the page.",
                "Most customers have forgotten something, so begin with that page.",
                "Name the help page that answers the message of a bank's customer.\nGive only `page` (one label, spelled as given), \
                 without comments or explanations around it.",
            ],
            demo_sets: 8,
            demos: 8,
            max_tokens: 32,
        }],
        candidates: 36,
        rows: 120,
    },
];
