//! Programs that are not the same for all hosts, and programs that hosts build.
//!
//! Every host is this machine, whatever `uname -m` says there: what stands for an arm64 program is a script, or
//! something that "the arm64 host" builds.

use crate::bench::{Bench, told};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const RUNNER: &str = env!("CARGO_BIN_EXE_runner");

/// Types of hosts: x86-64 servers (as all are by default) and arm64 clients.
const ARM_CLIENTS: [&str; 2] = ["--client-instance-type", "m7g.large"];

#[test]
fn servers_and_clients_of_different_architectures_get_each_their_worker() {
    let bench = Bench::new();
    let arm = bench.image_for("arm64");
    let mut args = Vec::from(ARM_CLIENTS);
    args.extend(["--ami", &arm]);
    let refused = bench.start_run("tiny", &args).expect(2);
    let expected = "the worker is not there for the arm64 hosts";
    assert!(refused.contains(expected) && refused.contains("--worker-source"), "{refused}");
    assert!(!bench.path("runs").exists(), "it is found out before anything is created");

    let script = bench.path("worker-for-arm64");
    fs::write(&script, format!("#!/usr/bin/env bash\nexec -a \"$0\" {RUNNER} \"$@\"\n")).expect("written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("set");
    let script = script.to_str().expect("a path of text");
    args.extend(["--worker", RUNNER, "--worker", script]);
    // A stock driver is never there for both.
    let with_tcp = [&args[..], &["--driver", "embedded", "--driver", "tcp"]].concat();
    let planned = dry_run(&bench, "unblocked_requests", &with_tcp);
    for text in [
        "upload the worker for x86_64: ",
        "upload the worker for arm64: ",
        "build the client of driver tcp for arm64: registry:s2n-netbench-driver-tcp@0.1.0\n",
        "step build_driver on the first arm64 host: registry:s2n-netbench-driver-tcp@0.1.0\n",
    ] {
        assert!(planned.contains(text), "{text}: {planned}");
    }
    bench.start_run("unblocked_requests", &args).expect(0);
    assert_eq!(bench.summary()["status"], "ok");
    for (host, machine) in [("server-1", "x86_64"), ("client-0", "aarch64")] {
        let facts = bench.run_directory().join("facts").join(host).join("before.tsv");
        let facts = fs::read_to_string(facts).expect("facts");
        assert!(facts.contains(&format!("kernel\tmachine\t{machine}\n")), "{host}: {facts}");
    }
    assert_eq!(builds(&bench), 0, "nothing is compiled on a host that need not be");
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

#[test]
fn a_worker_that_is_nowhere_is_built_on_a_host_of_its_kind() {
    let bench = bench_with_cargo();
    let commit = repository(&bench, "runner", &[("runner", &program("&own_name()"))]);
    let source = format!("git:{}@{commit}", url(&bench));
    let arm = bench.image_for("arm64");
    let mut args = Vec::from(ARM_CLIENTS);
    args.extend(["--ami", &arm, "--worker-source", &source]);
    let stderr = bench.start_run("tiny", &args).expect(0);
    assert!(stderr.contains(&format!("step build_driver on client 0 (arm64): {source}#runner")), "{stderr}");
    assert_eq!(bench.summary()["status"], "ok");
    assert_eq!(builds(&bench), 1);
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

#[test]
fn a_driver_from_git_is_built_once_and_shared() {
    let bench = bench_with_cargo();
    let [server, client] = ["server", "client"].map(|role| {
        (
            format!("s2n-netbench-driver-{role}-mine"),
            program(&format!("\"s2n-netbench-driver-{role}-embedded\"")),
        )
    });
    let commit = repository(&bench, "drivers", &[(&server.0, &server.1), (&client.0, &client.1)]);
    let source = format!("mine=git:{}@{commit}#drivers", url(&bench));
    let args = ["--driver", "mine", "--driver-source", &source];
    let planned = dry_run(&bench, "unblocked_requests", &args);
    assert!(planned.contains("step build_driver on the first x86_64 host: git:file://"), "{planned}");

    let stderr = bench.start_run("unblocked_requests", &args).expect(0);
    assert!(stderr.contains("step build_driver on server 0 (x86_64): git:file://"), "{stderr}");
    let summary = bench.summary();
    assert_eq!(summary["status"], "ok", "{summary:#}");
    let hosts = &summary["drivers"][0]["repetitions"][0]["servers"];
    assert!(hosts.as_array().is_some_and(|hosts| hosts.len() > 1), "one host builds for others: {hosts:#}");
    assert_eq!(builds(&bench), 1);
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);

    // The next run finds it in the bucket, and so does whoever takes that run over.
    fs::remove_dir_all(bench.path("repository")).expect("removed");
    let planned = dry_run(&bench, "unblocked_requests", &args);
    assert!(planned.contains("was built for x86_64 before, and is not built again"), "{planned}");
    let mut running = bench.start_run("unblocked_requests", &[&args[..], &["--repeat", "3"]].concat());
    running.wait_for("running clients");
    running.child.kill().expect("it is there");
    running.child.wait().expect("a child");
    bench.expect(0, &["resume", "latest"]);
    assert_eq!(bench.summary()["status"], "ok");
    assert_eq!(builds(&bench), 1, "neither the second run nor its resumption builds");
    assert_eq!(bench.cloud.violations(), [Value::Null; 0]);
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

#[test]
fn a_build_that_fails_names_the_host_the_step_and_the_cause_and_leaves_nothing() {
    let bench = bench_with_cargo();
    let broken = ("s2n-netbench-driver-server-mine", "fn main() { let x: u8 = \"no number\"; }");
    let commit = repository(&bench, "drivers", &[broken]);
    let source = format!("mine=git:{}@{commit}#drivers", url(&bench));
    let stderr = bench.start_run("tiny", &["--driver", "mine", "--driver-source", &source]).expect(3);
    for text in ["step build_driver failed on 1 of 1 hosts", "server 0", "no bin target named"] {
        assert!(stderr.contains(text), "{text}: {stderr}");
    }
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

#[test]
fn sources_that_make_no_sense_are_refused() {
    let bench = Bench::new();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (args, expected) in [
        (vec!["--driver-source", "tcp=git:https://h/a@main#tcp"], "\"main\" is not pinned"),
        (
            vec!["--driver-source", "tcp=registry:x@1.0.0"],
            "this driver is not among those that were asked for",
        ),
        (vec!["--driver-source", "embedded=registry:x@1.0.0"], "the embedded driver is part of the worker"),
        (vec!["--driver", "mine"], "to have it built on a host: --driver-source mine=SOURCE"),
        (vec!["--worker-source", "registry:runner@1.0.0"], "expected git:URL@COMMIT"),
        (vec!["--worker", RUNNER, "--worker", RUNNER], "are both for"),
    ] {
        let stderr = bench.start_run("tiny", &args).expect(2);
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
    let source = format!("x=git:https://h/a@{commit}#x");
    let stderr =
        bench.start_run("tiny", &["--driver", "x", "--driver-source", &source, "--driver-source", &source]);
    assert!(stderr.expect(2).contains("was given two"));
    assert!(!bench.path("runs").exists());
}

/// A cloud whose hosts have the compiler that this was built with. They have nothing else of it: no registry, and no
/// settings of a user.
fn bench_with_cargo() -> Bench {
    let cargo = Path::new(env!("CARGO"));
    let directory = cargo.parent().and_then(Path::to_str).expect("a path of text");
    Bench::with(&["--host-path", directory])
}

/// What a dry run of `scenario` says.
fn dry_run(bench: &Bench, scenario: &str, args: &[&str]) -> String {
    let mut args = args.to_vec();
    args.push("--dry-run");
    let output = bench.start_run(scenario, &args).child.wait_with_output().expect("a child");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    told(&output)
}

/// How often a host was told to build.
fn builds(bench: &Bench) -> usize {
    let requests = bench.cloud.get("requests");
    let is_build = |request: &&Value| {
        let comment = request["parameters"]["Comment"].as_str().unwrap_or_default();
        request["operation"] == "ssm:SendCommand" && comment.contains(" build_driver ")
    };
    requests.as_array().expect("a list").iter().filter(is_build).count()
}

/// A program that becomes this project's own, called `name` (an expression).
fn program(name: &str) -> String {
    format!(
        "use std::os::unix::process::CommandExt;\n\
         #[allow(dead_code)]\n\
         fn own_name() -> String {{ std::env::args().next().unwrap() }}\n\
         fn main() {{\n    let error = std::process::Command::new({RUNNER:?}).arg0({name})\n        \
         .args(std::env::args_os().skip(1)).exec();\n    panic!(\"{{error}}\");\n}}\n"
    )
}

fn url(bench: &Bench) -> String {
    format!("file://{}", bench.path("repository").display())
}

/// Makes a git repository with a package that needs nothing; gives the hash of its commit.
fn repository(bench: &Bench, package: &str, programs: &[(&str, &str)]) -> String {
    let root: PathBuf = bench.path("repository");
    fs::create_dir_all(root.join("src/bin")).expect("made");
    let write = |name: &str, text: &str| fs::write(root.join(name), text).expect("written");
    let named = format!("name = \"{package}\"\nversion = \"0.1.0\"\n");
    write("Cargo.toml", &format!("[package]\n{named}edition = \"2021\"\n"));
    write("Cargo.lock", &format!("version = 3\n\n[[package]]\n{named}"));
    for (name, text) in programs {
        write(&format!("src/bin/{name}.rs"), text);
    }
    let git = |args: &[&str]| {
        let identity =
            ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
        let mut command = Command::new("git");
        command.args(identity).args(args).current_dir(&root).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = command.output().expect("git is there");
        assert!(output.status.success(), "{args:?}: {}", told(&output));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "a driver"]);
    git(&["rev-parse", "HEAD"])
}
