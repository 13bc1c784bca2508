//! The plan: what a run will ask for, before anything is spent.
//!
//! What is counted are program runs and LM calls *asked for*. Those that are answered from what is known cost nothing; how many
//! they are depends on what the search tries, so the fewest calls are far below the most, while the program runs asked for are
//! known almost exactly: [`Plan::program_runs`]. A program is taken to call each of its predictors once a run, and rows to be
//! different.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use teleprompt_core::lm::ModelId;
use teleprompt_core::{AdapterCall, CallRole, Example};
use teleprompt_propose::CallRange;

use crate::caps::Caps;
use crate::demo_sets;
use crate::run::Run;
use crate::search::adaptive::drive;
use crate::search::reference;

/// Tokens of a prompt-LM call, its answer included: from a short question to one with rows, demos and source.
const PROPOSAL_TOKENS: (u64, u64) = (40, 12_000);
/// Characters of a token, at most and at least, over languages and tokenizers.
const CHARS_PER_TOKEN: (u64, u64) = (10, 2);
/// Tokens of an answer whose predictor sets no limit.
const OPEN_ANSWER: u64 = 1_000;

/// Fewest and most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Span<T> {
    /// The fewest.
    pub least: T,
    /// The most.
    pub most: T,
}

impl<T: PartialOrd> Span<T> {
    /// Whether `n` lies between them.
    pub fn holds(&self, n: T) -> bool {
        self.least <= n && n <= self.most
    }
}

/// What a run asks for. Program runs of several predictors are several LM calls each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// Training rows.
    pub train_rows: usize,
    /// Validation rows.
    pub val_rows: usize,
    /// Optimized predictors.
    pub predictors: usize,
    /// Demo sets of each predictor, its own among them.
    pub demo_sets: usize,
    /// Instructions of each predictor, its own among them.
    pub instructions: usize,
    /// The most program runs of the search, where it is the adaptive one; `trials` and `minibatch` are then those of the schedule
    /// that the reference would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive_runs: Option<usize>,
    /// Trials of the search, the baseline and full evaluations aside.
    pub trials: usize,
    /// Rows of a minibatch; `None` when every trial is a full evaluation.
    pub minibatch: Option<usize>,
    /// Teacher runs, fewest and most.
    pub bootstrap_runs: (usize, usize),
    /// Prompt-LM calls.
    pub proposal_calls: CallRange,
    /// Program runs asked for by the search, if every full evaluation finds a candidate. Rows that a candidate has run before
    /// are asked for and not run again.
    pub evaluation_runs: usize,
    /// Program runs asked for on the test rows at the end: the baseline's and the winner's.
    pub test_runs: usize,
    /// Program runs asked for in all, the teacher's too. Fewer only by an early stop, a cap, too many failures, or a proposer that
    /// makes fewer instructions than it was asked for, in a space that is small then.
    ///
    /// The most is at most 1.5 times the fewest: what a teacher needs for the demos is not known beforehand, and is held to two
    /// fifths of the search. There are three exceptions. [`Strategy::Adaptive`](crate::Strategy::Adaptive) ends early where nothing
    /// more can pay, and its fewest runs are those before which it does not. With `max_teacher_runs` the teacher may run as often
    /// as that says. With `share_known(false)` it may run every row for every set, as the reference's does.
    pub program_runs: Span<usize>,
    /// LM calls that are made, by role; judges in a metric are not known to the plan.
    pub calls: BTreeMap<CallRole, Span<u64>>,
    /// Tokens of these calls, prompts and answers together.
    pub tokens: BTreeMap<CallRole, Span<u64>>,
    /// Their cost in USD, where the price of every model is known.
    pub usd: Option<Span<f64>>,
    /// LM calls that follow one another in the search, however many may be in flight.
    pub chain: usize,
    /// The models that are not on this machine: rows, and to the prompt LM the program's source, are sent to them.
    pub sent_to: Vec<ModelId>,
}

impl Plan {
    /// How long the run takes where a call takes `latency` and so many are in flight: the calls by how many are in flight, and
    /// the chain of those that follow one another.
    ///
    /// A plan spends nothing, so it knows no latency. That of calls that were made anyway is at hand in their
    /// [`History`](teleprompt_core::History); a run tells the same figures once it has measured its baseline
    /// ([`Event::Estimated`](teleprompt_core::Event::Estimated)).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use teleprompt_core::{Ctx, History, Program};
    /// use teleprompt_miprov2::{Dataset, MiproV2};
    /// # use teleprompt_testkit::SimTask;
    /// # futures::executor::block_on(async {
    /// # let task = SimTask::new(1);
    /// # let (lm, program, train) = (Arc::new(task.lm()), task.program(), task.examples(0..200));
    /// let history = History::new(100);
    /// let cx = Ctx::new(lm.clone()).with_history(history.clone());
    /// program.forward(&cx, train[0].inputs.clone()).await?; // while the program was written
    ///
    /// let plan = MiproV2::builder().task_lm(lm).build()?.plan(&program, &Dataset::new(train))?;
    /// if let Some(latency) = history.latency() {
    ///     let time = plan.time(latency, 16);
    ///     println!("{:?} to {:?}", time.least, time.most);
    ///     # assert!(time.least < time.most);
    /// }
    /// # assert!(history.latency().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn time(&self, latency: Duration, in_flight: usize) -> Span<Duration> {
        let sum = |calls: fn(&Span<u64>) -> u64| self.calls.values().map(calls).sum::<u64>();
        let spread = |calls: u64| latency.mul_f64(calls as f64 / in_flight.max(1) as f64);
        // Before and after the search: rounds of bootstrapping, proposals, the test rows.
        let around = self.predictors * 6 + 4;
        Span {
            least: spread(sum(|calls| calls.least)).max(latency.mul_f64(self.chain as f64)),
            most: spread(sum(|calls| calls.most)) + latency.mul_f64((self.chain + around) as f64),
        }
    }

    /// What to say of caps that are below the fewest calls, tokens or USD that the run is expected to need.
    pub(crate) fn below(&self, caps: &Caps) -> Option<String> {
        let calls: u64 = self.calls.values().map(|calls| calls.least).sum();
        let tokens: u64 = self.tokens.values().map(|tokens| tokens.least).sum();
        let below = |cap: String, least: String| {
            format!(
                "{cap} is below the {least} that this run is expected to need at least: it will end early, with the best program by \
                 then"
            )
        };
        match (caps.calls, caps.tokens, caps.usd.zip(self.usd)) {
            (Some(cap), ..) if cap < calls => {
                Some(below(format!("the cap of {cap} LM calls"), format!("{calls} calls")))
            }
            (_, Some(cap), _) if cap < tokens => {
                Some(below(format!("the cap of {cap} tokens"), format!("{tokens} tokens")))
            }
            (.., Some((cap, usd))) if cap < usd.least => {
                Some(below(format!("the cap of {cap} USD"), format!("{:.4} USD", usd.least)))
            }
            _ => None,
        }
    }

    pub(crate) fn of(
        run: &Run<'_>,
        test_rows: usize,
        proposal_calls: CallRange,
        sent_to: Vec<ModelId>,
    ) -> Self {
        let config = run.config;
        let (predictors, val_rows) = (run.names.len(), run.val.len());
        let trials = config.num_trials(predictors);
        let minibatch = config.minibatch(val_rows);
        let demo_sets = if config.zero_shot() { 0 } else { config.num_demo_sets() };
        let instructions = config.num_instructions();
        let steps = config.search.minibatch_full_eval_steps;
        let a_predictor = instructions.saturating_mul(demo_sets.max(1));
        let combinations = (0..predictors).fold(1usize, |all, _| all.saturating_mul(a_predictor));
        // Each is of another combination than the program's own and those before it.
        let promotions = match minibatch {
            Some(_) => reference::promotions(trials, steps).min(combinations - 1),
            None => 0,
        };
        let trial_runs = val_rows + trials * minibatch.unwrap_or(val_rows);
        let nominal_runs = trial_runs + promotions * val_rows;
        let adaptive = config.adaptive.map(|search| search.program_runs.of(nominal_runs));
        let evaluation_runs = adaptive.unwrap_or(nominal_runs);
        let most_teacher_runs = demo_sets::most_runs(run);
        let bootstrap_runs = (demo_sets::least_runs(run).min(most_teacher_runs), most_teacher_runs);
        let test_runs = 2 * test_rows;
        // The adaptive search ends when nothing more can pay: after its first rows, or after leader and default were compared.
        let least_search = match adaptive {
            None => evaluation_runs,
            Some(runs) => {
                drive::first_rows(run, runs).len().max(val_rows.min(runs.saturating_sub(2 * val_rows)))
            }
        };
        let program_runs = Span {
            least: bootstrap_runs.0 + least_search + test_runs,
            most: bootstrap_runs.1 + evaluation_runs + test_runs,
        };
        let a_run = run.program.predictors().len() as u64;
        let teacher = config.teacher.program.as_deref().unwrap_or(run.program).predictors().len() as u64;
        let span = |a_run: u64, least: usize, most: usize| Span {
            least: a_run * least as u64,
            most: a_run * most as u64,
        };
        let least_task = least_search.min(val_rows) + test_rows;
        let mut calls = BTreeMap::from([
            (CallRole::Task, span(a_run, least_task, evaluation_runs + test_runs)),
            (CallRole::Teacher, span(teacher, bootstrap_runs.0, bootstrap_runs.1)),
        ]);
        let proposals = Span { least: proposal_calls.least, most: proposal_calls.most };
        calls.insert(CallRole::Prompt, proposals);
        calls.retain(|_, calls| calls.most > 0);
        let (input, output) = tokens_of_a_call(run);
        let mut plan = Self {
            train_rows: run.train.len(),
            val_rows,
            predictors,
            demo_sets,
            instructions,
            adaptive_runs: adaptive,
            trials,
            minibatch,
            bootstrap_runs,
            proposal_calls,
            evaluation_runs,
            test_runs,
            program_runs,
            tokens: BTreeMap::new(),
            usd: Some(Span::default()),
            chain: a_run as usize
                * match (&config.adaptive, adaptive) {
                    (Some(search), Some(runs)) => drive::chain(search, runs, val_rows),
                    _ => reference::chain(run),
                },
            sent_to,
            calls,
        };
        for (role, calls) in &plan.calls {
            let (prompt, answer) = match role {
                CallRole::Prompt => (
                    Span { least: PROPOSAL_TOKENS.0, most: PROPOSAL_TOKENS.1 },
                    Span { least: 1, most: OPEN_ANSWER },
                ),
                _ => (input, output),
            };
            let times = |tokens: Span<u64>| Span {
                least: calls.least * tokens.least,
                most: calls.most.saturating_mul(tokens.most),
            };
            let (prompt, answer) = (times(prompt), times(answer));
            let both =
                Span { least: prompt.least + answer.least, most: prompt.most.saturating_add(answer.most) };
            plan.tokens.insert(*role, both);
            let model = match role {
                CallRole::Prompt => &config.prompt_lm,
                CallRole::Teacher => config.teacher.lm.as_ref().unwrap_or(&config.task_lm),
                _ => &config.task_lm,
            };
            let price = config.prices.get(model.model().as_str());
            plan.usd = plan.usd.zip(price).map(|(sum, price)| {
                let cost = |input: u64, output: u64| {
                    (input as f64 * price.input + output as f64 * price.output) / 1e6
                };
                Span {
                    least: sum.least + cost(prompt.least, answer.least),
                    most: sum.most + cost(prompt.most, answer.most),
                }
            });
        }
        plan
    }
}

/// Tokens of the prompt and of the answer of one call of the program: from the shortest row without demos to the longest with
/// as many as may be shown, and instructions of twice the length.
fn tokens_of_a_call(run: &Run<'_>) -> (Span<u64>, Span<u64>) {
    let rows: Vec<&Example> = run.val.iter().chain(&run.train).collect();
    let length = |row: &Example| serde_json::to_string(row).map_or(0, |text| text.len()) as u64;
    let (mut shortest, mut longest) = (u64::MAX, 0);
    for row in rows {
        shortest = shortest.min(length(row));
        longest = longest.max(length(row));
    }
    let demos =
        run.config.max_bootstrapped_demos.max(run.config.max_labeled_demos).min(run.train.len()) as u64;
    let (mut bare, mut limit) = (Vec::new(), 0);
    for named in run.program.predictors() {
        let spec = named.predictor.spec();
        let instruction = named.predictor.params().instruction.clone().unwrap_or_else(|| spec.instruction());
        let inputs =
            spec.inputs().iter().map(|field| (field.name.clone(), serde_json::Value::String(String::new())));
        let inputs = inputs.collect();
        let rendered = run.config.adapter.render(&AdapterCall::new(spec, &instruction, &inputs));
        let texts = rendered
            .map(|request| request.messages.iter().map(|message| message.text().len()).sum::<usize>());
        bare.push(texts.unwrap_or_else(|_| instruction.len()) as u64);
        limit = limit.max(named.predictor.settings().max_tokens.map_or(OPEN_ANSWER, u64::from));
    }
    let (fewest, most) = (bare.iter().min().copied().unwrap_or(0), bare.iter().max().copied().unwrap_or(0));
    // A demo repeats a row, what a predictor made of it, and the headers of its fields.
    let rows = demos.saturating_add(1).saturating_mul(3 * (longest + 200));
    let longest_prompt = rows.saturating_add(3 * most + 2_000);
    let input = Span { least: fewest / CHARS_PER_TOKEN.0, most: longest_prompt / CHARS_PER_TOKEN.1 };
    (input, Span { least: 1, most: limit })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.sent_to.is_empty() {
            let models: Vec<&str> = self.sent_to.iter().map(ModelId::as_str).collect();
            writeln!(
                f,
                "rows and the program's source are sent out of this machine, to {}",
                models.join(", ")
            )?;
        }
        let plural = |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
        write!(
            f,
            "{} x {} x {}; ",
            plural(self.predictors, "predictor"),
            plural(self.instructions, "instruction"),
            plural(self.demo_sets, "demo set"),
        )?;
        let (trials, rows) = (plural(self.trials, "trial"), self.val_rows);
        match (self.adaptive_runs, self.minibatch) {
            (Some(runs), _) => write!(f, "at most {runs} runs of single rows, of {rows} validation rows")?,
            (None, Some(size)) => write!(f, "{trials} on minibatches of {size} of {rows} validation rows")?,
            (None, None) => write!(f, "{trials} on all {rows} validation rows")?,
        }
        let (least, most) = self.bootstrap_runs;
        write!(
            f,
            "\nprogram runs: {least} to {most} to bootstrap demos, {} asked for by the search, {} on test rows; \
             prompt-LM calls: {} to {}",
            self.evaluation_runs, self.test_runs, self.proposal_calls.least, self.proposal_calls.most
        )?;
        let mut comma = "\nat most: ";
        for (role, calls) in &self.calls {
            let tokens = self.tokens.get(role).map_or(0, |tokens| tokens.most);
            write!(f, "{comma}{role} {} LM calls, {:.1} million tokens", calls.most, tokens as f64 / 1e6)?;
            comma = "; ";
        }
        if let Some(usd) = &self.usd {
            write!(f, "; {:.2} to {:.2} USD", usd.least, usd.most)?;
        }
        Ok(())
    }
}
