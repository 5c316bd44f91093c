//! An emulated cloud of a test's own, and what it says of itself.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// For an answer of the admin endpoint.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A cloud on a port of the kernel's choice; it ends, with all its hosts, when this is dropped.
pub(crate) struct Cloud {
    process: Child,
    address: String,
}

impl Cloud {
    /// Starts one, with `options` beyond those that make it quick.
    pub(crate) fn start(options: &[&str]) -> Self {
        let python = environment().join("bin/python");
        assert!(python.exists(), "{}: run backends/ec2/emulated-cloud/install first", python.display());
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../backends/ec2/emulated-cloud");
        let mut command = Command::new(python);
        command.args(["-m", "emulated_cloud", "--exit-with-stdin"]).env("PYTHONPATH", here);
        command.args([
            "--launch-ms",
            "100",
            "--terminate-ms",
            "100",
            "--agent-ms",
            "50",
            "--stack-ms",
            "100",
        ]);
        command.args(options);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the cloud starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a pipe can be read");
        let address = line.trim().strip_prefix("listening on http://").expect("it says where").to_owned();
        Self { process, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks the admin endpoint.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.request("GET", path, "")
    }

    /// Tells the admin endpoint something.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        self.request("POST", path, &body.to_string())
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(&self.address).expect("the cloud listens");
        stream.set_read_timeout(Some(ANSWER_LIMIT)).expect("a limit");
        let head = format!(
            "{method} /_cloud/{path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer in time");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(" 200 "), "{method} {path}: {answer}");
        serde_json::from_str(body).expect("JSON")
    }

    /// Call number `nth` of an operation is refused from now on, with a reason.
    pub(crate) fn refuse(&self, operation: &str, nth: u64, reason: &str) {
        self.post("faults", &json!([refusal(operation, nth, reason)]));
    }

    /// How often the caller has called an operation, such as `ec2:RunInstances`.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        self.get("counters")[operation].as_u64().unwrap_or_default()
    }

    /// What exists of runs, by kind: everything that bears a run's tag, their parameters, their files but for the
    /// artifacts and reports that are meant to stay, and every process of a host.
    pub(crate) fn left_of_runs(&self) -> Vec<String> {
        let left = self.get("left");
        let kinds = left.as_object().expect("kinds").iter();
        let things = kinds.flat_map(|(kind, things)| {
            things.as_array().expect("a list").iter().map(move |thing| (kind.as_str(), thing))
        });
        let is_of_a_run = |kind: &str, thing: &Value| {
            let id = thing["id"].as_str().unwrap_or_default();
            match kind {
                "processes" | "instances" | "volumes" | "placement_groups" | "parameters" | "key_pairs" => {
                    true
                }
                "objects" => id.contains("/runs/"),
                _ => !thing["tags"]["netbench-run"].is_null(),
            }
        };
        things
            .filter(|(kind, thing)| is_of_a_run(kind, thing))
            .map(|(kind, thing)| format!("{kind}: {thing}"))
            .collect()
    }

    /// Names of the key pairs, which are the users' own.
    pub(crate) fn left_of_keys_of_users(&self) -> Vec<String> {
        let left = self.get("left");
        let pairs = left["key_pairs"].as_array().expect("a list").iter();
        pairs.map(|pair| pair["id"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Requests that do not fit the services' own models.
    pub(crate) fn violations(&self) -> Vec<Value> {
        self.get("violations").as_array().expect("a list").clone()
    }
}

/// The fault of a call that is refused.
pub(crate) fn refusal(operation: &str, nth: u64, reason: &str) -> Value {
    json!({"operation": operation, "nth": nth, "kind": "error", "status": 403, "code": "AccessDenied", "message": reason})
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.violations(), [Value::Null; 0], "requests do not fit their services' models");
        }
        drop(self.process.stdin.take());
        // It ends with its stdin.
        let _ = self.process.wait();
    }
}

/// Where `install` puts the virtual environment.
pub(crate) fn environment() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("netbench-runner/emulated-cloud")
}
