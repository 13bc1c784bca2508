//! Languages: in which one a text is written, where the text says so beyond doubt; and whether a proposal switched to another.
//!
//! Short texts rarely say: of those with fewer than 50 letters most stay unknown, and that is what is answered. Identification
//! is `whatlang`'s (70 languages, by trigrams and alphabets); it is a pure function of the text. Of 5,161 English questions
//! and messages of 10 to 660 letters, 2,721 tell their language at [`CERTAIN`], none of them wrongly, and 3,050 at
//! [`LIKELY`], three of them wrongly.

use teleprompt_core::Example;
use teleprompt_core::value::format_value;
use whatlang::Lang;

use crate::script::{Script, main_script};

/// Characters of the data that are looked at to tell its language.
const SAMPLE_CHARS: usize = 2000;

/// The confidence at which a language is named: `whatlang`'s own threshold of reliability.
const CERTAIN: f64 = 0.9;
/// The confidence at which a text says in which language others may be.
const LIKELY: f64 = 0.7;

/// The English name of the language of `text`; `None` where it cannot be told.
pub(crate) fn language_of(text: &str) -> Option<&'static str> {
    identify(text, CERTAIN).map(|language| language.eng_name())
}

fn identify(text: &str, confidence: f64) -> Option<Lang> {
    whatlang::detect(text).filter(|found| found.confidence() > confidence).map(|found| found.lang())
}

/// The writing that an instruction may use: that of the current instruction, and that of the data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Writing {
    scripts: Vec<Script>,
    languages: Vec<Lang>,
}

impl Writing {
    /// That of the inputs of these rows: of the first ones, which is enough to tell.
    pub(crate) fn of_rows(rows: &[Example]) -> Self {
        let mut sample = String::new();
        for value in rows.iter().flat_map(|row| row.inputs.iter()).map(|(_, value)| value) {
            if sample.len() >= SAMPLE_CHARS {
                break;
            }
            sample.extend(format_value(value).chars().take(SAMPLE_CHARS));
            sample.push('\n');
        }
        Self::default().and(&sample)
    }

    /// The same, and that of `text`.
    pub(crate) fn and(mut self, text: &str) -> Self {
        self.scripts.extend(main_script(text));
        self.languages.extend(identify(text, LIKELY));
        self
    }

    /// Whether `text` is written otherwise: fewer than half of its letters belong to a known script, or its language is
    /// beyond doubt none of the known ones.
    pub(crate) fn excludes(&self, text: &str) -> bool {
        let letters: Vec<Script> = text.chars().filter_map(Script::of).collect();
        let known = letters.iter().filter(|script| self.scripts.contains(script)).count();
        let other_script = !self.scripts.is_empty() && known * 2 < letters.len();
        let other_language = |language| !self.languages.is_empty() && !self.languages.contains(&language);
        other_script || identify(text, CERTAIN).is_some_and(other_language)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use teleprompt_core::Fields;

    use super::*;

    #[test]
    fn languages_are_told_or_unknown() {
        let check = |text: &str, expect: Option<&str>| assert_eq!(language_of(text), expect, "{text}");
        check("I lost my card on the way home, what should I do with the account now?", Some("English"));
        check("Ich habe meine Karte verloren und möchte sie so schnell wie möglich sperren.", Some("German"));
        check("Lis le message et nomme l'équipe qui devrait y répondre.", Some("French"));
        check("Πού είναι η κάρτα μου;", Some("Greek"));
        check("カードをなくしてしまいました。", Some("Japanese"));
        for unknown in ["", "12:30", "Sort.", "card lost", "Amsterdam Paris", "mp3"] {
            check(unknown, None);
        }
    }

    fn rows(text: &str) -> Vec<Example> {
        let row =
            |i: usize| Example::new(Fields::new().with("text", format!("{i} {text}")).with("team", "x"));
        (0..30).map(|i| row(i).with_inputs(&["text"]).unwrap()).collect()
    }

    #[test]
    fn a_switch_is_to_what_neither_the_instruction_nor_the_data_uses() {
        let english = "Read the message and name the team that should answer it.";
        let german = "Lies die Nachricht und nenne das Team, das sie beantworten soll.";
        let french = "Lis le message et nomme l'équipe qui devrait y répondre.";
        let german_rows = rows("Ich habe meine Karte verloren und brauche eine neue.");
        let check =
            |rows: &[Example], current: &str, text: &str| Writing::of_rows(rows).and(current).excludes(text);
        assert!(!check(&[], english, english) && check(&[], english, german));
        assert!(check(&[], german, french) && check(&[], french, german));
        // The data's language is as good as that of the instruction.
        assert!(!check(&german_rows, english, german) && !check(&german_rows, english, english));
        assert!(check(&german_rows, english, french));
        // What is too short to tell is no switch, and says nothing of others.
        assert!(!check(&[], english, "Sortiere.") && !check(&[], "Sort.", german));
        assert!(check(&german_rows, "Sort.", french));
    }

    #[test]
    fn scripts_that_are_used_together_are_one() {
        let excludes = |known: &str, text: &str| Writing::default().and(known).excludes(text);
        assert!(!excludes("質問に答える", "しつもんにこたえてください"));
        assert!(excludes("質問に答える", "Answer the question"));
        assert!(!excludes("123", "Answer"));
        assert!(excludes("Sort.", "Сортируй."));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            prop_assert_eq!(language_of(&text), language_of(&text));
            let _ = Writing::default().and(&text).excludes(&text);
        }

        #[test]
        fn a_text_is_no_switch_from_itself(text in "([a-zäéñ]{1,9}[ .,!]){0,40}|([а-я]{1,9} ){0,40}") {
            prop_assert!(!Writing::default().and(&text).excludes(&text));
        }
    }
}
