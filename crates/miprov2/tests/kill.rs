//! A run that is killed at random moments and resumed until it is done gives what an uninterrupted one gives, and asks again
//! for no more than what was in flight at the kills.
//!
//! The test starts itself as a child, in which the model says on standard output when a call begins. The parent kills the
//! child after a random number of calls, as hard as the system can (`SIGKILL` on Unix).

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures::executor::block_on;
use futures::future::{BoxFuture, FutureExt};
use teleprompt_core::lm::{LmErrorKind, ModelId};
use teleprompt_core::{Lm, LmError, LmRequest, LmResponse, rng};
use teleprompt_miprov2::{Caps, Dataset, Ended, MiproV2, Optimized, Process};
use teleprompt_testkit::{Fault, Faulty, ScriptedLm, SimTask, When};

/// Where the child finds its folder.
const FOLDER: &str = "TELEPROMPT_KILL_TEST_FOLDER";
/// The cap on calls of a child, if it has one.
const CAP: &str = "TELEPROMPT_KILL_TEST_CAP";
const CONCURRENCY: usize = 6;
const KILLS: usize = 100;

/// A model that says when a call begins, on a line of its own.
struct Telling<L>(L);

impl<L: Lm> Lm for Telling<L> {
    fn model(&self) -> &ModelId {
        self.0.model()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        async move {
            let mut out = std::io::stdout();
            writeln!(out, "call").and_then(|()| out.flush()).unwrap();
            self.0.generate(request).await
        }
        .boxed()
    }
}

/// Gives way to the executor, so that calls end in another order than they began; some requests always fail.
fn model() -> Faulty<ScriptedLm> {
    Faulty::new(SimTask::two_stage(8).lm().with_yields(5, 3))
        .with(When::OneRequestIn { n: 40, seed: 1 }, Fault::Error(LmErrorKind::Timeout))
}

fn run(lm: Arc<dyn Lm>, path: &Path, cap: Option<u64>) -> String {
    let task = SimTask::two_stage(8);
    let builder = MiproV2::builder().task_lm(lm).num_candidates(4).num_trials(8).minibatch_size(12);
    let builder = builder.max_errors(1000).outage_waits([]).concurrency(CONCURRENCY).checkpoint(path);
    let caps = cap.map_or(Caps::default(), |cap| Caps::default().calls(cap));
    let optimizer = builder.caps(caps).build().unwrap();
    let data =
        Dataset::new(task.examples(0..40)).val(task.examples(1000..1030)).test(task.examples(5000..5010));
    let mut best: Optimized = block_on(optimizer.compile(&task.program(), &data, &task.metric())).unwrap();
    best.report.process = Process::default();
    serde_json::to_string(&best).unwrap()
}

/// Not a test of its own: what the child does.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let cap = std::env::var(CAP).ok().and_then(|cap| cap.parse().ok());
    let result = run(Arc::new(Telling(model())), &folder.join("run.jsonl"), cap);
    // Whole or not at all: the kill may come here too.
    std::fs::write(folder.join("result.part"), result).unwrap();
    std::fs::rename(folder.join("result.part"), folder.join("result.json")).unwrap();
}

/// Runs the child until so many calls have begun, then kills it; gives the calls that it had begun by its end.
fn child_for(folder: &Path, calls: usize, cap: Option<usize>) -> usize {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
    if let Some(cap) = cap {
        command.env(CAP, cap.to_string());
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut begun = 0;
    for line in lines {
        begun += usize::from(line.unwrap().ends_with("call"));
        if begun == calls {
            // One that has ended by itself in the meantime need not be killed.
            let _ = child.kill();
        }
    }
    child.wait().unwrap();
    begun
}

#[test]
fn a_run_killed_a_hundred_times_ends_as_if_it_had_not_been() {
    use rand::RngExt;
    let whole = tempfile::tempdir().unwrap();
    let lm = Arc::new(model());
    let expected = run(lm.clone(), &whole.path().join("run.jsonl"), None);
    let wanted = lm.calls() as usize;
    let mut draw = rng::stream(7, "kills", &[]);
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS {
        let folder = tempfile::tempdir().unwrap();
        let (mut asked, mut killed) = (0, 0);
        while !folder.path().join("result.json").exists() {
            asked += child_for(folder.path(), draw.random_range(1..60), None);
            killed += 1;
        }
        let result = std::fs::read_to_string(folder.path().join("result.json")).unwrap();
        assert!(result == expected, "after {killed} kills");
        // The last child was not killed before its result was there.
        assert!(
            asked >= wanted && asked <= wanted + (killed - 1) * CONCURRENCY,
            "{asked} of {wanted}, {killed} kills"
        );
        kills += killed - 1;
        runs += 1;
    }
    assert!(runs > 1, "{kills} kills in {runs} runs");
}

#[test]
fn a_cap_holds_over_kills() {
    use rand::RngExt;
    let folder = tempfile::tempdir().unwrap();
    let mut draw = rng::stream(8, "kills", &[]);
    let mut asked = 0;
    while !folder.path().join("result.json").exists() {
        asked += child_for(folder.path(), draw.random_range(1..60), Some(250));
    }
    assert!(asked <= 250, "{asked}");
    let text = std::fs::read_to_string(folder.path().join("result.json")).unwrap();
    let best: Optimized = serde_json::from_str(&text).unwrap();
    assert!(matches!(best.report.ended, Ended::Stopped { .. }), "{:?}", best.report.ended);
}
