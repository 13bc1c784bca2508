//! Reading a prompt back: which outputs are asked for, in which form, and what stands in it.
//!
//! The forms are those of the adapters in `teleprompt-core`. A prompt in none of them asks for free text.

use teleprompt_core::lm::{Message, Role};
use teleprompt_core::{Adapter, ChatAdapter, JsonAdapter, LmRequest, PlainAdapter};

/// The form of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Chat,
    Plain,
    Json,
}

impl Form {
    pub(super) fn adapter(self) -> &'static dyn Adapter {
        match self {
            Self::Chat => &ChatAdapter,
            Self::Plain => &PlainAdapter,
            Self::Json => &JsonAdapter,
        }
    }
}

/// A prompt taken apart.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) form: Form,
    pub(super) instruction: String,
    pub(super) wanted: Vec<Wanted>,
    /// User and assistant texts of the demos.
    pub(super) demos: Vec<(String, String)>,
    /// The last user message.
    pub(super) last: String,
}

/// An output field that a prompt asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The field's name, or its prefix in the plain form.
    pub(super) name: String,
    /// What the prompt says about its values.
    pub(super) about: String,
}

impl Wanted {
    /// Whether this is the field of this name, under its own name or under its prefix.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.replace(' ', "_").eq_ignore_ascii_case(name)
    }
}

const TASK: &str = "\n\nYour task: ";
const CHAT_END: &str = "[[ ## completed ## ]]";
const JSON_SHAPE: &str = "\nEvery answer is one JSON object of this shape:\n\n";
const CHAT_OUTPUTS: &str = "Output fields:\n";
const PLAIN_OUTPUTS: &str = "\n\nAnswer with:\n";

/// Takes a prompt apart, if it is in a form of core's adapters.
pub(super) fn read(request: &LmRequest) -> Option<Prompt> {
    let system: String =
        request.messages.iter().filter(|message| message.role == Role::System).map(Message::text).collect();
    let (form, instruction, wanted) = read_listed(&system).or_else(|| read_plain(&system))?;
    let turns: Vec<&Message> =
        request.messages.iter().filter(|message| message.role != Role::System).collect();
    let (last, before) = turns.split_last()?;
    let demos = before.windows(2).filter_map(|pair| match pair {
        [user, assistant] if user.role == Role::User && assistant.role == Role::Assistant => {
            Some((user.text(), assistant.text()))
        }
        _ => None,
    });
    Some(Prompt { form, instruction, wanted, demos: demos.collect(), last: last.text() })
}

/// The chat and the JSON form, which list the fields alike.
fn read_listed(system: &str) -> Option<(Form, String, Vec<Wanted>)> {
    let (head, instruction) = system.split_once(TASK)?;
    let form = if head.ends_with(CHAT_END) {
        Form::Chat
    } else if head.contains(JSON_SHAPE) {
        Form::Json
    } else {
        return None;
    };
    let (_, outputs) = head.split_once(CHAT_OUTPUTS)?;
    let lines = outputs.lines().take_while(|line| !line.is_empty());
    let wanted = lines.filter_map(|line| {
        let (_, rest) = line.split_once(". `")?;
        let (name, about) = rest.split_once('`')?;
        Some(Wanted { name: name.to_owned(), about: about.to_owned() })
    });
    Some((form, instruction.trim().to_owned(), wanted.collect()))
}

fn read_plain(system: &str) -> Option<(Form, String, Vec<Wanted>)> {
    let (instruction, outputs) = system.rsplit_once(PLAIN_OUTPUTS)?;
    let wanted = outputs.lines().filter_map(|line| {
        let (name, about) = line.split_once(':')?;
        Some(Wanted { name: name.trim().to_owned(), about: about.to_owned() })
    });
    Some((Form::Plain, instruction.trim().to_owned(), wanted.collect()))
}

/// The case that a text is about: the number after the first `case`.
pub(super) fn case_of(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    lower.match_indices("case ").find_map(|(at, found)| {
        let digits = &lower[at + found.len()..];
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use teleprompt_core::{AdapterCall, Demo, Fields, SignatureSpec};

    use super::*;

    #[test]
    fn prompts_are_read_in_every_form() {
        let spec = SignatureSpec::parse("question -> net_income: int, mood: label[good, bad]").unwrap();
        let inputs = Fields::new().with("question", "Case 7: how?");
        let demos = [Demo::labeled(Fields::new().with("question", "Case 3: how?").with("mood", "bad"))];
        let call = AdapterCall::new(&spec, "Say it.\n\nIn a word.", &inputs).with_demos(&demos);
        for form in [Form::Chat, Form::Plain, Form::Json] {
            let prompt = read(&form.adapter().render(&call).unwrap()).unwrap();
            assert_eq!((prompt.form, prompt.instruction.as_str()), (form, "Say it.\n\nIn a word."));
            assert!(prompt.wanted[0].is("net_income") && prompt.wanted[1].is("mood"));
            assert!(prompt.wanted[1].about.contains("one of good, bad"));
            assert_eq!(case_of(&prompt.demos[0].0), Some(3));
            assert_eq!(case_of(&prompt.last), Some(7));
        }
        assert!(read(&LmRequest::new(vec![Message::user("hello")])).is_none());
    }

    #[test]
    fn the_case_is_the_first_number_after_the_word() {
        assert_eq!(case_of("in case it rains, Case 12: case 13"), Some(12));
        assert_eq!(case_of("case x"), None);
    }
}
