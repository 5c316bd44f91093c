//! The scripts are run by bash, on hosts that are directories.

use super::script::{build_script, example_build, script, script_with};
use super::script_host::{CARGO, Host};
use super::step::Step;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn all_steps_succeed_and_bring_the_results_back() {
    let host = Host::new("echo 'a line of the log' >&2; echo 'listening on 127.0.0.1:9000'; exec sleep 60");
    host.prepare();
    assert_eq!(host.read("scenario/incast.json"), "{}");
    assert_eq!(
        (mode(&host.run_path("bin/runner")), mode(&host.run_path("scenario/incast.json"))),
        (0o755, 0o644)
    );
    let of_machine = ["x86_64", "aarch64"].map(|machine| host.has(&format!("bin/of-{machine}")));
    assert_eq!(of_machine, [cfg!(target_arch = "x86_64"), cfg!(target_arch = "aarch64")]);
    assert!(!host.has("out/facts/before.tsv"), "what is downloaded and built is not to be in the counters");

    host.succeed(Step::RunWorker);
    let facts = host.read("out/facts/before.tsv");
    assert!(facts.lines().all(|line| line.split('\t').count() == 3), "{facts}");
    let has = |fact: &&str| assert!(facts.lines().any(|line| line.starts_with(*fact)), "{fact}: {facts}");
    ["kernel\trelease\t", "sysctl\tnet.core.somaxconn\t", "sysctl\tnet.ipv4.tcp_rmem\t"].iter().for_each(has);
    assert_eq!((host.read("key").as_str(), mode(&host.run_path("key"))), ("the-secret-key\n", 0o600));
    let directory = host.run_path("");
    let directory = directory.to_str().unwrap().trim_end_matches('/');
    let expected = format!(
        "worker client --listen 127.0.0.1:9000 --run 20261122-225500-1a2b --key-file {directory}/key --index 3 \
         --scenario {directory}/scenario/incast.json --port 4436 --out {directory}/out \
         --driver tcp={directory}/bin/client-tcp --server 10.0.0.1:4433 --server 10.0.0.2:4434 \
         --sample-interval 50_ms"
    );
    let given = fs::read_to_string(host.path("calls.worker")).unwrap();
    assert_eq!(given.trim_end().replace(' ', "_").replace('\n', " "), expected);

    host.succeed(Step::UploadNetbenchRawData);
    let collected = host.path("bucket").join(host.context.names.host_prefix("client", 3));
    assert_eq!(
        fs::read_to_string(collected.join("logs/client-127.0.0.1.log")).unwrap(),
        "a line of the log\n"
    );
    assert!(
        collected.join("facts/after.tsv").exists() && collected.join("logs/step_run_worker.log").exists()
    );
    assert!(!host.calls().contains("the-secret-key"));
}

#[test]
fn a_worker_may_open_as_many_files_as_the_host_allows() {
    let host = Host::new("echo 'listening on 127.0.0.1:9000'; exec sleep 60");
    host.prepare();
    let script = format!("ulimit -Sn 256\nulimit -Hn 700\n{}", script(Step::RunWorker, &host.context));
    let output = host.command(&script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(host.path("calls.files")).unwrap(), "700\n");
}

#[test]
fn results_are_uploaded_again_each_time() {
    let host = Host::new("");
    host.prepare();
    let collected = host.path("bucket").join(host.context.names.host_prefix("client", 3));
    for name in ["first.json", "second.json"] {
        fs::write(host.run_path("out").join(name), "{}").unwrap();
        host.succeed(Step::UploadNetbenchRawData);
        assert!(collected.join(name).exists(), "{name}");
    }
}

#[test]
fn a_full_disk_does_not_keep_results_from_being_uploaded() {
    let host = Host::new("");
    host.prepare();
    fs::write(host.run_path("out/result.json"), "{}").unwrap();
    let step = Step::UploadNetbenchRawData;
    // What can be opened and takes no bytes, and what cannot even be opened.
    for name in ["facts.new".to_owned(), format!("out/logs/step_{step}.log")] {
        std::os::unix::fs::symlink("/dev/full", host.run_path(&name)).unwrap();
    }
    fs::remove_file(host.run_path("lock")).unwrap();
    for name in ["lock".to_owned(), format!("start_{step}"), format!("fin_{step}")] {
        fs::create_dir(host.run_path(&name)).unwrap();
    }
    let output = host.run(step);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
    let collected = host.path("bucket").join(host.context.names.host_prefix("client", 3));
    assert!(collected.join("result.json").exists() && !collected.join("facts/after.tsv").exists());
    for name in ["lock", "fin_upload_netbench_raw_data", "the facts of this host"] {
        assert!(said.contains(&format!("netbench: {name} cannot be written")), "{name}: {said}");
    }

    // A step on which others depend does not go on like that.
    fs::create_dir(host.run_path("start_run_worker")).unwrap();
    assert!(!host.run(Step::RunWorker).status.success());
}

#[test]
fn results_that_are_uploaded_again_are_in_no_counters() {
    let host = Host::new("");
    host.prepare();
    host.succeed(Step::UploadNetbenchRawData);
    let after = host.run_path("out/facts/after.tsv");
    fs::write(&after, "of the run\n").unwrap();
    host.succeed(Step::UploadNetbenchRawData);
    assert_eq!(host.read("out/facts/after.tsv"), "of the run\n");
}

#[test]
fn facts_that_cannot_be_written_fail_nothing() {
    let host = Host::new("");
    host.prepare();
    fs::create_dir(host.run_path("facts.new")).unwrap();
    host.succeed(Step::UploadNetbenchRawData);
    assert!(!host.has("out/facts/after.tsv"));
}

#[test]
fn a_command_that_fails_in_the_middle_fails_the_step_and_the_next_try_may_succeed() {
    let host = Host::new("");
    host.write("bucket/broken", "");
    let said = host.fail(Step::UploadScenarioFile);
    let reason =
        "exit code 254 of: aws s3 cp --only-show-errors \"s3://$BUCKET/${PREFIX}manifest\" manifest.new";
    assert!(said.starts_with(&format!("netbench: step upload_scenario_file failed: {reason}\n")), "{said}");
    assert!(said.ends_with("the end of its output:\nAccessDenied: not yours\n"), "{said}");
    assert_eq!(host.read("fail_upload_scenario_file").trim_end(), reason);

    fs::remove_file(host.path("bucket/broken")).unwrap();
    host.succeed(Step::UploadScenarioFile);
}

#[test]
fn a_step_that_succeeded_is_not_done_again() {
    let host = Host::new("");
    host.succeed(Step::UploadScenarioFile);
    let calls = host.calls();
    assert!(host.succeed(Step::UploadScenarioFile).contains("was done before"));
    assert_eq!(host.calls(), calls);
}

#[test]
fn steps_that_are_all_there_at_once_wait_for_each_other() {
    let host = Host::new("echo 'listening on 127.0.0.1:9000'; exec sleep 60");
    let steps = [Step::RunWorker, Step::PlaceWorker, Step::Configure, Step::UploadScenarioFile];
    let all = steps.map(|step| (step, host.command(&script(step, &host.context)).spawn().unwrap()));
    for (step, child) in all {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{step}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(host.has(&format!("fin_{step}")), "{step}");
    }
}

#[test]
fn two_at_once_do_it_once() {
    let host = Host::new("");
    let script = script(Step::UploadScenarioFile, &host.context);
    let both = [host.command(&script).spawn().unwrap(), host.command(&script).spawn().unwrap()];
    for child in both {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert_eq!(host.calls().lines().count(), 2, "one manifest and one scenario: {}", host.calls());
}

#[test]
fn a_step_whose_dependency_never_comes_says_so_and_does_nothing() {
    let mut host = Host::new("");
    host.context.step_limit = Duration::from_millis(500);
    host.succeed(Step::UploadScenarioFile);
    let calls = host.calls();
    let said = host.fail(Step::RunWorker);
    assert!(said.contains("it needs step place_worker, which has not succeeded on this host"), "{said}");
    assert_eq!(host.calls(), calls);
}

/// It might live for ever.
#[test]
fn a_host_whose_time_limit_is_not_armed_is_refused() {
    let mut host = Host::new("");
    host.context.step_limit = Duration::from_secs(2);
    fs::remove_file(host.path("netbench/limited")).unwrap();
    let said = host.fail(Step::Configure);
    let reason = "the time limit of this host is not armed: its image runs no user data at its first boot, or has no \
                  shutdown";
    assert!(said.starts_with(&format!("netbench: step configure failed: {reason}\n")), "{said}");
}

#[test]
fn other_bytes_than_the_digest_promises_are_refused() {
    let host = Host::new("");
    host.write("store/scenario/incast.json", "{\"other\": 1}");
    let said = host.fail(Step::UploadScenarioFile);
    assert!(said.contains("scenario/incast.json was downloaded with other bytes than digest"), "{said}");
    assert!(!host.has("scenario/incast.json"));
}

#[test]
fn a_host_that_the_manifest_does_not_name_fails() {
    let host = Host::new("");
    host.write(&format!("bucket/{}", host.context.names.manifest()), "host i-other client 0 10.0.0.1\n");
    let said = host.fail(Step::UploadScenarioFile);
    assert!(said.contains("does not name this host, i-0123"), "{said}");
}

#[test]
fn a_worker_that_does_not_run_here_is_found_when_it_is_placed() {
    let host = Host::new("");
    let name = host.context.names.manifest();
    let manifest = fs::read_to_string(host.path("bucket").join(&name)).unwrap();
    let broken =
        host.file("bin/runner", "#!/bin/bash\necho 'version GLIBC_2.99 not found' >&2\nexit 1\n", 0o755);
    let lines = manifest.lines().filter(|line| !line.contains(" bin/runner "));
    let manifest: String = lines.map(|line| format!("{line}\n")).collect();
    host.write(&format!("bucket/{name}"), &(manifest + &broken));
    host.succeed(Step::UploadScenarioFile);
    host.succeed(Step::Configure);
    let said = host.fail(Step::PlaceWorker);
    assert!(said.contains("bin/runner does not run here: it ends with exit code 1"), "{said}");
    assert!(said.contains("GLIBC_2.99 not found"), "{said}");
}

#[test]
fn a_worker_that_dies_at_once_is_reported_with_its_log() {
    let host = Host::new("echo 'cannot listen on that address' >&2; exit 2");
    host.prepare();
    let said = host.fail(Step::RunWorker);
    let expected = "the worker ended with exit code 2 before it listened: cannot listen on that address";
    assert!(said.contains(expected), "{said}");
    assert!(!said.contains("the-secret-key"));
}

#[test]
fn a_worker_that_never_listens_is_ended() {
    let host = Host::new("echo 'busy with something else' >&2; exec sleep 60");
    host.prepare();
    let said = host.fail_with(Step::RunWorker, &script_with(Step::RunWorker, &host.context, 1));
    assert!(said.contains("the worker does not listen on 127.0.0.1:9000 within 1 s"), "{said}");
    assert!(said.contains("busy with something else"), "{said}");
    let pid = host.read("worker.pid");
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "the worker is still there: {state}");
}

#[test]
fn what_is_built_goes_up_by_its_digest() {
    let host = Host::new("");
    host.write("shims/cargo", CARGO);
    fs::set_permissions(host.path("shims/cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    let script =
        build_script(&host.context, &[example_build()]).replace("PATH=\"$HOME/.cargo/bin:$PATH\"\n", "");
    host.succeed(Step::Configure);
    let output = host.command(&script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let digest = format!("{:x}", Sha256::digest("built"));
    assert_eq!(fs::read_to_string(host.path("bucket/artifacts").join(&digest)).unwrap(), "built");
    let kind = fs::read_dir(host.path("bucket/artifacts/built/0a")).unwrap().next().unwrap().unwrap().path();
    assert!(["x86_64", "aarch64"].map(Some).contains(&kind.file_name().and_then(|name| name.to_str())));
    assert_eq!(fs::read_to_string(kind.join("s2n-netbench-driver-server-tcp")).unwrap().trim(), digest);
    let expected = "cargo install --locked --root build s2n-netbench-driver-tcp --version 0.1.0 \
                    --bin=s2n-netbench-driver-server-tcp\n";
    assert!(host.calls().contains(expected), "{}", host.calls());
}
