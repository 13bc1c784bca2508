//! Whether a proposal is about the task at all: it shares a word with it. Small models tell stories; this is what finds them.
//!
//! Counted are *content words*, without a list of any language: four letters or more, by their first five, so that `question`
//! is `questions`. What the prompt itself says (`instruction`, `answers`, `what`) shows nothing and does not count, unless the
//! task has no other words.
//!
//! One shared word is enough. A higher share was looked at and tells nothing apart: of 88 instructions that a model of 135M
//! parameters wrote for one task, those that were about it had 4 to 75 % of their words in common with it.

use std::collections::BTreeSet;

use teleprompt_core::SignatureSpec;

use crate::render::{labels, words};
use crate::script::main_script;

/// Letters of a content word, at least.
const LETTERS: usize = 4;
/// Letters by which words are compared.
const STEM: usize = 5;

/// The content words of a task, each by its first letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Topic {
    stems: BTreeSet<String>,
}

impl Topic {
    /// What is said of a predictor: its current instruction, the names and descriptions of its fields, their labels.
    pub(crate) fn of<'a>(
        spec: &'a SignatureSpec,
        current: &str,
        known_labels: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        let fields = spec.fields().fold(Self::default().and(current), |topic, field| {
            let own = labels(&field.ty).unwrap_or_default().iter();
            own.fold(topic.and(&field.name).and(&field.description), |topic, label| topic.and(label))
        });
        known_labels.into_iter().fold(fields, |topic, label| topic.and(label))
    }

    /// The same, and the words of `text`.
    pub(crate) fn and(mut self, text: &str) -> Self {
        self.stems.extend(stems(text));
        self
    }

    /// Whether `text` shares no content word with the task; `own` is what its prompt says by itself. Never where there is
    /// nothing to compare: neither side has content words, or `text` is in a script whose words do not tell them by their
    /// beginnings.
    pub(crate) fn is_missed_by(&self, text: &str, own: &str) -> bool {
        if !main_script(text).is_some_and(|script| script.has_stems()) {
            return false;
        }
        let (text, own) = (stems(text), stems(own));
        let telling: Vec<&String> = self.stems.iter().filter(|stem| !holds(&own, stem)).collect();
        !telling.is_empty() && !text.is_empty() && !telling.into_iter().any(|stem| holds(&text, stem))
    }
}

/// The beginnings of the content words of a text.
fn stems(text: &str) -> BTreeSet<String> {
    let words = words(text).into_iter();
    // What stands between digits is not a word.
    let content =
        words.filter(|word| word.chars().count() >= LETTERS && word.chars().all(char::is_alphabetic));
    content.map(|word| word.chars().take(STEM).collect()).collect()
}

/// Whether one of the stems begins with this one, or the other way about: a word of four letters is the beginning of longer
/// ones.
fn holds(stems: &BTreeSet<String>, stem: &str) -> bool {
    stems.iter().any(|other| other.starts_with(stem) || stem.starts_with(other.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: &str = "Write an instruction that leads to better answers. It says what to produce and how.";

    fn topic(signature: &str, current: &str) -> Topic {
        Topic::of(&SignatureSpec::parse(signature).unwrap(), current, [])
    }

    #[test]
    fn stories_are_told_from_instructions() {
        let topic = topic(
            "question -> answer: label[person, place, date]",
            "Say which kind of answer the question wants.",
        )
        .and("What a visitor of the library typed.");
        let missed = |text: &str| topic.is_missed_by(text, OWN);
        for text in [
            "The three-armed wizard was a myth, a common fantasy story from ancient Rome.",
            "When does the Japanese martial arts club play golf?",
            "Lay out the new instruction in one paragraph.",
            // These words are the prompt's.
            "What is the best answer to produce?",
        ] {
            assert!(missed(text), "{text}");
        }
        for text in [
            "Decide what kind of thing is wanted.",
            "Sort QUESTIONS by what they ask for.",
            "Libraries get such requests; name their type.",
            "Choose one of: dates, people, locations.",
            "Persönliches: persons first.",
        ] {
            assert!(!missed(text), "{text}");
        }
    }

    #[test]
    fn where_there_is_nothing_to_compare_nothing_is_missed() {
        let missed = |topic: &Topic, text: &str| topic.is_missed_by(text, OWN);
        let story = "A wizard lived in Rome.";
        assert!(!missed(&topic("a -> b", "Do it."), story));
        // All that the task says is what every prompt says.
        assert!(!missed(&topic("inst -> answer", "Produce answers."), story));
        let questions = topic("question -> kind", "");
        assert!(missed(&questions, story));
        for text in ["", "12 34!", "Do it so.", "質問の種類を JSON で答える。", "질문의 종류를 말해 주세요."]
        {
            assert!(!missed(&questions, text), "{text}");
        }
        assert!(!missed(&topic("質問 -> 種類", "質問の種類を答える"), story));
    }

    #[test]
    fn words_are_compared_by_their_beginnings() {
        let stems = |text: &str| stems(text).into_iter().collect::<Vec<_>>();
        assert_eq!(stems("The questions, a QUESTION; mp3s x2000 team"), ["quest", "team"]);
        let russian = topic("text -> team", "Назови команду, которой адресовано письмо.");
        assert!(!russian.is_missed_by("Определи нужную команде задачу.", OWN));
        assert!(russian.is_missed_by("Жили-были старик со старухой.", OWN));
    }

    proptest! {
        #[test]
        fn what_shares_a_word_is_never_missed(
            task in "([a-zäß]{1,9} ){1,8}",
            word in "[a-zäß]{4,9}",
            before in "([a-zäß0-9]{1,9}[ ,.]){0,6}",
            after in "([ ,.][a-zäß0-9]{1,9}){0,6}",
            ending in "[a-z]{0,3}",
        ) {
            let topic = Topic::default().and(&task).and(&word);
            let text = format!("{before}{word}{ending}{after}");
            prop_assert!(!topic.is_missed_by(&text, ""));
        }

        #[test]
        fn more_words_of_the_task_never_make_it_miss(task in "([a-h]{1,6} ){0,8}", more in "([a-h]{1,6} ){1,8}", text in "([a-h]{1,6} ){0,8}") {
            let topic = Topic::default().and(&task);
            // Unless there was nothing to compare before.
            prop_assume!(topic != Topic::default());
            prop_assert!(topic.is_missed_by(&text, "") || !topic.and(&more).is_missed_by(&text, ""));
        }

        #[test]
        fn no_text_makes_it_panic(task in "\\PC{0,40}", text in "\\PC{0,40}", own in "\\PC{0,40}") {
            let topic = Topic::default().and(&task);
            let missed = topic.is_missed_by(&text, &own);
            prop_assert!(!(missed && topic == Topic::default()));
        }
    }
}
