//! A tiny model for tests: two layers, random weights, a byte-level vocabulary with a few real merges.
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

/// The vocabulary, in the order of its ids.
pub(crate) fn vocabulary() -> Vec<String> {
    let special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(String::from);
    let mut next = 256u32;
    let bytes = (0..=255u8).map(|byte| {
        let code = match byte {
            b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => u32::from(byte),
            _ => {
                next += 1;
                next - 1
            }
        };
        char::from_u32(code).unwrap().to_string()
    });
    let mut all: Vec<String> = special.into_iter().chain(bytes).collect();
    for merge in merges() {
        let merged = merge.replace(' ', "");
        if !all.contains(&merged) {
            all.push(merged);
        }
    }
    all
}

/// Writes the model into `folder`, with weights drawn from `seed`.
pub(crate) fn write(folder: &Path, seed: u64) -> PathBuf {
    let vocabulary = vocabulary();
    let (hidden, inner, heads, head, kv_heads) = (128usize, 96usize, 4usize, 32usize, 2usize);
    let texts = |list: Vec<String>| Value::Array(list.into_iter().map(Value::String).collect());
    let types = (0..vocabulary.len()).map(|i| Value::I32(if i < 3 { 3 } else { 1 })).collect();
    let metadata = [
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
        ("tokenizer.ggml.model", Value::String("gpt2".into())),
        ("tokenizer.ggml.pre", Value::String("smollm".into())),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        ("tokenizer.ggml.token_type", Value::Array(types)),
        ("tokenizer.ggml.merges", texts(merges().map(String::from).collect())),
        ("tokenizer.ggml.tokens", texts(vocabulary.clone())),
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors = Vec::new();
    let mut matrix = |name: String, rows: usize, columns: usize, dtype: GgmlDType| {
        let data: Vec<f32> = (0..rows * columns).map(|_| rng.random::<f32>() * 0.5 - 0.25).collect();
        let tensor = Tensor::from_vec(data, (rows, columns), &Device::Cpu).unwrap();
        tensors.push((name, QTensor::quantize(&tensor, dtype).unwrap()));
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
    let mut vector = |name: String| {
        let data: Vec<f32> = (0..hidden).map(|_| 0.5 + rng.random::<f32>()).collect();
        let tensor = Tensor::from_vec(data, hidden, &Device::Cpu).unwrap();
        tensors.push((name, QTensor::quantize(&tensor, GgmlDType::F32).unwrap()));
    };
    for i in 0..2 {
        vector(format!("blk.{i}.attn_norm.weight"));
        vector(format!("blk.{i}.ffn_norm.weight"));
    }
    vector("output_norm.weight".into());

    let path = folder.join(format!("tiny-{seed}.gguf"));
    let mut file = std::fs::File::create(&path).unwrap();
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    path
}

fn merges() -> impl Iterator<Item = &'static str> {
    MERGES.split('|').map(str::trim)
}
