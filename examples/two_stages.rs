//! A program of two calls, optimized as one, in a run that can be killed: `cargo run --release --example two_stages`.
//!
//! A message to a help desk is first put into plain words, then routed to a team. MIPROv2 tunes both calls together: the
//! first one has no labels of its own, its demos come from runs whose route was right. The run keeps a checkpoint: end it with
//! Ctrl-C or kill it, start it again, and it goes on where it was. It never makes more calls than `--max-calls`.

#![expect(clippy::print_stdout, reason = "a command-line program")]

use std::error::Error as StdError;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use teleprompt::data::jsonl;
use teleprompt::prelude::*;
use teleprompt::{Caps, Progress};
use teleprompt_examples::{ModelArgs, exit};

/// Say in a few plain words what the customer wants.
#[derive(Signature)]
struct Gist {
    #[input]
    message: String,
    /// what the customer wants, in at most ten words
    #[output]
    gist: String,
}

/// Decide which team answers the message.
#[derive(Signature)]
struct Route {
    #[input]
    message: String,
    #[input]
    gist: String,
    #[output]
    team: Team,
}

#[derive(Label, Clone, Copy, Debug, PartialEq)]
enum Team {
    Billing,
    Delivery,
    Returns,
    Repair,
    Product,
    Account,
}

#[derive(Module)]
struct Desk {
    gist: Predict<Gist>,
    route: Predict<Route>,
}

#[program_source]
impl Module for Desk {
    type Input = GistInput;
    type Output = RouteOutput;

    async fn forward(&self, cx: &Ctx, input: GistInput) -> Result<RouteOutput, Error> {
        let gist = self.gist.call(cx, input.clone()).await?.gist;
        self.route.call(cx, RouteInput { message: input.message, gist }).await
    }
}

/// One row of the data files.
#[derive(Signature)]
struct Message {
    #[input]
    message: String,
    #[output]
    team: Team,
}

/// Optimize a program of two calls, with a checkpoint and a cap on calls.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The most calls of models; the best program so far is the result when they are used up.
    #[arg(long, default_value_t = 4_000)]
    max_calls: u64,
    /// The checkpoint. A run goes on from it when it is started again with the same options.
    #[arg(long, value_name = "FILE", default_value = "target/two_stages/run.jsonl")]
    checkpoint: PathBuf,
    /// Begin anew even where the checkpoint is of another run.
    #[arg(long)]
    overwrite: bool,
    /// Only the plan: what the run would ask for.
    #[arg(long)]
    plan: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit(run(Args::parse()).await)
}

async fn run(args: Args) -> Result<(), Box<dyn StdError>> {
    let rows = |split: &str| -> Result<Vec<Example>, teleprompt::data::DataError> {
        let rows = jsonl::load_as::<Message>(format!("examples/data/helpdesk/{split}.jsonl"))?;
        Ok(rows.into_iter().map(Example::from).collect())
    };
    let data = Dataset::new(rows("train")?).val(rows("validation")?).test(rows("test")?);
    if let Some(folder) = args.checkpoint.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let lm = args.model.open().await?;
    let optimizer = MiproV2::builder()
        .task_lm(lm)
        .adapter(Arc::new(PlainAdapter))
        .auto(Auto::Light)
        .caps(Caps::default().calls(args.max_calls))
        .checkpoint(&args.checkpoint)
        .checkpoint_overwrite(args.overwrite)
        .observer(Arc::new(Progress::stderr()))
        .build()?;
    let desk = Desk { gist: Predict::new(), route: Predict::new() };
    if args.plan {
        println!("{}", optimizer.plan(&desk, &data)?);
        return Ok(());
    }
    let best = optimizer.compile(&desk, &data, &metric::exact_match("team")).await?;
    println!("{}", best.report);
    let file = args.checkpoint.with_file_name("optimized.json");
    best.save(&desk, &file)?;
    println!("saved to {}", file.display());
    Ok(())
}
