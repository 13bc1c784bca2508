//! How long a run takes when the model takes a second: on a clock that jumps, so in no time.
//!
//! With enough in flight what remains is the chain of calls that each wait for the one before ([`Process::chain`]).

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking too")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use teleprompt_core::lm::ModelId;
use teleprompt_core::{Event, Lm, LmError, LmRequest, LmResponse};
use teleprompt_miprov2::{Auto, Dataset, MiproV2, Optimized};
use teleprompt_testkit::{ScriptedLm, SimTask};
use tokio::time::Instant;

/// A model that takes a second for every answer.
struct Slow(ScriptedLm);

impl Lm for Slow {
    fn model(&self) -> &ModelId {
        self.0.model()
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.0.generate(request).await
        }
        .boxed()
    }
}

/// A run, how long it took, and the time of a call and of the run that it told after its baseline.
async fn run(in_flight: usize, ahead: usize) -> (Optimized, f64, (f64, (f64, f64))) {
    let task = SimTask::two_stage(1);
    let origin = Instant::now();
    let lm = Slow(task.lm().keeping(0));
    let builder = MiproV2::builder().task_lm(Arc::new(lm)).auto(Auto::Light).concurrency(in_flight);
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = told.clone();
    let observer = move |event: &Event| {
        if let Event::Estimated { latency, seconds } = event {
            seen.lock().unwrap().push((*latency, *seconds));
        }
    };
    let builder = builder.trials_ahead(ahead).observer(Arc::new(observer));
    let optimizer = builder.clock(move || origin.elapsed()).build().unwrap();
    let data = Dataset::new(task.examples(0..200)).val(task.examples(1000..1100));
    let best = optimizer.compile(&task.program(), &data, &task.metric()).await.unwrap();
    let [told] = told.lock().unwrap()[..] else { panic!("told once") };
    (best, origin.elapsed().as_secs_f64(), told)
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_that_need_not() {
    for (in_flight, times) in [(16, 1.15), (64, 1.4), (256, 2.5)] {
        let (best, seconds, (latency, (least, most))) = run(in_flight, 6).await;
        let planned = best.report.plan.time(Duration::from_secs(1), in_flight);
        assert!((latency - 1.0).abs() < 0.01, "{latency}");
        assert!((least / planned.least.as_secs_f64() - 1.0).abs() < 0.01);
        assert!((most / planned.most.as_secs_f64() - 1.0).abs() < 0.01);
        assert!(
            least <= seconds && seconds <= most,
            "{in_flight} in flight: {seconds} s, not {least} to {most} s"
        );
        let process = &best.report.process;
        let spread = process.calls.calls as f64 / in_flight as f64;
        let most = times * spread + process.chain as f64;
        assert!(seconds <= most, "{in_flight} in flight: {seconds} s of {most}");
        assert!(seconds >= spread.max(process.chain as f64 / 2.0), "{seconds}");
        // What is idle: while the last demos and the proposals are waited for, and before the last full evaluation.
        assert!(
            in_flight > 64 || seconds <= spread + 4.0,
            "{in_flight} in flight: {seconds} s, {spread} s spread"
        );
        assert!(process.calls.max_in_flight <= in_flight as u64);
        assert!(in_flight > 64 || process.calls.max_in_flight == in_flight as u64);
        assert!((process.calls.mean_latency_ms - 1000.0).abs() < 2.0, "{}", process.calls.mean_latency_ms);
        // Without trials ahead every trial is a barrier.
        let (_, barriers, _) = run(in_flight, 1).await;
        assert!(barriers > seconds, "{in_flight} in flight: {barriers} s and {seconds} s");
        println!(
            "{in_flight} in flight: {seconds:.1} s ({barriers:.1} s without trials ahead), {spread:.1} s spread, chain {}",
            process.chain
        );
    }
}
