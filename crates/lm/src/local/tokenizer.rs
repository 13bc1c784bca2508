//! The tokenizer that a GGUF file describes ([`super::bpe`]), as `tokenizers` runs it.
//!
//! Text is always text: a marker such as `<|im_end|>` inside a message is tokenized as its characters, never as
//! the special token, so no input can end its own message. Markers come from [`Tokenizer::special`] by name.

use std::collections::HashMap;
use std::sync::Arc;

use toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use super::bpe::{self, Bytes, Kind};
use super::error::ModelError;
use super::gguf::Gguf;

/// `tokenizer.ggml.token_type` of the unknown token, of control tokens, and of those that a user added: never part of
/// text.
const SPECIAL: std::ops::RangeInclusive<i64> = 2..=4;

/// Turns text into token ids and back. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tokenizer(Arc<Inner>);

struct Inner {
    bpe: tokenizers::Tokenizer,
    /// The bytes of each token; of a special one, toktrie's marker byte and its name.
    bytes: Vec<Vec<u8>>,
    special: HashMap<String, u32>,
    is_special: Vec<bool>,
    begin: Option<u32>,
    end: u32,
    space_first: bool,
    trie: TokTrie,
}

impl Tokenizer {
    /// Builds the tokenizer from a file's metadata.
    pub(crate) fn from_gguf(gguf: &Gguf) -> Result<Self, ModelError> {
        let kind = bpe::kind(gguf)?;
        let tokens = gguf.texts("tokenizer.ggml.tokens")?;
        let types = gguf.numbers("tokenizer.ggml.token_type")?;
        let failed = |e: &dyn std::fmt::Display| ModelError::Tokenizer(e.to_string());
        if types.len() != tokens.len() || tokens.is_empty() || u32::try_from(tokens.len()).is_err() {
            return Err(failed(&"`tokens` and `token_type` differ in length"));
        }
        let end = gguf.number("tokenizer.ggml.eos_token_id").filter(|id| *id < tokens.len());
        let end = end.ok_or_else(|| ModelError::Metadata("tokenizer.ggml.eos_token_id".into()))? as u32;

        // Both are as llama.cpp has them where the file does not say.
        let begins = gguf.flag("tokenizer.ggml.add_bos_token").unwrap_or_else(|| {
            kind == Kind::SentencePiece || gguf.text("tokenizer.ggml.pre") == Some("llama-bpe")
        });
        let begin = gguf.number("tokenizer.ggml.bos_token_id").filter(|id| begins && *id < tokens.len());
        let space_first =
            kind == Kind::SentencePiece && gguf.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);

        let is_special: Vec<bool> = types.iter().map(|t| SPECIAL.contains(t)).collect();
        let named = || tokens.iter().zip(&is_special).zip(0u32..);
        let special = named().filter(|((_, s), _)| **s).map(|((t, _), id)| ((*t).to_owned(), id)).collect();
        let text = Bytes::new(kind);
        let bytes: Vec<Vec<u8>> = named()
            .map(|((token, special), _)| {
                if *special {
                    [&[TokTrie::SPECIAL_TOKEN_MARKER], token.as_bytes()].concat()
                } else {
                    text.of(token)
                }
            })
            .collect();
        let bpe = bpe::build(gguf, kind, &tokens, &is_special)?;
        let trie = TokTrie::from(&TokRxInfo::new(tokens.len() as u32, end), &bytes);
        let begin = begin.map(|id| id as u32);
        Ok(Self(Arc::new(Inner { bpe, bytes, special, is_special, begin, end, space_first, trie })))
    }

    /// The token ids of a text.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        self.0.encode(text)
    }

    /// The token ids of a text with which a prompt begins: some vocabularies put a space before it.
    pub(crate) fn encode_first(&self, text: &str) -> Vec<u32> {
        if self.0.space_first && !text.is_empty() {
            self.0.encode(&format!(" {text}"))
        } else {
            self.0.encode(text)
        }
    }

    /// The token with which every prompt begins, where there is one.
    pub(crate) fn begin(&self) -> Option<u32> {
        self.0.begin
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
