//! What a run is of, so that a checkpoint is never used for another one: program, data, metric, configuration, models.
//!
//! What has no bearing on results is left out: the limit on calls in flight, caps, observers, what the report keeps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use teleprompt_core::lm::Capabilities;
use teleprompt_core::{Adapter, AdapterCall, Example, Fields, Program, SignatureSpec};

use crate::digest::Digest;
use crate::run::Run;

/// What a run is of: names, each with a value or the digest of one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Fingerprint(BTreeMap<String, Value>);

impl Fingerprint {
    /// The fingerprint of a run that will be tested on `test` rows.
    pub(crate) fn of(run: &Run<'_>, test: &[Example]) -> Self {
        let config = run.config;
        let mut out = Self::default();
        out.program("program", run.program);
        let teacher = config.teacher.program.as_deref();
        out.set("teacher's program: is another", teacher.is_some());
        if let Some(teacher) = teacher {
            out.program("teacher's program", teacher);
        }
        out.set("teacher's candidate", Digest::of(&config.teacher.candidate));
        out.set("start", Digest::of(&config.start));
        out.rows("training rows", &run.train);
        out.rows("validation rows", &run.val);
        out.rows("test rows", test);
        out.set("metric", &config.metric_name);
        out.set("task model", config.task_lm.model());
        out.set("prompt model", config.prompt_lm.model());
        out.set("teacher's model", config.teacher.lm.as_ref().unwrap_or(&config.task_lm).model());
        out.set("adapter", form_of(config.adapter.as_ref(), config.task_lm.capabilities()));
        out.set("prompt adapter", form_of(config.prompt_adapter.as_ref(), config.prompt_lm.capabilities()));
        out.set("proposer", Digest::of(&config.proposer.settings_text()));
        // Setting by setting, so that the one that changed is named.
        let settings = serde_json::to_value(config.settings()).unwrap_or_default();
        for (name, value) in settings.as_object().into_iter().flatten() {
            out.0.insert(name.clone(), value.clone());
        }
        out
    }

    fn set(&mut self, name: &str, value: impl Serialize) {
        self.0.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
    }

    fn rows(&mut self, name: &str, rows: &[Example]) {
        self.set(name, json!({"rows": rows.len(), "digest": Digest::of(rows)}));
    }

    fn program(&mut self, what: &str, program: &dyn Program) {
        let predictors = program.predictors();
        let names: Vec<&str> = predictors.iter().map(|named| named.name.as_str()).collect();
        self.set(&format!("{what}: predictors"), names);
        self.set(&format!("{what}: source"), program.source().map(Digest::of));
        for named in &predictors {
            let predictor = named.predictor;
            let parts = [
                ("signature", Digest::of(&**predictor.spec())),
                ("instruction and demos", Digest::of(predictor.params())),
                ("settings", Digest::of(predictor.settings())),
                ("frozen", Digest::of(&named.frozen)),
            ];
            for (part, digest) in parts {
                self.set(&format!("{what}: {part} of `{}`", named.name), digest);
            }
        }
    }

    /// What differs in `now`, in words. What an earlier version of this crate did not write down is no difference.
    pub(super) fn changes(&self, now: &Self) -> Vec<String> {
        let differing = self.0.iter().filter(|(name, before)| now.0.get(*name) != Some(*before));
        differing.map(|(name, before)| change(name, before, now.0.get(name))).collect()
    }
}

/// One difference in words: with the values where they mean something to a reader.
fn change(name: &str, before: &Value, now: Option<&Value>) -> String {
    let shown = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::Object(rows)) if rows.contains_key("digest") => {
            format!("{} rows", rows.get("rows").unwrap_or(&Value::Null))
        }
        Some(Value::String(text)) if text.len() == 64 => String::new(),
        Some(value) => value.to_string(),
    };
    let (before, now) = (shown(Some(before)), shown(now));
    if before == now || before.is_empty() || now.is_empty() {
        return name.to_owned();
    }
    format!("{name} ({before} before, {now} now)")
}

/// What an adapter makes of a call that is always the same.
fn form_of(adapter: &dyn Adapter, capabilities: Capabilities) -> Option<Digest> {
    let spec = SignatureSpec::parse("question, passages: list[str] -> answer: int, reason").ok()?;
    let inputs = Fields::new().with("question", "1 + 1?").with("passages", json!(["one", "two"]));
    let demo = Fields::new().with("question", "2 + 2?").with("answer", 4).with("reason", "counted");
    let demos = [teleprompt_core::Demo::labeled(demo)];
    let mut call = AdapterCall::new(&spec, "Add.", &inputs).with_demos(&demos);
    call.capabilities = capabilities;
    Some(match adapter.render(&call) {
        Ok(request) => Digest::of(&request),
        Err(error) => Digest::of(&error.to_string()),
    })
}
