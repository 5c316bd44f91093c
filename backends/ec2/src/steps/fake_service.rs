//! A service on a loopback port that answers as a test wants, so that requests and answers are real HTTP.

use crate::api::Account;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ssm::config::{Credentials, SharedCredentialsProvider};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `SendCommand`, or for S3 the method.
    pub(crate) operation: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// An answer.
pub(crate) enum Reply {
    /// Status, more header lines, body.
    Of(u16, Vec<(&'static str, String)>, String),
    /// The connection is closed: the reply is lost.
    Lost,
}

type Answer = Box<dyn FnMut(&Request) -> Reply + Send>;

/// The service; it ends with this value.
pub(crate) struct FakeService {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reply {
    pub(crate) fn json(value: serde_json::Value) -> Self {
        Self::Of(200, vec![("content-type", "application/x-amz-json-1.1".into())], value.to_string())
    }

    /// An error of a service that speaks JSON.
    pub(crate) fn error(status: u16, code: &str) -> Self {
        let body = serde_json::json!({"__type": code, "message": "as the test wants"});
        Self::Of(status, vec![("content-type", "application/x-amz-json-1.1".into())], body.to_string())
    }

    pub(crate) fn xml(status: u16, body: &str) -> Self {
        Self::Of(status, vec![("content-type", "application/xml".into())], body.to_owned())
    }
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl FakeService {
    pub(crate) fn start(answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, ends) = (requests.clone(), over.clone());
        let mut answer: Answer = Box::new(answer);
        // One after the other: a reply closes its connection, so the next one gets its turn.
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _ = serve(&stream, &mut answer, &seen);
            }
        });
        Self { address, requests, over, thread: Some(thread) }
    }

    /// An account that is this service.
    pub(crate) fn account(&self) -> Account {
        let credentials = Credentials::new("key", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(10)))
            .endpoint_url(format!("http://{}", self.address))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Account::of(&config, "us-east-1".to_owned(), Duration::from_millis(10))
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn operations(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.operation).collect()
    }
}

impl Drop for FakeService {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: &TcpStream, answer: &mut Answer, seen: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { operation: method, target, headers, body: Vec::new() };
    if let Some(operation) = request.header("x-amz-target").and_then(|name| name.split('.').next_back()) {
        request.operation = operation.to_owned();
    }
    if request.header("expect").is_some() {
        (&mut &*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    let reply = answer(&request);
    let is_head = request.operation == "HEAD";
    seen.lock().unwrap().push(request);
    let Reply::Of(status, more, body) = reply else { return Ok(()) };
    let mut text = format!("HTTP/1.1 {status} Because\r\nconnection: close\r\n");
    for (name, value) in &more {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !more.iter().any(|(name, _)| *name == "content-length") {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    if !is_head {
        text.push_str(&body);
    }
    (&mut &*stream).write_all(text.as_bytes())
}
