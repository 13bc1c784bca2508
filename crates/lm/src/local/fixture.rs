//! Tiny models for tests: two layers, random weights, a vocabulary with a few real merges; one in each variety that files
//! of the `llama` architecture come in ([`Variety`]).
//!
//! The merges are those of SmolLM2's vocabulary that [`GOLDEN`]'s texts use, in their order, so tokenization of
//! these texts is that of the real model. Its answers mean nothing.

use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) const CONTEXT: usize = 1024;

const MERGES: &str = "Ġ t|Ġ a|i n|h e|o n|e r|Ġt he|a t|Ġ s|Ġ o|Ġ c|e s|Ġ w|n d|i t|o r|i s|a l|in g|a n|Ġ b|a r|\
    Ġo f|Ġ d|Ġ h|e l|i l|Ġ l|v e|Ġ is|c e|â Ģ|Ġ y|a m|Ġ I|a y|a d|u s|a c|il l|Ġw e|a nd|l d|Ġ F|Ġw or|Ġ âĢ|el l|\
    T he|a p|e ar|an ce|Ġs p|ay s|Ġy ear|Ġt w|Ġh ad|Ġtw o|in es|Ġwor ld|h at|' t|Ġc a|it al|Ġc ap|W hat|ac es|\
    ĠâĢ Ķ|Ġd ays|ĠF r|Ã ©|Ġb ill|Ġl ines|' ve|n a|Ġcap ital|us er|ĠFr ance|Ġsp aces|T e|ð Ł|ell o|Ġ Ï|d on|æ ľ|\
    Ġ ðŁ|L L|Ġ æ|H ello|Ġca f|ĠÏ Ģ|Ã ¯|Te am|Ġcaf Ã©|Ļ Ĥ|Ġbill ing|æľ ¬|Ã¯ ve|ĠðŁ ĻĤ";

/// Texts and their tokens, as llama.cpp gives them for the real vocabulary (spelled in byte-level characters).
pub(crate) const GOLDEN: [(&str, &str); 11] = [
    ("Hello world", "Hello Ġworld"),
    ("The year 2024 had 366 days.", "The Ġyear Ġ 2 0 2 4 Ġhad Ġ 3 6 6 Ġdays ."),
    ("  two  spaces\n\nand lines\n", "Ġ Ġtwo Ġ Ġspaces Ċ Ċ and Ġlines Ċ"),
    ("user\nWhat is the capital of France?", "user Ċ What Ġis Ġthe Ġcapital Ġof ĠFrance ?"),
    ("Team: billing\n", "Team : Ġbilling Ċ"),
    ("naïve café — 日本語 🙂", "na Ã¯ve ĠcafÃ© ĠâĢĶ Ġæ Ĺ ¥ æľ¬ è ª ŀ ĠðŁĻĤ"),
    ("don't I'LL we've", "don 't ĠI ' LL Ġwe 've"),
    ("x=1+2;\ty", "x = 1 + 2 ; ĉ y"),
    ("1234567", "1 2 3 4 5 6 7"),
    (" a", "Ġa"),
    ("3.14 is π", "3 . 1 4 Ġis ĠÏĢ"),
];

/// What differs between files of the architecture.
#[derive(Clone)]
pub(crate) struct Variety {
    /// Special tokens, of which the second begins a prompt and the third ends a completion.
    pub(crate) special: Vec<&'static str>,
    /// `tokenizer.ggml.pre` of a byte-level vocabulary; `None` is a SentencePiece one.
    pub(crate) pre: Option<&'static str>,
    /// Merges after the usual ones.
    pub(crate) more_merges: Vec<&'static str>,
    /// `rope_freqs.weight` is there.
    pub(crate) rope_factors: bool,
    /// `llama.rope.scaling`, linear by this.
    pub(crate) rope_scale: Option<f32>,
    /// `output.weight` is there.
    pub(crate) untied: bool,
    /// All matrices are of this type, and rows have 256 numbers; `None` is a mixture with rows of 128.
    pub(crate) dtype: Option<GgmlDType>,
    /// A tensor that no plain model has.
    pub(crate) surplus: Option<&'static str>,
}

impl Default for Variety {
    /// SmolLM2.
    fn default() -> Self {
        Self {
            special: vec!["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            pre: Some("smollm"),
            more_merges: Vec::new(),
            rope_factors: false,
            rope_scale: None,
            untied: false,
            dtype: None,
            surplus: None,
        }
    }
}

impl Variety {
    pub(crate) fn llama3() -> Self {
        let special = vec!["<|begin_of_text|>", "<|begin_of_text|>", "<|eot_id|>"];
        let special = [special, vec!["<|start_header_id|>", "<|end_header_id|>"]].concat();
        let more_merges = vec!["1 2", "12 3", "; Ċ"];
        Self {
            special,
            pre: Some("llama-bpe"),
            more_merges,
            rope_factors: true,
            untied: true,
            ..Self::default()
        }
    }

    pub(crate) fn llama2() -> Self {
        Self { special: vec!["<unk>", "<s>", "</s>"], pre: None, untied: true, ..Self::default() }
    }

    /// The vocabulary in the order of its ids, and the score of each token.
    pub(crate) fn vocabulary(&self) -> (Vec<String>, Vec<f32>) {
        let mut all: Vec<String> = self.special.iter().map(|token| (*token).to_owned()).collect();
        if self.pre.is_none() {
            all.extend((0..=255u8).map(|byte| format!("<0x{byte:02X}>")));
            let mut scores = vec![0.0; all.len()];
            for (token, score) in PIECES {
                all.push(token.replace(' ', "\u{2581}"));
                scores.push(score);
            }
            return (all, scores);
        }
        let mut next = 256u32;
        all.extend((0..=255u8).map(|byte| {
            let code = match byte {
                b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => u32::from(byte),
                _ => {
                    next += 1;
                    next - 1
                }
            };
            char::from_u32(code).unwrap().to_string()
        }));
        for merge in self.merges() {
            let merged = merge.replace(' ', "");
            if !all.contains(&merged) {
                all.push(merged);
            }
        }
        let scores = vec![0.0; all.len()];
        (all, scores)
    }

    fn merges(&self) -> Vec<&'static str> {
        MERGES.split('|').map(str::trim).chain(self.more_merges.iter().copied()).collect()
    }
}

/// Tokens of the SentencePiece vocabulary, a space for its mark, with their scores.
const PIECES: [(&str, f32); 17] = [
    ("ab", -1.0),
    ("bc", -2.0),
    (" a", -3.0),
    ("abc", -4.0),
    (" abc", -5.0),
    ("cd", -6.0),
    (" ", -100.0),
    ("a", -101.0),
    ("b", -102.0),
    ("c", -103.0),
    ("d", -104.0),
    ("s", -105.0),
    ("/", -106.0),
    ("<", -107.0),
    (">", -108.0),
    ("s>", -7.0),
    ("<s", -8.0),
];

/// The vocabulary of the usual variety, in the order of its ids.
pub(crate) fn vocabulary() -> Vec<String> {
    Variety::default().vocabulary().0
}

/// Writes a model of the usual variety into `folder`, with weights drawn from `seed`.
pub(crate) fn write(folder: &Path, seed: u64) -> PathBuf {
    write_as(folder, seed, &Variety::default())
}

/// Writes a model into `folder`, with weights drawn from `seed`.
pub(crate) fn write_as(folder: &Path, seed: u64, variety: &Variety) -> PathBuf {
    let (vocabulary, scores) = variety.vocabulary();
    let (hidden, inner) = if variety.dtype.is_some() { (256usize, 256usize) } else { (128, 96) };
    let (heads, kv_heads) = (4usize, 2usize);
    let head = hidden / heads;
    let texts = |list: Vec<String>| Value::Array(list.into_iter().map(Value::String).collect());
    let kind = |i: usize| match i {
        0 if variety.pre.is_none() => 2,
        i if i < variety.special.len() => 3,
        i if variety.pre.is_none() && i < variety.special.len() + 256 => 6,
        _ => 1,
    };
    let types = (0..vocabulary.len()).map(|i| Value::I32(kind(i))).collect();
    let model = if variety.pre.is_some() { "gpt2" } else { "llama" };
    let mut metadata = vec![
        ("general.architecture", Value::String("llama".into())),
        ("general.name", Value::String("Tiny Test".into())),
        ("llama.block_count", Value::U32(2)),
        ("llama.context_length", Value::U32(CONTEXT as u32)),
        ("llama.embedding_length", Value::U32(hidden as u32)),
        ("llama.feed_forward_length", Value::U32(inner as u32)),
        ("llama.attention.head_count", Value::U32(heads as u32)),
        ("llama.attention.head_count_kv", Value::U32(kv_heads as u32)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.rope.freq_base", Value::F32(10_000.0)),
        ("llama.rope.dimension_count", Value::U32(head as u32)),
        ("tokenizer.ggml.model", Value::String(model.into())),
        ("tokenizer.ggml.bos_token_id", Value::U32(1)),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        ("tokenizer.ggml.token_type", Value::Array(types)),
        ("tokenizer.ggml.tokens", texts(vocabulary.clone())),
    ];
    match variety.pre {
        Some(pre) => {
            metadata.push(("tokenizer.ggml.pre", Value::String(pre.into())));
            let merges = variety.merges().into_iter().map(String::from).collect();
            metadata.push(("tokenizer.ggml.merges", texts(merges)));
        }
        None => {
            let scores = scores.into_iter().map(Value::F32).collect();
            metadata.push(("tokenizer.ggml.scores", Value::Array(scores)));
        }
    }
    if let Some(scale) = variety.rope_scale {
        metadata.push(("llama.rope.scaling.type", Value::String("linear".into())));
        metadata.push(("llama.rope.scaling.factor", Value::F32(scale)));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors = Vec::new();
    let mut matrix = |name: String, rows: usize, columns: usize, dtype: GgmlDType| {
        let data: Vec<f32> = (0..rows * columns).map(|_| rng.random::<f32>() * 0.5 - 0.25).collect();
        let tensor = Tensor::from_vec(data, (rows, columns), &Device::Cpu).unwrap();
        tensors.push((name, QTensor::quantize(&tensor, variety.dtype.unwrap_or(dtype)).unwrap()));
    };
    matrix("token_embd.weight".into(), vocabulary.len(), hidden, GgmlDType::Q8_0);
    for i in 0..2 {
        let name = |part: &str| format!("blk.{i}.{part}.weight");
        matrix(name("attn_q"), hidden, hidden, GgmlDType::Q4_1);
        matrix(name("attn_k"), kv_heads * head, hidden, GgmlDType::Q8_0);
        matrix(name("attn_v"), kv_heads * head, hidden, GgmlDType::F32);
        matrix(name("attn_output"), hidden, hidden, GgmlDType::Q8_0);
        matrix(name("ffn_gate"), inner, hidden, GgmlDType::Q8_0);
        matrix(name("ffn_up"), inner, hidden, GgmlDType::Q4_1);
        matrix(name("ffn_down"), hidden, inner, GgmlDType::F16);
    }
    if variety.untied {
        matrix("output.weight".into(), vocabulary.len(), hidden, GgmlDType::Q8_0);
    }
    let mut vector = |name: String, length: usize| {
        let data: Vec<f32> = (0..length).map(|_| 0.5 + rng.random::<f32>()).collect();
        let tensor = Tensor::from_vec(data, length, &Device::Cpu).unwrap();
        tensors.push((name, QTensor::quantize(&tensor, GgmlDType::F32).unwrap()));
    };
    for i in 0..2 {
        vector(format!("blk.{i}.attn_norm.weight"), hidden);
        vector(format!("blk.{i}.ffn_norm.weight"), hidden);
    }
    vector("output_norm.weight".into(), hidden);
    if variety.rope_factors {
        vector("rope_freqs.weight".into(), head / 2);
    }
    if let Some(name) = variety.surplus {
        vector(name.into(), hidden);
    }

    let path = folder.join(format!("tiny-{seed}.gguf"));
    let mut file = std::fs::File::create(&path).unwrap();
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    path
}
