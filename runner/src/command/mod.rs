//! The command line: one file per verb.

mod attach;
mod driver;
#[cfg(feature = "ec2")]
mod ec2;
mod key;
#[cfg(target_os = "linux")]
mod local;
mod options;
#[cfg(any(target_os = "linux", feature = "ec2"))]
mod programs;
mod report;
mod resume;

use crate::causes::with_causes;
use crate::exit;
use crate::run::RunError;
#[cfg(feature = "ec2")]
use ::ec2::{api::AccountError, stack::StackError};
#[cfg(feature = "ec2")]
use clap::CommandFactory;
use clap::{ArgAction, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// The first argument that makes the program a worker.
pub const WORKER: &str = "worker";
/// The name that makes the program the embedded server.
pub const EMBEDDED_SERVER: &str = "s2n-netbench-driver-server-embedded";
/// The name that makes the program the embedded client.
pub const EMBEDDED_CLIENT: &str = "s2n-netbench-driver-client-embedded";

/// Runs netbench scenarios at scale: many servers and clients, started and stopped at the right moment.
#[derive(Debug, Parser)]
#[command(name = "runner", version, after_long_help = EXIT_CODES)]
struct Cli {
    /// Say more on stderr; twice for everything (RUST_LOG is honoured as well)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a scenario on this machine, each host a loopback address of its own
    #[command(after_long_help = EXIT_CODES)]
    #[cfg(target_os = "linux")]
    Local(Box<local::Local>),
    /// Run a scenario on EC2, each host an instance, and leave nothing behind
    #[command(after_long_help = EXIT_CODES)]
    #[cfg(feature = "ec2")]
    Ec2(Box<ec2::Ec2>),
    /// Run a scenario over workers that somebody else started (russula-worker --help)
    ///
    /// The workers were started by hand, for the same scenario and with the same drivers in the same order. Those
    /// that do not listen yet are waited for. Their results and logs stay on their hosts; the outcome of each driver
    /// is in the summary. At the end of the run the workers end. With one server and one client, for example:
    ///
    ///   runner attach --key-file run.key --scenario s.json --driver tcp --server 10.0.0.1:9000 --client 10.0.0.2:9000
    #[command(after_long_help = EXIT_CODES)]
    Attach(Box<attach::Attach>),
    /// Take over a run whose orchestrator has died, and bring it to its end
    ///
    /// Nothing that ran is run again, and nothing that finished is lost. Hosts on EC2, and workers that somebody else
    /// started, have gone on meanwhile, and the repetition that was under way goes on with them: on EC2 until the
    /// hosts' time limit (--ttl), elsewhere until the workers' --orphan-timeout. The workers of a local run end with
    /// their orchestrator: the repetition that was under way counts as failed, and the others follow. The region, the
    /// profile and all other options are those of the run.
    #[command(after_long_help = EXIT_CODES)]
    Resume(resume::Resume),
    /// Make the key of a run, in a new file that only its owner can read
    Key(key::MakeKey),
    /// Make the report of a run again from its files
    Report(report::Report),
    /// Find and install driver programs
    #[command(subcommand)]
    Driver(driver::Driver),
}

const EXIT_CODES: &str = "\
Exit codes:
    0  done
    2  bad input: nothing was started
    3  hosts or infrastructure failed
    4  a driver failed
    5  a deadline passed
  130  interrupted

Results go to stdout, progress and logs to stderr. NO_COLOR turns colours off.
The first Ctrl-C ends the run in order: what was measured is collected. The second one, while drivers run, kills them and
says what is left; later it skips what is under way, be it the collection or the wait for hosts to end.";

/// The `main` of the orchestrator.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let parsed = parse(&args);
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // It fails only when the output is closed, and then there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::INPUT));
        }
    };
    init_log(cli.verbose);
    #[cfg(feature = "ec2")]
    let cli = match with_config(cli, &args) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let result = match cli.verb {
        #[cfg(target_os = "linux")]
        Verb::Local(local) => local.run(cli.verbose > 0),
        #[cfg(feature = "ec2")]
        Verb::Ec2(ec2) => ec2.run(cli.verbose > 0),
        Verb::Attach(attach) => attach.run(cli.verbose > 0),
        Verb::Resume(resume) => resume.run(cli.verbose > 0),
        Verb::Key(key) => key.run(),
        Verb::Report(report) => report.run(),
        Verb::Driver(driver) => driver.run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let mut stderr = std::io::stderr();
            let _ = writeln!(stderr, "error: {}", with_causes(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(args)
}

/// The command line with the options of the file that it names, if it names one.
#[cfg(feature = "ec2")]
fn with_config(cli: Cli, args: &[OsString]) -> Result<Cli, ExitCode> {
    let Some(path) = ec2::Ec2::config(&cli.verb) else { return Ok(cli) };
    let mut command = Cli::command();
    command.build();
    let matches = command.clone().try_get_matches_from(args);
    let found = matches.as_ref().ok().and_then(|matches| matches.subcommand());
    let (Some((name, matches)), stderr) = (found, &mut std::io::stderr()) else { return Ok(cli) };
    let Some(verb) = command.find_subcommand(name) else { return Ok(cli) };
    let expanded = ec2::expand(args, verb, matches, path).map_err(|error| {
        let _ = writeln!(stderr, "error: {}", with_causes(&error));
        ExitCode::from(exit::INPUT)
    })?;
    parse(&expanded).map_err(|error| {
        let _ = error.print();
        ExitCode::from(exit::INPUT)
    })
}

/// Why a verb did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("{0}")]
    Input(String),
    #[error("{0}")]
    Run(#[from] RunError),
    #[error("{0}")]
    Key(#[from] backends::key_file::KeyError),
    #[error(transparent)]
    Report(#[from] crate::report::ReportError),
    #[error(transparent)]
    Drivers(#[from] backends::drivers::DriverError),
    #[error(transparent)]
    Install(#[from] backends::drivers::install::InstallError),
    #[cfg(feature = "ec2")]
    #[error(transparent)]
    Account(#[from] AccountError),
    #[cfg(feature = "ec2")]
    #[error(transparent)]
    Api(#[from] ::ec2::api::ApiError),
    #[cfg(feature = "ec2")]
    #[error(transparent)]
    Plan(#[from] ::ec2::plan::PlanError),
    #[cfg(feature = "ec2")]
    #[error(transparent)]
    Infrastructure(#[from] ::ec2::infrastructure::InfrastructureError),
    #[cfg(feature = "ec2")]
    #[error(transparent)]
    Artifacts(#[from] ::ec2::artifacts::ArtifactError),
    #[cfg(feature = "ec2")]
    #[error(transparent)]
    Stack(#[from] StackError),
}

impl CommandError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) | Self::Key(_) | Self::Report(_) | Self::Drivers(_) => exit::INPUT,
            Self::Install(_) => exit::INFRASTRUCTURE,
            // What was asked does not fit the account, or the account is not there: nothing was created.
            #[cfg(feature = "ec2")]
            Self::Account(AccountError::Trouble(_)) => exit::INFRASTRUCTURE,
            #[cfg(feature = "ec2")]
            Self::Account(_) | Self::Plan(_) | Self::Infrastructure(_) => exit::INPUT,
            #[cfg(feature = "ec2")]
            Self::Stack(StackError::Template(_) | StackError::NotOurs { .. }) => exit::INPUT,
            #[cfg(feature = "ec2")]
            Self::Api(_) | Self::Artifacts(_) | Self::Stack(_) => exit::INFRASTRUCTURE,
            Self::Run(error) => error.exit_code(),
        }
    }
}

fn init_log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2.. => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log_writer)
        .with_ansi(use_color(&std::io::stderr()))
        .with_target(false)
        // It would panic where stderr is full or closed.
        .log_internal_errors(false)
        .init();
}

/// Where a line of the log goes: on a terminal in place of the status line, which comes again by itself.
fn log_writer() -> std::io::Stderr {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[2K");
    }
    stderr
}

/// Whether colours are welcome on this stream (<https://no-color.org>).
fn use_color(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
