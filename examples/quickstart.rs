//! Watch a prompt get better on a real model, with no key: `cargo run --release --example quickstart`.
//!
//! A library's search box gets questions; the program says which kind of answer each wants, so that the right look-up is used.
//! The model is a very small one that runs inside this process. MIPROv2 finds the instruction and the demos that suit it best,
//! on training and validation rows; the test rows are used once, at the end, for the program before and after.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use teleprompt::data::jsonl;
use teleprompt::prelude::*;
use teleprompt::propose::GroundedProposer;
use teleprompt::{AdaptiveSearch, PairedDifference, Progress, ReferenceSearch, Report, Strategy};
use teleprompt_examples::{ModelArgs, exit};

/// Say which kind of answer the question wants.
#[derive(Signature)]
struct Sort {
    /// What a visitor of the library typed.
    #[input]
    question: String,
    #[output]
    answer: Kind,
}

#[derive(Label, Clone, Copy, Debug, PartialEq)]
enum Kind {
    Person,
    Place,
    Date,
    Number,
    Thing,
    Explanation,
}

#[derive(Module)]
struct Desk {
    sort: Predict<Sort>,
}

#[program_source]
impl Module for Desk {
    type Input = SortInput;
    type Output = SortOutput;

    async fn forward(&self, cx: &Ctx, input: SortInput) -> Result<SortOutput, Error> {
        self.sort.call(cx, input).await
    }
}

/// Optimize the prompt of a small program on a real model, and see what it gains on rows that it has not seen.
///
/// Without options the model is SmolLM2-135M, which runs inside this program: 98 MB of weights are fetched once, no key is
/// needed, and nothing leaves this machine. With a remote model, training rows and the program's source are sent to it.
/// Answers are kept, so that a second run costs nothing. Ctrl-C ends the search with the best program so far.
#[derive(Parser)]
#[command(
    after_help = "Variables: OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY; TELEPROMPT_WEIGHTS, a GGUF file to use instead of \
                        fetching one; TELEPROMPT_CACHE, the folder for fetched weights; HF_ENDPOINT, a mirror of the hub."
)]
struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The folder with train.jsonl, validation.jsonl and test.jsonl.
    #[arg(long, value_name = "FOLDER", default_value = "examples/data/questions")]
    data: PathBuf,
    /// The seed of everything random; 0 is one too.
    #[arg(long, default_value_t = 9)]
    seed: u64,
    /// A preset budget instead of the one below: light, medium or heavy.
    #[arg(long, value_parser = parse_auto, conflicts_with_all = ["num_candidates", "num_trials"])]
    auto: Option<Auto>,
    /// Instructions and demo sets that are tried.
    #[arg(long, default_value_t = 10)]
    num_candidates: usize,
    /// Trials of the search.
    #[arg(long, default_value_t = 20)]
    num_trials: usize,
    /// Rows of a minibatch of the reference's search.
    #[arg(long, default_value_t = 35)]
    minibatch_size: usize,
    /// Most bootstrapped demos in a set.
    #[arg(long, default_value_t = 12)]
    max_bootstrapped_demos: usize,
    /// Labeled demos fill a set up to this total.
    #[arg(long, default_value_t = 12)]
    max_labeled_demos: usize,
    /// Instructions that are edits of the first one instead of the model's: these need no model.
    #[arg(long, default_value_t = 1)]
    reserved_edits: usize,
    /// The form of the prompts: plain lines, or chat with a header for each field.
    #[arg(long, value_parser = ["plain", "chat"], default_value = "plain")]
    adapter: String,
    /// How the combinations are searched: `reference` as DSPy does, `adaptive` in our own way.
    #[arg(long, value_parser = ["reference", "adaptive"], default_value = "adaptive")]
    strategy: String,
    /// LM calls in flight.
    #[arg(long, default_value_t = 8)]
    concurrency: usize,
    /// A minute's run: a small budget on the first rows, for testing.
    #[arg(long, conflicts_with = "auto")]
    smoke: bool,
    /// Leave the test rows alone: for choosing settings by the validation rows.
    #[arg(long)]
    no_test: bool,
    /// Where the optimized program is saved.
    #[arg(long, value_name = "FILE", default_value = "target/quickstart/optimized.json")]
    save: PathBuf,
    /// Writes the summary as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn parse_auto(text: &str) -> Result<Auto, String> {
    match text {
        "light" => Ok(Auto::Light),
        "medium" => Ok(Auto::Medium),
        "heavy" => Ok(Auto::Heavy),
        other => Err(format!("`{other}` is no preset: light, medium or heavy")),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    exit(run(Args::parse()).await)
}

async fn run(mut args: Args) -> Result<(), Box<dyn StdError>> {
    let rows = |split: &str| jsonl::load_as::<Sort>(args.data.join(format!("{split}.jsonl")));
    let examples = |rows: Vec<Sort>| rows.into_iter().map(Example::from).collect::<Vec<_>>();
    let (mut train, mut val, mut test) =
        (examples(rows("train")?), examples(rows("validation")?), examples(rows("test")?));
    if args.smoke {
        (args.num_candidates, args.num_trials, args.minibatch_size) = (3, 4, 12);
        train.truncate(24);
        val.truncate(24);
        test.truncate(36);
    }
    let majority = majority_share(&train, &test);

    let lm = args.model.open().await?;
    let begun = Instant::now();
    let stop = stop_on_ctrl_c();
    let adapter: Arc<dyn teleprompt::Adapter> = match args.adapter.as_str() {
        "chat" => Arc::new(ChatAdapter),
        _ => Arc::new(PlainAdapter),
    };
    // A small model writes short texts: fewer rows are shown to it at a time, in fewer calls.
    let proposer = GroundedProposer::builder()
        .view_data_batch_size(8)
        .max_summary_batches(3)
        .reserved_edits(args.reserved_edits)
        .build()?;
    let builder = MiproV2::builder()
        .task_lm(lm.clone())
        .adapter(adapter.clone())
        .proposer(Arc::new(proposer))
        .max_bootstrapped_demos(args.max_bootstrapped_demos)
        .max_labeled_demos(args.max_labeled_demos)
        .concurrency(args.concurrency)
        .seed(args.seed)
        .observer(Arc::new(Progress::stderr()))
        .stop(stop);
    let builder = match args.strategy.as_str() {
        "reference" => {
            let reference = ReferenceSearch { minibatch_size: args.minibatch_size, ..Default::default() };
            builder.strategy(Strategy::Reference(reference))
        }
        // As many program runs, at most, as the reference's trials would ask for.
        _ => builder.strategy(Strategy::Adaptive(AdaptiveSearch::default())),
    };
    let optimizer = match args.auto {
        Some(auto) => builder.auto(auto),
        None => builder.num_candidates(args.num_candidates).num_trials(args.num_trials),
    }
    .build()?;

    let desk = Desk { sort: Predict::new() };
    let data = Dataset::new(train).val(val).test(if args.no_test { Vec::new() } else { test });
    let best = optimizer.compile(&desk, &data, &metric::exact_match("answer")).await?;
    let seconds = begun.elapsed().as_secs_f64();

    show_winner(&best);
    println!("{}", best.report);
    println!(
        "majority     {:.1} % of the test rows have the commonest label of the training rows",
        100.0 * majority
    );
    if let Some(path) = &args.json {
        write_file(path, &serde_json::to_string_pretty(&summary(&best.report, majority, seconds))?)?;
    }

    make_folder(&args.save)?;
    best.save(&desk, &args.save)?;
    let loaded = SavedProgram::load(&args.save)?.candidate(&desk)?;
    let cx = Ctx::new(lm).with_adapter(adapter).bound(&desk, &loaded)?;
    let question = "how heavy can a brown bear get".to_owned();
    let kind = desk.forward(&cx, SortInput { question: question.clone() }).await?.answer;
    println!("\nsaved to {} and loaded again; a fresh question:", args.save.display());
    println!("  {question}\n  -> {}", kind.as_str());
    Ok(())
}

/// The first Ctrl-C ends the run with the best program so far, the second ends the process.
fn stop_on_ctrl_c() -> StopSignal {
    let stop = StopSignal::new();
    let signal = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!(
                "stopping: waiting for the calls in flight (again to end at once; answers so far are kept)"
            );
            signal.stop();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    stop
}

/// The share of `test` rows that have the commonest label of the `train` rows.
fn majority_share(train: &[Example], test: &[Example]) -> f64 {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in train {
        *counts.entry(row.labels.text("answer")).or_default() += 1;
    }
    let commonest = counts.into_iter().max_by_key(|(_, count)| *count).map(|(label, _)| label);
    let hits = test.iter().filter(|row| Some(row.labels.text("answer")) == commonest).count();
    hits as f64 / test.len().max(1) as f64
}

fn show_winner(best: &Optimized) {
    for (predictor, instruction) in best.report.winning_instructions() {
        println!("\ninstruction of `{predictor}`:\n  {}", instruction.replace('\n', "\n  "));
        let demos = best.candidate.get(predictor).and_then(|params| params.demos.clone()).unwrap_or_default();
        println!("demos:");
        for demo in demos.iter() {
            println!("  {:11} <- {}", demo.fields.text("answer"), demo.fields.text("question"));
        }
    }
    println!();
}

/// The summary of a run, for other programs. Shares are in `[0, 1]`; without test rows the validation rows stand in.
fn summary(report: &Report, majority: f64, seconds: f64) -> serde_json::Value {
    let (baseline, optimized, difference) = match &report.test {
        Some(test) => (test.baseline, test.winner, test.difference),
        None => {
            let score = |scored: &teleprompt::Scored| scored.score.unwrap_or(0.0);
            (score(&report.baseline), score(&report.winner), report.validation_difference)
        }
    };
    let difference =
        difference.unwrap_or(PairedDifference { mean: optimized - baseline, low: -1.0, high: 1.0, n: 0 });
    let calls = |count: fn(&teleprompt::CallCounts) -> u64| report.calls.values().map(count).sum::<u64>();
    serde_json::json!({
        "majority": majority,
        "baseline": baseline,
        "optimized": optimized,
        "diff": difference.mean,
        "diff_low": difference.low,
        "diff_high": difference.high,
        "test_rows": report.test.as_ref().map_or(0, |test| test.rows.len()),
        "rows_of": if report.test.is_some() { "test" } else { "validation" },
        "lm_calls": calls(|counts| counts.requests),
        "lm_calls_from_cache": calls(|counts| counts.cached),
        "seconds": seconds,
        "seed": report.seed,
        "validation_baseline": report.baseline.score,
        "validation_optimized": report.winner.score,
    })
}

fn make_folder(path: &Path) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| format!("cannot make `{}`: {error}", folder.display()))
}

fn write_file(path: &Path, text: &str) -> Result<(), String> {
    make_folder(path)?;
    std::fs::write(path, text).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}
