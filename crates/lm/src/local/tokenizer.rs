//! The tokenizer that a GGUF file describes: byte-level BPE, as `tokenizers` runs it.
//!
//! Text is always text: a marker such as `<|im_end|>` inside a message is tokenized as its characters, never as
//! the special token, so no input can end its own message. Markers come from [`Tokenizer::special`] by name.

use std::collections::HashMap;
use std::sync::Arc;

use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use super::error::ModelError;
use super::gguf::Gguf;

/// `tokenizer.ggml.token_type` of control tokens and of those that a user added: never part of text.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// Turns text into token ids and back. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tokenizer(Arc<Inner>);

struct Inner {
    bpe: tokenizers::Tokenizer,
    /// The bytes of each token; of a special one, toktrie's marker byte and its name.
    bytes: Vec<Vec<u8>>,
    special: HashMap<String, u32>,
    is_special: Vec<bool>,
    end: u32,
    trie: TokTrie,
}

impl Tokenizer {
    /// Builds the tokenizer from a file's metadata.
    pub(crate) fn from_gguf(gguf: &Gguf) -> Result<Self, ModelError> {
        if gguf.text("tokenizer.ggml.model") != Some("gpt2") {
            let value = gguf.text("tokenizer.ggml.model").unwrap_or_default().into();
            return Err(ModelError::Unsupported { key: "tokenizer.ggml.model", value });
        }
        let tokens = gguf.texts("tokenizer.ggml.tokens")?;
        let types = gguf.numbers("tokenizer.ggml.token_type")?;
        let merges = gguf.texts("tokenizer.ggml.merges")?;
        let failed = |e: &dyn std::fmt::Display| ModelError::Tokenizer(e.to_string());
        if types.len() != tokens.len() || tokens.is_empty() || u32::try_from(tokens.len()).is_err() {
            return Err(failed(&"`tokens` and `token_type` differ in length"));
        }
        let end = gguf.number("tokenizer.ggml.eos_token_id").filter(|id| *id < tokens.len());
        let end = end.ok_or_else(|| ModelError::Metadata("tokenizer.ggml.eos_token_id".into()))? as u32;

        let is_special: Vec<bool> = types.iter().map(|t| matches!(*t, CONTROL | USER_DEFINED)).collect();
        let named = || tokens.iter().zip(&is_special).zip(0u32..);
        let special = named().filter(|((_, s), _)| **s).map(|((t, _), id)| ((*t).to_owned(), id)).collect();
        let alphabet = byte_alphabet();
        let bytes: Vec<Vec<u8>> = named()
            .map(|((token, special), _)| {
                if *special {
                    [&[TokTrie::SPECIAL_TOKEN_MARKER], token.as_bytes()].concat()
                } else {
                    token.chars().flat_map(|c| decode_char(&alphabet, c)).collect()
                }
            })
            .collect();

        let vocabulary: HashMap<String, u32> = named().map(|((t, _), id)| ((*t).to_owned(), id)).collect();
        let pairs: Option<Vec<(String, String)>> = merges
            .iter()
            .map(|merge| merge.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())))
            .collect();
        let pairs = pairs.ok_or_else(|| ModelError::Metadata("tokenizer.ggml.merges".into()))?;
        let model = BPE::builder()
            .vocab_and_merges(vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(), pairs)
            .build()
            .map_err(|e| failed(&e))?;
        let mut bpe = tokenizers::Tokenizer::new(model);
        let byte_level = ByteLevel::new(false, true, true);
        match gguf.text("tokenizer.ggml.pre") {
            Some("smollm") => {
                let steps = vec![Digits::new(true).into(), byte_level.into()];
                bpe.with_pre_tokenizer(Some(Sequence::new(steps)));
            }
            None | Some("gpt-2" | "gpt2" | "default") => {
                bpe.with_pre_tokenizer(Some(byte_level));
            }
            Some(other) => {
                return Err(ModelError::Unsupported { key: "tokenizer.ggml.pre", value: other.into() });
            }
        }
        let trie = TokTrie::from(&TokRxInfo::new(tokens.len() as u32, end), &bytes);
        Ok(Self(Arc::new(Inner { bpe, bytes, special, is_special, end, trie })))
    }

    /// The token ids of a text.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        self.0.encode(text)
    }

    /// The special token of this name.
    pub(crate) fn special(&self, name: &str) -> Option<u32> {
        self.0.special.get(name).copied()
    }

    /// Whether a token is a marker: one that ends a completion.
    pub(crate) fn is_special(&self, token: u32) -> bool {
        self.0.is_special.get(token as usize).copied().unwrap_or(true)
    }

    /// The bytes that a token adds to a text; none for a special token.
    pub(crate) fn bytes(&self, token: u32) -> &[u8] {
        if self.is_special(token) { &[] } else { self.0.bytes.get(token as usize).map_or(&[], Vec::as_slice) }
    }

    /// The view that the grammar engine has of this tokenizer.
    pub(crate) fn environment(&self) -> TokEnv {
        Arc::new(self.clone())
    }
}

impl Inner {
    fn encode(&self, text: &str) -> Vec<u32> {
        match self.bpe.encode_fast(text, false) {
            Ok(encoding) => encoding.get_ids().to_vec(),
            // Cannot happen with a byte-level vocabulary that has all bytes; longest matches are a valid reading.
            Err(_) => self.trie.greedy_tokenize(text.as_bytes()),
        }
    }
}

impl TokenizerEnv for Tokenizer {
    fn tok_trie(&self) -> &TokTrie {
        &self.0.trie
    }

    fn tokenize_bytes(&self, s: &[u8]) -> Vec<TokenId> {
        self.0.trie.tokenize_with_greedy_fallback(s, |text| self.0.encode(text))
    }

    fn eos_token(&self) -> TokenId {
        self.0.end
    }
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
