//! Data sets of a hub that runs on this machine: listing, fetching, checking, going on, working offline.

#![cfg(feature = "hub")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};
use teleprompt_core::SignatureSpec;
use teleprompt_data::hub::{Hub, HubError, HubSettings, Token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const ROWS: &str = "{\"question\": \"2 + 2?\", \"answer\": 4}\n{\"question\": \"2 + 3?\", \"answer\": 5}\n";
const SECRET: &str = "hf_do_not_show";

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(name: &str, bytes: &[u8]) -> serde_json::Value {
    json!({"type": "file", "path": name, "size": 130, "oid": "x", "lfs": {"oid": hash(bytes), "size": bytes.len()}})
}

/// A hub that lists these entries of `owner/sums`.
async fn hub_with(entries: serde_json::Value) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/datasets/owner/sums/revision/main"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"sha": COMMIT, "id": "owner/sums"})))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path(format!("/api/datasets/owner/sums/tree/{COMMIT}")))
        .and(query_param("recursive", "true"))
        .respond_with(ResponseTemplate::new(200).set_body_json(entries))
        .mount(&server)
        .await;
    server
}

fn resolve(name: &str) -> String {
    format!("/datasets/owner/sums/resolve/{COMMIT}/{name}")
}

fn settings(endpoint: &str, cache: &Path) -> HubSettings {
    let mut settings = HubSettings::new(endpoint, cache);
    settings.token = Some(Token::new(SECRET).unwrap());
    settings
}

#[tokio::test]
async fn a_data_set_is_listed_fetched_once_and_read_offline() {
    let dir = tempfile::tempdir().unwrap();
    let entries = json!([
        {"type": "directory", "path": "data", "size": 0},
        file("data/train.jsonl", ROWS.as_bytes()),
        {"type": "file", "path": "README.md", "size": 2},
    ]);
    let server = hub_with(entries).await;
    Mock::given(path(resolve("data/train.jsonl")))
        .and(header("authorization", format!("Bearer {SECRET}")))
        .respond_with(ResponseTemplate::new(200).set_body_string(ROWS))
        .expect(1)
        .mount(&server)
        .await;
    let set =
        Hub::new(settings(&server.uri(), dir.path())).unwrap().dataset("owner/sums", "main").await.unwrap();
    assert_eq!(set.commit(), COMMIT);
    let names: Vec<&str> = set.files().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["data/train.jsonl", "README.md"]);
    let target = set.fetch("data/train.jsonl").await.unwrap();
    assert_eq!(set.fetch("data/train.jsonl").await.unwrap(), target);
    let spec = SignatureSpec::parse("question -> answer: int").unwrap();
    assert_eq!(teleprompt_data::examples_for(&target, &spec).unwrap().len(), 2);
    let error = set.fetch("data/tran.jsonl").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`owner/sums` has no file `data/tran.jsonl`; did you mean `data/train.jsonl`?"
    );

    let mut offline = settings("http://127.0.0.1:9", dir.path());
    offline.offline = true;
    let hub = Hub::new(offline).unwrap();
    let set = hub.dataset("owner/sums", "main").await.unwrap();
    assert_eq!(set.fetch("data/train.jsonl").await.unwrap(), target);
    assert!(matches!(set.fetch("README.md").await, Err(HubError::Offline { .. })));
    assert!(matches!(hub.dataset("owner/sums", "v2").await, Err(HubError::Offline { .. })));
}

#[tokio::test]
async fn a_file_that_is_not_the_one_listed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = hub_with(json!([file("a.jsonl", b"right"), file("b.jsonl", b"short")])).await;
    for (name, body) in [("a.jsonl", "wrong"), ("b.jsonl", "much longer than listed")] {
        Mock::given(path(resolve(name)))
            .respond_with(ResponseTemplate::new(200).set_body_string(body))
            .mount(&server)
            .await;
    }
    let set =
        Hub::new(settings(&server.uri(), dir.path())).unwrap().dataset("owner/sums", "main").await.unwrap();
    for name in ["a.jsonl", "b.jsonl"] {
        let error = set.fetch(name).await.unwrap_err();
        assert!(matches!(error, HubError::Mismatch { .. }), "{error}");
        assert!(!dir.path().join("owner--sums").join(COMMIT).join(name).exists());
        assert!(!dir.path().join("owner--sums").join(COMMIT).join(format!("{name}.part")).exists());
    }
}

#[tokio::test]
async fn a_transfer_that_broke_off_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = hub_with(json!([file("a.jsonl", ROWS.as_bytes())])).await;
    // A server that sends ten bytes of what is asked for, and hangs up.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ranges = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = ranges.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let request = String::from_utf8(request).unwrap().to_lowercase();
            assert!(!request.contains("authorization"), "the token is for the hub alone: {request}");
            let range = request.lines().find_map(|line| line.strip_prefix("range: bytes="));
            let from: usize = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
            seen.lock().unwrap().push(from);
            let (status, total) = (if from > 0 { "206 Partial Content" } else { "200 OK" }, ROWS.len());
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\ncontent-range: bytes {from}-{}/{total}\r\n\r\n",
                total - from,
                total - 1
            );
            let end = (from + 40).min(total);
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&ROWS.as_bytes()[from..end]).await.unwrap();
        }
    });
    // The hub sends its visitors there, as it does with large files.
    Mock::given(path(resolve("a.jsonl")))
        .respond_with(move |_: &Request| {
            ResponseTemplate::new(302)
                .insert_header("location", format!("http://localhost:{}/blob", address.port()))
        })
        .mount(&server)
        .await;
    let set =
        Hub::new(settings(&server.uri(), dir.path())).unwrap().dataset("owner/sums", "main").await.unwrap();
    let target = set.fetch("a.jsonl").await.unwrap();
    assert_eq!(std::fs::read_to_string(target).unwrap(), ROWS);
    assert_eq!(*ranges.lock().unwrap(), (0..ROWS.len()).step_by(40).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_leads_out_of_the_folder_is_refused() {
    for name in ["../x", "/etc/passwd", "a/../../x", "a\\b", "a//b", "c:x", ".", "a/..", "nul\u{0}", "x.part"]
    {
        let dir = tempfile::tempdir().unwrap();
        let server = hub_with(json!([file(name, b"x")])).await;
        let error =
            Hub::new(settings(&server.uri(), dir.path())).unwrap().dataset("owner/sums", "main").await;
        assert!(matches!(error, Err(HubError::List { .. })), "{name}");
    }
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::new(settings("http://127.0.0.1:9", dir.path())).unwrap();
    for id in ["", "a/b/c", "../x", "a b/c", "a/.b", "a--b/c"] {
        assert!(matches!(hub.dataset(id, "main").await, Err(HubError::Id { .. })), "{id}");
    }
    assert!(matches!(hub.dataset("a/b", "../main").await, Err(HubError::Revision { .. })));
}

#[tokio::test]
async fn lists_have_pages_and_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let server = MockServer::start().await;
    let tree = format!("/api/datasets/sums/tree/{COMMIT}");
    let next = format!("<{}{tree}?cursor=2>; rel=\"next\"", server.uri());
    Mock::given(path("/api/datasets/sums/revision/main"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"sha": COMMIT})))
        .mount(&server)
        .await;
    Mock::given(path(&tree))
        .and(query_param("recursive", "true"))
        .respond_with(
            ResponseTemplate::new(200).insert_header("link", next).set_body_json(json!([file("a", b"a")])),
        )
        .mount(&server)
        .await;
    Mock::given(path(&tree))
        .and(query_param("cursor", "2"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!([file("b", b"b")])))
        .mount(&server)
        .await;
    let mut settings = settings(&server.uri(), dir.path());
    let set = Hub::new(settings.clone()).unwrap().dataset("sums", "main").await.unwrap();
    assert_eq!(set.files().len(), 2);
    settings.max_files = 1;
    let error = Hub::new(settings).unwrap().dataset("sums", "main").await.unwrap_err();
    assert!(matches!(error, HubError::TooManyFiles { limit: 1 }), "{error}");
}

#[tokio::test]
async fn no_message_holds_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let server = MockServer::start().await;
    let hub = Hub::new(settings(&server.uri(), dir.path())).unwrap();
    for status in [401, 404, 429, 500] {
        server.reset().await;
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(status).set_body_string(SECRET))
            .mount(&server)
            .await;
        let error = hub.dataset("owner/sums", "main").await.unwrap_err();
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert!(!format!("{error} {error:?} {hub:?}").contains(SECRET));
    }
    let gone = Hub::new(settings("http://127.0.0.1:9", dir.path())).unwrap();
    let error = gone.dataset("owner/sums", "main").await.unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }) && !format!("{error:?}").contains(SECRET));
    for endpoint in ["ftp://h", "h", "http://user:pass@h", ""] {
        assert!(
            matches!(Hub::new(HubSettings::new(endpoint, dir.path())), Err(HubError::Endpoint)),
            "{endpoint}"
        );
    }
}
