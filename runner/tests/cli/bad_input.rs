//! What cannot work is refused with exit code 2 before anything starts, in words that name it.

use crate::bench::{Bench, Finished, scenario, write_program};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Runs `runner local` with `args`; it has to refuse them, say these words, and leave nothing on disk.
#[track_caller]
fn refused(bench: &Bench, args: &[&str], words: &[&str]) -> Finished {
    let mut all = vec!["local"];
    all.extend(args);
    let finished = bench.run(&all);
    finished.expect_code(2).expect_stderr(words);
    assert_eq!(finished.stdout, "", "stdout is for results");
    assert!(!bench.out().exists(), "bad input leaves no run directory");
    finished
}

/// A scenario with this text is refused with these words.
#[track_caller]
fn scenario_refused(text: &str, words: &[&str]) {
    let bench = Bench::new();
    bench.write("bad.json", text);
    let finished = refused(&bench, &["--scenario", "bad.json"], words);
    finished.expect_stderr(&["error: scenario bad.json: "]);
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:#?}");
}

#[test]
fn a_scenario_that_is_missing() {
    refused(
        &Bench::new(),
        &["--scenario", "none.json"],
        &["none.json", "no such file", "s2n-netbench-scenarios"],
    );
}

#[test]
fn a_scenario_that_is_a_directory() {
    refused(&Bench::new(), &["--scenario", "drivers"], &["drivers", "a directory"]);
}

#[test]
fn a_scenario_that_is_empty() {
    scenario_refused("", &["the file is empty"]);
}

#[test]
fn a_scenario_that_is_not_json() {
    scenario_refused("servers: 4\n", &["not JSON", "line 1"]);
}

#[test]
fn a_scenario_that_is_cut_off() {
    let text = fs::read_to_string(scenario("tiny")).expect("read");
    scenario_refused(&text[..text.len() / 2], &["cut off"]);
}

#[test]
fn json_that_is_no_scenario() {
    scenario_refused("[1, 2]", &["no netbench scenario", "an array"]);
    scenario_refused("{\"id\": \"x\"}", &["no netbench scenario", "\"clients\" is missing"]);
}

#[test]
fn a_scenario_without_clients() {
    scenario_refused(&tiny_with(|tiny| tiny["clients"] = serde_json::json!([])), &["no clients"]);
}

#[test]
fn a_scenario_without_servers() {
    scenario_refused(&tiny_with(|tiny| tiny["servers"] = serde_json::json!([])), &["no servers"]);
}

#[test]
fn a_connection_to_a_server_that_does_not_exist() {
    let text = tiny_with(|tiny| tiny["clients"][0]["scenario"][0]["connect"]["server_id"] = 5.into());
    scenario_refused(&text, &["clients[0].scenario[0]", "no server 5"]);
}

fn tiny_with(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut tiny = crate::bench::read_json(&scenario("tiny"));
    change(&mut tiny);
    tiny.to_string()
}

#[test]
fn an_unknown_driver() {
    let bench = Bench::new();
    bench.fake("mine", "exec $SERVER", "exec $CLIENT");
    let words = ["unknown driver yours", "known: embedded, mine", "runner driver install yours"];
    refused(&bench, &["--driver", "yours", "--driver-dir", "drivers"], &words);
}

#[test]
fn a_driver_name_that_is_a_path() {
    refused(&Bench::new(), &["--driver", "../../bin/sh"], &["../../bin/sh", "--driver"]);
}

#[test]
fn a_driver_that_is_not_executable() {
    let bench = Bench::new();
    bench.fake("flat", "exec $SERVER", "exec $CLIENT");
    let client = bench.drivers().join("s2n-netbench-driver-client-flat");
    fs::set_permissions(&client, fs::Permissions::from_mode(0o644)).expect("changed");
    let words = ["s2n-netbench-driver-client-flat", "not executable", "chmod +x"];
    refused(&bench, &["--driver", "flat", "--driver-dir", "drivers"], &words);
}

#[test]
fn half_a_driver() {
    let bench = Bench::new();
    write_program(&bench.drivers().join("s2n-netbench-driver-server-half"), "#!/bin/sh\n");
    let words = ["s2n-netbench-driver-client-half is missing", "s2n-netbench-driver-server-half"];
    refused(&bench, &["--driver", "half", "--driver-dir", "drivers"], &words);
}

#[test]
fn a_driver_given_twice() {
    let args = ["--driver", "embedded", "--driver", "embedded"];
    refused(&Bench::new(), &args, &["--driver embedded was given twice", "--repeat"]);
}

#[test]
fn a_driver_directory_that_is_none() {
    let bench = Bench::new();
    refused(
        &bench,
        &["--driver", "x", "--driver-dir", "nowhere"],
        &["--driver-dir nowhere", "no such directory"],
    );
    bench.write("file", "");
    refused(&bench, &["--driver", "x", "--driver-dir", "file"], &["--driver-dir file", "not a directory"]);
}

#[test]
fn a_stock_collector_that_is_missing() {
    let bench = Bench::new();
    let mut command = bench.command(&["local", "--collector", "stock"]);
    command.env("PATH", bench.drivers());
    let finished = bench.start(command).end();
    finished
        .expect_code(2)
        .expect_stderr(&["s2n-netbench-collector was not found", "driver install collector"]);
    assert!(!bench.out().exists());
}

#[test]
fn an_output_directory_that_cannot_be_written() {
    let bench = Bench::new();
    bench.write("file", "");
    for out in ["file", "file/below", "/proc/runs", "/dev/null"] {
        let finished = refused(&bench, &["--out", out], &["cannot be written", "--out"]);
        finished.expect_stderr(&[out]);
    }
    assert!(bench.path("file").is_file());
}

#[test]
fn an_output_directory_whose_path_is_no_text() {
    let bench = Bench::new();
    let out = OsStr::from_bytes(b"runs\xff");
    let finished = bench.run(&["local".as_ref(), "--out".as_ref(), out]);
    finished.expect_code(2).expect_stderr(&["cannot be written", "not UTF-8", "--out"]);
    assert!(!bench.path(out).exists());
}

#[test]
fn numbers_that_are_zero_or_absurd() {
    let bench = Bench::new();
    let refusals: [(&str, &str, &[&str]); 12] = [
        ("--repeat", "0", &["1..=10000"]),
        ("--repeat", "10001", &["1..=10000"]),
        ("--repeat", "99999999999999999999", &["--repeat"]),
        ("--repeat", "-1", &["1..=10000"]),
        ("--repeat", "many", &["--repeat"]),
        ("--timeout", "0", &["1ms to 7days"]),
        ("--timeout", "1000y", &["1ms to 7days"]),
        ("--timeout", "soon", &["for example 100ms"]),
        ("--sample-interval", "1us", &["0 (off)", "10ms to 1h"]),
        ("--sample-interval", "9h", &["10ms to 1h"]),
        ("--sample-interval", "1000000000000000000000s", &["--sample-interval"]),
        ("--kill-grace", "0", &["1ms to 7days"]),
    ];
    for (option, value, words) in refusals {
        refused(&bench, &[option, value], words).expect_stderr(&[option, value]);
    }
}

#[test]
fn an_unknown_flag() {
    refused(&Bench::new(), &["--driverr", "tcp"], &["--driverr", "--driver"]);
}

#[test]
fn no_verb_shows_the_help() {
    let bench = Bench::new();
    let finished = bench.run::<&str>(&[]);
    finished.expect_code(2).expect_stderr(&["Usage: runner", "local"]);
}

#[test]
fn help_tells_the_exit_codes() {
    let bench = Bench::new();
    for args in [&["--help"] as &[&str], &["local", "--help"], &["attach", "--help"]] {
        let finished = bench.run(args);
        finished.expect_code(0);
        for code in
            ["0  done", "2  bad input", "3  hosts", "4  a driver", "5  a deadline", "130  interrupted"]
        {
            assert!(finished.stdout.contains(code), "{code:?} is missing: {}", finished.stdout);
        }
    }
}

#[test]
fn a_report_on_a_directory_that_is_no_run() {
    let bench = Bench::new();
    fs::create_dir(bench.path("empty")).expect("created");
    for directory in ["nowhere", "empty"] {
        let finished = bench.run(&["report", directory]);
        finished.expect_code(2).expect_stderr(&[directory]);
        assert!(!Path::new(&bench.path(directory)).join("report").exists());
    }
}

#[test]
fn attach_wants_a_worker_for_each_host_of_the_scenario() {
    let bench = Bench::new();
    let tiny = scenario("tiny");
    let tiny = tiny.to_str().expect("a path in UTF-8");
    let server = "--server=127.0.0.1:9";
    let args = ["attach", "--scenario", tiny, "--key-file=none", server, server, "--client=127.0.0.1:9"];
    let finished = bench.run(&args);
    finished.expect_code(2).expect_stderr(&["--server was given 2 times", "has 1 server"]);
    assert!(!bench.out().exists());
}
