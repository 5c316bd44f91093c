//! The script of a step: pure text, made from templates and quoted values.

use super::step::Step;
use crate::api::Deadline;
use crate::launch::CONTROL_PORT;
use crate::names::RunNames;
use backends::drivers::Package;
use std::fmt::Write as _;
use std::time::Duration;

/// What the scripts of a run have to know. None of it is secret: SSM shows the text of a command to whoever may ask.
#[derive(Clone, Debug)]
pub struct ScriptContext {
    /// Names of the run.
    pub names: RunNames,
    /// Region of the bucket and the parameter.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The scenario file, below the run's directory on the host: `scenario/<name>.json`.
    pub scenario: String,
    /// The drivers, in the coordinator's order.
    pub drivers: Vec<WorkerDriver>,
    /// Where the driver of the first server listens; that of the next one a port higher, and so on. Hosts that share a
    /// machine, as in the emulated cloud, share its ports.
    pub driver_port: u16,
    /// More options of the worker's command line.
    pub worker_options: Vec<String>,
    /// No step may take longer; each has a limit of its own as well.
    pub step_limit: Duration,
}

impl ScriptContext {
    /// How long `step` may take on the slowest host of this run.
    pub(super) fn deadline(&self, step: Step) -> Deadline {
        let deadline = step.deadline();
        Deadline { limit: deadline.limit.min(self.step_limit), ..deadline }
    }

    /// How long what `step` needs may take on a host, one after the other.
    fn needs_limit(&self, step: Step) -> Duration {
        let needed = step.dependencies().iter().map(|needed| self.limit_with_needs(*needed));
        needed.max().unwrap_or_default()
    }

    /// How long `step` may take on a host after it was sent.
    pub(super) fn limit_with_needs(&self, step: Step) -> Duration {
        self.needs_limit(step) + self.deadline(step).limit
    }
}

/// A driver as a worker finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerDriver {
    /// Its name.
    pub name: String,
    /// The server's program, below the run's directory on the host.
    pub server: String,
    /// The client's program, likewise.
    pub client: String,
}

/// A package that is built from source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The package.
    pub package: Package,
    /// Whether it is built with the features that it has by default.
    pub default_features: bool,
    /// Its programs that are wanted.
    pub programs: Vec<String>,
    /// What the keys begin with, in the bucket, below which the digest of each program is left: the name of the machine
    /// and that of the program follow.
    pub place: String,
}

/// How long a worker may take until it listens, in seconds. It only reads its scenario and its key.
const LISTEN_LIMIT_S: u64 = 30;

/// For user data to have begun, which runs last of what an image does at its first boot. At most half of what the step
/// may take, which has to tell of it.
const LIMITED_LIMIT: Duration = Duration::from_secs(120);

/// `take_facts`, for steps that take the host's facts.
const FACTS: &str = include_str!("facts.sh");

/// The bash script that does `step` on a host.
///
/// It runs in `$NETBENCH_DIR/<run>` (by default below `/var/lib/netbench`), one at a time. It writes `start_<step>`
/// first, then either `fin_<step>`, and ends with exit code 0, or `fail_<step>` with the reason, and ends with exit
/// code 1 and the end of its output on stderr. Where `fin_<step>` is there already, nothing is done again. Before that it
/// waits for the `fin_` markers of what it needs, for as long as that may take; so steps can be sent at the same time.
///
/// [`Step::UploadNetbenchRawData`] differs: it waits for no other step, uploads what came since the last time, and goes on
/// without what its disk does not take.
///
/// [`Step::BuildDriver`] has a script of its own for each host, which is that of `build_script`; this one builds
/// nothing.
pub fn script(step: Step, context: &ScriptContext) -> String {
    script_with(step, context, LISTEN_LIMIT_S)
}

/// The script of [`Step::BuildDriver`] that builds `builds`, one after the other.
pub(super) fn build_script(context: &ScriptContext, builds: &[Build]) -> String {
    let calls: String = builds.iter().map(Build::call).collect();
    framed(Step::BuildDriver, context, "", &(include_str!("build_driver.sh").to_owned() + &calls))
}

pub(super) fn script_with(step: Step, context: &ScriptContext, listen_limit_s: u64) -> String {
    let (values, body) = match step {
        Step::UploadScenarioFile => (String::new(), include_str!("upload_scenario_file.sh")),
        Step::Configure => {
            let limit = LIMITED_LIMIT.min(context.deadline(step).limit / 2);
            (format!("LIMITED_LIMIT_S={}\n", limit.as_secs()), include_str!("configure.sh"))
        }
        Step::BuildDriver => return build_script(context, &[]),
        Step::PlaceWorker => (String::new(), include_str!("place_worker.sh")),
        Step::RunWorker => (worker(context, listen_limit_s) + FACTS, include_str!("run_worker.sh")),
        Step::UploadNetbenchRawData => (FACTS.to_owned(), include_str!("upload_netbench_raw_data.sh")),
    };
    framed(step, context, &values, body)
}

/// `body` after what it needs and what every step begins with.
fn framed(step: Step, context: &ScriptContext, values: &str, body: &str) -> String {
    let mut text = String::from("#!/bin/bash\nset -euo pipefail\n");
    let dependencies = step.dependencies().iter().map(|step| step.name());
    let needs_limit = if step.saves_results() { Duration::ZERO } else { context.needs_limit(step) };
    for (name, value) in [
        ("STEP", step.name()),
        ("RUN", context.names.run().as_str()),
        ("REGION", &context.region),
        ("BUCKET", &context.bucket),
        ("PREFIX", &context.names.prefix()),
        ("LOCK_LIMIT_S", &context.deadline(step).limit.as_secs().max(1).to_string()),
        ("NEEDS_LIMIT_S", &needs_limit.as_secs().to_string()),
        ("SAVES_RESULTS", if step.saves_results() { "yes" } else { "" }),
    ] {
        let _ = writeln!(text, "{name}={}", quote(value));
    }
    let _ = writeln!(text, "DEPENDENCIES={}", array(dependencies));
    text.push_str(include_str!("prelude.sh"));
    let _ = write!(text, "\n{values}\nbody() {{\n{body}}}\n\nawait_needs\ntake_turn\nrun_body\n");
    text
}

/// `text` as one word of bash, whatever is in it: letters stand for themselves, and nothing is expanded, neither by
/// bash nor by SSM, which replaces `{{ssm:name}}` in a command by a parameter before a host sees it.
///
/// A NUL, which no argument of a program can hold, is left out.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("'");
    let mut previous = '\0';
    for letter in text.chars() {
        match letter {
            '\0' => continue,
            '\'' => quoted.push_str("'\\''"),
            // Two quotes in the middle of quoted text end it and begin it again: bash sees nothing, SSM no pair.
            '{' if previous == '{' => quoted.push_str("''{"),
            letter => quoted.push(letter),
        }
        previous = letter;
    }
    quoted.push('\'');
    quoted
}

fn array<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| quote(word.as_ref())).collect();
    format!("({})", words.join(" "))
}

fn worker(context: &ScriptContext, listen_limit_s: u64) -> String {
    let pairs = |program: fn(&WorkerDriver) -> &String| {
        array(context.drivers.iter().flat_map(|driver| [&driver.name, program(driver)]))
    };
    let mut text = String::new();
    for (name, value) in [
        ("SCENARIO", quote(&context.scenario)),
        ("KEY_PARAMETER", quote(&context.names.key_parameter())),
        ("CONTROL_PORT", CONTROL_PORT.to_string()),
        ("DRIVER_PORT", context.driver_port.to_string()),
        ("LISTEN_LIMIT_S", listen_limit_s.to_string()),
        ("SERVER_DRIVERS", pairs(|driver| &driver.server)),
        ("CLIENT_DRIVERS", pairs(|driver| &driver.client)),
        ("WORKER_OPTIONS", array(&context.worker_options)),
    ] {
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

impl Build {
    /// The line that builds it.
    fn call(&self) -> String {
        let mut words = vec![quote(&self.place)];
        words.extend(self.programs.iter().map(|program| quote(program)));
        words.push("--".to_owned());
        words.extend(self.package.cargo_args().iter().map(|arg| quote(arg)));
        if !self.default_features {
            words.push("--no-default-features".to_owned());
        }
        format!("build_package {}\n", words.join(" "))
    }
}

#[cfg(test)]
pub(crate) fn example() -> ScriptContext {
    ScriptContext {
        names: RunNames::new("20261122-225500-1a2b".parse().unwrap()),
        region: "us-east-1".into(),
        bucket: "the-bucket".into(),
        scenario: "scenario/incast.json".into(),
        drivers: vec![WorkerDriver {
            name: "tcp".into(),
            server: "bin/server-tcp".into(),
            client: "bin/client-tcp".into(),
        }],
        driver_port: 4433,
        worker_options: vec!["--sample-interval".into(), "50 ms".into()],
        step_limit: Duration::from_secs(3600),
    }
}

#[cfg(test)]
pub(super) fn example_build() -> Build {
    Build {
        package: "registry:s2n-netbench-driver-tcp@0.1.0".parse().unwrap(),
        default_features: true,
        programs: vec!["s2n-netbench-driver-server-tcp".into()],
        place: "artifacts/built/0a/".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn bash_reads_quoted_text_as_it_is() {
        for text in [
            "",
            "plain",
            "it's",
            "'",
            "''",
            "'; touch broken; '",
            "$(touch broken)`touch broken`$HOME",
            "a\\'b\\",
            "line\nfeed\ttab\r",
            "{{ssm:secret}}",
            "{{{{{",
            "{'{",
            "!! ~ * ? [a-z] # ü",
            "-n",
        ] {
            let directory = tempfile::tempdir().unwrap();
            let script = format!("printf %s {}", quote(text));
            assert!(!script.contains("{{"), "{script}");
            let output =
                Command::new("bash").arg("-c").arg(&script).current_dir(directory.path()).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text, "{script}");
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "{script}");
        }
        assert_eq!(quote("a\0b"), "'ab'");
    }

    #[test]
    fn ssm_finds_nothing_to_replace_in_a_script() {
        let context = ScriptContext { worker_options: vec!["{{ssm:x}}".into()], ..example() };
        for step in Step::ALL {
            assert!(!script(step, &context).contains("{{"), "{step}");
        }
    }

    #[test]
    fn a_worker_is_built_from_a_commit_without_what_only_the_orchestrator_needs() {
        let package = "git:https://host/a@0123456789abcdef0123456789abcdef01234567#runner".parse().unwrap();
        let build =
            Build { package, default_features: false, programs: vec!["runner".into()], ..example_build() };
        let script = build_script(&example(), &[build]);
        let expected = "build_package 'artifacts/built/0a/' 'runner' -- 'runner' '--git' 'https://host/a' '--rev' \
                        '0123456789abcdef0123456789abcdef01234567' --no-default-features\n";
        assert!(script.contains(expected), "{script}");
    }
}
