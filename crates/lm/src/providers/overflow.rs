//! Recognizes the messages by which servers say that a prompt does not fit into the context.
//!
//! There is no standard: OpenAI and vLLM write a sentence, llama.cpp sends fields. What is not recognized with
//! both numbers stays an invalid request with the server's message: no number is ever made up.

use serde_json::Value;

/// Tokens of the prompt and tokens that fit, from an error object and its message.
pub(crate) fn read(error: &Value, message: &str) -> Option<(u64, u64)> {
    let field = |name: &str| error.get(name).and_then(Value::as_u64);
    if let (Some(tokens), Some(limit)) = (field("n_prompt_tokens"), field("n_ctx")) {
        return Some((tokens, limit));
    }
    let text = message.to_ascii_lowercase();
    let limit = ["maximum context length is ", "context window of ", "context size of "]
        .into_iter()
        .find_map(|words| number_after(&text, words))
        .or_else(|| number_after(&text, " tokens > "))?;
    let tokens = ["resulted in ", "you requested ", "prompt is too long: ", "input of ", "prompt of "]
        .into_iter()
        .find_map(|words| number_after(&text, words))?;
    Some((tokens, limit))
}

fn number_after(text: &str, words: &str) -> Option<u64> {
    let (_, rest) = text.split_once(words)?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(rest.len());
    rest.get(..end)?.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_messages_are_recognized_and_others_are_not() {
        let check = |message: &str, expect| assert_eq!(read(&Value::Null, message), expect, "{message}");
        check(
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9,001 tokens.",
            Some((9001, 8192)),
        );
        check(
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4900 in \
             the messages, 100 in the completion).",
            Some((5000, 4096)),
        );
        check("prompt is too long: 210000 tokens > 200000 maximum", Some((210_000, 200_000)));
        check("Your input exceeds the context window of this model.", None);
        check("temperature must be at most 2", None);
        assert_eq!(read(&json!({"n_prompt_tokens": 70, "n_ctx": 64}), "too long"), Some((70, 64)));
    }
}
