//! Every variety in which files of the `llama` architecture come: tokenizers, chat formats, rotary embeddings, tied and
//! untied output, quantizations. And what is not supported is refused by name.

use std::path::Path;

use candle_core::quantized::GgmlDType;
use teleprompt_core::lm::{Lm, LmRequest, LmSettings, Message, OutputConstraint, Part, Role};

use super::fixture::{self, Variety};
use super::forward::{Model, Scratch};
use super::gguf::Gguf;
use super::kv::KvStore;
use super::tests::reference_logits;
use super::tokenizer::Tokenizer;
use super::{LocalLm, PromptFormat, WeightsSource};

fn tokenizer(folder: &Path, variety: &Variety) -> Tokenizer {
    Tokenizer::from_gguf(&Gguf::open(&fixture::write_as(folder, 1, variety)).unwrap()).unwrap()
}

/// The tokens as they are spelled in the vocabulary.
fn spelled(variety: &Variety, ids: &[u32]) -> String {
    let (vocabulary, _) = variety.vocabulary();
    ids.iter().map(|id| vocabulary[*id as usize].as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_llama_3_vocabulary_is_cut_as_its_own_pattern_says() {
    let folder = tempfile::tempdir().unwrap();
    let variety = Variety::llama3();
    let tokenizer = tokenizer(folder.path(), &variety);
    let check = |text: &str, expected: &str| {
        let ids = tokenizer.encode(text);
        assert_eq!(spelled(&variety, &ids), expected, "{text:?}");
        let bytes: Vec<u8> = ids.iter().flat_map(|id| tokenizer.bytes(*id)).copied().collect();
        assert_eq!(bytes, text.as_bytes());
    };
    // Digits by three from the left, and merged within.
    check("1234567", "123 4 5 6 7");
    check("x=12;\n\ny", "x = 12 ;Ċ Ċ y");
    check("don't I'LL we've", "don 't ĠI ' LL Ġwe 've");
    check("  two spaces", "Ġ Ġtwo Ġspaces");
    check("Hello world\n", "Hello Ġworld Ċ");
    check("a <|eot_id|>", "a Ġ < | e o t _ i d | >");
    // The usual pattern takes digits one by one, and no line end to a mark.
    let smollm = Variety { pre: Some("smollm"), ..Variety::llama3() };
    let other = self::tokenizer(folder.path(), &smollm);
    assert_eq!(spelled(&smollm, &other.encode("123;\n")), "1 2 3 ; Ċ");
}

#[test]
fn a_sentence_piece_vocabulary_merges_by_score_and_falls_back_to_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let variety = Variety::llama2();
    let tokenizer = tokenizer(folder.path(), &variety);
    let check = |text: &str, expected: &str| {
        let ids = tokenizer.encode(text);
        assert_eq!(spelled(&variety, &ids).replace('\u{2581}', "_"), expected, "{text:?}");
        let bytes: Vec<u8> = ids.iter().flat_map(|id| tokenizer.bytes(*id)).copied().collect();
        assert_eq!(bytes, text.as_bytes());
    };
    check("ab", "ab");
    // `ab` before `bc`, and then the longer ones.
    check("abc", "abc");
    check(" abc", "_abc");
    check("abcd", "abc d");
    check("bcd", "bc d");
    check("a cd", "a _ cd");
    check("a  a", "a _ _a");
    check("aé\n", "a <0xC3> <0xA9> <0x0A>");
    // No text makes a marker, though its parts are in the vocabulary.
    check("<s>", "< s>");
    let first = tokenizer.encode_first("abc");
    assert_eq!(spelled(&variety, &first).replace('\u{2581}', "_"), "_abc");
    assert_eq!((tokenizer.begin(), tokenizer.is_special(0), tokenizer.is_special(2)), (Some(1), true, true));
}

#[test]
fn prompts_have_the_file_s_own_format() {
    let folder = tempfile::tempdir().unwrap();
    let parts = vec![Part::Text("Hello".into()), Part::Text(" world".into())];
    let user = Message { role: Role::User, parts };
    let request =
        LmRequest::new(vec![Message::system("Te"), user, Message::assistant("a"), Message::user("b")]);
    let check = |variety: &Variety, expected: &str| {
        let path = fixture::write_as(folder.path(), 1, variety);
        let (_, engine) = super::read_engine(&path, None, None, None).unwrap();
        let chunks = engine.chunks(&request).unwrap();
        let shown: Vec<String> = chunks.iter().map(|chunk| spelled(variety, chunk)).collect();
        assert_eq!(shown.join("\n").replace('\u{2581}', "_"), expected);
    };
    let assistant = "<|im_start|> a s s is t an t Ċ";
    check(
        &Variety::default(),
        &format!(
            "<|im_start|> s y s t e m Ċ Te <|im_end|> Ċ\n<|im_start|> user Ċ Hello\nĠworld <|im_end|> Ċ\n\
             {assistant} a <|im_end|> Ċ\n<|im_start|> user Ċ b <|im_end|> Ċ {assistant}"
        ),
    );
    let llama3 = Variety::llama3();
    let head = |role: &str| format!("<|start_header_id|> {role} <|end_header_id|> Ċ Ċ");
    let path = fixture::write_as(folder.path(), 1, &llama3);
    let (_, engine) = super::read_engine(&path, None, None, None).unwrap();
    let word = |text: &str| spelled(&llama3, &engine.tokenizer.encode(text));
    let (system, user, assistant) = (head(&word("system")), head(&word("user")), head(&word("assistant")));
    check(
        &llama3,
        &format!(
            "<|begin_of_text|> {system} Te <|eot_id|>\n{user} Hello\nĠworld <|eot_id|>\n{assistant} a <|eot_id|>\n\
             {user} b <|eot_id|> {assistant}"
        ),
    );
    // No markers: the texts alone, a space before the first, and an empty line between messages.
    let plain = LmRequest::new(vec![Message::user("abc"), Message::user("ab")]);
    let path = fixture::write_as(folder.path(), 1, &Variety::llama2());
    let (_, engine) = super::read_engine(&path, None, None, None).unwrap();
    assert_eq!(engine.format, PromptFormat::Plain);
    let chunks = engine.chunks(&plain).unwrap();
    let shown: Vec<String> = chunks.iter().map(|chunk| spelled(&Variety::llama2(), chunk)).collect();
    assert_eq!(shown.join("\n").replace('\u{2581}', "_"), "<s> _abc <0x0A> <0x0A>\nab");
    let refused =
        super::read_engine(&path, None, None, Some(PromptFormat::Llama3)).err().unwrap().to_string();
    assert!(refused.contains("no `<|start_header_id|>` token"), "{refused}");
}

/// Each variety, by a name for messages.
fn varieties() -> Vec<(String, Variety)> {
    let mut all = vec![
        ("SmolLM2".to_owned(), Variety::default()),
        ("Llama 3 with factors".to_owned(), Variety::llama3()),
        ("Llama 2".to_owned(), Variety::llama2()),
        ("GPT-2's pattern".to_owned(), Variety { pre: Some("gpt-2"), ..Variety::default() }),
        ("stretched".to_owned(), Variety { rope_scale: Some(4.0), ..Variety::default() }),
    ];
    use GgmlDType::{BF16, F16, F32, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    for dtype in [F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4K, Q5K, Q6K] {
        all.push((format!("{dtype:?}"), Variety { dtype: Some(dtype), ..Variety::default() }));
    }
    all
}

#[test]
fn the_forward_pass_of_every_variety_agrees_with_the_definition() {
    let folder = tempfile::tempdir().unwrap();
    for (name, variety) in varieties() {
        let mut gguf = Gguf::open(&fixture::write_as(folder.path(), 2, &variety)).unwrap();
        let model = Model::load(&mut gguf, None).unwrap();
        let tokens: Vec<u32> = (0..60u32).map(|i| (i * 31 + i * i * 7) % 250).collect();
        let (mut store, mut scratch) = (KvStore::new(&model.dimensions), Scratch::default());
        let state = model.forward(&tokens, &mut store, &mut scratch).unwrap();
        for (x, y) in model.logits(&state).iter().zip(reference_logits(&mut gguf, &tokens)) {
            assert!((f64::from(*x) - y).abs() < 5e-4 * (1.0 + y.abs()), "{name}: {x} instead of {y}");
        }
    }
}

#[tokio::test]
async fn every_variety_answers_and_keeps_to_its_constraint() {
    let folder = tempfile::tempdir().unwrap();
    for (name, variety) in varieties() {
        let path = fixture::write_as(folder.path(), 3, &variety);
        let lm = LocalLm::builder().weights(WeightsSource::Path(path)).workers(1).load().await.unwrap();
        let settings = LmSettings { max_tokens: Some(24), ..LmSettings::default() };
        let constraint = OutputConstraint::Regex("(abc|cd) [ab]{2}é".into());
        let request =
            LmRequest::new(vec![Message::system("abc"), Message::user("a cd")]).with_settings(settings);
        let free = lm.generate(&request).await.unwrap();
        assert!(free.usage.output_tokens > 0 || free.text.is_empty(), "{name}");
        let held = lm.generate(&request.with_constraint(Some(constraint))).await.unwrap().text;
        let (label, rest) = held.split_once(' ').unwrap();
        assert!(
            ["abc", "cd"].contains(&label) && rest.ends_with('é') && rest.chars().count() == 3,
            "{name}: {held}"
        );
    }
}

#[test]
fn what_would_have_to_be_left_out_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let check = |variety: Variety, part: &str| {
        let path = fixture::write_as(folder.path(), 4, &variety);
        let error =
            LocalLm::builder().weights(WeightsSource::Path(path)).workers(1).load_blocking().unwrap_err();
        let shown = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
        assert!(format!("{error} {shown}").contains(part), "{error} {shown}");
    };
    check(Variety { surplus: Some("blk.0.attn_q.bias"), ..Variety::default() }, "`blk.0.attn_q.bias`");
    check(
        Variety { surplus: Some("blk.2.attn_norm.weight"), ..Variety::default() },
        "`blk.2.attn_norm.weight`",
    );
    check(Variety { pre: Some("tekken"), ..Variety::default() }, "`tekken`");
}
