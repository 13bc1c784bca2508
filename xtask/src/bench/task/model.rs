//! The model that all optimizers ask: a llama.cpp server that is started here, or any other that speaks OpenAI's chat completions.

use std::thread::available_parallelism;

use serde_json::{Value, json};
use teleprompt::lm::local::LocalLm;

use super::failed;
use super::meter::Meter;
use crate::bench::peers::{Peer, Peers};
use crate::error::Error;
use crate::workspace::Workspace;

/// The weights of the embedded model, under the name that requests give.
const EMBEDDED: &str = "smollm2-135m";
/// The family under which the catalogue has the server.
const FAMILY: &str = "task-server";

/// A model behind a meter.
#[derive(Debug)]
pub(crate) struct Model {
    /// The server, where it is ours: it ends with this value.
    server: Option<Peer>,
    meter: Meter,
    /// What stands behind the address, such as `/v1`.
    path: String,
}

/// A spec such as `http://HOST:PORT/v1#NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spec {
    address: String,
    path: String,
    name: String,
}

impl Model {
    /// The model that is named, else the embedded one behind a llama.cpp server.
    pub(crate) fn open(
        workspace: &Workspace,
        lm: Option<&str>,
        slots: usize,
        log: &std::path::Path,
    ) -> Result<Self, Error> {
        let (server, spec) = match lm {
            Some(lm) => (None, Spec::parse(lm)?),
            None => {
                let (server, address) = serve(workspace, slots, log)?;
                (Some(server), Spec { address, path: "/v1".to_owned(), name: EMBEDDED.to_owned() })
            }
        };
        Ok(Self { server, meter: Meter::start(spec.address)?, path: spec.path })
    }

    /// Where optimizers ask.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{}", self.meter.address(), self.path)
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The server that is ours, with its version.
    pub(crate) fn server(&self) -> Option<(&str, String)> {
        self.server.as_ref().map(|server| (server.name(), server.version()))
    }
}

/// The name of the model that is asked, for the terms of a cell.
pub(crate) fn name(lm: Option<&str>) -> Result<String, Error> {
    lm.map_or_else(|| Ok(EMBEDDED.to_owned()), |lm| Ok(Spec::parse(lm)?.name))
}

impl Spec {
    fn parse(text: &str) -> Result<Self, Error> {
        let usage = || {
            Error::Usage(format!(
                "--lm `{text}`: the family task needs a server without encryption and the model's name: `http://HOST:PORT/v1#NAME`"
            ))
        };
        let (url, name) = text.split_once('#').ok_or_else(usage)?;
        let rest = url.strip_prefix("http://").ok_or_else(usage)?;
        let (address, path) = rest.split_once('/').ok_or_else(usage)?;
        let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if name.is_empty() || !has_port {
            return Err(usage());
        }
        let path = format!("/{}", path.trim_end_matches('/'));
        Ok(Self { address: address.to_owned(), path, name: name.to_owned() })
    }
}

/// Starts the server; gives its address.
fn serve(workspace: &Workspace, slots: usize, log: &std::path::Path) -> Result<(Peer, String), Error> {
    let weights =
        LocalLm::builder().progress(|event| eprintln!("{event}")).fetch_blocking().map_err(failed)?;
    let server = Peers::load(workspace)?.start(workspace, FAMILY).pop();
    let mut server = server.ok_or_else(|| failed("the catalogue of peers has no server"))?;
    // An optimizer needs next to nothing of a core while it waits for answers.
    let threads = available_parallelism().map_or(1, usize::from);
    let request = json!({"op": "serve", "weights": weights, "threads": threads, "slots": slots, "log": log});
    let answer = server.request(&request)?;
    let address = answer.get("address").and_then(Value::as_str);
    let address = address.ok_or_else(|| failed("the server says no address"))?.to_owned();
    Ok((server, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_names_address_and_model() {
        let spec = Spec::parse("http://localhost:8080/v1/#qwen").unwrap();
        let expect = Spec { address: "localhost:8080".into(), path: "/v1".into(), name: "qwen".into() };
        assert_eq!(spec, expect);
        assert_eq!(name(Some("http://localhost:8080/v1#qwen")).unwrap(), "qwen");
        for text in [
            "openai/gpt",
            "https://a:1/v1#m",
            "http://a:1/v1",
            "http://a/v1#m",
            "http://a:1/v1#",
            "http://a:1#m",
        ] {
            let message = Spec::parse(text).unwrap_err().to_string();
            assert!(message.contains(text) && message.contains("http://HOST:PORT/v1#NAME"), "{message}");
        }
    }
}
