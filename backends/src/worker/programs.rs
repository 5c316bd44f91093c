//! A worker's programs: netbench drivers, each in a supervised process with a result file.

use super::drivers::DriverEntry;
use super::options::Prepared;
use crate::collector::{self, Collector, Header};
use crate::layout::{self, Turn};
use crate::process::{Armed, GuardProgram, Launch, Listen, Process, ReadinessPoll};
use crate::tcp::{Programs, ProgramsWake};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use russula_proto::{Group, Outcome, StartFailure};
use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tracing::{info, warn};

/// The drivers of a worker, one of which may run.
#[derive(Debug)]
pub(super) struct DriverPrograms {
    options: Prepared,
    guard: GuardProgram,
    ready: Option<Ready>,
    running: Option<Running>,
}

/// A driver that can be started at once.
#[derive(Debug)]
struct Ready {
    program: u16,
    repetition: u32,
    driver: DriverEntry,
    launch: Launch,
    result: PathBuf,
    armed: Armed,
}

#[derive(Debug)]
struct Running {
    process: Process,
    collection: Collection,
    /// Until the server's port is bound: when to look next.
    readiness: Option<(ReadinessPoll, Instant)>,
    /// The worker does not know yet that the program runs.
    untold: bool,
    stopping: bool,
}

/// How the result file comes about.
#[derive(Debug)]
enum Collection {
    /// By our collector, or by the driver with our collector's help.
    Own(Collector),
    /// By the stock collector, whose stdout it is.
    Stock { path: PathBuf, header: Header },
    /// Not at all: it could not be written, and the log says why.
    Failed,
}

impl DriverPrograms {
    pub(super) fn new(options: Prepared, guard: GuardProgram) -> Self {
        Self { options, guard, ready: None, running: None }
    }

    /// Brings a driver to the point from which it can be started at once.
    fn arm(&self, program: u16, repetition: u32) -> Result<Ready, StartFailure> {
        let count =
            u16::try_from(self.options.drivers.len()).expect("the options limit the number of drivers");
        let driver = self.options.drivers[usize::from(program)].clone();
        let turn = Turn::of(repetition, count);
        let file = layout::result_file(
            &self.options.scenario_name,
            &driver.name,
            self.options.group,
            &self.options.host.to_string(),
            turn.round,
        );
        let result = self.options.out.join(file);
        self.prepare_directories(&result)?;
        let launch = self.launch(&driver, turn, &result);
        let armed = Armed::new(launch.clone(), &self.guard)?;
        Ok(Ready { program, repetition, driver, launch, result, armed })
    }

    fn launch(&self, driver: &DriverEntry, turn: Turn, result: &Path) -> Launch {
        let Prepared { group, host, out, .. } = &self.options;
        let log = |stream| {
            out.join(layout::driver_log(*group, &host.to_string(), &driver.name, turn.round, stream))
        };
        let (program, args, stdout) = match &self.options.stock_collector {
            None => (driver.path.clone(), vec![], log("stdout")),
            Some(collector) => (collector.clone(), self.stock_collector_args(driver), result.to_owned()),
        };
        Launch {
            program,
            args,
            env: self.environment(driver, result),
            env_remove: vec!["RUST_LOG".into()],
            stdout,
            stderr: log("stderr"),
            listen: self.listen(driver),
        }
    }

    fn listen(&self, driver: &DriverEntry) -> Option<Listen> {
        (self.options.group == Group::Server).then_some(Listen {
            address: self.options.host,
            port: self.options.port,
            may_bind_everywhere: !driver.is_embedded,
        })
    }

    fn stock_collector_args(&self, driver: &DriverEntry) -> Vec<OsString> {
        let interval = self.options.sample_interval.unwrap_or(Duration::from_secs(1));
        vec![
            driver.path.clone().into(),
            "--scenario".into(),
            self.options.scenario_file.clone().into(),
            "--interval".into(),
            humantime::format_duration(interval).to_string().into(),
        ]
    }

    /// The contract of the netbench drivers: everything by environment variables.
    fn environment(&self, driver: &DriverEntry, result: &Path) -> Vec<(String, String)> {
        let options = &self.options;
        let sampling = options.sample_interval.is_some() && options.stock_collector.is_none();
        let mut env = vec![
            ("SCENARIO".to_owned(), options.scenario_file.display().to_string()),
            ("MULTIPLEX".to_owned(), options.multiplex.to_string()),
            ("LOCAL_IP".to_owned(), options.host.to_string()),
            (
                "TRACE".to_owned(),
                if sampling && !driver.is_embedded { "throughput" } else { "disabled" }.into(),
            ),
        ];
        let id = options.index.to_string();
        if options.group == Group::Server {
            env.push(("SERVER_ID".into(), id));
            env.push(("PORT".into(), options.port.to_string()));
        } else {
            env.push(("CLIENT_ID".into(), id));
            env.extend(
                options.servers.iter().enumerate().map(|(i, at)| (format!("SERVER_{i}"), at.to_string())),
            );
        }
        if driver.is_embedded && options.stock_collector.is_none() {
            let interval = options.sample_interval.unwrap_or_default();
            env.push(("NETBENCH_RESULT".into(), result.display().to_string()));
            env.push(("NETBENCH_SAMPLE_INTERVAL_MS".into(), interval.as_millis().to_string()));
        }
        env
    }

    fn collect(
        &self,
        driver: &DriverEntry,
        process: &Process,
        launch: &Launch,
        result: PathBuf,
    ) -> Collection {
        let header = Header {
            pid: u64::from(process.pid()),
            // The reports of netbench know a driver by the name of its program.
            driver: format!("s2n-netbench-driver-{}-{}", self.options.group, driver.name),
            scenario: self.options.scenario_name.clone(),
            start_time: (SystemTime::now() - process.started().elapsed()).into(),
            traces: self.options.traces.clone(),
        };
        if self.options.stock_collector.is_some() {
            return Collection::Stock { path: result, header };
        }
        if driver.is_embedded {
            return Collection::Own(Collector::adopt(&result, header));
        }
        let (interval, log) = (self.options.sample_interval, Some(launch.stderr.clone()));
        match Collector::start(&result, header, interval, log, process.started()) {
            Ok(collector) => Collection::Own(collector),
            Err(error) => {
                warn!("the result file {} cannot be written: {error}", result.display());
                Collection::Failed
            }
        }
    }

    fn prepare_directories(&self, result: &Path) -> Result<(), StartFailure> {
        let logs = self.options.out.join("logs");
        for directory in result.parent().into_iter().chain([logs.as_path()]) {
            std::fs::create_dir_all(directory).map_err(|error| {
                StartFailure::spawn(format_args!(
                    "the directory {} cannot be made: {error}",
                    directory.display()
                ))
            })?;
        }
        // What an earlier run left would be appended to.
        match std::fs::remove_file(result) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StartFailure::spawn(format_args!(
                "the old result file {} cannot be removed: {error}",
                result.display()
            ))),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Programs for DriverPrograms {
    fn prepare(&mut self, program: u16, repetition: u32) {
        let is_there =
            self.ready.as_ref().is_some_and(|r| (r.program, r.repetition) == (program, repetition));
        if !is_there {
            // What is left of an earlier one goes before the files of the next one are touched.
            self.ready = None;
            // What fails now is tried again, and told, when the driver is to be started.
            self.ready = self.arm(program, repetition).ok();
        }
    }

    fn start(
        &mut self,
        program: u16,
        repetition: u32,
        registry: &Registry,
        token: Token,
    ) -> Result<(), StartFailure> {
        let ready = self.ready.take().filter(|r| (r.program, r.repetition) == (program, repetition));
        let ready = ready.map_or_else(|| self.arm(program, repetition), Ok)?;
        let Ready { driver, launch, result, armed, .. } = ready;
        let process = armed.start()?;
        registry
            .register(&mut SourceFd(&process.exit_fd().as_raw_fd()), token, Interest::READABLE)
            .map_err(|error| StartFailure::spawn(format_args!("its end cannot be watched: {error}")))?;
        info!(pid = process.pid(), repetition, "started {}", driver.path.display());
        let collection = self.collect(&driver, &process, &launch, result);
        let readiness = launch.listen.map(|_| (ReadinessPoll::new(), Instant::now()));
        self.running = Some(Running { process, collection, readiness, untold: true, stopping: false });
        Ok(())
    }

    fn terminate(&mut self) {
        if let Some(running) = &mut self.running {
            running.stopping = true;
            running.readiness = None;
            if let Err(error) = running.process.terminate() {
                warn!("the driver cannot be told to end: {error}");
            }
        }
    }

    fn kill(&mut self) {
        if let Some(running) = &self.running
            && let Err(error) = running.process.kill()
        {
            warn!("the driver cannot be killed: {error}");
        }
    }

    fn wake(&mut self, registry: &Registry) -> Option<ProgramsWake> {
        let running = self.running.as_mut()?;
        match running.process.try_reap() {
            Ok(None) => running.look(),
            Ok(Some(outcome)) => {
                let running = self.running.take()?;
                Some(running.end(outcome, self.options.port, registry))
            }
            Err(error) => {
                // Somebody else has reaped it. The worker cannot know more, and must not wait for ever.
                let running = self.running.take()?;
                running.forget(registry);
                Some(ProgramsWake::StartFailed(StartFailure::spawn(format_args!(
                    "its end was lost: {error}"
                ))))
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        let readiness = running.readiness.as_ref().map(|(_, at)| *at);
        let sample = match &running.collection {
            Collection::Own(collector) => collector.next_sample(),
            Collection::Stock { .. } | Collection::Failed => None,
        };
        [readiness, sample].into_iter().flatten().min()
    }
}

impl Running {
    /// The program has not ended: takes a sample that is due, and looks whether it runs by now.
    fn look(&mut self) -> Option<ProgramsWake> {
        let now = Instant::now();
        if let Collection::Own(collector) = &mut self.collection
            && collector.next_sample().is_some_and(|at| at <= now)
            && let Err(error) = collector.sample(now)
        {
            warn!("a sample was lost: {error}");
            self.collection = Collection::Failed;
        }
        if !self.untold || self.stopping {
            return None;
        }
        let running = match &mut self.readiness {
            None => true,
            Some((_, at)) if now < *at => false,
            Some((poll, at)) => match self.process.is_listening() {
                Ok(listening) => {
                    *at = Instant::now() + poll.next_delay();
                    listening
                }
                Err(error) => {
                    warn!("cannot see whether the server listens: {error}");
                    *at = Instant::now() + poll.next_delay();
                    false
                }
            },
        };
        running.then(|| {
            self.untold = false;
            self.readiness = None;
            ProgramsWake::Started
        })
    }

    fn end(self, outcome: Outcome, port: u16, registry: &Registry) -> ProgramsWake {
        info!(pid = self.process.pid(), "the driver ended: {}", outcome.exit);
        let before_listening = self.untold && !self.stopping && self.readiness.is_some();
        let finished = match self.forget(registry) {
            Collection::Own(collector) => collector.finish(&outcome).map_err(|error| error.to_string()),
            Collection::Stock { path, header } => {
                collector::repair(&path, &header).map_err(|error| error.to_string())
            }
            Collection::Failed => Ok(()),
        };
        if let Err(error) = finished {
            warn!("the result file is not complete: {error}");
        }
        if before_listening {
            ProgramsWake::StartFailed(StartFailure::EndedBeforeListening { port, outcome })
        } else {
            ProgramsWake::Ended(outcome)
        }
    }

    fn forget(self, registry: &Registry) -> Collection {
        // It fails only for a descriptor that is not registered, and then there is nothing to undo.
        let _ = registry.deregister(&mut SourceFd(&self.process.exit_fd().as_raw_fd()));
        self.collection
    }
}
