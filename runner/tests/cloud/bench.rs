//! A directory with a scenario, a cloud, and a way to start the program there.

use crate::cloud::Cloud;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for something that takes seconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The place of one test.
pub(crate) struct Bench {
    pub(crate) cloud: Cloud,
    directory: TempDir,
}

impl Bench {
    /// A cloud in which nothing was set up.
    pub(crate) fn empty() -> Self {
        Self { cloud: Cloud::start(), directory: tempfile::tempdir().expect("a temporary directory") }
    }

    /// A cloud that is ready for runs.
    pub(crate) fn new() -> Self {
        Self::with_cloud(Cloud::start())
    }

    /// The same, in a cloud of one's own.
    pub(crate) fn with_cloud(cloud: Cloud) -> Self {
        let bench = Self { cloud, directory: tempfile::tempdir().expect("a temporary directory") };
        bench.expect(0, &["ec2", "setup", "--yes"]);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The directory of the last run.
    pub(crate) fn run_directory(&self) -> PathBuf {
        self.path("runs/latest")
    }

    /// Name of the last run.
    pub(crate) fn run_id(&self) -> String {
        let path = fs::canonicalize(self.run_directory()).expect("there is a run");
        path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned()
    }

    /// `summary.json` of the last run.
    pub(crate) fn summary(&self) -> Value {
        let text = fs::read(self.run_directory().join("summary.json")).expect("there is a summary");
        serde_json::from_slice(&text).expect("JSON")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.args(args);
        if args.first() == Some(&"ec2") && !args.contains(&"--poll-interval") {
            command.args(["--poll-interval", "100ms"]);
        }
        command
            .current_dir(self.directory.path())
            .env("AWS_ENDPOINT_URL", self.cloud.url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_CONFIG_FILE", self.path("no-config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.path("no-credentials"))
            .env_remove("AWS_PROFILE")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program, which exits with `code`.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, args: &[&str]) -> Output {
        let output = self.command(args).output().expect("it starts");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
        output
    }

    /// Starts a run of a scenario of the repository, on the image that runs here.
    pub(crate) fn start_run(&self, scenario: &str, more: &[&str]) -> Running {
        let (scenario, image) = (scenario_file(scenario), self.image());
        let mut args = vec!["ec2", "--scenario", &scenario, "--allow-cidr", "127.0.0.1/32", "--ami", &image];
        args.extend(["--instance-type", "c6i.large", "--timeout", "60s"]);
        args.extend(more);
        let mut command = self.command(&args);
        let log = fs::File::create(self.path("run.stderr")).expect("created");
        let child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        Running { child, log: self.path("run.stderr") }
    }

    /// The image that runs here: the C library of this machine is the one that counts.
    pub(crate) fn image(&self) -> String {
        self.image_for("x86_64")
    }

    /// The same as an image of the user's, for an architecture.
    pub(crate) fn image_for(&self, architecture: &str) -> String {
        let aws = crate::cloud::environment().join("bin/aws");
        let name = format!("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}");
        let output = Command::new(aws)
            .args(["ssm", "get-parameter", "--query", "Parameter.Value", "--output", "text", "--name", &name])
            .env("AWS_ENDPOINT_URL", self.cloud.url())
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .output()
            .expect("the cloud's own client");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }
}

/// The file of a scenario by its name.
pub(crate) fn scenario_file(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["tests/cli/scenarios", "../backends/tests/scenarios", "../backends/src/scenario"];
    let mut files = places.iter().map(|place| root.join(place).join(format!("{name}.json")));
    let file = files.find(|file| file.exists()).unwrap_or_else(|| panic!("there is no scenario {name}"));
    file.to_str().expect("a path of text").to_owned()
}

/// The program while it runs.
pub(crate) struct Running {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Running {
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said `text` on stderr.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        while !self.stderr().contains(text) {
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "it ended before it said {text:?}: {}", self.stderr());
            assert!(start.elapsed() < PATIENCE, "it does not say {text:?}: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for its end, which has to be `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> String {
        let log = self.log.clone();
        let output = self.child.wait_with_output().expect("a child");
        let stderr = fs::read_to_string(log).unwrap_or_default();
        assert_eq!(output.status.code(), Some(code), "{stderr}\n{}", told(&output));
        stderr
    }
}

pub(crate) fn told(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
