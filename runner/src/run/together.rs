//! What a repetition shows about itself: did the clients start together, and was it quiet while they measured?

use super::Plan;
use super::plan::SkewPolicy;
use super::verdict::Verdict;
use crate::summary::{KernelWord, QuietSummary, StartSummary};
use crate::units;
use russula_proto::{Coordinator, KernelCheck, Repetition};
use std::time::Duration;

/// The start skew of the clients, if at least one has started.
pub(super) fn start(clients: &Coordinator) -> Option<StartSummary> {
    let skew = clients.start_skew()?;
    Some(StartSummary {
        clients: skew.started,
        skew_us: skew.spread_us,
        bound_us: skew.bound_us,
        lateness_us: skew.lateness_us,
    })
}

/// The quiet window, if there was one.
pub(super) fn quiet_window(servers: &Coordinator, clients: &Coordinator) -> Option<QuietSummary> {
    let window = Repetition::quiet(servers, clients)?;
    Some(QuietSummary {
        duration_s: window.duration.as_secs_f64(),
        orchestrator_bytes: window.coordinators.bytes,
        worker_bytes: window.clients.bytes,
        kernel: match window.coordinators.kernel.and(window.clients.kernel) {
            KernelCheck::Agrees => KernelWord::Agrees,
            KernelCheck::Differs => KernelWord::Differs,
            KernelCheck::NotChecked => KernelWord::NotChecked,
        },
    })
}

/// Why the figures of a repetition may not be what they seem.
pub(super) fn suspicions(
    plan: &Plan,
    start: Option<&StartSummary>,
    quiet: Option<&QuietSummary>,
) -> Vec<String> {
    let mut reasons: Vec<String> =
        start.and_then(|start| skewed(plan.max_start_skew, start)).into_iter().collect();
    if let Some(quiet) = quiet {
        let bytes = quiet.orchestrator_bytes.max(quiet.worker_bytes);
        if bytes > 0 {
            reasons.push(format!("the control connections carried {bytes} bytes while the clients measured"));
        }
        if quiet.kernel == KernelWord::Differs {
            reasons.push("the kernel's count of the control connections' bytes differs from ours".to_owned());
        }
    }
    reasons
}

/// What the start skew makes of a repetition that is ok so far, if the user wants it to fail.
pub(super) fn verdict(plan: &Plan, start: Option<&StartSummary>) -> Option<Verdict> {
    let skewed = start.and_then(|start| skewed(plan.max_start_skew, start))?;
    (plan.on_start_skew == SkewPolicy::Fail).then(|| Verdict::infrastructure(skewed))
}

fn skewed(max: Duration, start: &StartSummary) -> Option<String> {
    let of = |micros| units::seconds(Duration::from_micros(micros).as_secs_f64());
    let (skew, bound) = (of(start.skew_us), of(start.bound_us));
    let limit = units::seconds(max.as_secs_f64());
    if Duration::from_micros(start.skew_us) > max {
        Some(format!("the clients started within {skew} ± {bound}, over --max-start-skew ({limit})"))
    } else if Duration::from_micros(start.bound_us) > max {
        Some(format!(
            "the clients' clocks are known only to ± {bound}, so nobody can say whether they started within \
             --max-start-skew ({limit})"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(skew_us: u64, bound_us: u64) -> StartSummary {
        StartSummary { clients: 2, skew_us, bound_us, lateness_us: None }
    }

    #[test]
    fn a_skew_over_the_limit_or_beyond_knowledge_is_told() {
        let limit = Duration::from_millis(1);
        assert_eq!(skewed(limit, &start(1000, 1000)), None);
        let late = skewed(limit, &start(1500, 20)).unwrap_or_default();
        assert!(late.starts_with("the clients started within 1.50 ms ± 20"), "{late}");
        let unknown = skewed(limit, &start(0, 2000)).unwrap_or_default();
        assert!(unknown.contains("known only to ± 2.00 ms"), "{unknown}");
    }
}
