//! How a text looks that is no instruction, whatever the task: a reply, a question, a blank form, a copied one, the same again and
//! again.

use std::collections::BTreeSet;

use teleprompt_core::SignatureSpec;

use crate::render::words;

/// Beginnings of replies to someone who talks with the model.
const REPLIES: [&str; 11] = [
    "i'm ready",
    "i am ready",
    "i'm sorry",
    "i am sorry",
    "i'm here to",
    "i cannot",
    "i can't",
    "i'd be happy",
    "i would be happy",
    "i'm happy",
    "as an ai",
];

/// Whether a text talks to the one who asked.
pub(crate) fn is_reply(text: &str) -> bool {
    let lower = text.to_lowercase().replace('’', "'");
    REPLIES.iter().any(|reply| lower.starts_with(reply))
}

/// Beginnings of English questions, and what follows them: models do not always close a question with its mark.
const ASKING: [&str; 8] = ["what", "who", "whose", "where", "when", "why", "how", "which"];
const ASKED: [&str; 15] = [
    "is", "are", "was", "were", "do", "does", "did", "can", "could", "would", "has", "have", "had", "many",
    "much",
];
/// So many words before a colon say something of their own; fewer are a heading.
const CLAUSE: usize = 3;

/// Whether a text only asks, and says nothing of what is to be done.
pub(crate) fn is_question(text: &str) -> bool {
    let asks = |clause: &str| {
        let words = words(clause);
        let word =
            |at: usize, known: &[&str]| words.get(at).is_some_and(|word| known.contains(&word.as_str()));
        // "What is asked for must be named" says what to do.
        let begins = word(0, &ASKING) && word(1, &ASKED) && !word(2, &["being", "asked", "wanted", "said"]);
        begins || clause.trim_end().ends_with(['?', '？', '؟'])
    };
    let clauses = text.split_inclusive(['.', '!', '?', '？', '؟', '。', '\n', ':', ';']);
    let mut said = clauses.filter(|clause| {
        let least = if clause.ends_with([':', ';']) { CLAUSE } else { 1 };
        words(clause).len() >= least
    });
    let first = said.next();
    first.is_some_and(asks) && said.all(asks)
}

/// Whether a text holds one of these headings with a colon, or a broken header of the chat adapter, as a copy of a prompt
/// does.
pub(crate) fn copies_form<'a>(text: &str, headings: impl IntoIterator<Item = &'a str>) -> bool {
    let lower = text.to_lowercase().replace('_', " ");
    // `## word ##`, whatever brackets are left around it.
    let marked = |(at, _): (usize, &str)| {
        let after = lower.get(at + 2..).unwrap_or_default();
        after.split_once("##").is_some_and(|(name, _)| !name.trim().is_empty() && !name.contains('\n'))
    };
    let headed = |heading: &str| {
        let heading = format!("{}:", heading.to_lowercase());
        lower.match_indices(&heading).any(|(at, _)| {
            let before = lower.get(..at).unwrap_or_default();
            !before.ends_with(char::is_alphanumeric)
        })
    };
    lower.match_indices("##").any(marked) || headings.into_iter().any(headed)
}

/// Words by which the inside of brackets shows that something was to be filled in.
const BLANKS: [&str; 8] =
    ["instruction", "instructions", "insert", "placeholder", "proposed", "todo", "tbd", "here"];
/// Whole answers that only name what was asked for.
const NAMES_ONLY: [&str; 14] = [
    "instruction",
    "the instruction",
    "new instruction",
    "the new instruction",
    "proposed instruction",
    "your instruction",
    "improved instruction",
    "text",
    "one paragraph",
    "n a",
    "none",
    "todo",
    "tbd",
    "not given for this example",
];

/// The place in `text` that was to be filled in.
pub(crate) fn placeholder(text: &str, text_words: &[String], spec: &SignatureSpec) -> Option<String> {
    let dots = |text: &str| text.contains("...") || text.contains('…');
    if NAMES_ONLY.contains(&text_words.join(" ").as_str()) || (text_words.len() <= 3 && dots(text)) {
        return Some(text.to_owned());
    }
    // What a colon announces at the very end is missing.
    if text.ends_with(':') {
        return Some(text.lines().next_back().unwrap_or(text).to_owned());
    }
    for (open, close) in [('{', '}'), ('<', '>'), ('[', ']')] {
        for (start, _) in text.match_indices(open) {
            let inside = &text[start + open.len_utf8()..];
            let Some(end) = inside.find([open, close, '\n']).filter(|&end| inside[end..].starts_with(close))
            else {
                continue;
            };
            let inner = inside[..end].trim();
            let inner_words = words(inner);
            let blank = inner_words.iter().any(|word| BLANKS.contains(&word.as_str()))
                || inner_words.first().is_some_and(|word| word == "your")
                || (inner_words.is_empty() && dots(inner))
                || (open == '{' && spec.fields().any(|field| field.name == inner));
            if blank {
                return Some(text[start..start + open.len_utf8() + end + close.len_utf8()].to_owned());
            }
        }
    }
    None
}

/// Whether at most half of the sentences, or 65 % of the sequences of three words, are new. Prose of this length has more
/// than 90 %. All numbers are alike: who counts from 1 to 20 says nothing new.
pub(crate) fn is_repetitive(text: &str, text_words: &[String]) -> bool {
    const NUMBER: &str = "0";
    let numberless = |words: &[String]| -> Vec<String> {
        let alike =
            |word: &String| if word.chars().all(char::is_numeric) { NUMBER.into() } else { word.clone() };
        words.iter().map(alike).collect()
    };
    let sentences = text.split(['.', '!', '?', '\n', '。']).map(|sentence| numberless(&words(sentence)));
    // The number of a step is no sentence.
    let sentences: Vec<Vec<String>> =
        sentences.filter(|sentence| sentence.iter().any(|word| word != NUMBER)).collect();
    let text_words = numberless(text_words);
    let distinct: BTreeSet<&Vec<String>> = sentences.iter().collect();
    if sentences.len() >= 4 && distinct.len() * 2 <= sentences.len() {
        return true;
    }
    let grams: BTreeSet<&[String]> = text_words.windows(3).collect();
    text_words.len() >= 20 && grams.len() * 100 <= (text_words.len() - 2) * 65
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_told_from_instructions() {
        for text in [
            "What is the full name of the person who plays Tarot, and how many cards in a full deck.",
            "how many bones has a cat",
            "Who was first? Who was second?",
            "Wie heißt der Fluss?",
            "彼は誰ですか？",
            "Question: When was the first football world cup?",
        ] {
            assert!(is_question(text), "{text}");
        }
        for text in [
            "",
            "?",
            "What the visitor wants to know decides the answer.",
            "Which kind is it? Answer with one word.",
            "When a date is asked for, say date.",
            "Say who did it.",
            "Read the tweet and decide: is it sarcastic?",
            "Which team should handle this message: billing, login or delivery?",
            "Welche Stimmung hat der Satz: positiv oder negativ?",
            "What is being asked for must be named in one word: person, place or date.",
            "What is asked for must be named.",
            "How old the person is decides the group, so name child, teen or adult.",
            "Decide: is it a person?\nThen name the kind.",
        ] {
            assert!(!is_question(text), "{text}");
        }
    }
}
