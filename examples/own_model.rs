//! A model of your own, typed answers, and a look at what was said: `cargo run --example own_model`.
//!
//! Any type that answers a request can be a model. This one is a few lines of rules, so the example needs neither a key nor a
//! network; put your gateway, your queue or your robot in its place. The program asks for a nested answer, `serde` types and
//! all, through the JSON adapter; an answer that cannot be read is asked for once more in another form.

#![expect(clippy::print_stdout, reason = "a command-line program")]

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use teleprompt::lm::{LmRequest, LmResponse, ModelId, Usage};
use teleprompt::prelude::*;
use teleprompt::{History, Json, LmError, Parallel};

/// Take the order apart.
#[derive(Signature)]
struct ReadOrder {
    #[input]
    order: String,
    /// what is ordered, an entry a line
    #[output]
    items: Vec<Json<Item>>,
    #[output]
    urgent: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Item {
    name: String,
    count: u32,
}

/// A model of rules: it reads `two lamps`, and writes JSON as small models do, nearly right.
struct Rules {
    name: ModelId,
}

impl Lm for Rules {
    fn model(&self) -> &ModelId {
        &self.name
    }

    fn generate<'a>(&'a self, request: &'a LmRequest) -> BoxFuture<'a, Result<LmResponse, LmError>> {
        // The order stands before what the adapter asks for.
        let asked = request.last_user_text().to_lowercase();
        let question = asked.split("respond with").next().unwrap_or_default();
        let words: Vec<&str> = question.split(|c: char| !c.is_alphanumeric()).collect();
        let items = words.windows(2).filter_map(|pair| {
            let count = ["one", "two", "three", "four"].iter().position(|word| *word == pair[0])? + 1;
            Some(format!("{{'name': '{}', 'count': '{count}'}}", pair[1]))
        });
        let items = items.collect::<Vec<_>>().join(", ");
        let urgent = if question.contains("today") { "Yes" } else { "no" };
        let text = format!("Here you are:\n{{items: [{items}], urgent: {urgent},}}");
        let usage = Usage { input_tokens: words.len() as u64, output_tokens: 20, ..Usage::default() };
        Box::pin(async move { Ok(LmResponse::new(text).with_usage(usage)) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let history = History::new(10);
    let cx = Ctx::new(Arc::new(Rules { name: ModelId::new("rules") }))
        .with_adapter(Arc::new(JsonAdapter))
        .with_fallback(Arc::new(ChatAdapter))
        .with_history(history.clone());
    // Two orders at once.
    let read = Parallel::new(Predict::<ReadOrder>::new(), 2);
    let orders = ["Two lamps and one shelf, please. I need them today!", "Could I have three chairs?"];
    let inputs = orders.map(|order| ReadOrderInput { order: order.to_owned() });
    for (order, read) in orders.iter().zip(read.call(&cx, inputs).await) {
        let read = read?;
        let items: Vec<String> =
            read.items.iter().map(|item| format!("{} x {}", item.count, item.name)).collect();
        println!("{order}\n  -> {}{}", items.join(", "), if read.urgent { " (urgent)" } else { "" });
    }
    println!("\nthe last exchange with the model:\n\n{}", history.inspect(1));
    Ok(())
}
