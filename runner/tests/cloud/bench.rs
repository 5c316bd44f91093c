//! A directory with a scenario, a cloud, and a way to start the program there.

use crate::cloud::Cloud;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for something that takes seconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The place of one test.
pub(crate) struct Bench {
    pub(crate) cloud: Cloud,
    directory: TempDir,
    image: OnceLock<String>,
}

impl Bench {
    /// A cloud in which nothing was set up.
    pub(crate) fn empty() -> Self {
        Self::over(tempfile::tempdir().expect("a temporary directory"), &[])
    }

    /// A cloud that is ready for runs.
    pub(crate) fn new() -> Self {
        Self::empty().ready()
    }

    /// A cloud that is ready for many runs or many hosts: they have a light AWS client, and their files can be removed.
    pub(crate) fn quick() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let hosts = directory.path().join("hosts");
        let light_client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud/sweep");
        let (hosts, client) = (hosts.to_str(), light_client.to_str());
        let (hosts, client) = (hosts.expect("a path of text"), client.expect("a path of text"));
        Self::over(directory, &["--root", hosts, "--host-path", client, "--forget-ms", "5000"]).ready()
    }

    /// The same as a new one, with other options of the emulated cloud.
    pub(crate) fn with(options: &[&str]) -> Self {
        Self::over(tempfile::tempdir().expect("a temporary directory"), options).ready()
    }

    fn over(directory: TempDir, options: &[&str]) -> Self {
        Self { cloud: Cloud::start(options), directory, image: OnceLock::new() }
    }

    fn ready(self) -> Self {
        self.expect(0, &["ec2", "setup", "--yes"]);
        self
    }

    /// Hosts that are gone have left their files, tens of megabytes each. For a quick bench.
    pub(crate) fn remove_hosts_files(&self) {
        for host in fs::read_dir(self.path("hosts")).expect("a directory") {
            fs::remove_dir_all(host.expect("readable").path()).expect("removed");
        }
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
        self.start_run_of(Path::new(&scenario_file(scenario)), more)
    }

    /// Starts a run of a scenario of one's own.
    pub(crate) fn start_run_of(&self, scenario: &Path, more: &[&str]) -> Running {
        let (scenario, image) = (scenario.to_str().expect("a path of text"), self.image());
        let mut args = vec!["ec2", "--scenario", scenario, "--allow-cidr", "127.0.0.1/32", "--ami", &image];
        args.extend(["--instance-type", "c6i.large"]);
        if !more.contains(&"--timeout") {
            args.extend(["--timeout", "60s"]);
        }
        if !more.contains(&"--worker") {
            args.extend(["--worker", worker()]);
        }
        args.extend(more);
        let mut command = self.command(&args);
        let log = fs::File::create(self.path("run.stderr")).expect("created");
        let child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        Running { child, log: self.path("run.stderr") }
    }

    /// The image that runs here: the C library of this machine is the one that counts.
    pub(crate) fn image(&self) -> String {
        self.image.get_or_init(|| self.image_for("x86_64")).clone()
    }

    /// The same as an image of the user's, for an architecture.
    pub(crate) fn image_for(&self, architecture: &str) -> String {
        let name = format!("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}");
        self.aws(&["ssm", "get-parameter", "--query", "Parameter.Value", "--output", "text", "--name", &name])
    }

    /// The parameters of all requests for an operation, in order.
    pub(crate) fn requests(&self, operation: &str) -> Vec<Value> {
        let requests = self.cloud.get("requests");
        let requests = requests.as_array().expect("a list").iter();
        requests.filter(|it| it["operation"] == operation).map(|it| it["parameters"].clone()).collect()
    }

    /// What the cloud's own client says.
    pub(crate) fn aws(&self, args: &[&str]) -> String {
        let output = Command::new(crate::cloud::environment().join("bin/aws"))
            .args(args)
            .env("AWS_ENDPOINT_URL", self.cloud.url())
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .output()
            .expect("the cloud's own client");
        assert!(output.status.success(), "{args:?}: {}", told(&output));
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

/// This program without what only a debugger needs: every host gets it over HTTP from a service in Python.
pub(crate) fn worker() -> &'static str {
    static WORKER: OnceLock<String> = OnceLock::new();
    WORKER.get_or_init(|| {
        let small = Path::new(env!("CARGO_TARGET_TMPDIR")).join("runner-without-symbols");
        // Tests of another process may use the one that is there.
        let new = small.with_extension(std::process::id().to_string());
        let stripped = Command::new("strip").arg("-o").arg(&new).arg(env!("CARGO_BIN_EXE_runner")).status();
        assert!(stripped.expect("binutils are installed").success());
        fs::rename(&new, &small).expect("renamed");
        small.into_os_string().into_string().expect("a path of text")
    })
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
