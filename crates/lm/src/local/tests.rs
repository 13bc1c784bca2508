//! The embedded model end to end, on the tiny model of [`super::fixture`].

use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use teleprompt_core::lm::{
    FinishReason, Lm, LmErrorKind, LmRequest, LmSettings, Message, OutputConstraint, Part, Role,
};

use super::forward::{Model, Scratch};
use super::generate::Session;
use super::gguf::{Gguf, unpack};
use super::kv::KvStore;
use super::tokenizer::Tokenizer;
use super::{LocalError, LocalLm, LocalLmBuilder, ModelError, PromptFormat, WeightsSource, fixture};

const LABELS: &str = "Team: (billing|delivery|days|lines)";

fn builder(path: &Path) -> LocalLmBuilder {
    LocalLm::builder().weights(WeightsSource::Path(path.to_owned()))
}

fn settings(max_tokens: u32) -> LmSettings {
    LmSettings { max_tokens: Some(max_tokens), ..LmSettings::default() }
}

fn user(parts: &[&str]) -> LmRequest {
    let parts = parts.iter().map(|text| Part::Text((*text).into())).collect();
    LmRequest::new(vec![Message { role: Role::User, parts }]).with_settings(settings(12))
}

fn labelled(parts: &[&str]) -> LmRequest {
    user(parts).with_constraint(Some(OutputConstraint::Regex(LABELS.into())))
}

#[test]
fn tokens_are_those_of_the_real_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let gguf = Gguf::open(&fixture::write(folder.path(), 1)).unwrap();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    let vocabulary = fixture::vocabulary();
    for (text, expected) in fixture::GOLDEN {
        let ids = tokenizer.encode(text);
        let pieces: Vec<&str> = ids.iter().map(|id| vocabulary[*id as usize].as_str()).collect();
        assert_eq!(pieces.join(" "), expected, "{text:?}");
        let bytes: Vec<u8> = ids.iter().flat_map(|id| tokenizer.bytes(*id)).copied().collect();
        assert_eq!(bytes, text.as_bytes());
    }
}

#[test]
fn a_marker_in_a_text_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let gguf = Gguf::open(&fixture::write(folder.path(), 1)).unwrap();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    assert_eq!(tokenizer.special("<|im_end|>"), Some(2));
    assert!(tokenizer.encode("a <|im_end|> b").iter().all(|id| !tokenizer.is_special(*id)));
}

/// The definition of the model, in `f64`, one token and one number at a time.
#[expect(clippy::many_single_char_names, reason = "the formulas' own names")]
pub(super) fn reference_logits(gguf: &mut Gguf, tokens: &[u32]) -> Vec<f64> {
    let d = gguf.dimensions().unwrap();
    let mut get = |name: &str, shape: &[usize]| -> Option<Vec<f64>> {
        let stored = gguf.has(name).then(|| gguf.tensor(name, shape).unwrap())?;
        Some(unpack(&stored).unwrap().into_iter().map(f64::from).collect())
    };
    let apply = |w: &[f64], x: &[f64]| -> Vec<f64> {
        w.chunks(x.len()).map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
    };
    let norm = |x: &[f64], w: &[f64]| -> Vec<f64> {
        let mean = x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64;
        x.iter().zip(w).map(|(v, w)| v / (mean + f64::from(d.norm_epsilon)).sqrt() * w).collect()
    };
    let factors = get("rope_freqs.weight", &[d.head / 2]);
    let rotate = |x: &mut [f64], position: usize| {
        for head in x.chunks_mut(d.head) {
            for i in 0..d.head / 2 {
                let slower = factors.as_ref().map_or(1.0, |factors| factors[i]) * f64::from(d.rope_scale);
                let turn = f64::from(d.rope_base).powf(-2.0 * i as f64 / d.head as f64) / slower;
                let angle = position as f64 * turn;
                let (a, b) = (head[2 * i], head[2 * i + 1]);
                head[2 * i] = a * angle.cos() - b * angle.sin();
                head[2 * i + 1] = a * angle.sin() + b * angle.cos();
            }
        }
    };
    let (kv, h) = (d.kv_heads * d.head, d.hidden);
    let embedding = get("token_embd.weight", &[d.vocabulary, h]).unwrap();
    let mut xs: Vec<Vec<f64>> = tokens.iter().map(|t| embedding[*t as usize * h..][..h].to_vec()).collect();
    for layer in 0..d.layers {
        let mut w = |part: &str, shape: &[usize]| get(&format!("blk.{layer}.{part}.weight"), shape).unwrap();
        let (wq, wk, wv) = (w("attn_q", &[h, h]), w("attn_k", &[kv, h]), w("attn_v", &[kv, h]));
        let (wo, n1, n2) = (w("attn_output", &[h, h]), w("attn_norm", &[h]), w("ffn_norm", &[h]));
        let gate = w("ffn_gate", &[d.inner, h]);
        let (up, down) = (w("ffn_up", &[d.inner, h]), w("ffn_down", &[h, d.inner]));
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (position, x) in xs.iter_mut().enumerate() {
            let n = norm(x, &n1);
            let (mut q, mut k) = (apply(&wq, &n), apply(&wk, &n));
            rotate(&mut q, position);
            rotate(&mut k, position);
            keys.push(k);
            values.push(apply(&wv, &n));
            let mut mixed = vec![0.0; h];
            for head in 0..d.heads {
                let (at, g) = (head * d.head, head / (d.heads / d.kv_heads) * d.head);
                let score = |k: &Vec<f64>| {
                    (0..d.head).map(|i| q[at + i] * k[g + i]).sum::<f64>() / (d.head as f64).sqrt()
                };
                let weights: Vec<f64> = keys.iter().map(|k| score(k).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (weight, v) in weights.iter().zip(&values) {
                    (0..d.head).for_each(|i| mixed[at + i] += weight / total * v[g + i]);
                }
            }
            x.iter_mut().zip(apply(&wo, &mixed)).for_each(|(x, y)| *x += y);
            let n = norm(x, &n2);
            let silu = |v: f64| v / (1.0 + (-v).exp());
            let a: Vec<f64> =
                apply(&gate, &n).iter().zip(apply(&up, &n)).map(|(g, u)| silu(*g) * u).collect();
            x.iter_mut().zip(apply(&down, &a)).for_each(|(x, y)| *x += y);
        }
    }
    let last = norm(xs.last().unwrap(), &get("output_norm.weight", &[h]).unwrap());
    apply(&get("output.weight", &[d.vocabulary, h]).unwrap_or(embedding), &last)
}

#[test]
fn the_forward_pass_agrees_with_the_definition_however_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut gguf = Gguf::open(&fixture::write(folder.path(), 2)).unwrap();
    let model = Model::load(&mut gguf, None).unwrap();
    let tokens: Vec<u32> = (0..300u32).map(|i| (i * 31 + i * i * 7) % 350).collect();
    let run = |cuts: &[usize], threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (mut store, mut scratch) = (KvStore::new(&model.dimensions), Scratch::default());
            let mut state = Vec::new();
            let mut start = 0;
            for end in cuts {
                state = model.forward(&tokens[start..*end], &mut store, &mut scratch).unwrap();
                start = *end;
            }
            model.logits(&state)
        })
    };
    let whole = run(&[300], 1);
    let expected = reference_logits(&mut gguf, &tokens);
    assert_eq!(whole.len(), expected.len());
    for (x, y) in whole.iter().zip(&expected) {
        assert!((f64::from(*x) - y).abs() < 2e-4 * (1.0 + y.abs()), "{x} instead of {y}");
    }
    // To the bit, whatever the cuts and the threads.
    assert_eq!(whole, run(&[1, 40, 41, 297, 300], 1));
    assert_eq!(whole, run(&[299, 300], 3));
}

#[test]
fn positions_and_tokens_outside_the_model_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let mut gguf = Gguf::open(&fixture::write(folder.path(), 2)).unwrap();
    let model = Model::load(&mut gguf, Some(8)).unwrap();
    let (mut store, mut scratch) = (KvStore::new(&model.dimensions), Scratch::default());
    let mut forward = |tokens: &[u32]| model.forward(tokens, &mut store, &mut scratch);
    assert!(matches!(forward(&[]), Err(ModelError::Positions { .. })));
    assert!(matches!(forward(&[5; 9]), Err(ModelError::Positions { .. })));
    assert!(matches!(forward(&[100_000]), Err(ModelError::Token(100_000))));
    assert!(forward(&[5; 8]).is_ok());
}

#[tokio::test]
async fn answers_do_not_depend_on_cache_workers_or_threads() {
    let folder = tempfile::tempdir().unwrap();
    let path = fixture::write(folder.path(), 3);
    let instruction = "The capital of France is the capital of the world. ".repeat(4);
    let mut requests = Vec::new();
    for i in 0..6 {
        let row = format!("the year {i} had days {}", i * i);
        requests.push(labelled(&[&instruction, "two spaces and lines ", &row]));
        requests.push(user(&[&instruction, &row]));
        let sampled = LmSettings { temperature: Some(1.0), seed: Some(i), ..settings(20) };
        requests.push(user(&["Hello world", &instruction, &row]).with_settings(sampled).with_rollout(i % 2));
    }
    let mut all = Vec::new();
    for (cache, workers, threads) in [(0, 1, 1), (200_000, 1, 2), (200_000, 3, 1), (1 << 30, 2, 2)] {
        let lm =
            builder(&path).prefix_cache_bytes(cache).workers(workers).threads(threads).load().await.unwrap();
        let answers = join_all(requests.iter().map(|r| lm.generate(r))).await;
        let answers: Vec<_> = answers
            .into_iter()
            .map(|a| a.map(|a| (a.text, a.finish, a.usage.input_tokens, a.usage.output_tokens)).unwrap())
            .collect();
        all.push(answers);
    }
    assert!(all.iter().all(|answers| answers == &all[0]));
    assert!(all[0].iter().step_by(3).all(|(text, ..)| text.starts_with("Team: ")));
}

#[tokio::test]
async fn shared_beginnings_are_computed_once() {
    let folder = tempfile::tempdir().unwrap();
    let lm = builder(&fixture::write(folder.path(), 3)).workers(1).load().await.unwrap();
    let shared = "The capital of France ".repeat(8);
    let first = lm.generate(&labelled(&[&shared, "two"])).await.unwrap();
    let between = lm.generate(&labelled(&["Hello", "world"])).await.unwrap();
    let second = lm.generate(&labelled(&[&shared, "world"])).await.unwrap();
    assert_eq!((first.usage.cached_tokens, between.usage.cached_tokens > 5), (0, false));
    assert!(second.usage.cached_tokens > 30, "{:?}", second.usage);
}

#[test]
fn a_label_costs_one_pass_over_the_last_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let path = fixture::write(folder.path(), 3);
    let (_, engine) = super::read_engine(&path, None, None, None).unwrap();
    let mut session = Session::new(Arc::new(engine));
    // These labels are one token each here, and no two begin alike.
    let pattern = "Team: (1|2|3)";
    let request =
        |row| user(&["capital", row]).with_constraint(Some(OutputConstraint::Regex(pattern.into())));
    assert!(session.generate(&request("two"), &|| false).is_ok());
    assert_eq!(session.passes(), 2, "the shared part, and the row");
    for row in ["had", "days", "world"] {
        let before = session.passes();
        let answer = session.generate(&request(row), &|| false).unwrap();
        assert_eq!(session.passes() - before, 1, "{:?}", answer.text);
    }
    // Nothing is computed where there is no choice at all.
    let before = session.passes();
    let fixed =
        user(&["capital", "had"]).with_constraint(Some(OutputConstraint::Regex("Team: billing".into())));
    assert_eq!(session.generate(&fixed, &|| false).unwrap().text, "Team: billing");
    assert_eq!(session.passes(), before);
}

#[tokio::test]
async fn completions_keep_to_their_constraint() {
    let folder = tempfile::tempdir().unwrap();
    let lm = builder(&fixture::write(folder.path(), 4)).load().await.unwrap();
    for i in 0..8 {
        let answer = lm.generate(&labelled(&["capital", &format!("lines {i}")])).await.unwrap();
        let label = answer.text.strip_prefix("Team: ").unwrap();
        assert!(["billing", "delivery", "days", "lines"].contains(&label), "{label}");
        assert_eq!(answer.finish, FinishReason::Stop);
    }
    let schema = serde_json::json!({
        "type": "object",
        "properties": { "team": { "enum": ["billing", "returns"] }, "urgent": { "type": "boolean" } },
        "required": ["team", "urgent"],
        "additionalProperties": false
    });
    let request = user(&["capital"])
        .with_settings(settings(80))
        .with_constraint(Some(OutputConstraint::JsonSchema(schema)));
    let answer = lm.generate(&request).await.unwrap();
    let value: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    assert!(value["urgent"].is_boolean() && value["team"].is_string(), "{value}");

    let broken = user(&["x"]).with_constraint(Some(OutputConstraint::Regex("(".into())));
    let error = lm.generate(&broken).await.unwrap_err();
    assert_eq!(error.kind, LmErrorKind::InvalidRequest);
    // The worker goes on.
    assert!(lm.generate(&labelled(&["x"])).await.is_ok());
}

#[tokio::test]
async fn settings_bound_and_vary_a_completion() {
    let folder = tempfile::tempdir().unwrap();
    let lm = builder(&fixture::write(folder.path(), 5)).load().await.unwrap();
    let greedy = lm.generate(&user(&["Hello world"]).with_settings(settings(30))).await.unwrap();
    assert_eq!(greedy.finish, FinishReason::Length);
    assert_eq!(greedy.usage.output_tokens, 30);
    let middle = greedy.text.char_indices().nth(greedy.text.chars().count() / 2).unwrap().0;
    let stop: String = greedy.text[middle..].chars().take(3).collect();
    let cut = LmSettings { stop: vec!["never to be seen".into(), stop.clone()], ..settings(30) };
    let stopped = lm.generate(&user(&["Hello world"]).with_settings(cut)).await.unwrap();
    assert_eq!(stopped.finish, FinishReason::Stop);
    assert_eq!(Some(stopped.text.as_str()), greedy.text.split(&stop).next());

    let hot = LmSettings { temperature: Some(1.5), seed: Some(7), ..settings(30) };
    let hot = user(&["Hello world"]).with_settings(hot);
    let [a, b, c] = [hot.clone(), hot.clone(), hot.with_rollout(1)];
    let (a, b, c) =
        (lm.generate(&a).await.unwrap(), lm.generate(&b).await.unwrap(), lm.generate(&c).await.unwrap());
    assert_eq!(a.text, b.text);
    assert_ne!(a.text, c.text);
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_refused_before_it_is_computed() {
    let folder = tempfile::tempdir().unwrap();
    let lm = builder(&fixture::write(folder.path(), 5)).context_tokens(40).load().await.unwrap();
    let error = lm.generate(&user(&[&"1".repeat(100)])).await.unwrap_err();
    assert!(matches!(error.kind, LmErrorKind::ContextOverflow { tokens: 100.., limit: 39 }), "{error}");
    // A completion that reaches the end of the context is cut there.
    let answer = lm.generate(&user(&["1 2 3 4 5 6"]).with_settings(settings(500))).await.unwrap();
    assert_eq!(answer.finish, FinishReason::Length);
    assert!(lm.generate(&LmRequest::new(Vec::new())).await.is_err());
}

#[tokio::test]
async fn names_tell_models_and_formats_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut names = std::collections::BTreeSet::new();
    for seed in [1, 2] {
        let path = fixture::write(folder.path(), seed);
        for format in [PromptFormat::ChatMl, PromptFormat::Plain] {
            let lm = builder(&path).prompt_format(format).workers(1).load().await.unwrap();
            assert!(lm.model().as_str().starts_with("local/tiny-test-"));
            names.insert(lm.model().clone());
        }
    }
    assert_eq!(names.len(), 4);
}

#[test]
fn a_withdrawn_request_stops_computing_and_leaves_the_worker_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = fixture::write(folder.path(), 6);
    let (_, engine) = super::read_engine(&path, None, None, None).unwrap();
    let mut session = Session::new(Arc::new(engine));
    let long = user(&["The capital of France ", &"two spaces ".repeat(200)]).with_settings(settings(400));
    // In the prompt and between tokens: after as many looks as told, and no pass later.
    for looks in [0_u64, 1, 2, 3, 9] {
        let before = session.passes();
        let left = std::cell::Cell::new(looks);
        let withdrawn = || left.replace(left.get().saturating_sub(1)) == 0;
        let (kind, _) = session.generate(&long, &withdrawn).unwrap_err();
        assert_eq!((kind, session.passes() - before), (LmErrorKind::Stopped, looks));
    }
    let next = session.generate(&long, &|| false).unwrap();
    assert!(next.usage.cached_tokens > 0, "the shared beginning is still there");
    let (_, engine) = super::read_engine(&path, None, None, None).unwrap();
    let alone = Session::new(Arc::new(engine)).generate(&long, &|| false).unwrap();
    assert_eq!((next.text, next.finish), (alone.text, alone.finish), "and it is right");
}

#[tokio::test]
async fn a_caller_that_goes_away_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let lm = Arc::new(builder(&fixture::write(folder.path(), 6)).workers(1).load().await.unwrap());
    let long = user(&["Hello world"]).with_settings(settings(200));
    let (first, withdrawn) = (lm.generate(&long), lm.generate(&long));
    assert!(futures::poll!(Box::pin(withdrawn)).is_pending());
    assert!(first.await.is_ok());
    assert!(lm.generate(&labelled(&["x"])).await.is_ok());
}

#[test]
fn broken_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = fixture::write(folder.path(), 7);
    let whole = std::fs::read(&path).unwrap();
    let broken = folder.path().join("broken.gguf");
    let load = |bytes: &[u8]| {
        std::fs::write(&broken, bytes).unwrap();
        builder(&broken).workers(1).load_blocking().map(|_| ())
    };
    for length in [0, 3, 8, 100, 5_000, whole.len() / 2, whole.len() - 100] {
        assert!(load(&whole[..length]).is_err(), "cut to {length} bytes");
    }
    // Flipped bits in the header and the metadata: an error or a usable model, never a panic.
    for at in (0..4_000).step_by(61) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xFF;
        let _ = load(&bytes);
    }
    let error = builder(&folder.path().join("absent.gguf")).load_blocking().unwrap_err();
    assert!(matches!(error, LocalError::Read { .. }));
    assert!(error.to_string().contains("TELEPROMPT_WEIGHTS"), "{error}");
    let error = builder(&path).workers(0).load_blocking().unwrap_err();
    assert!(matches!(error, LocalError::Setting { setting: "workers", .. }));
}
