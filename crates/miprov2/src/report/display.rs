//! A report on the terminal: what came of the run in a few lines.

use std::fmt;

use teleprompt_core::lm::Usage;

use super::{Report, Saved};
use crate::observe::word;
use crate::search::{Ended, TrialKind};
use crate::stats::PairedDifference;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |score: f64| format!("{:.1} %", 100.0 * score);
        let interval = |d: &PairedDifference| {
            format!(
                "{:+.1} points (95 % interval {:+.1} to {:+.1}, {} rows)",
                100.0 * d.mean,
                100.0 * d.low,
                100.0 * d.high,
                d.n
            )
        };
        match &self.ended {
            Ended::Complete => {}
            Ended::Early { reason } => writeln!(f, "ended before its budget: {reason}")?,
            Ended::Stopped { reason } => {
                let colon = if reason.is_empty() { "" } else { ": " };
                writeln!(f, "stopped early{colon}{reason}; the best program so far follows")?;
            }
            Ended::Failed { message } => {
                writeln!(f, "ended early ({message}): the best program so far follows")?;
            }
        }
        match (self.baseline.score, self.winner.score) {
            (Some(before), Some(after)) => {
                write!(f, "validation   {} -> {}", percent(before), percent(after))?;
            }
            _ => write!(f, "validation   not evaluated yet: the result is the program as it was")?,
        }
        if let Some(difference) = &self.validation_difference {
            write!(f, ", {}; chosen on these rows", interval(difference))?;
            if self.test.is_none() && self.winner.choices != self.baseline.choices {
                write!(f, ", so rather too high: test rows would tell")?;
            }
        }
        if let Some(test) = &self.test {
            write!(f, "\ntest         {} -> {}", percent(test.baseline), percent(test.winner))?;
            if let Some(difference) = &test.difference {
                write!(f, ", {}", interval(difference))?;
            }
        }
        if let Some(posterior) = &self.posterior {
            write!(
                f,
                "\nbelief       better than the baseline with probability {:.2}: {:+.1} points, standard deviation {:.1}",
                posterior.p_better,
                100.0 * posterior.gain,
                100.0 * posterior.gain_sd
            )?;
        }
        for choice in &self.winner.choices {
            let pool = self.instructions.get(choice.predictor.as_str());
            if let Some(won) = pool.and_then(|pool| pool.get(choice.instruction)) {
                write!(f, "\ninstruction  {}: {}", choice.predictor, won.origin.label())?;
            }
        }
        let full = self.trials.iter().filter(|trial| trial.kind != TrialKind::Minibatch).count();
        write!(
            f,
            "\nsearch       {} evaluations, {full} of them full; {} program runs asked for, {} of them known already",
            self.trials.len(),
            self.requested_runs(),
            self.known_runs()
        )?;
        for (role, counts) in &self.calls {
            write!(
                f,
                "\ncalls        {role}: {} asked, {} answered from the cache",
                counts.requests, counts.cached
            )?;
            if counts.failed > 0 {
                write!(f, ", {} failed", counts.failed)?;
            }
            let usage = counts.usage;
            if usage != Usage::default() {
                write!(f, "; {} tokens in, {} out", usage.input_tokens, usage.output_tokens)?;
            }
        }
        let saved = &self.saved;
        if *saved != Saved::default() {
            write!(
                f,
                "\nsaved        {} program runs, {} runs of the teacher and {} LM calls that the reference asks for again",
                saved.program_runs, saved.teacher_runs, saved.equal_requests
            )?;
        }
        if let Some(usd) = &self.usd {
            write!(f, "\ncost         {:.4} USD", usd.values().sum::<f64>())?;
        }
        if self.process.seconds > 0.0 {
            write!(f, "\ntime         {:.1} s", self.process.seconds)?;
            let mut sign = ": ";
            for (stage, seconds) in &self.process.stage_seconds {
                write!(f, "{sign}{} {seconds:.1}", word(*stage))?;
                sign = ", ";
            }
            if self.process.stage_seconds.len() > 1 {
                write!(f, "; stages overlap")?;
            }
        }
        let failed = self.failed_rows().count();
        if failed > 0 {
            write!(f, "\nfailed rows  {failed}; the first:")?;
            for (place, failed) in self.failed_rows().take(3) {
                write!(f, "\n  {place}, row {}: {}", failed.row, failed.error)?;
                if let Some(answer) = &failed.error.raw_answer {
                    let answer: String = answer.chars().take(200).collect();
                    write!(f, "\n    the answer was: {answer:?}")?;
                }
            }
        }
        for warning in &self.warnings {
            write!(f, "\nwarning      {warning}")?;
        }
        Ok(())
    }
}
