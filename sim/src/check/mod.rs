//! The rules that every run keeps, each with a name and a sentence.
//!
//! To add one: a function of [`Run`] or of one of its repetitions that says why it does not hold, and a line in
//! [`CHECKERS`]. A checker looks only at what can be seen (`run.world.history`) and at what the coordinators say
//! that they know; whoever adds one also adds a mutation of the core that it catches.

mod endings;
mod machines;
mod order;
mod starts;
mod window;

use crate::run::{Repetition, Run};
use std::fmt;

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Checker {
    /// Its name.
    pub name: &'static str,
    /// What it asks for.
    pub sentence: &'static str,
    holds: Holds,
}

/// How a rule is checked; the error says what was seen instead.
#[derive(Clone, Copy, Debug)]
enum Holds {
    /// Once, over the whole run.
    OfRun(fn(&Run) -> Result<(), String>),
    /// For each repetition.
    OfRepetition(fn(&Run, &Repetition) -> Result<(), String>),
}

/// Every rule; those that explain most come first.
pub const CHECKERS: [Checker; 18] = [
    of_run("rest", "The machines come to rest after every input.", machines::rest),
    of_run(
        "contract",
        "`Wait` is repeated, an early timeout does nothing, and bytes that wait are announced.",
        machines::contract,
    ),
    of_run("limits", "Queues and connections stay within their limits.", machines::limits),
    of_run(
        "intruders",
        "Nobody changes the state of a worker without having proven to be its coordinator.",
        machines::intruders,
    ),
    of_repetition(
        "client-order",
        "No client starts before every server of its repetition runs.",
        order::clients_start_after_servers_run,
    ),
    of_repetition(
        "server-order",
        "No server is stopped before every client has ended, unless the repetition has failed.",
        order::servers_stop_after_clients_ended,
    ),
    of_repetition("once", "Each program starts at most once per repetition.", order::programs_start_once),
    of_repetition(
        "quiet",
        "No byte on a control connection from the last client's report that it runs to the first end, unless something disturbs that connection.",
        window::is_quiet,
    ),
    of_repetition(
        "counted",
        "The machines count no byte in an undisturbed window, and the kernel agrees.",
        window::count_is_right,
    ),
    of_repetition(
        "together",
        "No client starts before the instant that was named, and none late unless something disturbs it.",
        starts::clients_start_together,
    ),
    of_repetition(
        "start-known",
        "When a program ran is known within the bound that is given for its clock.",
        starts::starts_are_known,
    ),
    of_repetition(
        "outcome",
        "The outcome that the coordinator knows is the one that the worker saw, and it knows every one.",
        endings::outcomes_are_known,
    ),
    of_repetition(
        "success",
        "A repetition without a failure has run every program to its right end.",
        endings::success_means_success,
    ),
    of_repetition(
        "ends",
        "Every repetition ends in time, with done or with a named failure.",
        endings::repetition_ends,
    ),
    of_repetition(
        "reconnects",
        "Connections that break are made again, and nothing else comes of it.",
        endings::broken_connections_do_no_harm,
    ),
    of_repetition(
        "recovers",
        "Once everything is mended a repetition succeeds, unless a worker was given up.",
        endings::mended_runs_succeed,
    ),
    of_run(
        "nothing-left",
        "No program and no worker that ever had a coordinator outlives the run.",
        endings::nothing_is_left,
    ),
    of_run("model", "The reference model allows everything that was seen.", machines::model),
];

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of the rule.
    pub checker: &'static str,
    /// What was seen instead.
    pub why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = CHECKERS.iter().find(|checker| checker.name == self.checker).map(|c| c.sentence);
        write!(f, "{}: {}\n  {}", self.checker, sentence.unwrap_or("The machines do not panic."), self.why)
    }
}

/// Holds every rule against a run; returns all that do not hold.
pub fn violations(run: &Run) -> Vec<Violation> {
    let mut violations = vec![];
    for checker in &CHECKERS {
        let found = match checker.holds {
            Holds::OfRun(holds) => holds(run).err(),
            Holds::OfRepetition(holds) => run.repetitions.iter().find_map(|repetition| {
                let why = holds(run, repetition).err()?;
                Some(format!("in repetition {}: {why}", repetition.number))
            }),
        };
        violations.extend(found.map(|why| Violation { checker: checker.name, why }));
    }
    violations
}

/// The name under which a panic of a machine is reported.
pub const PANIC: &str = "panic";

const fn of_run(
    name: &'static str,
    sentence: &'static str,
    holds: fn(&Run) -> Result<(), String>,
) -> Checker {
    Checker { name, sentence, holds: Holds::OfRun(holds) }
}

const fn of_repetition(
    name: &'static str,
    sentence: &'static str,
    holds: fn(&Run, &Repetition) -> Result<(), String>,
) -> Checker {
    Checker { name, sentence, holds: Holds::OfRepetition(holds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_checker_has_a_name_of_its_own_and_a_sentence() {
        for (at, checker) in CHECKERS.iter().enumerate() {
            assert!(checker.sentence.ends_with('.'), "{}", checker.name);
            assert!(CHECKERS[..at].iter().all(|other| other.name != checker.name), "{}", checker.name);
        }
    }
}
