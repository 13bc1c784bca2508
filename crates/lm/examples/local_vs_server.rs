//! The embedded model beside a server with the same weights: rows per second of an evaluation.
//!
//! ```text
//! cargo run --release -p teleprompt-lm --features local --example local_vs_server -- \
//!     [--rows N] [--rounds N] [--in-flight N] THREADS=BASE_URL...
//! ```
//!
//! Each `THREADS=BASE_URL` names an OpenAI-compatible server that runs SmolLM2-135M-Instruct with that many
//! threads; the embedded model gets as many workers of one thread. Rows have about 400 tokens in common and about
//! 30 of their own, and no two are alike. Both sides answer the same requests, through the same trait, with the
//! same number of calls in flight; they take turns in every round, so that whatever else the machine does falls on
//! both. Two kinds of answer are measured: a free one of up to four tokens, and a label under a JSON schema.

use std::error::Error;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use teleprompt_core::lm::{
    Lm, LmError, LmRequest, LmResponse, LmSettings, Message, OutputConstraint, Part, Role,
};
use teleprompt_lm::CompatibleLm;
use teleprompt_lm::local::LocalLm;

struct Options {
    rows: usize,
    rounds: usize,
    in_flight: usize,
    servers: Vec<(usize, String)>,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut found = Options { rows: 24, rounds: 9, in_flight: 4, servers: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number = |value: Option<String>| -> Result<usize, Box<dyn Error>> {
            Ok(value.ok_or_else(|| format!("`{argument}` needs a number"))?.parse()?)
        };
        match argument.as_str() {
            "--rows" => found.rows = number(arguments.next())?.max(1),
            "--rounds" => found.rounds = number(arguments.next())?.max(1),
            "--in-flight" => found.in_flight = number(arguments.next())?.max(1),
            server => {
                let (threads, url) = server.split_once('=').ok_or("write THREADS=BASE_URL")?;
                found.servers.push((threads.parse()?, url.to_owned()));
            }
        }
    }
    if found.servers.is_empty() {
        return Err("name at least one server, as in `1=http://127.0.0.1:8091/v1`".into());
    }
    Ok(found)
}

#[derive(Clone, Copy, PartialEq)]
enum Case {
    Free,
    Label,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "a measurement prints")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    println!(
        "{} rounds of {} rows, {} in flight; medians over rounds, and the range of the ratio",
        options.rounds, options.rows, options.in_flight
    );
    println!(
        "| threads | answer | rows/s, embedded | rows/s, server | ratio | least | most | tokens in | from the prompt cache | same answers |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (threads, url) in &options.servers {
        let ours = LocalLm::builder().workers(*threads).threads(1).load().await?;
        // Long: on a busy machine a server may need minutes.
        let theirs = CompatibleLm::builder(url).timeout(Duration::from_secs(900)).connect().await?;
        for (name, case) in [("4 tokens", Case::Free), ("label", Case::Label)] {
            let (mut rates, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
            let (mut same, mut tokens, mut cached) = (0, [0, 0], [0, 0]);
            // The first round fills both prompt caches, and is not counted.
            for round in 0..=options.rounds {
                let first = 1000 * round;
                let requests: Vec<LmRequest> =
                    (first..first + options.rows).map(|i| row_request(i, case)).collect();
                // Whoever begins alternates.
                let (a, b) = if round % 2 == 0 {
                    let a = ask(&ours, &requests, options.in_flight).await?;
                    (a, ask(&theirs, &requests, options.in_flight).await?)
                } else {
                    let b = ask(&theirs, &requests, options.in_flight).await?;
                    (ask(&ours, &requests, options.in_flight).await?, b)
                };
                if round == 0 {
                    continue;
                }
                rates[0].push(a.0);
                rates[1].push(b.0);
                ratios.push(a.0 / b.0);
                same += a.1.iter().zip(&b.1).filter(|(a, b)| plain(&a.text) == plain(&b.text)).count();
                let rows = options.rows as u64;
                tokens = [&a.1, &b.1].map(|all| all.iter().map(|a| a.usage.input_tokens).sum::<u64>() / rows);
                cached =
                    [&a.1, &b.1].map(|all| all.iter().map(|a| a.usage.cached_tokens).sum::<u64>() / rows);
            }
            ratios.sort_by(f64::total_cmp);
            let [ours, theirs] = rates.map(median);
            println!(
                "| {threads} | {name} | {ours:.1} | {theirs:.1} | {:.2} | {:.2} | {:.2} | {} and {} | {} and {} | {} % |",
                median(ratios.clone()),
                ratios.first().copied().unwrap_or_default(),
                ratios.last().copied().unwrap_or_default(),
                tokens[0],
                tokens[1],
                cached[0],
                cached[1],
                100 * same / (options.rounds * options.rows),
            );
        }
    }
    Ok(())
}

/// Rows per second, and the answers in the order of the requests.
async fn ask(
    lm: &dyn Lm,
    requests: &[LmRequest],
    in_flight: usize,
) -> Result<(f64, Vec<LmResponse>), LmError> {
    let start = Instant::now();
    let calls = futures::stream::iter(requests).map(|request| lm.generate(request)).buffered(in_flight);
    let answers: Vec<LmResponse> = calls.try_collect().await?;
    Ok((requests.len() as f64 / start.elapsed().as_secs_f64(), answers))
}

/// An answer without its white space: servers space JSON as they like.
fn plain(text: &str) -> String {
    text.split_whitespace().collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// An instruction and demos that all rows share, about 400 tokens, and one customer's message of about 30.
fn row_request(i: usize, case: Case) -> LmRequest {
    let row = format!(
        "Message: Order {i} arrived, but one of the lamps does not switch on. What happens now?\nTeam:"
    );
    let parts = vec![Part::Text(shared_text()), Part::Text(row)];
    let request = LmRequest::new(vec![
        Message::system("You sort the messages that a shop gets."),
        Message { role: Role::User, parts },
    ]);
    let settings = LmSettings { temperature: Some(0.0), ..LmSettings::default() };
    match case {
        Case::Free => request.with_settings(LmSettings { max_tokens: Some(4), ..settings }),
        Case::Label => {
            let teams = ["billing", "delivery", "returns", "account", "product", "repair"];
            let schema = json!({
                "type": "object", "properties": {"team": {"enum": teams}}, "required": ["team"],
                "additionalProperties": false,
            });
            request
                .with_settings(LmSettings { max_tokens: Some(24), ..settings })
                .with_constraint(Some(OutputConstraint::JsonSchema(schema)))
        }
    }
}

fn shared_text() -> String {
    let mut text = "Read the customer's message and name the team that should answer it.\n\n".to_owned();
    for i in 0..7 {
        let team = ["billing", "delivery", "returns", "account", "product", "repair"][i % 6];
        text += &format!(
            "Message: Good morning, I wrote to you {i} days ago about my purchase and nobody has answered me. \
             Please tell me what I should do next, because I am waiting for it and it is getting late.\n\
             Team: {team}\n\n"
        );
    }
    text
}
