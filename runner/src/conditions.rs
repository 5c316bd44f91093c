//! Under which conditions a repetition measured, in words: did its clients start together, and was it quiet?

use crate::summary::{KernelWord, QuietSummary, RepetitionSummary, StartSummary};
use crate::units;

/// The titles of [`Conditions`]'s fields, and what each means.
pub const COLUMNS: [(&str, &str); 5] = [
    ("Start skew", "From the first start of a client to the last, and how exactly that is known"),
    ("Latest start", "How much later than the instant that all clients were told the last one started"),
    ("Quiet window", "From the last client's confirmation that it runs until the first end"),
    ("Control bytes", "What the control connections carried in the quiet window"),
    ("Kernel", "Whether the kernel's counters of the control connections agree with that, at both ends"),
];

/// The conditions of a repetition, each as text where it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions(pub [Option<String>; COLUMNS.len()]);

impl Conditions {
    /// Those of `repetition`.
    pub fn of(repetition: &RepetitionSummary) -> Self {
        let (start, quiet) = (repetition.start.as_ref(), repetition.quiet_window.as_ref());
        Self([
            start.filter(|start| start.clients > 1).map(skew),
            start.and_then(|start| start.lateness_us).map(signed),
            quiet.map(|quiet| units::seconds(quiet.duration_s)),
            quiet.map(|quiet| units::bytes(bytes(quiet))),
            quiet.map(|quiet| kernel(quiet.kernel).to_owned()),
        ])
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// The larger one of what both sides counted.
pub fn bytes(quiet: &QuietSummary) -> u64 {
    quiet.orchestrator_bytes.max(quiet.worker_bytes)
}

fn skew(start: &StartSummary) -> String {
    format!("{} ± {}", micros(start.skew_us), micros(start.bound_us))
}

fn signed(us: i64) -> String {
    let sign = if us < 0 { "-" } else { "" };
    format!("{sign}{}", micros(us.unsigned_abs()))
}

fn micros(us: u64) -> String {
    units::seconds(std::time::Duration::from_micros(us).as_secs_f64())
}

fn kernel(word: KernelWord) -> &'static str {
    match word {
        KernelWord::Agrees => "agrees",
        KernelWord::Differs => "differs",
        KernelWord::NotChecked => "not checked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Status;

    #[test]
    fn what_is_known_is_told() {
        let mut repetition = RepetitionSummary::new(Status::Ok, 1.0);
        assert!(Conditions::of(&repetition).is_empty());
        repetition.start =
            Some(StartSummary { clients: 2, skew_us: 300, bound_us: 45, lateness_us: Some(-20) });
        let kernel = KernelWord::Agrees;
        repetition.quiet_window =
            Some(QuietSummary { duration_s: 5.0, orchestrator_bytes: 0, worker_bytes: 7, kernel });
        let words = Conditions::of(&repetition).0.map(Option::unwrap_or_default);
        assert_eq!(words, ["300 µs ± 45.0 µs", "-20.0 µs", "5.00 s", "7 B", "agrees"]);
    }
}
