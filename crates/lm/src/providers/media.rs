//! Images, sounds and documents on the wire, in the shapes of the providers.
//!
//! What a shape has no place for is refused by name, before the call. Whether a model understands what its provider takes, the
//! provider says.

use serde_json::{Value, json};
use teleprompt_core::lm::{LmErrorKind, Message, Part};
use teleprompt_core::{Media, MediaSource};

use super::http::Failure;

/// A message's content in the shape of OpenAI's chat completions: a text, or a list of parts.
pub(crate) fn chat_content(message: &Message) -> Result<Value, Failure> {
    if message.media().next().is_none() {
        return Ok(Value::from(message.text()));
    }
    parts(
        message,
        |text| json!({ "type": "text", "text": text }),
        |media| match (kind(media), &media.source) {
            ("image", _) => Some(json!({ "type": "image_url", "image_url": { "url": media.to_url() } })),
            ("audio", MediaSource::Base64(data)) => {
                let format = match media.media_type.as_str() {
                    "audio/wav" | "audio/x-wav" => "wav",
                    "audio/mpeg" | "audio/mp3" => "mp3",
                    _ => return None,
                };
                Some(json!({ "type": "input_audio", "input_audio": { "data": &**data, "format": format } }))
            }
            ("pdf", MediaSource::Base64(_)) => {
                let file = json!({ "filename": "document.pdf", "file_data": media.to_url() });
                Some(json!({ "type": "file", "file": file }))
            }
            _ => None,
        },
    )
}

/// A message's content in the shape of Anthropic's messages.
pub(crate) fn anthropic_content(message: &Message) -> Result<Value, Failure> {
    if message.media().next().is_none() {
        return Ok(Value::from(message.text()));
    }
    parts(
        message,
        |text| json!({ "type": "text", "text": text }),
        |media| {
            let block = match kind(media) {
                "image" => "image",
                "pdf" => "document",
                _ => return None,
            };
            let source = match &media.source {
                MediaSource::Url(url) => json!({ "type": "url", "url": url }),
                MediaSource::Base64(data) => {
                    json!({ "type": "base64", "media_type": media.media_type, "data": &**data })
                }
                _ => return None,
            };
            Some(json!({ "type": block, "source": source }))
        },
    )
}

/// A message's parts in the shape of Gemini.
pub(crate) fn gemini_parts(message: &Message) -> Result<Value, Failure> {
    if message.media().next().is_none() {
        return Ok(json!([{ "text": message.text() }]));
    }
    parts(
        message,
        |text| json!({ "text": text }),
        |media| {
            let media_type = &media.media_type;
            match &media.source {
                MediaSource::Url(url) => {
                    Some(json!({ "fileData": { "mimeType": media_type, "fileUri": url } }))
                }
                MediaSource::Base64(data) => {
                    Some(json!({ "inlineData": { "mimeType": media_type, "data": &**data } }))
                }
                _ => None,
            }
        },
    )
}

fn parts(
    message: &Message,
    text: impl Fn(&str) -> Value,
    media: impl Fn(&Media) -> Option<Value>,
) -> Result<Value, Failure> {
    let refused = |media: &Media| {
        let detail = format!("this provider does not take {media} in a message");
        Failure::new(LmErrorKind::InvalidRequest, detail)
    };
    let written = message.parts.iter().filter(|part| !matches!(part, Part::Text(text) if text.is_empty()));
    let written = written.map(|part| match part {
        Part::Text(words) => Ok(text(words)),
        Part::Media(content) => media(content).ok_or_else(|| refused(content)),
    });
    written.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn kind(media: &Media) -> &'static str {
    match media.media_type.split_once('/') {
        Some(("image", _)) => "image",
        Some(("audio", _)) => "audio",
        Some(("application", "pdf")) => "pdf",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(media: Media) -> Message {
        Message::user("look").with_media([media])
    }

    #[test]
    fn every_provider_writes_its_own_shape() {
        let here = message(Media::bytes("image/png", b"abc"));
        let there = message(Media::url("image/png", "https://host/a.png"));
        let url = |message| chat_content(message).unwrap()[1]["image_url"]["url"].clone();
        assert_eq!(
            (url(&here), url(&there)),
            (json!("data:image/png;base64,YWJj"), json!("https://host/a.png"))
        );
        assert_eq!(chat_content(&here).unwrap()[0], json!({ "type": "text", "text": "look" }));
        let source = |message| anthropic_content(message).unwrap()[1]["source"].clone();
        assert_eq!(source(&here), json!({ "type": "base64", "media_type": "image/png", "data": "YWJj" }));
        assert_eq!(source(&there), json!({ "type": "url", "url": "https://host/a.png" }));
        let part = |message| gemini_parts(message).unwrap()[1].clone();
        assert_eq!(part(&here), json!({ "inlineData": { "mimeType": "image/png", "data": "YWJj" } }));
        let file = json!({ "mimeType": "image/png", "fileUri": "https://host/a.png" });
        assert_eq!(part(&there), json!({ "fileData": file }));
        assert_eq!(chat_content(&Message::user("hi")).unwrap(), "hi");
        assert_eq!(gemini_parts(&Message::user("hi")).unwrap(), json!([{ "text": "hi" }]));
    }

    #[test]
    fn what_has_no_place_is_refused_by_name() {
        let film = message(Media::url("video/mp4", "https://host/a.mp4"));
        for refused in [chat_content(&film), anthropic_content(&film)] {
            let failure = refused.unwrap_err();
            assert_eq!(failure.kind, LmErrorKind::InvalidRequest);
            assert_eq!(
                failure.detail,
                "this provider does not take video/mp4 at https://host/a.mp4 in a message"
            );
        }
        let sound = chat_content(&message(Media::bytes("audio/wav", b"abc"))).unwrap();
        assert_eq!(
            sound[1],
            json!({ "type": "input_audio", "input_audio": { "data": "YWJj", "format": "wav" } })
        );
        let page = anthropic_content(&message(Media::bytes("application/pdf", b"abc"))).unwrap();
        assert_eq!(page[1]["type"], "document");
    }
}
