//! What a run shows in the bucket: a status page while it lasts, and a copy of its report.

use crate::bench::Bench;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// For an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The address in the line of `text` that begins with `what`.
#[track_caller]
fn link<'a>(text: &'a str, what: &str) -> &'a str {
    let line =
        text.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("no {what}: {text}"));
    assert!(line.contains("(until 20"), "{line}");
    line.split_once("): ").expect("the address comes last").1
}

/// Head and body of what a browser gets.
fn get(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").expect("the emulated cloud");
    let (address, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(address).expect("the cloud listens");
    stream.set_read_timeout(Some(ANSWER_LIMIT)).expect("a limit");
    let head = format!("GET /{path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer in time");
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_lowercase(), body.to_owned())
}

/// The names of the pages of a run that are in the bucket.
fn pages(bench: &Bench, run: &str) -> Vec<String> {
    let left = bench.cloud.get("left");
    let objects = left["objects"].as_array().expect("a list").iter();
    let keys = objects.map(|object| object["id"].as_str().expect("a key"));
    let place = format!("/reports/{run}/");
    let names = keys.filter_map(|key| key.split_once(&place)).map(|(_, name)| name.to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn the_report_and_the_status_of_a_run_are_read_by_their_links() {
    let bench = Bench::new();
    let args = ["--server-az", "us-east-1a", "--client-az", "us-east-1b", "--server-placement", "cluster"];
    let stderr = bench.start_run("tiny", &args).expect(0);
    let (head, report) = get(link(&stderr, "report copy"));
    assert!(
        report.contains("data-file=\"results/") && !report.contains("href=\"../"),
        "only the run directory has files"
    );
    assert!(head.contains(" 200 ") && head.contains("content-type: text/html"), "{head}");
    let local = std::fs::read_to_string(bench.run_directory().join("report/index.html")).expect("a report");
    assert_eq!(report.replace("<a data-file=\"", "<a href=\"../"), local);
    // What is known of each host: its row, with where it is and what it is.
    let section = report.split("<section id=\"facts\">").nth(1).expect("facts").to_owned();
    for (host, zone, placement) in
        [("server 0", "us-east-1a", "cluster"), ("client 0", "us-east-1b", "unspecified")]
    {
        let row = section.split(&format!("<th scope=\"row\">{host}</th>")).nth(1).expect("a row");
        let row = row.split("<td class=\"files").next().expect("it goes on");
        for text in [zone, placement, "c6i.large", "127."] {
            assert!(row.contains(&format!(">{text}")), "{host}, {text}: {row}");
        }
    }
    assert!(section.contains("The same on all hosts"), "{section}");

    let (head, status) = get(link(&stderr, "status page"));
    assert!(head.contains("content-type: text/html"), "{head}");
    assert!(status.contains("badge ok") && !status.contains("http-equiv=\"refresh\""), "{status}");
    let copy = link(&stderr, "report copy").replace('&', "&amp;");
    assert!(status.contains(&format!("href=\"{copy}\"")), "{status}");
    for text in ["preparing the hosts", "collecting results", "giving the hosts back", "us-east-1b"] {
        assert!(status.contains(text), "{text}: {status}");
    }
    let run = bench.run_id();
    assert_eq!(pages(&bench, &run), ["index.html", "status.html", "summary.json"]);
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
    assert_eq!(bench.cloud.violations().len(), 0);
    bench.expect(0, &["ec2", "teardown", "--yes"]);
    assert_eq!(pages(&bench, &run), [""; 0]);
}

#[test]
fn a_run_that_fails_says_so_on_its_page_until_it_is_destroyed() {
    let bench = Bench::new();
    bench.cloud.refuse("ssm:SendCommand", 2, "not <today>");
    let stderr = bench.start_run("tiny", &[]).expect(3);
    let (_, status) = get(link(&stderr, "status page"));
    assert!(status.contains("badge failed") && status.contains("not &lt;today&gt;"), "{status}");
    assert!(!stderr.contains("report copy"), "{stderr}");
    let run = bench.run_id();
    assert_eq!(pages(&bench, &run), ["status.html"]);
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
    bench.expect(0, &["ec2", "destroy", &run]);
    assert_eq!(pages(&bench, &run), [""; 0]);
}

#[test]
fn a_bucket_that_refuses_the_pages_fails_no_run() {
    let bench = Bench::new();
    let mut running = bench.start_run("tiny", &[]);
    // All that the hosts need is in the bucket by then.
    running.wait_for("step place_worker");
    let stderr = running.stderr();
    let (_, status) = get(link(&stderr, "status page"));
    assert!(status.contains("under way") && status.contains("http-equiv=\"refresh\""), "{status}");
    assert!(status.contains("client 0") && status.contains("server 0"), "{status}");
    let fault = json!([{"operation": "s3:PutObject", "every": 1, "kind": "error", "status": 403,
                        "code": "AccessDenied", "message": "not today"}]);
    bench.cloud.post("faults", &fault);
    let stderr = running.expect(0);
    let warning =
        stderr.lines().find(|line| line.starts_with("warning: the report has no copy")).expect("told");
    assert!(warning.contains("PutObject of s3://") && warning.contains("not today"), "{warning}");
    assert!(stderr.contains("warning: the status page does not show the end"), "{stderr}");
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}
