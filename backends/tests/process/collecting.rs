//! What the collector samples while a driver runs, against what the kernel counts at its end.

use crate::support::{Bench, PATIENCE, end_of};
use backends::collector::{Collector, Header, read};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(20);

/// Furthest that both may be apart: what the process uses between its last sample and its end.
const DIFFERENCE_MAX: f64 = 0.05;

#[test]
fn the_sampled_cpu_time_adds_up_to_what_the_kernel_counts() {
    let bench = Bench::new();
    // Busy for a while in the shell itself, then as a program that only waits: the last sample misses nothing.
    let launch = bench.shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; exec sleep 60");
    let mut process = bench.spawn(&launch);
    let path = bench.path("client.json");
    let header = Header { pid: process.pid().into(), ..Header::default() };
    let mut collector =
        Collector::start(&path, header, Some(INTERVAL), None, process.started()).expect("started");
    let mut samples_after_the_work = 0;
    while samples_after_the_work < 2 {
        assert!(process.started().elapsed() < PATIENCE, "the driver does not get its work done");
        samples_after_the_work += u32::from(bench.read("stdout").contains("done"));
        let due = collector.next_sample().expect("there is an interval");
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        collector.sample(Instant::now()).expect("sampled");
    }
    process.kill().expect("killed");
    let outcome = end_of(&mut process);
    collector.finish(&outcome).expect("finished");

    let (mut sampled_s, mut begin_ms) = (0.0, 0);
    for sample in read(&path).expect("a result file").samples {
        sampled_s += f64::from(sample.cpu) / 100.0 * (sample.t - begin_ms) as f64 / 1000.0;
        begin_ms = sample.t;
    }
    let kernel_s = outcome.cpu_us as f64 / 1e6;
    assert!(kernel_s > 0.1, "the driver was busy for {kernel_s} s only");
    assert!((sampled_s / kernel_s - 1.0).abs() < DIFFERENCE_MAX, "sampled {sampled_s} s of {kernel_s} s");
}
