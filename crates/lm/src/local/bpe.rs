//! Builds the tokenizer that a GGUF file's metadata describe, for `tokenizers` to run.
//!
//! | `tokenizer.ggml.model` | `tokenizer.ggml.pre` | models |
//! |---|---|---|
//! | `gpt2` (byte-level BPE with merges) | `smollm` | SmolLM, SmolLM2 |
//! | | `llama-bpe` | Llama 3 and its descendants |
//! | | none, `default`, `gpt-2` | the pattern of GPT-2 |
//! | `llama` (SentencePiece BPE with scores) | | Llama 1 and 2, TinyLlama, Mistral 7B |
//!
//! A file with another tokenizer is refused by name: tokens that are nearly right make answers that are nearly right.

use std::collections::HashMap;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::Replace;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

use super::error::ModelError;
use super::gguf::Gguf;

/// How Llama 3 cuts a text before merging: contractions, words with the mark before them, up to three digits, marks with
/// the line ends after them, line ends, spaces.
const LLAMA3: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\
                      \\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/// What stands for a space in a SentencePiece vocabulary.
const SPACE: char = '\u{2581}';
/// The most characters of a token that is cut into pairs: longer ones are runs of spaces and lines.
const MOST_CHARACTERS: usize = 64;

/// What kind of vocabulary a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each byte is a character of the vocabulary.
    ByteLevel,
    /// Characters, with `<0xNN>` for bytes of those that are missing.
    SentencePiece,
}

/// What kind of vocabulary the file has.
pub(crate) fn kind(gguf: &Gguf) -> Result<Kind, ModelError> {
    match gguf.text("tokenizer.ggml.model") {
        Some("gpt2") => Ok(Kind::ByteLevel),
        Some("llama") => Ok(Kind::SentencePiece),
        other => {
            let value = other.unwrap_or_default().into();
            Err(ModelError::Unsupported { key: "tokenizer.ggml.model", value })
        }
    }
}

/// The tokenizer of the file, whose tokens are `tokens`; `is_special` says which of them are never made from text.
pub(crate) fn build(
    gguf: &Gguf,
    kind: Kind,
    tokens: &[&str],
    is_special: &[bool],
) -> Result<Tokenizer, ModelError> {
    match kind {
        Kind::ByteLevel => byte_level(gguf, tokens, is_special),
        Kind::SentencePiece => sentence_piece(gguf, tokens, is_special),
    }
}

/// The tokens that text is made of, with their ids.
fn plain<'t>(tokens: &[&'t str], is_special: &[bool]) -> HashMap<&'t str, u32> {
    let all = tokens.iter().copied().zip(0u32..).zip(is_special);
    all.filter(|(_, special)| !**special).map(|(pair, _)| pair).collect()
}

fn owned(ids: &HashMap<&str, u32>) -> Vocab {
    ids.iter().map(|(token, id)| ((*token).to_owned(), *id)).collect()
}

fn failed(error: impl std::fmt::Display) -> ModelError {
    ModelError::Tokenizer(error.to_string())
}

fn byte_level(gguf: &Gguf, tokens: &[&str], is_special: &[bool]) -> Result<Tokenizer, ModelError> {
    let merges = gguf.texts("tokenizer.ggml.merges")?;
    let pairs: Option<Vec<(String, String)>> =
        merges.iter().map(|merge| merge.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()))).collect();
    let pairs = pairs.ok_or_else(|| ModelError::Metadata("tokenizer.ggml.merges".into()))?;
    let pre = gguf.text("tokenizer.ggml.pre");
    let llama3 = pre == Some("llama-bpe");
    let vocabulary = owned(&plain(tokens, is_special));
    let model = BPE::builder().vocab_and_merges(vocabulary, pairs).ignore_merges(llama3).build();
    let mut bpe = Tokenizer::new(model.map_err(failed)?);
    let bytes = |pattern: bool| ByteLevel::new(false, true, pattern);
    match pre {
        Some("smollm") => {
            let steps = vec![Digits::new(true).into(), bytes(true).into()];
            bpe.with_pre_tokenizer(Some(Sequence::new(steps)));
        }
        Some("llama-bpe") => {
            let pattern = SplitPattern::Regex(LLAMA3.to_owned());
            let cut = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(failed)?;
            bpe.with_pre_tokenizer(Some(Sequence::new(vec![cut.into(), bytes(false).into()])));
        }
        None | Some("gpt-2" | "gpt2" | "default") => {
            bpe.with_pre_tokenizer(Some(bytes(true)));
        }
        Some(other) => {
            return Err(ModelError::Unsupported { key: "tokenizer.ggml.pre", value: other.into() });
        }
    }
    Ok(bpe)
}

/// SentencePiece merges the pair whose token has the highest score, of equals the first. That is BPE with a merge for
/// each way in which a token is two others, in the order of the scores.
fn sentence_piece(gguf: &Gguf, tokens: &[&str], is_special: &[bool]) -> Result<Tokenizer, ModelError> {
    let scores = gguf.reals("tokenizer.ggml.scores")?;
    if scores.len() != tokens.len() {
        return Err(failed("`tokens` and `scores` differ in length"));
    }
    let ids = plain(tokens, is_special);
    let mut merges = Vec::new();
    for ((token, score), special) in tokens.iter().zip(scores).zip(is_special) {
        if *special || byte_of(token).is_some() || token.chars().nth(MOST_CHARACTERS).is_some() {
            continue;
        }
        for (at, _) in token.char_indices().skip(1) {
            let (a, b) = token.split_at(at);
            if let (Some(x), Some(y)) = (ids.get(a), ids.get(b)) {
                merges.push((score, (*x, *y), (a.to_owned(), b.to_owned())));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let pairs = merges.into_iter().map(|(_, _, pair)| pair).collect();
    // With a token for each byte, nothing is unknown.
    if !(0..=255u8).all(|byte| ids.contains_key(format!("<0x{byte:02X}>").as_str())) {
        return Err(failed("it has no tokens for single bytes (`<0x00>` to `<0xFF>`)"));
    }
    let model = BPE::builder().vocab_and_merges(owned(&ids), pairs).byte_fallback(true).build();
    let mut bpe = Tokenizer::new(model.map_err(failed)?);
    bpe.with_normalizer(Some(Replace::new(" ", SPACE.to_string()).map_err(failed)?)).map_err(failed)?;
    Ok(bpe)
}

/// The bytes of tokens, by kind.
pub(crate) struct Bytes(Kind, HashMap<char, u8>);

impl Bytes {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(kind, byte_alphabet())
    }

    /// The bytes of a token that is text.
    pub(crate) fn of(&self, token: &str) -> Vec<u8> {
        let Self(kind, alphabet) = self;
        match kind {
            Kind::ByteLevel => token.chars().flat_map(|c| decode_char(alphabet, c)).collect(),
            Kind::SentencePiece => match byte_of(token) {
                Some(byte) => vec![byte],
                None => token.replace(SPACE, " ").into_bytes(),
            },
        }
    }
}

/// The byte that `<0xNN>` stands for.
fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The characters that stand for bytes in a byte-level vocabulary: printable Latin-1 for itself, the other bytes
/// by 256, 257, ... in order.
fn byte_alphabet() -> HashMap<char, u8> {
    let itself = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut next = 256u32;
    (0..=255u8)
        .filter_map(|byte| {
            let code = if itself(byte) {
                u32::from(byte)
            } else {
                next += 1;
                next - 1
            };
            Some((char::from_u32(code)?, byte))
        })
        .collect()
}

fn decode_char(alphabet: &HashMap<char, u8>, c: char) -> Vec<u8> {
    match alphabet.get(&c) {
        Some(byte) => vec![*byte],
        None => c.to_string().into_bytes(),
    }
}
