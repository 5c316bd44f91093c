//! Whole reports from run directories on disk.

mod fixture;

use fixture::Shape;
use std::{fs, path::Path};

#[test]
fn a_run_becomes_a_page() {
    // Kept below the target directory, to be looked at in a browser.
    let run_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-of-a-run");
    fs::create_dir_all(&run_dir).expect("the target directory is writable");
    let summary = fixture::write_run(&run_dir, &Shape::default());
    let page = runner::report::write(&run_dir).expect("a report");
    println!("{}\n{}", page.display(), runner::table::render(&summary, runner::table::Style::default()));
    println!("{}", runner::table::render(&summary, runner::table::Style { verbose: true, color: true }));
}
