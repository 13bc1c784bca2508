//! Which proposals enter the pool: the rules, each a pure function of texts.
//!
//! Texts are compared by their words: lower case, without punctuation. What is no instruction by its looks is told in
//! [`crate::forms`], whether one is about the task in [`crate::relevance`]; quotations of the data are found in
//! [`crate::leak`], for many proposals at once.

use std::collections::BTreeSet;

use teleprompt_core::{FieldSpec, SignatureSpec};

use crate::forms::{copies_form, is_question, is_repetitive, is_reply, placeholder};
use crate::language::Writing;
use crate::rejection::RejectReason;
use crate::relevance::Topic;
use crate::render::{labels, words};

/// Consecutive words that are compared to find repetitions of the prompt.
const ECHO_WORDS: usize = 5;
/// Share of a proposal's word sequences that may stand in the prompt's own words (task, field descriptions, tip) ...
const MAX_OWN_ECHO: f64 = 0.5;
/// ... and in all of the prompt: a good instruction shares some wording with the description of its step.
const MAX_ECHO: f64 = 0.7;
/// Fewer words than these are no echo of what the prompt was given: descriptions of one task share short phrases.
const MIN_ECHO: usize = 8;

/// What a proposal for one predictor is checked against.
pub(crate) struct Rules<'a> {
    /// The predictor's signature.
    pub(crate) spec: &'a SignatureSpec,
    /// The predictor's current instruction.
    pub(crate) current: &'a str,
    /// Values that answers take, by the data.
    pub(crate) known_labels: &'a BTreeSet<String>,
    /// How it may be written.
    pub(crate) writing: &'a Writing,
    /// Most characters.
    pub(crate) limit: usize,
}

/// What the prompt of a proposal holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    /// What it says by itself, tip included.
    pub(crate) own: &'a str,
    /// What it shows and a proposal should not repeat.
    pub(crate) material: &'a [&'a str],
    /// What of that was said of the task as a whole.
    pub(crate) about: &'a [&'a str],
}

impl Rules<'_> {
    /// Whether `text` can be taken; `taken` holds the [`normal`] forms of the predictor's instructions so far.
    pub(crate) fn check(
        &self,
        text: &str,
        asked: Asked<'_>,
        taken: &BTreeSet<String>,
    ) -> Result<(), RejectReason> {
        let text_words = words(text);
        if text_words.is_empty() && !text.contains("...") && !text.contains('…') {
            return Err(RejectReason::Empty);
        }
        if let Some(text) = placeholder(text, &text_words, self.spec) {
            return Err(RejectReason::Placeholder { text });
        }
        if self.is_answer(&text_words) || is_reply(text) {
            return Err(RejectReason::Answer);
        }
        if is_question(text) && !is_question(self.current) && !self.is_asked_of_the_task(&text_words) {
            return Err(RejectReason::Question);
        }
        if taken.contains(&text_words.join(" ")) {
            return Err(RejectReason::Duplicate);
        }
        let chars = text.chars().count();
        if chars > self.limit {
            return Err(RejectReason::TooLong { chars, limit: self.limit });
        }
        if is_repetitive(text, &text_words) {
            return Err(RejectReason::Repetitive);
        }
        if self.writing.excludes(text) {
            return Err(RejectReason::Language);
        }
        let shown = SHOWN.iter().any(|name| speaks_of(text, name) && !self.task_speaks_of(name));
        if shown
            || copies_form(text, ["Module"])
            || is_echo(&text_words, asked.own, asked.material, self.current)
        {
            return Err(RejectReason::Echo);
        }
        if self.is_off_topic(text, asked) {
            return Err(RejectReason::OffTopic);
        }
        Ok(())
    }

    /// Whether a proposal shares no word with the task, or with what was said of it where that is about the task itself. One in
    /// another language than the current instruction, which the data allow, need not.
    fn is_off_topic(&self, text: &str, asked: Asked<'_>) -> bool {
        let topic = Topic::of(self.spec, self.current, self.known_labels);
        let said = asked.about.iter().filter(|said| !topic.is_missed_by(said, asked.own));
        let topic = said.fold(topic.clone(), |topic, said| topic.and(said));
        topic.is_missed_by(text, asked.own) && !Writing::default().and(self.current).excludes(text)
    }

    /// Whether the current instruction or a field is about this too: a program to review, say.
    fn task_speaks_of(&self, name: &str) -> bool {
        let name = name.trim_start_matches("the ");
        let mut fields = self.spec.fields();
        speaks_of(self.current, name)
            || fields.any(|field| speaks_of(&field.name, name) || speaks_of(&field.description, name))
    }

    /// Whether an input field or two labels are named: what asks of these may be meant as an instruction.
    fn is_asked_of_the_task(&self, text: &[String]) -> bool {
        let named = |name: &str| {
            let parts = words(&apart(name));
            !parts.is_empty()
                && parts.iter().all(|part| {
                    text.iter().any(|word| word.strip_suffix('s').unwrap_or(word) == part || word == part)
                })
        };
        self.spec.inputs().iter().any(|field| named(&field.name))
            || self.labels_of(self.spec.outputs()).into_iter().filter(|label| named(label)).count() >= 2
    }

    /// The labels of the data and of the types of these fields.
    fn labels_of<'s>(&'s self, fields: impl IntoIterator<Item = &'s FieldSpec>) -> BTreeSet<&'s String> {
        let own = fields.into_iter().flat_map(|field| labels(&field.ty).unwrap_or_default());
        self.known_labels.iter().chain(own).collect()
    }

    /// Whether a proposal is a label or a field's name, with or without the field's name before it.
    fn is_answer(&self, text: &[String]) -> bool {
        let fields = self.spec.fields();
        let names: Vec<Vec<String>> =
            fields.flat_map(|field| [words(&field.name), words(&field.prefix)]).collect();
        let labels = self.labels_of(self.spec.fields()).into_iter().map(|label| words(label));
        let answers: Vec<Vec<String>> = labels.filter(|answer| !answer.is_empty()).collect();
        let after_name = names.iter().find_map(|name| text.strip_prefix(name.as_slice()));
        names.iter().any(|name| name == text)
            || answers.iter().any(|answer| answer == text || after_name == Some(answer))
    }
}

/// What speaks against using a summary or a description in further prompts, if anything; `own` is what its prompt says by
/// itself, `material` what it was shown, with the headings that stood before it.
pub(crate) fn check_grounding(text: &str, own: &str, material: &[(&str, &str)]) -> Option<&'static str> {
    let text_words = words(text);
    let pieces: Vec<&str> = material.iter().map(|(_, piece)| *piece).collect();
    if text_words.is_empty() {
        Some("the answer was empty")
    } else if is_repetitive(text, &text_words) {
        Some("the answer repeats itself")
    } else if is_reply(text) {
        Some("the answer is a reply, not a description")
    } else if copies_form(text, material.iter().map(|(heading, _)| *heading))
        || is_echo(&text_words, own, &pieces, "")
    {
        Some("the answer repeats its prompt")
    } else {
        None
    }
}

/// Whether a text mostly consists of what its prompt says, apart from what it may repeat.
fn is_echo(text: &[String], own: &str, material: &[&str], allowed: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let n = ECHO_WORDS.min(text.len());
    let grams = |text: &str| -> BTreeSet<Vec<String>> { words(text).windows(n).map(<[_]>::to_vec).collect() };
    let allowed = grams(allowed);
    let share_of = |known: &BTreeSet<Vec<String>>| {
        let repeated = text.windows(n).filter(|gram| known.contains(*gram) && !allowed.contains(*gram));
        repeated.count() as f64 / (text.len() + 1 - n) as f64
    };
    let mut known = grams(own);
    if share_of(&known) > MAX_OWN_ECHO {
        return true;
    }
    known.extend(material.iter().flat_map(|piece| grams(piece)));
    text.len() >= MIN_ECHO && share_of(&known) > MAX_ECHO
}

/// Names of what the proposer's prompt shows: an instruction that speaks of them is about the prompt, not about the task.
const SHOWN: [&str; 8] = [
    "current instruction",
    "new instruction",
    "dataset summary",
    "program description",
    "module description",
    "the program",
    "the language model",
    "the source is not",
];

/// Whether a text holds these words, which are in lower case.
fn speaks_of(text: &str, name: &str) -> bool {
    text.to_lowercase().replace('_', " ").contains(name)
}

/// A name with its words apart: `userQuery` is `user Query`.
fn apart(name: &str) -> String {
    let mut apart = String::with_capacity(name.len() + 4);
    let mut small = false;
    for letter in name.chars() {
        if small && letter.is_uppercase() {
            apart.push(' ');
        }
        small = letter.is_lowercase();
        apart.push(letter);
    }
    apart
}

/// The form in which instructions are compared: words in lower case, without punctuation.
pub(crate) fn normal(text: &str) -> String {
    words(text).join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CURRENT: &str = "Read the message and name the team.";

    fn check(text: &str) -> Result<(), RejectReason> {
        let spec = SignatureSpec::parse("message -> team: label[billing, lost parcels], note").unwrap();
        let known = BTreeSet::from(["urgent".to_owned()]);
        let writing = Writing::default().and(CURRENT);
        let rules =
            Rules { spec: &spec, current: CURRENT, known_labels: &known, writing: &writing, limit: 200 };
        let own = "Write an instruction that leads to better answers than the current one.";
        let material = ["The messages are short complaints about parcels that were lost or came late."];
        rules.check(
            text,
            Asked { own, material: &material, about: &material },
            &BTreeSet::from([normal(CURRENT)]),
        )
    }

    fn rejected(text: &str) -> RejectReason {
        check(text).unwrap_err()
    }

    #[test]
    fn good_instructions_are_taken() {
        for text in [
            "Decide which team handles the message: billing or lost parcels.",
            "You route mail. Give the team {billing, lost parcels} that fits best.",
            "Wrap the team in <team> tags.",
            "Read the message and name the team. If two fit, take the first.",
            "Short complaints about parcels are common; name the team anyway.",
            "Teams: sort.",
            "Submodule: name the team.",
            "## Task\nName the team.\n## Form\nOne word.",
            "1. Read it. 2. Name the team. 3. Read it. 4. Stop.",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn bad_ones_are_named() {
        let placeholder = |text: &str| RejectReason::Placeholder { text: text.to_owned() };
        assert_eq!(rejected(""), RejectReason::Empty);
        assert_eq!(rejected("--- !"), RejectReason::Empty);
        assert_eq!(rejected("..."), placeholder("..."));
        assert_eq!(rejected("Instruction: ..."), placeholder("Instruction: ..."));
        assert_eq!(rejected("Do this: {instruction}"), placeholder("{instruction}"));
        assert_eq!(rejected("<your instruction> for the team"), placeholder("<your instruction>"));
        assert_eq!(rejected("Read [insert the message] now"), placeholder("[insert the message]"));
        assert_eq!(rejected("Name the team of {message}."), placeholder("{message}"));
        assert_eq!(rejected("The new instruction."), placeholder("The new instruction."));
        assert_eq!(rejected("Name it.\nThe teams are:"), placeholder("The teams are:"));
        assert_eq!(rejected("Billing."), RejectReason::Answer);
        assert_eq!(rejected("Team: lost parcels"), RejectReason::Answer);
        assert_eq!(rejected("urgent"), RejectReason::Answer);
        assert_eq!(rejected("I’m ready to help. Please give me the message."), RejectReason::Answer);
        assert_eq!(rejected("Team"), RejectReason::Answer);
        assert_eq!(rejected("read the message, and name THE team"), RejectReason::Duplicate);
        assert_eq!(rejected(&"word ".repeat(50)), RejectReason::TooLong { chars: 250, limit: 200 });
        assert_eq!(rejected("Go on. Go on. Go on. Stop."), RejectReason::Repetitive);
        assert_eq!(rejected(&"name the team ".repeat(8)), RejectReason::Repetitive);
        let counted: String = (1..9).map(|i| format!("{i} rows and {} teams, ", 2 * i)).collect();
        assert_eq!(rejected(&counted), RejectReason::Repetitive);
        assert_eq!(rejected("Назови команду, которой адресовано письмо."), RejectReason::Language);
        assert_eq!(rejected("Lies die Nachricht und nenne das Team."), RejectReason::Language);
        assert_eq!(rejected("Write an instruction that leads to better answers."), RejectReason::Echo);
        assert_eq!(rejected("The current instruction is to give a detailed answer."), RejectReason::Echo);
        assert_eq!(rejected("[## tip ##] Name the team."), RejectReason::Echo);
        assert_eq!(rejected("The program wants to know which team answers."), RejectReason::Echo);
        assert_eq!(rejected("1. The source is not available. 2. Name the team."), RejectReason::Echo);
        assert_eq!(rejected("Current instruction: sort it. Module description: none."), RejectReason::Echo);
        assert_eq!(rejected("Wizards of ancient Rome told stories like that."), RejectReason::OffTopic);
        assert_eq!(
            rejected("The messages are short complaints about parcels that were lost or came late"),
            RejectReason::Echo
        );
    }

    #[test]
    fn what_was_said_of_the_task_counts_where_it_is_about_it() {
        let spec = SignatureSpec::parse("message -> team").unwrap();
        let (known, writing) = (BTreeSet::new(), Writing::default());
        let rules =
            Rules { spec: &spec, current: CURRENT, known_labels: &known, writing: &writing, limit: 200 };
        let check = |said: &str| {
            let asked = Asked { about: &[said], ..Asked::default() };
            rules.check("Find out where the parcels got lost.", asked, &BTreeSet::new())
        };
        assert_eq!(check("The messages are complaints about parcels."), Ok(()));
        // A summary that is off the task itself.
        assert_eq!(check("10 rows of parcels, 2 sentences."), Err(RejectReason::OffTopic));
        assert_eq!(check(""), Err(RejectReason::OffTopic));
        // One of the languages of the data is not that of the instruction.
        let german = "Finde heraus, wo die Pakete verloren gegangen sind, und wer sich darum kümmern soll.";
        assert_eq!(rules.check(german, Asked::default(), &BTreeSet::new()), Ok(()));
    }

    #[test]
    fn a_task_about_programs_may_speak_of_them() {
        let spec = SignatureSpec::parse("program -> verdict: label[good, bad]").unwrap();
        let (known, writing) = (BTreeSet::new(), Writing::default());
        let rules =
            Rules { spec: &spec, current: "Review.", known_labels: &known, writing: &writing, limit: 200 };
        let check = |text: &str| rules.check(text, Asked::default(), &BTreeSet::new());
        assert_eq!(check("Say whether the program does what its comments promise."), Ok(()));
        assert_eq!(check("Say what the language model wants."), Err(RejectReason::Echo));
    }

    #[test]
    fn groundings_that_copy_their_prompt_are_not_used() {
        let rows = "Row 1 message: where is my parcel, it was sent last week team: delivery";
        let check = |text: &str| check_grounding(text, "Describe the data.", &[("Rows", rows)]);
        assert_eq!(check("Customers ask where their parcels are."), None);
        assert_eq!(
            check("Row 1\nmessage: where is my parcel, it was sent"),
            Some("the answer repeats its prompt")
        );
        assert_eq!(check(&"It is a parcel. ".repeat(4)), Some("the answer repeats itself"));
        assert_eq!(check("All about parcels. Rows: 1, 2"), Some("the answer repeats its prompt"));
        assert_eq!(check("I'm here to help."), Some("the answer is a reply, not a description"));
        assert_eq!(check("-"), Some("the answer was empty"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_checks_panic(text in "(\\{|\\}|<|>|\\[|\\]|\\.|\\n|team|\\PC){0,60}") {
            let _ = check(&text);
        }
    }
}
