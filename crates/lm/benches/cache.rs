//! Lookups and writes per second of a cache file, with many calls in flight.
//!
//! `cargo bench -p teleprompt-lm --bench cache`: prints one line per case. The model answers at once, so what
//! is measured is the cache alone: key, lookup, group commit, hand-over between threads.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement prints, and may stop")]

use std::time::Instant;

use futures::StreamExt;
use futures::future::BoxFuture;
use teleprompt_core::lm::{Lm, LmError, LmRequest, LmResponse, Message, ModelId, Usage};
use teleprompt_lm::Cache;

/// Answers at once, with a text of 400 characters.
struct Instantly(ModelId);

impl Lm for Instantly {
    fn model(&self) -> &ModelId {
        &self.0
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        let usage = Usage { input_tokens: 700, output_tokens: 100, ..Usage::default() };
        let text = format!("{:0400}", request.rollout);
        Box::pin(async move { Ok(LmResponse::new(text).with_usage(usage)) })
    }
}

/// The requests `0..n` with a prompt of 3,000 characters, `in_flight` at once; calls per second.
async fn measure(lm: &impl Lm, n: u64, in_flight: usize) -> f64 {
    let prompt = "An instruction and some examples. ".repeat(90);
    let start = Instant::now();
    let calls = futures::stream::iter(0..n).map(|i| {
        let request = LmRequest::new(vec![Message::user(&prompt)]).with_rollout(i);
        async move { lm.generate(&request).await.unwrap() }
    });
    calls.buffer_unordered(in_flight).collect::<Vec<_>>().await;
    n as f64 / start.elapsed().as_secs_f64()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    const N: u64 = 40_000;
    for in_flight in [1, 16, 64, 256] {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().join("answers.db")).unwrap();
        let lm = cache.wrap(Instantly(ModelId::new("m")));
        let writes = measure(&lm, N, in_flight).await;
        let lookups = measure(&lm, N, in_flight).await;
        assert_eq!((cache.stats().misses, cache.stats().hits), (N, N));
        println!("{in_flight:>4} in flight: {writes:>7.0} writes/s, {lookups:>7.0} lookups/s");
    }
    let lm = Cache::in_memory().wrap(Instantly(ModelId::new("m")));
    measure(&lm, N, 64).await;
    println!("  in memory, 64 in flight: {:>7.0} lookups/s", measure(&lm, N, 64).await);
}
