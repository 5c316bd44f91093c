//! Breaks a copy of the core on purpose, once for each mutation, and sees whether the checkers find it.

use clap::Parser;
use sim::mutations::{MUTATIONS, Mutation};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

type Failure = Box<dyn Error>;

/// Breaks a copy of the core on purpose and sees whether the checkers find it.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only mutations whose name contains this.
    #[arg(default_value = "")]
    name: String,
    /// So many seeds for each.
    #[arg(long, default_value_t = 3000)]
    count: u64,
    /// What the machines run in, as `sim` knows it.
    #[arg(long, default_value = "memory")]
    engine: String,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let workshop = Workshop::open()?;
    let sweep = || workshop.sweep(arguments);
    let sound = sweep()?;
    if !sound.is_empty() {
        return Err(format!("the core breaks rules without a mutation: {}", list(&sound)).into());
    }
    println!("without a mutation nothing is found");
    let mut missed = 0;
    for mutation in MUTATIONS.iter().filter(|mutation| mutation.name.contains(&arguments.name)) {
        let found = workshop.with(mutation, sweep)?;
        let is_caught = found.contains_key(mutation.caught_by);
        let verdict = if is_caught { "caught" } else { "MISSED" };
        println!("{verdict}  {}: {} (expected {})", mutation.name, list(&found), mutation.caught_by);
        missed += usize::from(!is_caught);
    }
    println!("{missed} mutations were missed");
    Ok(missed == 0)
}

fn list(found: &BTreeMap<String, u64>) -> String {
    if found.is_empty() {
        return "nothing".into();
    }
    let list: Vec<String> = found.iter().map(|(checker, runs)| format!("{checker} x{runs}")).collect();
    list.join(", ")
}

/// A copy of the two crates, with a target directory of its own.
struct Workshop {
    source: PathBuf,
    target: PathBuf,
}

impl Workshop {
    fn open() -> Result<Self, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the crate is in a workspace")?;
        let program = env::current_exe()?;
        let target = program.ancestors().nth(2).ok_or("the program is in a target directory")?;
        let workshop =
            Self { source: target.join("mutations/source"), target: target.join("mutations/target") };
        let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
        write_if_new(&workshop.source.join("Cargo.toml"), &own_workspace(&manifest)?)?;
        write_if_new(&workshop.source.join("Cargo.lock"), &fs::read_to_string(root.join("Cargo.lock"))?)?;
        for folder in ["russula-proto", "sim"] {
            let (from, to) = (root.join(folder), workshop.source.join(folder));
            copy_file(&from.join("Cargo.toml"), &to.join("Cargo.toml"))?;
            copy_folder(&from.join("src"), &to.join("src"))?;
        }
        Ok(workshop)
    }

    /// Does something while `mutation` is applied.
    fn with<T>(&self, mutation: &Mutation, act: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let path = self.source.join(mutation.file);
        let sound = fs::read_to_string(&path)?;
        fs::write(&path, mutation.apply(&self.source)?)?;
        let result = act();
        fs::write(&path, sound)?;
        result.map_err(|error| format!("{}: {error}", mutation.name).into())
    }

    /// Builds what is there and sweeps; returns how many runs broke each rule.
    fn sweep(&self, arguments: &Arguments) -> Result<BTreeMap<String, u64>, Failure> {
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let build = Command::new(cargo)
            .args(["build", "--quiet", "--offline", "--profile", "mutations", "-p", "sim", "--bin", "sim"])
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUSTFLAGS", "-Awarnings")
            .current_dir(&self.source)
            .status()?;
        if !build.success() {
            return Err("it does not build".into());
        }
        let sweep = Command::new(self.target.join("mutations/sim"))
            .args(["--engine", &arguments.engine, "--count", &arguments.count.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = output_within(sweep, SWEEP_LIMIT)?;
        Ok(output.lines().filter_map(broken_rule).collect())
    }
}

/// A line that says how many runs broke a rule.
fn broken_rule(line: &str) -> Option<(String, u64)> {
    let (count, checker) = line.strip_prefix("broken by ")?.split_once(" runs: ")?;
    Some((checker.into(), count.parse().ok()?))
}

/// The workspace's manifest for the two crates alone.
fn own_workspace(manifest: &str) -> Result<String, Failure> {
    let mut lines: Vec<&str> = manifest.lines().collect();
    let members = lines.iter_mut().find(|line| line.starts_with("members"));
    *members.ok_or("the workspace names its members in one line")? = "members = [\"russula-proto\", \"sim\"]";
    Ok(lines.join("\n") + PROFILE)
}

fn output_within(mut child: Child, limit: Duration) -> Result<String, Failure> {
    let mut stdout = child.stdout.take().ok_or("its output is a pipe")?;
    let reader = thread::spawn(move || std::io::read_to_string(&mut stdout));
    let begins = Instant::now();
    while child.try_wait()?.is_none() {
        if begins.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Err(format!("the sweep did not end within {limit:?}").into());
        }
        thread::sleep(POLL);
    }
    Ok(reader.join().map_err(|_| "reading its output failed")??)
}

/// Makes `to` the same as `from`: what is not there any more goes.
fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        let (old, new) = (entry.path(), from.join(entry.file_name()));
        if old.is_dir() && !new.is_dir() {
            fs::remove_dir_all(old)?;
        } else if old.is_file() && !new.is_file() {
            fs::remove_file(old)?;
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy_folder(&from, &to)? } else { copy_file(&from, &to)? }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), Failure> {
    write_if_new(to, &fs::read_to_string(from)?)
}

/// Leaves a file alone that is right already, so that nothing is built again for it.
fn write_if_new(path: &Path, text: &str) -> Result<(), Failure> {
    if fs::read_to_string(path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, text)?)
}

/// Fast enough to sweep, and quick to build after a change.
const PROFILE: &str = "

[profile.mutations]
inherits = \"release\"
opt-level = 1
debug = false
overflow-checks = true
incremental = true
codegen-units = 64
";

/// For one sweep.
const SWEEP_LIMIT: Duration = Duration::from_secs(300);

/// How often a sweep is looked at.
const POLL: Duration = Duration::from_millis(20);
