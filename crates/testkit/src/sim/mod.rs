//! A simulated task: rows, a program, and a model of which it is known how good every instruction and demo makes it.
//!
//! The task is to name the colour of an item in a register of cases. The simulated model knows the register, and answers a
//! case rightly with a probability that depends on the instruction and the demos in the prompt ([`Landscape`]); whether it
//! does for one case is a hash of the seed, the case and the prompt, so that a run is repeatable to the last call:
//!
//! ```text
//!   one stage    question ──▶ answer
//!   two stages   question ──▶ query ──▶ answer       a weak query makes the answer less often right
//! ```
//!
//! What an optimizer should find is known beforehand: [`SimTask::expected_score`] is the mean over all cases that there could
//! be, [`SimTask::exact_score`] what an evaluation on given rows must give. To anything but its own two predictors the model
//! answers with invented text that is different for each request, in the form that the prompt asks for: enough for instruction
//! proposers to run on it.
//!
//! It is not a language model: it does not understand instructions, their quality is a hash of their text.

mod landscape;
mod model;
mod prompt;

use std::ops::Range;
use std::sync::Arc;

use teleprompt_core::{
    Candidate, Ctx, Error, Example, FieldSpec, FieldType, Fields, LmRequest, Metric, Module, Predictor,
    SignatureSpec, Visit, Visitor, metric,
};

pub use landscape::Landscape;

use crate::ScriptedLm;
use crate::hash::Hash;
use landscape::Shown;

/// The name of the input of the task.
pub const QUESTION: &str = "question";
/// The name of the first predictor of a task of two stages, and of its output.
pub const QUERY: &str = "query";
/// The name of the last predictor, and of its output: the label.
pub const ANSWER: &str = "answer";

const COLOURS: [&str; 5] = ["amber", "blue", "coral", "green", "violet"];

/// A simulated task. See the [module](self).
///
/// ```
/// use std::sync::Arc;
/// use futures::executor::block_on;
/// use teleprompt_core::{Candidate, Ctx, Evaluate};
/// use teleprompt_testkit::SimTask;
///
/// let task = SimTask::new(9);
/// let (program, metric, rows) = (task.program(), task.metric(), task.examples(0..100));
/// let candidate = Candidate::default().with_instruction("answer", "Look the item up, then name its colour.");
/// let cx = Ctx::new(Arc::new(task.lm())).bound(&program, &candidate).unwrap();
/// let evaluation = block_on(Evaluate::new(&rows, &metric).run(&program, &cx)).unwrap();
/// assert_eq!(evaluation.score(), Some(task.exact_score(&candidate, &rows)));
/// ```
#[derive(Clone, Debug)]
pub struct SimTask {
    seed: u64,
    stages: Stages,
    labels: Vec<String>,
    reasoning: bool,
    landscape: Landscape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stages {
    One,
    Two,
}

impl SimTask {
    /// A task of one predictor, `answer`, with five labels. Another seed is another landscape and other rows.
    pub fn new(seed: u64) -> Self {
        let labels = COLOURS.map(str::to_owned).to_vec();
        Self { seed, stages: Stages::One, labels, reasoning: false, landscape: Landscape::default() }
    }

    /// A task of two predictors, `query` and then `answer`, with five labels.
    pub fn two_stage(seed: u64) -> Self {
        Self { stages: Stages::Two, ..Self::new(seed) }
    }

    /// The same task with these labels, each once; fewer than two different ones leave the task as it is.
    #[must_use]
    pub fn with_labels(mut self, labels: &[&str]) -> Self {
        let mut distinct: Vec<String> = Vec::new();
        for label in labels {
            if !distinct.iter().any(|known| known == label) {
                distinct.push((*label).to_owned());
            }
        }
        if distinct.len() >= 2 {
            self.labels = distinct;
        }
        self
    }

    /// The same task with another landscape.
    #[must_use]
    pub fn with_landscape(mut self, landscape: Landscape) -> Self {
        self.landscape = landscape;
        self
    }

    /// The same task, with a program whose last predictor writes `reasoning` before its answer.
    #[must_use]
    pub fn with_reasoning(mut self) -> Self {
        self.reasoning = true;
        self
    }

    /// The labels, in the order of the signature.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The landscape.
    pub fn landscape(&self) -> &Landscape {
        &self.landscape
    }

    /// The rows of these cases: input `question`, label `answer`. Any range gives rows; ranges that do not overlap give
    /// different ones.
    pub fn examples(&self, cases: Range<u64>) -> Vec<Example> {
        let row = |case: u64| Example {
            inputs: Fields::new().with(QUESTION, self.question(case)),
            labels: Fields::new().with(ANSWER, self.gold(case)),
        };
        cases.map(row).collect()
    }

    /// The program: predictors `answer`, or `query` and `answer`.
    pub fn program(&self) -> SimProgram {
        let query = matches!(self.stages, Stages::Two).then(|| Predictor::new(self.query_spec()));
        SimProgram { query, answer: Predictor::new(self.answer_spec()) }
    }

    /// The metric: 1 for the right label, else 0.
    pub fn metric(&self) -> impl Metric + use<> {
        metric::exact_match(ANSWER)
    }

    /// The simulated model, which can also serve as the prompt model.
    pub fn lm(&self) -> ScriptedLm {
        let task = self.clone();
        ScriptedLm::new(move |request: &LmRequest| task.answer(request)).with_model("simulated")
    }

    /// What the simulated model answers; never empty.
    ///
    /// # Determinism
    /// A function of the task and the request.
    pub fn answer(&self, request: &LmRequest) -> String {
        model::answer(self, request)
    }

    /// How good an instruction of a predictor (`query` or `answer`) is, in `[0, 1)`: uniform over texts, except for the
    /// signature's own instruction, whose quality the landscape gives. White space around the text does not matter.
    pub fn instruction_quality(&self, predictor: &str, instruction: &str) -> f64 {
        let instruction = instruction.trim();
        let own = if predictor == QUERY { QUERY_INSTRUCTION } else { ANSWER_INSTRUCTION };
        if instruction == own {
            return self.landscape.own_instruction;
        }
        Hash::new(self.seed, "instruction").text(predictor).text(instruction).unit()
    }

    /// The probability, in `[0, 1]`, that the program under `candidate` answers a case rightly that is drawn from all cases.
    /// What the candidate leaves open is the program's own instruction and no demos.
    pub fn expected_score(&self, candidate: &Candidate) -> f64 {
        let answer = self.chance(ANSWER, &self.shown(ANSWER, candidate));
        match self.stages {
            Stages::One => answer,
            Stages::Two => {
                let query = self.chance(QUERY, &self.shown(QUERY, candidate));
                query * answer + (1.0 - query) * answer * self.landscape.weak_query
            }
        }
    }

    /// The mean score, in `[0, 1]`, that an evaluation of the program under `candidate` on these rows gives at rollout 0;
    /// 0 for no rows. Rows that are not of this task count as wrong.
    pub fn exact_score(&self, candidate: &Candidate, rows: &[Example]) -> f64 {
        let (query, answer) = (self.shown(QUERY, candidate), self.shown(ANSWER, candidate));
        let right = rows.iter().filter(|row| {
            let Some(case) = prompt::case_of(&row.inputs.text(QUESTION)) else { return false };
            let strong = match self.stages {
                Stages::One => true,
                Stages::Two => self.is_right(QUERY, &query, case, true, 0),
            };
            self.is_right(ANSWER, &answer, case, strong, 0)
        });
        right.count() as f64 / rows.len().max(1) as f64
    }

    fn question(&self, case: u64) -> String {
        let hash = Hash::new(self.seed, "question").number(case);
        let pick = |name: &str, words: &[&'static str]| words[hash.text(name).below(words.len())];
        let material = pick("material", &["ceramic", "wooden", "copper", "glass", "woollen", "paper"]);
        let item = pick("item", &["kettle", "chair", "lamp", "scarf", "map", "bowl", "clock"]);
        let place =
            pick("place", &["by the north door", "on the top shelf", "in the second crate", "in storage"]);
        format!("Case {case}: which colour is the {material} {item} {place}?")
    }

    /// The right label of a case.
    fn gold(&self, case: u64) -> &str {
        &self.labels[Hash::new(self.seed, "gold").number(case).below(self.labels.len())]
    }

    fn query_spec(&self) -> SignatureSpec {
        let inputs = vec![FieldSpec::new(QUESTION, FieldType::Text)];
        let outputs = vec![FieldSpec::new(QUERY, FieldType::Text)];
        SignatureSpec::derived("Query".to_owned(), QUERY_INSTRUCTION, inputs, outputs)
    }

    fn answer_spec(&self) -> SignatureSpec {
        let mut inputs = vec![FieldSpec::new(QUESTION, FieldType::Text)];
        if self.stages == Stages::Two {
            inputs.push(FieldSpec::new(QUERY, FieldType::Text));
        }
        let outputs = vec![FieldSpec::new(ANSWER, FieldType::Label(self.labels.clone()))];
        let spec = SignatureSpec::derived("Answer".to_owned(), ANSWER_INSTRUCTION, inputs, outputs);
        let reasoning = FieldSpec::new(teleprompt_core::REASONING, FieldType::Text);
        if self.reasoning { spec.with_first_output(reasoning) } else { spec }
    }

    /// What a candidate shows the model for one predictor.
    fn shown(&self, predictor: &str, candidate: &Candidate) -> Shown {
        let spec = if predictor == QUERY { self.query_spec() } else { self.answer_spec() };
        let given = candidate.get(predictor).cloned().unwrap_or_default();
        let instruction = given.instruction.unwrap_or_else(|| spec.instruction());
        let demos = given.demos.unwrap_or_default();
        // Adapters show a demo that has an input and an output of the signature.
        let has = |demo: &Fields, fields: &[FieldSpec]| fields.iter().any(|field| demo.contains(&field.name));
        let usable =
            demos.iter().filter(|demo| has(&demo.fields, spec.inputs()) && has(&demo.fields, spec.outputs()));
        let demos = usable.map(|demo| {
            let input = spec.inputs().iter().map(|field| demo.fields.text(&field.name)).collect::<Vec<_>>();
            self.demo(predictor, &input.join("\n"), &demo.fields.text(predictor))
        });
        Shown { instruction: instruction.trim().to_owned(), demos: demos.collect() }
    }
}

const QUERY_INSTRUCTION: &str = "Write a search query for the question.";
const ANSWER_INSTRUCTION: &str = "Name the colour of the item.";

/// The program of a [`SimTask`].
#[derive(Clone, Debug)]
pub struct SimProgram {
    query: Option<Predictor>,
    answer: Predictor,
}

impl SimProgram {
    /// The signatures, in the order of the calls.
    pub fn specs(&self) -> Vec<Arc<SignatureSpec>> {
        self.query.iter().chain([&self.answer]).map(|predictor| predictor.spec().clone()).collect()
    }
}

impl Visit for SimProgram {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        if let Some(query) = &self.query {
            visitor.field(QUERY, query);
        }
        visitor.field(ANSWER, &self.answer);
    }
}

impl Module for SimProgram {
    type Input = Fields;
    type Output = Fields;

    async fn forward(&self, cx: &Ctx, input: Fields) -> Result<Fields, Error> {
        let mut inputs = input.only([QUESTION]);
        if let Some(query) = &self.query {
            let asked = query.call(cx, inputs.clone()).await?;
            inputs.insert(QUERY, asked.text(QUERY));
        }
        self.answer.call(cx, inputs).await
    }

    fn source(&self) -> Option<&str> {
        Some(match self.query {
            None => "answer = self.answer(question)\nreturn answer",
            Some(_) => "query = self.query(question)\nanswer = self.answer(question, query)\nreturn answer",
        })
    }
}
