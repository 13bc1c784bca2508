//! The embedded model, alone: what it answers, and how fast it is on this machine.
//!
//! ```text
//! cargo run --release -p teleprompt-lm --features local --example local_chat -- [WORKERS THREADS [ROWS]]
//! ```
//!
//! It answers one question freely and one under a constraint, then times the work of an optimizer: `ROWS` rows
//! (64 unless told) of about 40 tokens behind a shared prompt of about 400.

use std::error::Error;
use std::time::Instant;

use futures::future::try_join_all;
use teleprompt_core::lm::{Lm, LmRequest, LmSettings, Message, OutputConstraint, Part, Role};
use teleprompt_lm::local::LocalLm;

const LABELS: &str = "Team: (billing|delivery|returns|account|product|repair)";

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|a| a.parse()).collect::<Result<_, _>>()?;
    let mut builder = LocalLm::builder().progress(|event| println!("{event}"));
    if let [workers, threads, ..] = numbers[..] {
        builder = builder.workers(workers).threads(threads);
    }
    let rows = numbers.get(2).copied().unwrap_or(64);

    let start = Instant::now();
    let lm = builder.load().await?;
    println!("loaded {} in {:.2?}", lm.model(), start.elapsed());

    let question =
        LmRequest::new(vec![Message::user("What is the capital of France? Answer in one sentence.")]);
    println!("free:        {}", lm.generate(&question).await?.text);
    let request = row_request(7);
    println!("constrained: {}", lm.generate(&request).await?.text);

    let long = LmRequest::new(vec![Message::user(shared_text(7))]).with_settings(settings(1));
    let start = Instant::now();
    let tokens = lm.generate(&long).await?.usage.input_tokens;
    println!("prefill: {tokens} tokens, {:.0} tokens/s", tokens as f64 / start.elapsed().as_secs_f64());

    let story = LmRequest::new(vec![Message::user("Tell a long story about a lighthouse.")])
        .with_settings(settings(128));
    let start = Instant::now();
    let usage = lm.generate(&story).await?.usage;
    println!(
        "decode: {} tokens, {:.0} tokens/s",
        usage.output_tokens,
        usage.output_tokens as f64 / start.elapsed().as_secs_f64()
    );

    let requests: Vec<LmRequest> = (0..rows).map(row_request).collect();
    let start = Instant::now();
    let answers = try_join_all(requests.iter().map(|r| lm.generate(r))).await?;
    let seconds = start.elapsed().as_secs_f64();
    let total: u64 = answers.iter().map(|a| a.usage.input_tokens).sum();
    let cached: u64 = answers.iter().map(|a| a.usage.cached_tokens).sum();
    println!(
        "rows: {rows} in {seconds:.2} s, {:.1} rows/s; {} tokens each, of which {} were not computed again",
        rows as f64 / seconds,
        total / rows as u64,
        cached / rows as u64
    );
    Ok(())
}

/// An instruction and demos that all rows share, and one customer's message.
fn row_request(i: usize) -> LmRequest {
    let row = format!(
        "Message: Hello, order {i} arrived yesterday but the box was open and one of the two lamps does not \
         switch on. I would like to know what happens now.\n"
    );
    let parts = vec![Part::Text(shared_text(6)), Part::Text(row)];
    LmRequest::new(vec![Message { role: Role::User, parts }])
        .with_constraint(Some(OutputConstraint::Regex(LABELS.into())))
}

fn shared_text(demos: usize) -> String {
    let mut text = "Read the customer's message and name the team that should answer it.\n\n".to_owned();
    for i in 0..demos {
        let team = ["billing", "delivery", "returns", "account", "product", "repair"][i % 6];
        text += &format!(
            "Message: Good morning, I wrote to you {i} days ago about my purchase and nobody has answered me. \
             Please tell me what I should do next, because I am waiting for it and it is getting late.\n\
             Team: {team}\n\n"
        );
    }
    text
}

fn settings(max_tokens: u32) -> LmSettings {
    LmSettings { max_tokens: Some(max_tokens), ..LmSettings::default() }
}
