//! A cloud in which runs are tried one after another.

use super::case::{Caller, Case, Ended, Fault};
use crate::bench::{Bench, scenario_file, worker};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Whatever takes longer hangs: on a quiet machine a run takes two seconds, and a fault some more.
const HANG_LIMIT: Duration = Duration::from_secs(90);

/// What a run says that has results in the bucket and nowhere else.
const RESULTS_STAY: &str = "what the hosts uploaded stays in s3://";

/// Between two looks at a process or at the cloud.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// A cloud, and how many cases it has seen.
pub(super) struct Lane {
    bench: Bench,
    image: String,
    cases: u64,
}

/// An operation, and how often it is called where nothing goes wrong.
pub(super) struct Site {
    pub(super) caller: Caller,
    pub(super) operation: String,
    pub(super) calls: u64,
}

/// A process that has ended.
struct End {
    code: Option<i32>,
    stderr: String,
}

impl Lane {
    pub(super) fn new() -> Self {
        let bench = Bench::quick();
        let image = bench.image();
        let mut lane = Self { bench, image, cases: 0 };
        // The programs are in the bucket from now on, as in every account in which somebody has had a run.
        let first = lane.prepare(Caller::Run);
        let first = lane.to_the_end(first);
        assert_eq!(first.code, Some(0), "{}", first.stderr);
        lane
    }

    /// How often each of `callers` makes which call.
    pub(super) fn sites(&mut self, callers: &[Caller]) -> Vec<Site> {
        let mut sites = vec![];
        for &caller in callers {
            let command = self.prepare(caller);
            self.bench.cloud.post("reset-counters", &json!(null));
            let end = self.to_the_end(command);
            assert_eq!(end.code, Some(0), "{}: {}", caller.name(), end.stderr);
            let origin = if caller == Caller::Host { "host" } else { "caller" };
            let counters = self.bench.cloud.get(&format!("counters?origin={origin}"));
            sites.extend(counters.as_object().expect("counters by operation").iter().map(|(name, count)| {
                Site { caller, operation: name.clone(), calls: count.as_u64().expect("a count") }
            }));
        }
        sites
    }

    /// Tries one case; says what is wrong if it does not end as it should.
    pub(super) fn try_case(&mut self, case: &Case) -> Result<Ended, String> {
        let begun = Instant::now();
        let command = self.prepare(case.caller);
        self.bench.cloud.post("reset-counters", &json!(null));
        self.bench.cloud.post("faults", &json!([case.to_fault()]));
        let ended =
            if case.fault.signals() { self.signal(case, command) } else { self.disturb(case, command) }?;
        self.bench.cloud.post("faults", &json!([]));
        let left = self.bench.cloud.left_of_runs();
        if !left.is_empty() {
            return Err(format!("it leaves {}", left.join(", ")));
        }
        let violations = self.bench.cloud.violations();
        if !violations.is_empty() {
            return Err(format!("requests do not fit their services' models: {violations:?}"));
        }
        self.bench.remove_hosts_files();
        if std::env::var_os("SWEEP_VERBOSE").is_some() {
            eprintln!("{case}: {ended:?} after {:.1} s", begun.elapsed().as_secs_f64());
        }
        Ok(ended)
    }

    /// The command whose calls are disturbed. It is about a run whose hosts are at work, where it is not a run itself.
    fn prepare(&mut self, caller: Caller) -> Command {
        let command = self.run();
        let mut command = match caller {
            Caller::Run | Caller::Host => command,
            Caller::Destroy | Caller::Resume => {
                let directory = self.abandon(command);
                if caller == Caller::Destroy {
                    self.bench.command(&["ec2", "destroy", name_of(&directory)])
                } else {
                    self.bench.command(&["resume", directory.to_str().expect("a path of text")])
                }
            }
        };
        command.stdout(self.file("stdout")).stderr(self.file("stderr"));
        command
    }

    /// Begins a run and kills its orchestrator when its hosts are at work.
    fn abandon(&self, mut run: Command) -> PathBuf {
        let mut child = run.spawn().expect("it starts");
        let begun = Instant::now();
        let directory = loop {
            let directory = self.run_directory();
            // It is there when the coordinators are about to be.
            if let Some(directory) = directory.filter(|directory| directory.join("state.json").exists()) {
                break directory;
            }
            assert!(child.try_wait().expect("a child").is_none(), "{}", self.stderr());
            assert!(begun.elapsed() < HANG_LIMIT, "{}", self.stderr());
            std::thread::sleep(LOOK_INTERVAL);
        };
        child.kill().expect("it is there");
        child.wait().expect("a child");
        directory
    }

    fn disturb(&self, case: &Case, command: Command) -> Result<Ended, String> {
        let end = self.to_the_end(command);
        if end.stderr.contains("panicked") {
            return Err(format!("it panics: {}", end.stderr));
        }
        let ended = if self.fault()["struck"] == json!(0) && end.code == Some(0) {
            Ended::NotReached
        } else {
            case.judge(end.code, &end.stderr).map_err(|problem| format!("{problem}: {}", end.stderr))?
        };
        if end.code != Some(0) {
            self.clean_up_after(case, &end.stderr)?;
        }
        Ok(ended)
    }

    /// Who was to remove something and could not, or could not take a run over, says how it goes on. So does who could
    /// not fetch what the hosts uploaded, which stays then.
    fn clean_up_after(&self, case: &Case, stderr: &str) -> Result<(), String> {
        match (case.caller, self.run_directory()) {
            (_, None) => Ok(()),
            (Caller::Run | Caller::Host, Some(directory)) => {
                let left = self.bench.cloud.left_of_runs();
                let is_told = stderr.contains(RESULTS_STAY) && stderr.contains(&destroys(&directory));
                if is_told && left.iter().all(|thing| thing.contains("/hosts/")) {
                    self.destroy(&directory)?;
                }
                Ok(())
            }
            (Caller::Destroy | Caller::Resume, Some(directory)) => {
                let is_told = case.caller == Caller::Destroy || stderr.contains(&destroys(&directory));
                if !is_told && !self.bench.cloud.left_of_runs().is_empty() {
                    return Err(format!("it does not say how to remove what there is: {stderr}"));
                }
                self.destroy(&directory).map(drop)
            }
        }
    }

    /// Strikes the orchestrator itself at the call of the case, and has everything given back.
    fn signal(&self, case: &Case, mut command: Command) -> Result<Ended, String> {
        let mut child = command.spawn().expect("it starts");
        let begun = Instant::now();
        // Whoever is interrupted may be waiting; whoever is killed has had everything but the answer.
        let moment = if case.fault == Fault::Interrupt { "struck" } else { "carried_out" };
        while self.fault()[moment] == json!(0) {
            if let Some(status) = child.try_wait().expect("a child") {
                let code = status.code();
                return match code {
                    Some(0) => Ok(Ended::NotReached),
                    Some(_) | None => {
                        Err(format!("it ends with {code:?} before the call: {}", self.stderr()))
                    }
                };
            }
            if begun.elapsed() > HANG_LIMIT {
                let _ = child.kill();
                return Err(format!("it hangs before the call: {}", self.wait(child).stderr));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        if case.fault == Fault::Interrupt {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
            kill_process(pid, Signal::INT).expect("it is there");
            return self.after_interrupt(case, child);
        }
        child.kill().expect("it is there");
        child.wait().expect("a child");
        self.bench.cloud.post("faults", &json!([]));
        if let Some(directory) = self.run_directory() {
            self.expect_written_down(&directory)?;
        }
        match self.run_directory() {
            None => Ok(Ended::BeforeAnything),
            Some(directory) if case.fault == Fault::KillResume => self.resume(case, &directory),
            Some(directory) => self.destroy(&directory),
        }
    }

    fn after_interrupt(&self, case: &Case, child: Child) -> Result<Ended, String> {
        let end = self.wait(child);
        let begun = Instant::now();
        while self.fault()["carried_out"] == json!(0) {
            assert!(begun.elapsed() < HANG_LIMIT, "the cloud does not carry out {case}");
            std::thread::sleep(LOOK_INTERVAL);
        }
        // Nobody watches for signals before there is something to give back.
        let Some(directory) = self.run_directory() else { return Ok(Ended::BeforeAnything) };
        // A verb that only removes something ends at once, and so does one that has not taken the run over yet.
        let ends_at_once = match case.caller {
            Caller::Run | Caller::Host => false,
            Caller::Destroy => end.stderr.contains(&destroys(&directory)) || end.code.is_none(),
            Caller::Resume => end.code.is_none(),
        };
        if ends_at_once {
            return self.destroy(&directory).map(|_| Ended::Interrupted);
        }
        case.judge(end.code, &end.stderr).map_err(|problem| format!("{problem}: {}", end.stderr))
    }

    /// Whatever there is of the run was written down before it was created.
    fn expect_written_down(&self, directory: &Path) -> Result<(), String> {
        let journal = fs::read_to_string(directory.join("cloud.jsonl")).unwrap_or_default();
        let entries = journal.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let intents: Vec<_> = entries.filter(|entry| entry["what"] == "intent").collect();
        let is_intended = |kind: &str, is_meant: &dyn Fn(&str) -> bool| {
            let of_kind = intents.iter().filter(|intent| intent["kind"] == kind);
            of_kind.filter_map(|intent| intent["name"].as_str()).any(is_meant)
        };
        for thing in self.bench.cloud.left_of_runs() {
            let (kind, entry) = thing.split_once(": ").expect("a kind and an entry");
            let entry: serde_json::Value = serde_json::from_str(entry).expect("JSON");
            let id = entry["id"].as_str().expect("a name");
            let is_written = match kind {
                "objects" => is_intended("objects", &|prefix| id.contains(prefix)),
                "placement_groups" => is_intended("placement_group", &|name| name == id),
                "parameters" => is_intended("parameter", &|name| name == id),
                // The service calls them otherwise.
                "security_groups" => is_intended("security_group", &|_| true),
                // What hosts consist of.
                _ => is_intended("instances", &|_| true),
            };
            if !is_written {
                return Err(format!("the journal does not tell of {thing}: {journal}"));
            }
        }
        Ok(())
    }

    /// Destroys a run from a machine that has never heard of it.
    fn destroy(&self, directory: &Path) -> Result<Ended, String> {
        fs::remove_dir_all(directory).expect("removed");
        let end = self.to_the_end(self.bench.command(&["ec2", "destroy", name_of(directory)]));
        match end.code {
            Some(0) => Ok(Ended::Destroyed),
            code => Err(format!("destroy ends with {code:?}: {}", end.stderr)),
        }
    }

    fn resume(&self, case: &Case, directory: &Path) -> Result<Ended, String> {
        let path = directory.to_str().expect("a path of text");
        let end = self.to_the_end(self.bench.command(&["resume", path]));
        match end.code {
            Some(0) => Ok(Ended::Resumed),
            Some(2) if end.stderr.contains(&destroys(directory)) => self.destroy(directory),
            // Somebody had begun to destroy it: hosts that are gone are named, and the others given back.
            Some(3) if case.caller == Caller::Destroy && end.stderr.contains(" is lost: ") => {
                Ok(Ended::Named)
            }
            // Its hosts were given back, and it was about to copy its report.
            Some(2) if end.stderr.contains("is over already") => Ok(Ended::OverAlready),
            code => Err(format!("resume ends with {code:?}: {}", end.stderr)),
        }
    }

    fn fault(&self) -> serde_json::Value {
        self.bench.cloud.get("faults")[0].clone()
    }

    /// The command of a run that no other one is like: its scenario is not in the bucket yet.
    fn run(&mut self) -> Command {
        self.cases += 1;
        let scenario = fs::read_to_string(scenario_file("tiny")).expect("a scenario");
        let file = self.bench.path("scenario.json");
        fs::write(&file, format!("{scenario}{}", "\n".repeat(usize::try_from(self.cases).expect("few"))))
            .expect("written");
        let _ = fs::remove_dir_all(self.bench.path("runs"));
        let file = file.to_str().expect("a path of text");
        let args = ["ec2", "--scenario", file, "--allow-cidr", "127.0.0.1/32", "--ami", &self.image];
        let more = [
            "--instance-type",
            "c6i.large",
            "--timeout",
            "60s",
            "--worker",
            worker(),
            "--poll-interval",
            "200ms",
            "--server-placement",
            "cluster",
        ];
        let mut command = self.bench.command(&[&args[..], &more].concat());
        command.stdout(self.file("stdout")).stderr(self.file("stderr"));
        command
    }

    /// Waits for the end of a process, and does not wait for ever.
    fn to_the_end(&self, mut command: Command) -> End {
        command.stdout(self.file("stdout")).stderr(self.file("stderr"));
        self.wait(command.spawn().expect("it starts"))
    }

    fn wait(&self, mut child: Child) -> End {
        let begun = Instant::now();
        let (code, hint) = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break (status.code(), "");
            }
            if begun.elapsed() > HANG_LIMIT {
                let _ = child.kill();
                child.wait().expect("a child");
                break (None, "it hangs: ");
            }
            std::thread::sleep(LOOK_INTERVAL);
        };
        End { code, stderr: format!("{hint}{}", self.stderr()) }
    }

    /// What the last process has said.
    fn stderr(&self) -> String {
        fs::read_to_string(self.bench.path("stderr")).expect("text")
    }

    fn file(&self, name: &str) -> fs::File {
        fs::File::create(self.bench.path(name)).expect("created")
    }

    /// The directory of the run that was killed, if it got so far.
    fn run_directory(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.bench.path("runs")).ok()?;
        let mut paths = entries.map(|entry| entry.expect("readable").path());
        paths.find(|path| !path.is_symlink())
    }
}

fn name_of(directory: &Path) -> &str {
    directory.file_name().and_then(|name| name.to_str()).expect("a name")
}

/// The command that users are told of when something is left.
fn destroys(directory: &Path) -> String {
    format!("runner ec2 destroy {}", name_of(directory))
}
