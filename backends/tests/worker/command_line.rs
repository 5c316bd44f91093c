//! The command line: a manual for whoever asks, and a helpful error for whoever errs.

use crate::drivers;
use crate::support::{Site, WORKER, spawn};
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

#[test]
fn help_is_a_manual() {
    let help = stdout(&worker(&["--help"]));
    for what in [
        "russula-worker server --listen",
        "runner attach",
        "--driver <NAME[=PATH]>",
        "--driver-dir",
        "--key-file <FILE>",
        "--sample-interval",
        "--orphan-timeout",
        "--exit-with-stdin",
        "[default: manual]",
        "Exit codes:",
        "130  a signal",
    ] {
        assert!(help.contains(what), "{what:?} is not in:\n{help}");
    }
    let long: Vec<_> = help.lines().filter(|line| line.chars().count() > 100).collect();
    assert_eq!(long, [""; 0], "lines that a terminal would break");
    let brief = stdout(&worker(&["-h"]));
    assert!(brief.lines().count() < help.lines().count() / 2, "-h is the short form");
    assert!(stdout(&worker(&["--version"])).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_bad_command_line_is_refused_before_anything_starts() {
    let site = Site::new();
    let path = |name: &str| site.path(name).display().to_string();
    fs::write(site.path("empty.json"), "").expect("written");
    fs::write(site.path("text.json"), "no scenario").expect("written");
    fs::write(site.path("object.json"), "{}").expect("written");
    fs::write(site.path("plain-file"), "").expect("written");
    drivers::write_script(&site.path("driver"), "exit 0");
    let (demo, driver) = (path("demo.json"), format!("fake={}", path("driver")));
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("bound").to_string();
    let (empty, text, object, absent) =
        (path("empty.json"), path("text.json"), path("object.json"), path("absent.json"));
    let plain_file = format!("fake={}", path("plain-file"));
    let absent_driver = format!("fake={}", path("absent"));
    let (key, absent_key, no_key) = (path("run.key"), path("absent.key"), path("empty.json"));
    fs::set_permissions(&no_key, Permissions::from_mode(0o600)).expect("it is ours");
    let open_key = path("demo.json");
    let at = ["--listen", "127.0.0.1:0", "--key-file", &key];
    let server = ["server", "--listen", "127.0.0.1:0", "--key-file", &key, "--scenario", &demo];
    let client =
        ["client", "--listen", "127.0.0.1:0", "--key-file", &key, "--scenario", &demo, "--driver", &driver];
    let probe = ["probe", "--listen", "127.0.0.1:0"];
    let server_with = |more: &[&str]| server.iter().chain(more).map(ToString::to_string).collect::<Vec<_>>();
    let list = |args: &[&str]| args.iter().map(ToString::to_string).collect::<Vec<_>>();
    let scenario =
        |file: &str| list(&[&["server", "--driver", &driver, "--scenario", file], &at[..]].concat());
    let with_key = |more: &[&str]| list(&[&probe[..], &["--key-file"], more].concat());
    let cases = [
        (list(&[]), "<GROUP>"),
        (list(&["waiter", at[0], at[1], at[2], at[3]]), "possible values: server, client, probe"),
        (list(&["server", at[2], at[3], "--scenario", &demo, "--driver", &driver]), "--listen <IP:PORT>"),
        (list(&probe), "--key-file <FILE>"),
        (with_key(&[&absent_key]), "absent.key"),
        (with_key(&[&open_key]), "so that others than its owner can read or write it; chmod 600"),
        (with_key(&[&no_key]), "empty.json holds no key, which is 64 hex digits and a newline"),
        (with_key(&["-"]), "--key-file: the stream that was to hand the key over ended after 0 bytes"),
        (
            list(&["server", "--listen", "localhost", at[2], at[3], "--scenario", &demo]),
            "invalid value 'localhost'",
        ),
        (list(&["server", at[0], at[1], at[2], at[3], "--driver", &driver]), "--scenario <FILE>"),
        (scenario(&absent), "absent.json"),
        (scenario(&empty), "empty.json"),
        (scenario(&text), "text.json"),
        (scenario(&object), "object.json"),
        (server_with(&[]), "a server needs at least one --driver"),
        (server_with(&["--driver", ""]), "is no driver name"),
        (server_with(&["--driver", "fake="]), "the path of the program of fake is missing"),
        (server_with(&["--driver", &driver, "--driver", &driver]), "--driver fake was given twice"),
        (server_with(&["--driver", &plain_file]), "it is not executable, chmod +x may help"),
        (server_with(&["--driver", &absent_driver]), "there is no such file"),
        (server_with(&["--driver", "fake=driver"]), "there is no such program on PATH"),
        (server_with(&["--driver", "nosuch"]), "unknown driver nosuch; known: embedded"),
        (server_with(&["--driver", "nosuch"]), "--driver nosuch=PATH"),
        (server_with(&["--driver", &driver, "--index", "4"]), "the scenario has 4 server entries"),
        (server_with(&["--driver", &driver, "--port", "0"]), "0 is not in 1..=65535"),
        (server_with(&["--driver", &driver, "--run", "a/b"]), "\"a/b\" is no run id"),
        (server_with(&["--driver", &driver, "--sample-interval", "1us"]), "from 10ms to 1h"),
        (server_with(&["--driver", &driver, "--orphan-timeout", "0"]), "from 1ms to 7days"),
        (server_with(&["--driver", &driver, "--kill-grace", "soon"]), "expected for example 100ms"),
        (list(&client), "--server was given 0 times, the scenario has 4 servers"),
        (with_key(&[&key, "--driver", &driver]), "a probe runs nothing"),
        (list(&["probe", "--listen", &taken, at[2], at[3]]), "choose another address with --listen"),
        (with_key(&[&key, "--exit-with-stdin"]), "stdin has to be a pipe"),
        (list(&["probe", "--listen", "192.0.2.1:9", at[2], at[3]]), "cannot listen on 192.0.2.1:9"),
    ];
    for (args, expected) in cases {
        let output = worker(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {expected:?} is not in: {stderr}");
        assert!(stderr.starts_with("error: "), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}: it listened");
    }
}

fn worker<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Output {
    let mut command = Command::new(WORKER);
    command.args(args).env("RUNNER_CACHE_DIR", "/nonexistent").env("RUST_LOG", "off");
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    spawn(command).wait_with_output().expect("it is our child")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}
