//! For tests: a service on loopback that gives canned replies, and an account that asks it.

use crate::api::Account;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::Credentials;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A reply: status and body.
#[derive(Clone, Debug)]
pub(crate) struct Reply(u16, String);

/// A request that came: operation, and its query and body, still encoded.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) operation: String,
    pub(crate) text: String,
}

/// The service. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Canned {
    pub(crate) account: Account,
    asked: Arc<Mutex<Vec<Asked>>>,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Reply {
    /// A success with this body.
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self(200, body.into())
    }

    /// An error of a service that speaks XML. S3 has it without the envelope.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        Self(status, format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"))
    }

    /// An answer without a body.
    pub(crate) fn status(status: u16) -> Self {
        Self(status, String::new())
    }
}

impl Canned {
    /// Serves the replies to each operation in turn; the last is repeated. What is not listed is an error that says so.
    pub(crate) fn serve(script: Vec<(&'static str, Vec<Reply>)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let mut script: BTreeMap<_, _> =
            script.into_iter().map(|(name, replies)| (name, (0, replies))).collect();
        let (asked_by, stopped) = (asked.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Some((head, request)) =
                    stream.ok().and_then(|stream| read(&stream).map(|read| (stream, read)))
                else {
                    continue;
                };
                let reply = match script.get_mut(request.operation.as_str()) {
                    Some((next, replies)) => {
                        let reply = replies[(*next).min(replies.len() - 1)].clone();
                        *next += 1;
                        reply
                    }
                    None => Reply::error(
                        400,
                        "Unscripted",
                        &format!("{} is not in the script", request.operation),
                    ),
                };
                asked_by.lock().unwrap().push(request);
                write(head, &reply);
            }
        });
        Self { account: account(address), asked, address, stop, thread: Some(thread) }
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often `operation` was asked for.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.asked().iter().filter(|one| one.operation == operation).count()
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes it up.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn account(address: SocketAddr) -> Account {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(format!("http://{address}"))
        .region(Region::new("eu-north-1"))
        .retry_config(RetryConfig::disabled())
        .credentials_provider(aws_sdk_ec2::config::SharedCredentialsProvider::new(Credentials::new(
            "nobody", "nothing", None, None, "test",
        )))
        .build();
    Account::of(&config, "eu-north-1".to_owned(), Duration::from_millis(1))
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (method, target) = first.split_once(' ')?;
    let text = format!("{target}\n{}", String::from_utf8_lossy(&body));
    let action = text.split(['\n', '&']).find_map(|part| part.strip_prefix("Action="));
    // S3 has no names of operations in its requests.
    let operation = match action {
        Some(action) => action.trim().to_owned(),
        None if method == "HEAD" => "HeadBucket".to_owned(),
        None if target.contains("versions") => "ListObjectVersions".to_owned(),
        None if target.contains("delete") => "DeleteObjects".to_owned(),
        None => first,
    };
    Some(Asked { operation, text })
}

fn write(mut stream: TcpStream, Reply(status, body): &Reply) {
    let head =
        format!("HTTP/1.1 {status} canned\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    // A client that went away gets nothing.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}
