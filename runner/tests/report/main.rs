//! Whole reports, from run directories on disk.

mod facts;
mod fixture;

use fixture::Shape;
use runner::{
    report::{self, ReportError},
    summary::{Status, Summary},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Points of all lines of a page, as `report::data` bounds them.
const MAX_POINTS_PER_PAGE: usize = 400_000;

struct Page {
    path: PathBuf,
    /// The page without Plotly's own script.
    html: String,
    /// The data of the figures by id.
    figures: BTreeMap<String, Value>,
}

fn page_of(run_dir: &Path) -> Page {
    let path = report::write(run_dir).expect("a report");
    let whole = fs::read_to_string(&path).expect("the report is text");
    let plotly = whole.find("<script type=\"text/javascript\">").expect("Plotly is in the page");
    let plotly_end = plotly + whole[plotly..].find("</script>").expect("the script ends");
    assert!(whole[plotly..plotly_end].contains("plotly.js v"));
    let html = format!("{}{}", &whole[..plotly], &whole[plotly_end..]);
    assert!(!html.contains("plotly.js v"), "Plotly is in the page only once");
    let elements = html.split("<script type=\"application/json\" id=\"").skip(1).map(|rest| {
        let (id, rest) = rest.split_once("\">").expect("the id ends");
        let (json, _) = rest.split_once("</script>").expect("the element ends");
        (id.to_owned(), serde_json::from_str(json).expect("the element holds JSON"))
    });
    let figures = elements.collect();
    Page { path, html, figures }
}

fn run(shape: &Shape) -> (TempDir, Summary) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let summary = fixture::write_run(directory.path(), shape);
    (directory, summary)
}

fn small() -> Shape {
    Shape { repetitions: 1, servers: 2, samples: 5, ..Shape::default() }
}

fn traces(figure: &Value) -> &Vec<Value> {
    figure["data"].as_array().expect("a figure has traces")
}

fn numbers(array: &Value) -> Vec<f64> {
    array.as_array().expect("an array").iter().filter_map(Value::as_f64).collect()
}

#[test]
fn a_run_becomes_a_page() {
    // Kept below the target directory, to be looked at in a browser.
    let run_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-of-a-run");
    fs::create_dir_all(&run_dir).expect("the target directory is writable");
    let summary = fixture::write_run(&run_dir, &Shape::default());
    let page = page_of(&run_dir);
    assert_eq!(page.path, run_dir.join("report/index.html"));
    for text in [
        "<h1>incast <span class=\"badge ok\">ok</span></h1>",
        "2026-01-31 12:00:05 UTC",
        "AMD EPYC 9R14",
        "<td>3 of 3</td>",
        "<option value=\"2\">3</option>",
        "<figcaption>request ",
        "<figcaption>first byte ",
        "href=\"../results/incast/s2n-quic-3/client-127.0.2.1.json\"",
    ] {
        assert!(page.html.contains(text), "{text} is missing");
    }
    assert!(!page.html.contains("What went wrong"));
    assert!(!page.html.contains("Notes on the data"));
    assert_eq!(page.figures.len(), 4 + 2 * 3 * 4 + 2, "totals, drivers × repetitions × metrics, profiles");

    let sent = traces(&page.figures["time-1-2-sent"]);
    let names: Vec<_> = sent.iter().map(|trace| trace["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(
        names,
        ["client 127.0.2.1", "server 127.0.1.1", "server 127.0.1.2", "server 127.0.1.3", "server 127.0.1.4"]
    );
    let (times, rates) = (numbers(&sent[1]["x"]), numbers(&sent[1]["y"]));
    let intervals = times.iter().zip(std::iter::once(&0.0).chain(&times)).map(|(end, begin)| end - begin);
    let bytes: f64 = intervals.zip(&rates).map(|(seconds, rate)| seconds * rate / 8.0).sum();
    let truth = summary.drivers[1].repetitions[2].servers[0].sent_bytes.expect("the fixture knows it") as f64;
    assert!((bytes / truth - 1.0).abs() < 1e-3, "area below the line: {bytes}, sent: {truth}");

    let client_start_s = numbers(&sent[0]["x"])[0];
    assert!((client_start_s - 0.27).abs() < 0.01, "clients start 170 ms after servers: {client_start_s}");
}

#[test]
fn the_page_loads_nothing() {
    let (run_dir, _) = run(&small());
    let page = page_of(run_dir.path());
    // The name of SVG, which is no address that anything is loaded from.
    let html = page.html.replace("http://www.w3.org/2000/svg", "");
    for reference in ["http:", "https:", "cdn", "@import", "url(", "MathJax", " src=", "<link"] {
        assert!(!html.contains(reference), "{reference}");
    }
    assert!(html.contains("content=\"default-src 'none';"));
}

#[test]
fn names_and_errors_cannot_become_markup() {
    const MARKUP: &str = "</script><script>alert('x')</script><img src=x onerror=alert(1)>";
    let (run_dir, mut summary) = run(&small());
    summary.status = Status::Failed;
    summary.scenario = format!("s{MARKUP}");
    summary.error = Some(format!("run {MARKUP}"));
    summary.machine.cpu = MARKUP.to_owned();
    summary.traces[0] = format!("trace {MARKUP}");
    summary.drivers[0].driver = format!("driver {MARKUP}");
    let repetition = &mut summary.drivers[0].repetitions[0];
    repetition.status = Status::Failed;
    repetition.error = Some(format!("repetition {MARKUP}"));
    repetition.clients[0].error = Some(format!("host {MARKUP}"));
    repetition.clients[0].stderr_tail = format!("first line\n{MARKUP}\n");
    repetition.clients[0].host = MARKUP.to_owned();
    fixture::write_summary(run_dir.path(), &summary);

    let page = page_of(run_dir.path());
    assert!(!page.html.contains("<script>alert"));
    assert!(!page.html.contains("<img"));
    for what in ["s", "run ", "trace ", "driver ", "repetition ", "host ", "first line\n"] {
        let escaped = "&lt;/script&gt;&lt;script&gt;alert(&#39;x&#39;)";
        assert!(page.html.contains(&format!("{what}{escaped}")), "{what}");
    }
    let client = &traces(&page.figures["time-0-0-received"])[0];
    assert!(client["name"].as_str().is_some_and(|name| !name.contains('<')), "Plotly reads names as HTML");
}

#[test]
fn a_failed_run_says_first_what_went_wrong() {
    let (run_dir, mut summary) = run(&Shape { repetitions: 2, ..small() });
    summary.status = Status::Failed;
    let repetition = &mut summary.drivers[1].repetitions[1];
    repetition.status = Status::Failed;
    repetition.error = Some("client 127.0.2.1 failed".to_owned());
    let client = &mut repetition.clients[0];
    client.exit_code = Some(1);
    client.received_bytes = None;
    client.error = Some("exited with status 1".to_owned());
    client.stderr_tail = "Error: connection refused\n".to_owned();
    fixture::write_summary(run_dir.path(), &summary);

    let html = page_of(run_dir.path()).html;
    let order = [
        "What went wrong",
        "s2n-quic · repetition 2",
        "exited with status 1",
        "connection refused",
        "Totals",
    ];
    let places: Vec<_> = order.iter().map(|text| html.find(text).expect(text)).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(html.contains("<td>1 of 2</td>"));
    assert!(!html.contains("embedded · repetition 1 <span class=\"badge failed\">"));
}

#[test]
fn an_interrupted_run_without_hosts_has_a_page() {
    let (run_dir, mut summary) = run(&small());
    summary.status = Status::Interrupted;
    summary.error = Some("interrupted by the user while preparing hosts".to_owned());
    summary.drivers.clear();
    fixture::write_summary(run_dir.path(), &summary);
    let html = page_of(run_dir.path()).html;
    assert!(html.contains("badge interrupted"));
    assert!(html.contains("interrupted by the user while preparing hosts"));
    assert!(html.contains("No driver ran."));
}

#[test]
fn a_run_under_way_is_marked_as_unfinished() {
    let (run_dir, mut summary) = run(&small());
    summary.status = Status::Running;
    summary.drivers[1].repetitions.clear();
    fixture::write_summary(run_dir.path(), &summary);
    let html = page_of(run_dir.path()).html;
    assert!(html.contains("<span class=\"badge unfinished\">unfinished</span>"));
    assert!(html.contains("Unfinished: the run was under way"));
    assert!(html.contains("embedded · repetition 1"), "what is there is shown");
}

#[test]
fn a_run_in_its_first_repetition_has_a_page() {
    let (run_dir, mut summary) = run(&small());
    summary.status = Status::Running;
    summary.drivers.iter_mut().for_each(|driver| driver.repetitions.clear());
    fixture::write_summary(run_dir.path(), &summary);
    assert!(page_of(run_dir.path()).html.contains("badge unfinished"));
}

#[test]
fn unknown_is_never_shown_as_zero() {
    let (run_dir, mut summary) = run(&small());
    summary.drivers.truncate(1);
    let repetition = &mut summary.drivers[0].repetitions[0];
    for host in repetition.servers.iter_mut().chain(&mut repetition.clients) {
        host.exit_code = None;
        host.signal = None;
        host.duration_s = None;
        host.sent_bytes = None;
        host.received_bytes = None;
        host.cpu_s = None;
        host.max_rss_bytes = None;
        host.result = None;
    }
    fixture::write_summary(run_dir.path(), &summary);
    let page = page_of(run_dir.path());
    let body = &page.html[page.html.find("<main>").expect("a body")..];
    // 7 totals but the duration; for 3 hosts 7 values each.
    assert_eq!(body.matches("<td><span class=\"unknown\">unknown</span></td>").count(), 7 + 3 * 7);
    for zero in [">0 B<", ">0 s<", ">0 bit/s<", ">NaN"] {
        assert!(!body.contains(zero), "{zero}");
    }
    assert_eq!(page.figures["time-0-0-cpu"]["message"], "No result file could be read.");
}

#[test]
fn damaged_result_files_are_named_and_the_rest_is_shown() {
    let (run_dir, summary) = run(&Shape { servers: 5, ..small() });
    let repetition = &summary.drivers[0].repetitions[0];
    let file = |index: usize| run_dir.path().join(repetition.servers[index].result.as_ref().expect("a file"));
    let whole = fs::read_to_string(file(1)).expect("a result file");
    fs::remove_file(file(0)).expect("the file is there");
    fs::write(file(1), &whole[..whole.len() - 20]).expect("writable");
    fs::write(file(2), [0xff, 0xfe, 0, b'\n', b'{', b'}']).expect("writable");
    fs::write(file(3), "").expect("writable");

    let page = page_of(run_dir.path());
    for (server, note) in [
        (1, "could not be read: No such file or directory"),
        (2, "ends in the middle of a line; everything before it is shown"),
        (3, "2 of 2 lines are not in the netbench result format"),
        (4, "is empty"),
    ] {
        let about = format!("<li><b>embedded, repetition 1, server 127.0.1.{server}</b>");
        let line = page.html.lines().find(|line| line.starts_with(&about)).expect(&about);
        assert!(line.contains(note), "{line}");
    }
    let names: Vec<_> = traces(&page.figures["time-0-0-cpu"]).iter().map(|trace| &trace["name"]).collect();
    assert_eq!(names, ["client 127.0.2.1", "server 127.0.1.2", "server 127.0.1.5"]);
}

#[test]
fn a_result_file_outside_of_the_run_is_not_read() {
    let (run_dir, mut summary) = run(&small());
    for (index, path) in ["/etc/hostname", "../summary.json"].into_iter().enumerate() {
        summary.drivers[index].repetitions[0].clients[0].result = Some(PathBuf::from(path));
    }
    fixture::write_summary(run_dir.path(), &summary);
    let html = page_of(run_dir.path()).html;
    assert_eq!(html.matches("does not lie in the run directory; not read").count(), 2);
    assert!(!html.contains("href=\"/etc"));
}

#[test]
fn memory_that_the_kernel_contradicts_is_noted() {
    let (run_dir, mut summary) = run(&small());
    // As the stock collector 0.1.0 does: a thousand times too large.
    summary.drivers[0].repetitions[0].clients[0].max_rss_bytes = Some(9_000);
    fixture::write_summary(run_dir.path(), &summary);
    let html = page_of(run_dir.path()).html;
    let note = "<li><b>embedded, repetition 1, client 127.0.2.1</b>: its collector reports up to ";
    assert_eq!(html.matches(note).count(), 1);
    assert_eq!(html.matches("of memory, the kernel 8.79 KiB").count(), 1);
}

#[test]
fn repetitions_of_a_single_driver_are_compared_by_their_numbers() {
    let (run_dir, mut summary) = run(&Shape { drivers: vec!["tcp"], repetitions: 3, ..small() });
    summary.drivers[0].repetitions[1].status = Status::Failed;
    fixture::write_summary(run_dir.path(), &summary);
    let page = page_of(run_dir.path());
    let bars = &traces(&page.figures["totals-0"])[0];
    let labels: Vec<_> = bars["y"].as_array().expect("labels").iter().filter_map(Value::as_str).collect();
    assert_eq!(labels.len(), 2);
    // From the bottom to the top.
    assert!(labels[0].starts_with("<b>repetition 3</b>"), "{labels:?}");
    assert!(labels[1].starts_with("<b>repetition 1</b>"), "{labels:?}");
}

#[test]
fn throughput_that_is_not_reported_is_not_drawn_as_zero() {
    let (run_dir, summary) = run(&small());
    let repetition = &summary.drivers[0].repetitions[0];
    for host in repetition.servers.iter().chain(&repetition.clients) {
        let path = run_dir.path().join(host.result.as_ref().expect("a file"));
        let text = fs::read_to_string(&path).expect("a result file");
        fs::write(&path, text.replace("\"send\"", "\"s\"").replace("\"receive\"", "\"r\""))
            .expect("writable");
    }
    let page = page_of(run_dir.path());
    assert_eq!(page.figures["time-0-0-sent"]["message"], "Not reported by the collector.");
    assert_eq!(traces(&page.figures["time-0-0-cpu"]).len(), 3);
}

#[test]
fn a_clock_that_is_far_off_does_not_stretch_the_plot() {
    let (run_dir, summary) = run(&small());
    let client = &summary.drivers[0].repetitions[0].clients[0];
    let path = run_dir.path().join(client.result.as_ref().expect("a file"));
    let text = fs::read_to_string(&path).expect("a result file");
    fs::write(&path, text.replace("1769860805", "1769864405")).expect("writable");
    let page = page_of(run_dir.path());
    assert!(page.html.contains("its clock is 1 h 00 min ahead; its lines begin at 0"));
    let times = numbers(&traces(&page.figures["time-0-0-cpu"])[0]["x"]);
    assert!(times.iter().all(|seconds| *seconds < 1.0), "{times:?}");
}

#[test]
fn a_run_of_many_hosts_stays_usable() {
    let run_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-of-many-hosts");
    fs::create_dir_all(&run_dir).expect("the target directory is writable");
    fixture::write_run(&run_dir, &Shape { clients: 20, servers: 280, samples: 200, ..small() });
    let page = page_of(&run_dir);
    let lines = page.figures.iter().filter(|(id, _)| id.starts_with("time-")).flat_map(|(_, f)| traces(f));
    let (count, points) =
        lines.fold((0, 0), |(count, points), trace| (count + 1, points + numbers(&trace["x"]).len()));
    assert_eq!(count, 2 * 4 * 300);
    assert!(points <= MAX_POINTS_PER_PAGE, "{points} points");
    assert!(points * 4 > MAX_POINTS_PER_PAGE, "{points} points are fewer than there could be");
    let bytes = fs::metadata(&page.path).expect("the page is there").len();
    assert!(bytes < 30_000_000, "{bytes} bytes");
}

#[test]
fn a_report_is_replaced_as_a_whole() {
    let (run_dir, mut summary) = run(&small());
    page_of(run_dir.path());
    summary.scenario = "another".to_owned();
    fixture::write_summary(run_dir.path(), &summary);
    assert!(page_of(run_dir.path()).html.contains("<h1>another "));
    let files: Vec<_> = fs::read_dir(run_dir.path().join("report"))
        .expect("the directory of the report")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(files, ["index.html"], "no temporary file is left");
}

#[test]
fn what_is_no_run_directory_is_a_named_error() {
    let empty = tempfile::tempdir().expect("a temporary directory");
    let error = report::write(empty.path()).expect_err("there is no summary");
    assert!(matches!(error, ReportError::ReadSummary { .. }), "{error}");
    assert!(error.to_string().contains("summary.json"), "{error}");
    assert!(error.source().is_some());

    fs::write(empty.path().join("summary.json"), "{\"run_id\":").expect("writable");
    let error = report::write(empty.path()).expect_err("the summary is cut");
    assert!(matches!(error, ReportError::ParseSummary { .. }), "{error}");

    let (run_dir, _) = run(&small());
    fs::write(run_dir.path().join("report"), "a file in the way").expect("writable");
    let error = report::write(run_dir.path()).expect_err("the directory cannot be made");
    assert!(matches!(error, ReportError::Write { .. }), "{error}");
}
