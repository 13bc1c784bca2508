//! What models write around an instruction, taken off: greetings, headings, quotes, code fences, markers, closing remarks.
//!
//! Small models copy the form of their prompt, large ones are polite; neither belongs in an instruction. [`strip`] only
//! ever takes text away, from the two ends or around a marker; it never changes what it keeps.

/// `text` without what models write around an instruction.
///
/// Taken off, again and again until nothing changes: surrounding white space; markers of chat templates (`<|im_end|>`,
/// `[[ ## instruction ## ]]`) and thoughts (`<think>`); code fences; greetings and announcements (`Sure, here is ...:`);
/// headings (`**New instruction:**`); quotes and emphasis around the whole; closing remarks (`Explanation: ...`).
///
/// The result may be empty. `strip(&strip(x)) == strip(x)` for every `x`.
///
/// ```
/// use teleprompt_propose::strip;
/// let answer = "Sure! Here is an improved instruction:\n\n**Instruction:** \"Name the team.\"\n\nLet me know if it helps.";
/// assert_eq!(strip(answer), "Name the team.");
/// ```
pub fn strip(text: &str) -> String {
    let mut kept = text.trim();
    loop {
        let mut next = kept;
        for step in [thought, section, template_marker, fence, greeting, heading, quotes, closing] {
            next = step(next).trim();
        }
        // Every step gives a part of its text, so a same length is a same text.
        if next.len() == kept.len() {
            return kept.to_owned();
        }
        kept = next;
    }
}

/// Cuts a text that was likely ended by a limit of `max_tokens` tokens back to its last whole sentence.
///
/// Only where the text is about that long, does not end like a sentence, and keeps at least half of its length.
pub(crate) fn drop_unfinished(text: &str, max_tokens: u32) -> &str {
    // Three characters per token: fewer than usual, so that a text of many short words counts as long.
    let long = text.chars().count() >= max_tokens as usize * 3;
    let ends = |c: char| ".!?:;)]}\"'”’»`。！？".contains(c);
    if !long || text.ends_with(ends) {
        return text;
    }
    let end = text.char_indices().rfind(|&(_, c)| ".!?\n。！？".contains(c));
    match end {
        Some((at, c)) if at * 2 >= text.len() => text[..at + c.len_utf8()].trim_end(),
        _ => text,
    }
}

/// Drops the thoughts that some models write first, between `<think>` and `</think>`.
fn thought(text: &str) -> &str {
    match text.rsplit_once("</think>") {
        Some((_, after)) => after,
        None => text.strip_prefix("<think>").unwrap_or(text),
    }
}

/// Keeps one section of an answer in the chat adapter's form: the instruction's, else the first that holds anything.
fn section(text: &str) -> &str {
    let mut best: Option<&str> = None;
    let mut name = "";
    let mut rest = text;
    loop {
        let (body, next) = match next_header(rest) {
            Some((start, found, length)) => (&rest[..start], Some((found, &rest[start + length..]))),
            None => (rest, None),
        };
        if !body.trim().is_empty() {
            if name.contains("instruction") {
                return body;
            }
            best = best.or(Some(body));
        }
        match next {
            Some((found, after)) => (name, rest) = (found, after),
            None => return best.unwrap_or(""),
        }
    }
}

/// The first `[[ ## name ## ]]` in `text`: where it starts, its name and its length in bytes.
fn next_header(text: &str) -> Option<(usize, &str, usize)> {
    let mut at = 0;
    while let Some(found) = text[at..].find("[[") {
        let start = at + found;
        let inner = text[start + 2..].trim_start();
        if let Some(inner) = inner.strip_prefix("##") {
            let line = inner.split(['\n', '[']).next().unwrap_or(inner);
            let name = line.split(['#', ']']).next().unwrap_or(line);
            let after = inner[name.len()..].trim_start_matches(['#', ' ']);
            let after = after.strip_prefix("]]").unwrap_or(after);
            return Some((start, name.trim(), text.len() - start - after.len()));
        }
        at = start + 2;
    }
    None
}

/// Keeps the first piece that holds anything, of those between `<|...|>` and `</s>` markers.
fn template_marker(text: &str) -> &str {
    let mut rest = text;
    loop {
        let special = rest.find("<|").and_then(|start| {
            let length = rest[start + 2..].find("|>")?;
            // A marker is a word: anything longer is text that happens to hold both signs.
            (length <= 32).then_some((start, start + 2 + length + 2))
        });
        let close = ["</s>", "<s>", "[INST]", "[/INST]"]
            .iter()
            .filter_map(|mark| rest.find(mark).map(|start| (start, start + mark.len())))
            .min();
        let Some((start, end)) = [special, close].into_iter().flatten().min() else { return rest };
        if !rest[..start].trim().is_empty() {
            return &rest[..start];
        }
        rest = &rest[end..];
    }
}

/// Keeps the inside of a code fence that holds all, or that follows an announcement.
fn fence(text: &str) -> &str {
    let Some(start) = text.find("```") else { return text };
    let before = text[..start].trim();
    if !(before.is_empty() || (before.ends_with(':') && is_announcement(before))) {
        // A fence that is opened and never closed holds what a limit cut off.
        if text.matches("```").count() == 1 {
            return &text[..start];
        }
        return text.strip_suffix("```").filter(|rest| !rest.contains("```")).unwrap_or(text);
    }
    let inner = &text[start + 3..];
    // What follows the fence on its line is the name of a language, unless it reads like text.
    let inner = match inner.split_once('\n') {
        Some((language, rest)) if !language.trim().contains(' ') && !language.contains("```") => rest,
        _ => inner,
    };
    let inside = inner.split("```").next().unwrap_or(inner);
    if inside.trim().is_empty() { inner.trim_start_matches('`') } else { inside }
}

/// Words with which announcements begin.
const GREETINGS: [&str; 16] = [
    "sure",
    "certainly",
    "of course",
    "absolutely",
    "okay",
    "ok",
    "great",
    "here is",
    "here's",
    "here’s",
    "here are",
    "here it is",
    "here you go",
    "below is",
    "i would suggest",
    "i suggest",
];

/// Whether `text` reads like an announcement of something that follows: short, and begun like one.
fn is_announcement(text: &str) -> bool {
    let lower = text.to_lowercase();
    let begins = GREETINGS.iter().any(|greeting| {
        let after = lower.strip_prefix(greeting).and_then(|rest| rest.chars().next());
        lower == *greeting || after.is_some_and(|c| !c.is_alphanumeric())
    });
    begins && text.chars().count() <= 160
}

/// Drops `Sure!`, and `Here is the new instruction:` up to its colon.
fn greeting(text: &str) -> &str {
    if !is_announcement(&text.chars().take(40).collect::<String>()) {
        return text;
    }
    let line = text.lines().next().unwrap_or(text);
    let announced = line.find(':').filter(|&at| is_announcement(&line[..at]));
    if let Some(at) = announced {
        return &text[at + 1..];
    }
    // A lone word of assent, ended by a mark: `Sure! ...`, `Okay. ...`.
    let Some(at) = line.find(['!', '.', ',']) else {
        return if line.len() < text.len() && is_announcement(line) { &text[line.len()..] } else { text };
    };
    let assent = line[..at].to_lowercase();
    if ["sure", "certainly", "of course", "absolutely", "okay", "ok", "great", "sure thing"]
        .contains(&assent.as_str())
    {
        &text[at + 1..]
    } else {
        text
    }
}

/// Words that name what was asked for, as the last word of a heading.
const HEADS: [&str; 9] = [
    "instruction",
    "instructions",
    "prompt",
    "response",
    "assistant",
    "system",
    "task",
    "summary",
    "description",
];
/// Words that may stand before it in a heading.
const QUALIFIERS: [&str; 21] = [
    "the",
    "a",
    "an",
    "my",
    "your",
    "new",
    "proposed",
    "improved",
    "better",
    "revised",
    "updated",
    "final",
    "suggested",
    "refined",
    "system",
    "task",
    "current",
    "optimized",
    "this",
    "is",
    "here",
];

/// Drops a heading such as `Proposed instruction:` or a line `### Instruction`.
fn heading(text: &str) -> &str {
    let decoration = |c: char| c.is_whitespace() || "*_#>`-\"'".contains(c);
    let line = text.lines().next().unwrap_or(text);
    let (head, length) = match line.find(':') {
        Some(at) => (&line[..at], at + 1),
        None if line.starts_with(['#', '*', '_']) && line.len() < text.len() => (line, line.len()),
        None => return text,
    };
    let lower = head.trim_matches(decoration).to_lowercase();
    let mut words = lower.split_whitespace().rev();
    let named = words.next().is_some_and(|word| HEADS.contains(&word));
    if !(named && words.all(|word| QUALIFIERS.contains(&word))) {
        return text;
    }
    // The other half of an emphasis that the heading opened.
    text[length..].trim_start_matches(['*', '_', '`', ' '])
}

/// Takes off quotes or emphasis around the whole.
fn quotes(text: &str) -> &str {
    const PAIRS: [(&str, &str); 9] = [
        ("**", "**"),
        ("__", "__"),
        ("\"", "\""),
        ("'", "'"),
        ("`", "`"),
        ("“", "”"),
        ("‘", "’"),
        ("«", "»"),
        ("*", "*"),
    ];
    for (open, close) in PAIRS {
        let inner = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        if let Some(inner) = inner
            && !inner.contains(open)
            && !inner.contains(close)
        {
            return inner;
        }
    }
    // A quote that was opened and never closed, because the answer was cut.
    match text.strip_prefix('"') {
        Some(rest) if !rest.contains('"') => rest,
        _ => text,
    }
}

/// Beginnings of remarks that models add after an instruction.
const REMARKS: [&str; 13] = [
    "explanation:",
    "rationale:",
    "reasoning:",
    "note:",
    "this instruction",
    "this prompt",
    "this revised",
    "this improved",
    "why this",
    "let me know",
    "i hope",
    "feel free",
    "the new instruction",
];

/// Drops closing remarks: from the first line, after the first, that begins like one.
fn closing(text: &str) -> &str {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let bare =
            line.trim_start_matches(|c: char| c.is_whitespace() || "*_#(>-".contains(c)).to_lowercase();
        if at > 0 && REMARKS.iter().any(|remark| bare.replace("**", "").starts_with(remark)) {
            return &text[..at];
        }
        at += line.len();
    }
    // Rules and fences that are left at the end.
    text.trim_end_matches("---").trim_end_matches("```")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_models_write_around_is_taken_off() {
        let check = |text: &str, expect: &str| assert_eq!(strip(text), expect, "{text:?}");
        check("  Name the team. ", "Name the team.");
        check("Instruction: Name the team.", "Name the team.");
        check("This is the new instruction:\n\nName the team.", "Name the team.");
        check("**Proposed Instruction:** Name the team.", "Name the team.");
        check("### New instruction\nName the team.", "Name the team.");
        check("Sure, here is an improved instruction: Name the team.", "Name the team.");
        check("Certainly! Name the team.", "Name the team.");
        check("Here's the instruction\n\nName the team.", "Name the team.");
        check("\"Name the team.\"", "Name the team.");
        check("“Name the team.”", "Name the team.");
        check("```text\nName the team.\n```", "Name the team.");
        check("Here it is:\n```\nName the team.\n```\nI hope this helps.", "Name the team.");
        check("[[ ## instruction ## ]]\nName the team.\n\n[[ ## completed ## ]]", "Name the team.");
        check("[[ ## thought ## ]]\nhm\n[[ ## instruction ## ]]\nName the team.", "Name the team.");
        check("Name the team.<|im_end|>\n<|im_start|>user", "Name the team.");
        check("<|im_start|>assistant: Name the team.</s>", "Name the team.");
        check("<think>long\nthoughts</think>\nName the team.", "Name the team.");
        check("Name the team.\n\n**Explanation:** it is short.", "Name the team.");
        check("Name the team.\nThis instruction is clear.", "Name the team.");
        check("Here it is:\n```\nName the team.", "Name the team.");
        check("Name the team.\n```python\nprint(", "Name the team.");
        check("```\n\n```", "");
    }

    #[test]
    fn what_belongs_to_an_instruction_is_kept() {
        let check = |text: &str| assert_eq!(strip(text), text);
        check("Here is a message. Name the team.");
        check("Surely the sender wants an answer. Name the team.");
        check("Name the team: billing, delivery or returns.");
        check("Say \"billing\" or \"delivery\"");
        check("\"billing\" and \"delivery\" are the teams; name one.");
        check("Answer as JSON:\n```json\n{\"team\": \"billing\"}\n```\nNothing else.");
        check("1. Read the message.\n2. Name the team.\n\nNote the sender's tone.");
        check("*Read* it, then *name* the team.");
        check("Okay is not an answer. Name the team.");
    }

    #[test]
    fn a_sentence_that_a_limit_ended_is_dropped() {
        let text = "Name the team that the message is for. Then say why it";
        assert_eq!(drop_unfinished(text, 15), "Name the team that the message is for.");
        assert_eq!(drop_unfinished(text, 100), text);
        assert_eq!(drop_unfinished("word word word word word", 5), "word word word word word");
    }

    fn written() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("```"),
            Just("\n"),
            Just("[["),
            Just("## instruction ##"),
            Just("]]"),
            Just("<|x|>"),
            Just("<|"),
            Just("|>"),
            Just("</s>"),
            Just("<think>"),
            Just("</think>"),
            Just("Sure"),
            Just("Here is"),
            Just(":"),
            Just("!"),
            Just("\""),
            Just("**"),
            Just("*"),
            Just("“"),
            Just("”"),
            Just("new instruction"),
            Just(" "),
            Just("Note:"),
            Just("---"),
            Just("# "),
            Just("é"),
            Just("name the team"),
        ];
        proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn stripping_twice_is_stripping_once(text in written(), noise in "\\PC{0,40}") {
            for text in [text.clone(), noise.clone(), format!("{text}{noise}")] {
                let once = strip(&text);
                prop_assert_eq!(strip(&once), once.clone());
                prop_assert!(text.contains(&once));
            }
        }

        #[test]
        fn dropping_what_is_unfinished_gives_a_beginning(text in "[a-z .é。\\n]{0,80}", tokens in 0u32..30) {
            prop_assert!(text.starts_with(drop_unfinished(&text, tokens)));
        }
    }
}
