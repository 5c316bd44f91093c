//! What the tests and the benchmark of the control connections share: workers on threads of their own
//! whose program is a no-op, and waits that end with a name.

#![allow(dead_code, reason = "the tests and the benchmark use different parts of it")]

pub(crate) mod no_op;

pub(crate) use no_op::{Life, NoOp, Starts};

use backends::tcp::{Shutdown, WorkerDriver};
use mio::{Registry, Token, Waker};
use russula_proto::worker::Finish;
use russula_proto::{
    CoordinatorConfig, CoordinatorLimits, Group, Identity, Key, RunId, Text, Worker, WorkerConfig,
    WorkerLimits,
};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

/// Longest wait for something that takes milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Longest run of a whole test, so that a wait inside it fails first and by its own name.
const TEST_LIMIT: Duration = Duration::from_secs(300);

/// The key of workers and coordinators unless a test says otherwise.
pub(crate) const KEY: Key = Key::from_bytes([0x5a; Key::LEN]);

/// Stack of a worker's thread, so that a thousand of them fit into little memory.
pub(crate) const STACK_LEN: usize = 256 * 1024;

/// Runs `body` on a thread of its own, and fails with `name` when it takes longer than [`TEST_LIMIT`].
pub(crate) fn within<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        // The receiver is gone only after the wait was given up.
        let _ = done.send(body());
    });
    let thread = thread.expect("a thread for the test");
    match result.recv_timeout(TEST_LIMIT) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("'{name}' took longer than {TEST_LIMIT:?}"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Ok(()) => panic!("'{name}' ended without a result"),
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

/// The run that workers and coordinators of this thread belong to unless a test says otherwise.
///
/// Each test has its own: a port that one worker gave up may be the next one of another test, and a
/// coordinator that dials its worker again must not be taken for the coordinator of that one.
pub(crate) fn run_id() -> RunId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static RUN: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    format!("loopback-{}", RUN.with(|run| *run)).parse().expect("a legal run id")
}

/// A coordinator of `workers` workers, whose waits all end well before [`PATIENCE`].
pub(crate) fn coordinator_config(group: Group, workers: u16) -> CoordinatorConfig {
    let limit = PATIENCE / 2;
    let limits = CoordinatorLimits {
        attempt: Duration::from_secs(5),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(50),
        reconnect: limit,
        ready: limit,
        start: limit,
        run: limit,
        stop: limit,
        ..CoordinatorLimits::default()
    };
    let (run, session) = (run_id(), next_session());
    CoordinatorConfig { run, group, workers, limits, key: KEY, session, incarnation: 0, work: None }
}

/// A number for the session of one process, as it would draw it. All are equally long on the wire.
fn next_session() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 63);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What the workers of a group are like.
#[derive(Clone, Debug)]
pub(crate) struct WorkerPlan {
    pub(crate) group: Group,
    pub(crate) count: u16,
    pub(crate) run: RunId,
    pub(crate) key: Key,
    /// Where the first worker listens. Port 0 lets the kernel choose; more than one worker needs that.
    pub(crate) address: SocketAddr,
    /// Most bytes that a worker reads at once, if not its default.
    pub(crate) read_buffer_len: Option<usize>,
    /// Length of the stderr tail in the outcome of the no-op program.
    pub(crate) stderr_tail_len: usize,
    /// How long the program runs.
    pub(crate) life: Life,
    pub(crate) limits: WorkerLimits,
    /// Whether the workers' logs are kept. Off where time is measured.
    pub(crate) is_logged: bool,
}

impl WorkerPlan {
    pub(crate) fn new(group: Group, count: u16) -> Self {
        Self {
            group,
            count,
            run: run_id(),
            key: KEY,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            read_buffer_len: None,
            stderr_tail_len: 0,
            life: Life::usual(group),
            limits: WorkerLimits::default(),
            is_logged: true,
        }
    }

    /// Who worker `index` is.
    pub(crate) fn identity(&self, index: u16) -> Identity {
        Identity { run: self.run.clone(), group: self.group, index }
    }

    /// Worker `index` by itself, without sockets.
    pub(crate) fn worker(&self, index: u16) -> Worker {
        Worker::new(WorkerConfig {
            identity: self.identity(index),
            key: self.key.clone(),
            session: next_session(),
            work: russula_proto::Work::default(),
            programs: 1,
            program_version: Text::tail_of("no-op 1"),
            limits: self.limits,
        })
    }

    /// Starts the workers; they listen when this returns.
    pub(crate) fn start(&self) -> Workers {
        self.start_after(|_| ()).0
    }

    /// Starts the workers; `meanwhile` is called when they listen and before they serve.
    pub(crate) fn start_after<T>(&self, meanwhile: impl FnOnce(&[SocketAddr]) -> T) -> (Workers, T) {
        let bound: Vec<BoundWorker> = (0..self.count).map(|index| BoundWorker::new(self, index)).collect();
        let addresses: Vec<SocketAddr> = bound.iter().map(|worker| worker.address).collect();
        let result = meanwhile(&addresses);
        (Workers(bound.into_iter().map(BoundWorker::serve).collect()), result)
    }
}

/// Workers that serve until their coordinator ends the run, or until this is dropped.
pub(crate) struct Workers(Vec<RunningWorker>);

struct RunningWorker {
    address: SocketAddr,
    starts: Starts,
    log: Log,
    stop: Stop,
    finish: Receiver<io::Result<Finish>>,
}

impl Workers {
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|worker| worker.address).collect()
    }

    /// How often each worker's program was started.
    pub(crate) fn starts(&self) -> Vec<u32> {
        self.0.iter().map(|worker| worker.starts.count()).collect()
    }

    /// What worker `index` has logged so far.
    pub(crate) fn log(&self, index: usize) -> String {
        self.0[index].log.text()
    }

    /// Tells the workers to end, as their host would.
    pub(crate) fn stop(&self) {
        for worker in &self.0 {
            worker.stop.request();
        }
    }

    /// Waits until every worker has ended; returns why each did.
    pub(crate) fn join(&self) -> Vec<Finish> {
        let one = |worker: &RunningWorker| match worker.finish.recv_timeout(PATIENCE) {
            Ok(finish) => finish.expect("the worker's poll works"),
            Err(RecvTimeoutError::Timeout) => {
                panic!("'worker ends' took longer than {PATIENCE:?}; its log:\n{}", worker.log.text())
            }
            Err(RecvTimeoutError::Disconnected) => panic!("a worker panicked:\n{}", worker.log.text()),
        };
        self.0.iter().map(one).collect()
    }

    /// Tells the workers to end and waits for it.
    pub(crate) fn stop_and_join(&self) {
        self.stop();
        self.join();
    }
}

/// How many connections of a kind a worker has closed, by its log.
pub(crate) fn rejected(log: &str, kind: &str) -> u64 {
    let (opening, counts) = (format!(": closed ({kind} "), log.lines());
    let count = |line: &str| line.split_once(&opening)?.1.split_once(')')?.0.parse().ok();
    counts.filter_map(count).max().unwrap_or_default()
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
        if thread::panicking() {
            for (index, worker) in self.0.iter().enumerate().take(3) {
                eprintln!("log of worker {index}:\n{}", worker.log.text());
            }
        }
    }
}

/// A worker that listens and does not serve yet.
struct BoundWorker {
    address: SocketAddr,
    driver: WorkerDriver<NoOp>,
    starts: Starts,
    is_logged: bool,
}

impl BoundWorker {
    fn new(plan: &WorkerPlan, index: u16) -> Self {
        let starts = Starts::default();
        let no_op = NoOp::new(plan.life.clone(), plan.stderr_tail_len, starts.clone());
        let driver = WorkerDriver::bind(plan.address, plan.worker(index), no_op).expect("a free port");
        let driver = match plan.read_buffer_len {
            Some(len) => driver.with_read_buffer(len),
            None => driver,
        };
        let address = driver.address().expect("a bound listener");
        Self { address, driver, starts, is_logged: plan.is_logged }
    }

    fn serve(self) -> RunningWorker {
        let Self { address, mut driver, starts, is_logged } = self;
        let (stop, log) = (Stop::default(), Log::default());
        let (done, finish) = mpsc::channel();
        let (mut shutdown, writer) = (stop.clone(), is_logged.then(|| log.clone()));
        let serve = move || {
            let finish = match writer {
                Some(log) => {
                    tracing::subscriber::with_default(log.subscriber(), || driver.run(&mut shutdown))
                }
                None => driver.run(&mut shutdown),
            };
            // Whoever hears of the end may listen at the same address.
            drop(driver);
            // Nobody waits for it when the test has failed already.
            let _ = done.send(finish);
        };
        let thread = thread::Builder::new().name("worker".into()).stack_size(STACK_LEN);
        thread.spawn(serve).expect("a thread for the worker");
        RunningWorker { address, starts, log, stop, finish }
    }
}

/// The way to end a worker from outside.
#[derive(Clone, Debug, Default)]
struct Stop(Arc<StopRequest>);

#[derive(Debug, Default)]
struct StopRequest {
    is_made: AtomicBool,
    waker: OnceLock<Waker>,
}

impl Stop {
    fn request(&self) {
        self.0.is_made.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.0.waker.get() {
            waker.wake().expect("an eventfd takes one more");
        }
    }
}

impl Shutdown for Stop {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.0.waker.set(Waker::new(registry, token)?).expect("registered once");
        // A request that came before the waker finds it now.
        if self.is_requested() {
            self.wake();
        }
        Ok(())
    }

    fn is_requested(&mut self) -> bool {
        self.0.is_made.load(Ordering::SeqCst)
    }
}

/// What a worker has logged.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic while logging")).into_owned()
    }

    fn subscriber(self) -> impl tracing::Subscriber + Send + Sync {
        let writer = move || self.clone();
        tracing_subscriber::fmt()
            .with_writer(writer)
            .with_ansi(false)
            .with_max_level(tracing::Level::DEBUG)
            .finish()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while logging").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
