//! What becomes of the hosts at the end of a run, however it ends: over hosts that only note what is done with them.

use backends::hosts::{Fetched, Host, Hosts, Results};
use backends::key_file;
use backends::tcp::Coordinators;
use mio::Token;
use runner::run::{
    self, Beginning, DriverPrograms, Interrupts, Outcome, Plan, PlannedDriver, Progress, RunDirectory,
    RunError, ScenarioSource, SkewPolicy,
};
use russula_proto::Group;
use serde_json::json;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

/// Whoever waits longer has not noticed what the test is about.
const PATIENCE: Duration = Duration::from_secs(60);

struct NotedHosts {
    hosts: Vec<Host>,
    noted: Vec<&'static str>,
}

impl Hosts for NotedHosts {
    fn group(&self, group: Group) -> &[Host] {
        if group == Group::Probe { &[] } else { &self.hosts }
    }

    fn watch(&mut self, _: &mut Coordinators, _: Token) -> std::io::Result<()> {
        Ok(())
    }

    fn lost(&mut self) -> Vec<backends::hosts::LostHost> {
        vec![]
    }

    fn results(&self) -> Results {
        Results::Fetched
    }

    fn fetch(&mut self, _: &Path) -> Fetched {
        self.noted.push("fetch");
        Fetched::default()
    }

    fn outlive_the_orchestrator(&self) -> bool {
        true
    }

    fn release(&mut self) -> Vec<String> {
        self.noted.push("release");
        vec![]
    }

    fn leave(&mut self) {
        self.noted.push("leave");
    }

    fn destroy(&mut self) -> Vec<String> {
        self.noted.push("destroy");
        vec![]
    }
}

/// A run of one server and one client, whose workers take connections and say nothing.
struct Site {
    directory: RunDirectory,
    plan: Plan,
    _silent_worker: TcpListener,
    hosts: NotedHosts,
    _place: TempDir,
}

impl Site {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        let directory = RunDirectory::create(place.path()).expect("a new directory");
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli/scenarios/tiny.json");
        let scenario = ScenarioSource::new(Some(file.clone())).load().expect("a scenario");
        let drivers =
            vec![PlannedDriver { name: "embedded".to_owned(), programs: DriverPrograms::OnWorkers {} }];
        let worker = TcpListener::bind("127.0.0.1:0").expect("a port");
        let control = worker.local_addr().expect("an address");
        let plan = Plan {
            run: directory.run_id().clone(),
            key: key_file::generate().expect("a key"),
            repeat: 3,
            ready_timeout: PATIENCE * 2,
            timeout: PATIENCE,
            over_by: None,
            max_start_skew: Duration::from_millis(10),
            on_start_skew: SkewPolicy::Suspect,
            pause: false,
            work: run::work_of(&file, &drivers).expect("readable"),
            scenario,
            drivers,
        };
        directory.write_plan("noted", &plan, &json!({})).expect("written");
        let hosts = NotedHosts { hosts: vec![Host { address: control.ip(), control }], noted: vec![] };
        Self { directory, plan, _silent_worker: worker, hosts, _place: place }
    }

    fn run(&mut self, beginning: Beginning) -> Result<Outcome, RunError> {
        let interrupts = Interrupts::new().expect("signals");
        let progress = Progress::new(&self.plan);
        run::run(&self.plan, &mut self.hosts, &self.directory, &progress, interrupts, beginning)
    }

    /// What a process leaves that dies in its first repetition.
    fn left(&self) -> Beginning {
        let state = json!({"session": 1, "incarnation": 0, "done": 0,
                           "verdict": {"status": "ok", "exit_code": 0}});
        let summary = json!({"run_id": "x", "status": "running", "scenario": "tiny", "version": "0",
                             "started": "2026-11-23T00:00:00Z", "duration_s": 0.0, "drivers": [],
                             "machine": {"name": "", "kernel": "", "cpu": "", "cores": 1, "memory_bytes": 0}});
        let state = serde_json::from_value(state).expect("a state");
        let summary = serde_json::from_value(summary).expect("a summary");
        Beginning::Again(Box::new((state, summary)))
    }

    /// Nobody can write where the state of the run is to be.
    fn block_state(&self) {
        std::fs::create_dir(self.directory.path().join("state.json")).expect("created");
    }
}

#[test]
fn a_resume_that_cannot_begin_leaves_the_hosts_and_their_results() {
    let mut site = Site::new();
    site.block_state();
    let left = site.left();
    let error = site.run(left).expect_err("it cannot begin");
    assert!(error.to_string().contains("state.json"), "{error}");
    assert_eq!(site.hosts.noted, ["leave"]);
}

/// Its hosts are given back by whoever launched them for it.
#[test]
fn a_new_run_that_cannot_begin_does_not_leave_its_hosts() {
    let mut site = Site::new();
    site.block_state();
    site.run(Beginning::New).expect_err("it cannot begin");
    assert_eq!(site.hosts.noted, [""; 0]);
}

#[test]
fn results_are_collected_when_the_hosts_have_no_time_for_another_repetition() {
    let mut site = Site::new();
    site.plan.over_by = Some(SystemTime::now());
    let outcome = site.run(Beginning::New).expect("it ends in order");
    assert_eq!(site.hosts.noted, ["fetch", "release"]);
    assert_eq!(outcome.exit_code, 5);
    let error = outcome.summary.error.expect("it says why");
    assert!(error.starts_with("ended after 0 of 3 repetitions: ") && error.contains("--ttl"), "{error}");
}

#[test]
fn a_repetition_is_given_up_when_the_hosts_run_out_of_time() {
    let mut site = Site::new();
    site.plan.over_by = Some(SystemTime::now() + Duration::from_secs(5));
    let begun = Instant::now();
    let outcome = site.run(Beginning::New).expect("it ends in order");
    assert!(begun.elapsed() < PATIENCE, "it was not given up");
    assert_eq!(site.hosts.noted, ["fetch", "release"]);
    assert_eq!(outcome.exit_code, 5);
    let error = outcome.summary.error.expect("it says why");
    assert!(error.starts_with("ended after 1 of 3 repetitions: ") && error.contains("--ttl"), "{error}");
}
