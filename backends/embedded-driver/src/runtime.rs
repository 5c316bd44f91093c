//! What both sides need around their script: one thread, traces, the result file, and an orderly end.

use crate::error::DriverError;
use crate::options::{CommonOptions, TraceKind};
use crate::result_log::ResultLog;
use crate::statistics::{Recorder, Statistics};
use netbench::trace::{StdioLogger, Throughput};
use std::fmt;
use std::future::Future;
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the throughput is printed, as with the stock drivers.
const THROUGHPUT_INTERVAL: Duration = Duration::from_secs(1);

/// Polls of tasks between two looks at the sockets. Each poll can move a megabyte, so this bounds how long a socket
/// that has become ready, or a signal, has to wait.
const POLLS_PER_LOOK: u32 = 8;

/// What the library's driver reports to.
pub(crate) type Traces = (Option<Recorder>, (Option<Throughput>, Option<StdioLogger>));

/// How a driver came to its end.
pub(crate) enum End<T> {
    /// By itself.
    Finished(T),
    /// SIGTERM or SIGINT, with its number.
    Signal(u8),
}

/// Runs a script on one thread, with a result file if one is asked for.
///
/// `script` gets the traces to report to and the statistics to count in, and makes the future to be run.
pub(crate) fn run<T, F: Future<Output = Result<T, DriverError>>>(
    options: &CommonOptions,
    driver: &str,
    scenario: &netbench::scenario::Scenario,
    script: impl FnOnce(Traces, Arc<Statistics>) -> F,
) -> Result<End<T>, DriverError> {
    if options.is_multithreaded() {
        complain(format_args!("warning: MULTITHREADED is ignored: the embedded driver has one thread"));
    }
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(POLLS_PER_LOOK)
        .build()
        .map_err(DriverError::Runtime)?;

    let statistics = Arc::new(Statistics::default());
    let log = match &options.result {
        Some(path) => Some(ResultLog::start(
            path,
            driver,
            &options.scenario,
            &scenario.traces,
            options.sample_interval(),
            Arc::clone(&statistics),
        )?),
        None => None,
    };
    let recorder = log.as_ref().map(|_| Recorder::new(Arc::clone(&statistics)));
    let result = runtime.block_on(async {
        let traces = (recorder, printing_traces(options, scenario));
        until_signal(script(traces, statistics)).await
    });
    let logged = log.map_or(Ok(()), ResultLog::finish);
    // A failed script explains more than what it did to the result file.
    let end = result?;
    logged?;
    Ok(end)
}

/// Prints the error as its last line; 1.
pub(crate) fn report(error: &DriverError) -> ExitCode {
    complain(format_args!("error: {error}"));
    ExitCode::FAILURE
}

/// Writes a line to stderr. Unlike `eprintln!` it does not panic when that is a file on a full disk.
pub(crate) fn complain(line: fmt::Arguments<'_>) {
    // There is nobody left to tell that telling failed.
    let _ = writeln!(io::stderr(), "{line}");
}

/// To be called in the runtime, which prints the throughput.
fn printing_traces(
    options: &CommonOptions,
    scenario: &netbench::scenario::Scenario,
) -> (Option<Throughput>, Option<StdioLogger>) {
    let is_on = |kind| options.trace.contains(&kind) && !options.trace.contains(&TraceKind::Disabled);
    let throughput = is_on(TraceKind::Throughput).then(|| {
        let throughput = Throughput::default();
        throughput.reporter(THROUGHPUT_INTERVAL);
        throughput
    });
    let stdio = is_on(TraceKind::Stdio).then(|| StdioLogger::new(Arc::clone(&scenario.traces)));
    (throughput, stdio)
}

async fn until_signal<T>(
    script: impl Future<Output = Result<T, DriverError>>,
) -> Result<End<T>, DriverError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DriverError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DriverError::Runtime)?;
    // The script shares out its work by itself; tokio's own limit would always serve the first connections first.
    let mut script = pin!(tokio::task::unconstrained(script));
    std::future::poll_fn(|cx| {
        let mut has_come = |signal: &mut Signal| signal.poll_recv(cx).is_ready();
        if has_come(&mut terminate) {
            return Poll::Ready(Ok(End::Signal(15)));
        }
        if has_come(&mut interrupt) {
            return Poll::Ready(Ok(End::Signal(2)));
        }
        script.as_mut().poll(cx).map_ok(End::Finished)
    })
    .await
}

/// Hundreds of connections need more files than the usual soft limit of 1024. Failing to raise it is no failure:
/// the scenario may do with fewer.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
