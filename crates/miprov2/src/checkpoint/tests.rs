//! Full disks and write errors: a clear error, and a file from which the run goes on.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use futures::executor::block_on;
use teleprompt_core::CallRole;
use teleprompt_core::lm::{Completion, FinishReason, LmResponse, TokenLogprob, Usage};
use teleprompt_testkit::{ScriptedLm, SimTask};

use super::{Known, Outcome, Record, Sink};
use crate::digest::Digest;
use crate::{Dataset, Ended, MiproV2, OptimizeError, Optimized, Process};

thread_local! {
    /// How many bytes the disk of this test still takes.
    static ROOM: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// A disk that is full after so many bytes, in the middle of a line.
struct Disk(File);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(ROOM.get());
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        ROOM.set(ROOM.get() - taken);
        self.0.write(&bytes[..taken])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Sink for Disk {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn an_answer_comes_back_whole() {
    let token = TokenLogprob { token: "b".into(), logprob: -0.25, top: vec![("a".into(), -1.5)] };
    let other = Completion { text: "c".into(), ..Completion::default() };
    let usage = Usage { input_tokens: 5, output_tokens: 3, cached_tokens: 2, reasoning_tokens: 1 };
    let answer = LmResponse::new("b").with_usage(usage).with_finish(FinishReason::Length);
    let answer = answer.with_logprobs(vec![token]).with_others(vec![other]);
    let key = Digest::of("a request");
    let line = serde_json::to_string(&Record::answer(key, CallRole::Task, &answer, 7)).unwrap();
    let mut known = Known::default();
    known.take(serde_json::from_str(&line).unwrap());
    assert_eq!(known.outcomes[&key], [Outcome::Answer(answer)]);
}

const CONCURRENCY: usize = 8;

fn run(path: &Path, room: usize, lm: &Arc<ScriptedLm>) -> Result<Optimized, OptimizeError> {
    let task = SimTask::new(21);
    let builder = MiproV2::builder().task_lm(lm.clone()).num_candidates(3).num_trials(6).minibatch_size(10);
    let mut optimizer = builder.checkpoint(path).concurrency(CONCURRENCY).build().unwrap();
    optimizer.config.checkpoint.as_mut().unwrap().sink = |file| Box::new(Disk(file));
    ROOM.set(room);
    let data = Dataset::new(task.examples(0..30)).val(task.examples(1000..1040));
    block_on(optimizer.compile(&task.program(), &data, &task.metric()))
}

fn lm() -> Arc<ScriptedLm> {
    Arc::new(SimTask::new(21).lm().with_yields(3, 1))
}

fn comparable(mut best: Optimized) -> String {
    best.report.process = Process::default();
    serde_json::to_string(&best).unwrap()
}

#[test]
fn a_full_disk_ends_the_run_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let whole = lm();
    let path = folder.path().join("whole.jsonl");
    let expected = comparable(run(&path, usize::MAX, &whole).unwrap());
    let bytes = std::fs::metadata(&path).unwrap().len() as usize;
    let (mut none, mut some) = (0, 0);
    for step in 0..30 {
        let room = bytes * step / 30 + step;
        let path = folder.path().join(format!("{step}.jsonl"));
        let first = lm();
        match run(&path, room, &first) {
            Err(OptimizeError::Checkpoint(error)) => {
                let text = error.to_string();
                assert!(text.contains("cannot be written: no storage space"), "{text}");
                assert!(text.contains(&format!("{step}.jsonl")), "{text}");
                none += 1;
            }
            Ok(best) => {
                let Ended::Failed { message } = &best.report.ended else { panic!("{:?}", best.report.ended) };
                assert!(message.contains("cannot be written: no storage space"), "{message}");
                assert!(best.report.winner.score >= best.report.baseline.score);
                some += 1;
            }
            Err(other) => panic!("{other}"),
        }
        let second = lm();
        assert!(comparable(run(&path, usize::MAX, &second).unwrap()) == expected, "after {room} bytes");
        let (asked, whole) = (first.log().calls() + second.log().calls(), whole.log().calls());
        assert!(asked <= whole + CONCURRENCY as u64, "{asked} of {whole} after {room} bytes");
    }
    assert!(none > 3 && some > 3, "{none} {some}");
}
