//! One fault at one call, and whether what came of it is right.

use crate::cloud::refusal;
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// What a service that refuses says.
const REFUSAL: &str = "not today";

/// Longer than any lane waits: whoever is to be killed has not had its answer yet.
const NEVER_MS: u64 = 600_000;

/// Longer than a poll, shorter than every deadline.
const SLOW_MS: u64 = 1_500;

/// One fault at one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) caller: Caller,
    /// Such as `ec2:RunInstances`.
    pub(super) operation: String,
    /// Which of its calls, from 1.
    pub(super) nth: u64,
    pub(super) fault: Fault,
}

/// Who makes the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Caller {
    /// The orchestrator of a run.
    Run,
    /// A host of a run.
    Host,
    /// `runner ec2 destroy` of a run whose orchestrator was killed.
    Destroy,
    /// `runner resume` of a run whose orchestrator was killed.
    Resume,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The service refuses.
    Error,
    /// The service is asked too often.
    Throttle,
    /// It is carried out and nobody hears of it.
    LostReply,
    /// The answer takes its time.
    Slow,
    /// The user presses Ctrl-C while the service takes its time.
    Interrupt,
    /// The orchestrator is killed when it was carried out, and somebody else destroys the run.
    KillDestroy,
    /// The orchestrator is killed when it was carried out, and the run is resumed if that is possible.
    KillResume,
}

/// What came of a case that went as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ended {
    /// The run was successful.
    Well,
    /// It failed, and said which call of what.
    Named,
    /// It was interrupted, and gave everything back or said what is left.
    Interrupted,
    /// It was killed and resumed.
    Resumed,
    /// It was killed and destroyed.
    Destroyed,
    /// It was killed when all was given back.
    OverAlready,
    /// It was killed before there was anything.
    BeforeAnything,
    /// This run made fewer of these calls than the one that was counted.
    NotReached,
}

impl Caller {
    pub(super) const ALL: [Self; 4] = [Self::Run, Self::Host, Self::Destroy, Self::Resume];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Host => "host",
            Self::Destroy => "destroy",
            Self::Resume => "resume",
        }
    }
}

impl Fault {
    pub(super) const ALL: [Self; 7] = [
        Self::Error,
        Self::Throttle,
        Self::LostReply,
        Self::Slow,
        Self::Interrupt,
        Self::KillDestroy,
        Self::KillResume,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Throttle => "throttle",
            Self::LostReply => "lost_reply",
            Self::Slow => "slow",
            Self::Interrupt => "interrupt",
            Self::KillDestroy => "kill_destroy",
            Self::KillResume => "kill_resume",
        }
    }

    /// Whether it strikes the orchestrator and not the service.
    pub(super) fn signals(self) -> bool {
        match self {
            Self::Error | Self::Throttle | Self::LostReply | Self::Slow => false,
            Self::Interrupt | Self::KillDestroy | Self::KillResume => true,
        }
    }
}

impl Case {
    /// As the emulated cloud takes it.
    pub(super) fn to_fault(&self) -> Value {
        let mut fault = match self.fault {
            Fault::Error => refusal(&self.operation, self.nth, REFUSAL),
            Fault::Throttle => json!({"kind": "throttle"}),
            Fault::LostReply => json!({"kind": "lost_reply"}),
            Fault::Slow | Fault::Interrupt => json!({"kind": "slow", "delay_ms": SLOW_MS}),
            Fault::KillDestroy | Fault::KillResume => {
                json!({"kind": "slow", "after": true, "delay_ms": NEVER_MS})
            }
        };
        fault["operation"] = json!(self.operation);
        fault["nth"] = json!(self.nth);
        if self.caller == Caller::Host {
            fault["origin"] = json!("host");
            if self.fault == Fault::Interrupt {
                // The cloud would carry it out although its host is gone by then.
                fault["after"] = json!(true);
            }
        }
        fault
    }

    /// What to type to try this case alone.
    pub(super) fn replay(&self) -> String {
        format!(
            "SWEEP_CASES='{self}' SWEEP_LANES=1 cargo test -p runner --test cloud -- --ignored --nocapture sweep"
        )
    }

    /// Whether a program that ended with `code` after this fault has ended as it should.
    pub(super) fn judge(&self, code: Option<i32>, stderr: &str) -> Result<Ended, String> {
        match (code, self.fault) {
            (Some(0), _) => Ok(Ended::Well),
            (Some(2..=5), Fault::Error) => self.names_itself(stderr).map(|()| Ended::Named),
            (Some(code), Fault::Error) => {
                Err(format!("it ends with {code}, which is documented for nothing"))
            }
            (Some(130), Fault::Interrupt) => Ok(Ended::Interrupted),
            (Some(code), _) => Err(format!("it ends with {code} though the fault passes")),
            (None, _) => Err("it ends by a signal".to_owned()),
        }
    }

    fn names_itself(&self, stderr: &str) -> Result<(), String> {
        if self.caller == Caller::Host {
            return names_a_step(stderr);
        }
        let name = self.operation.split(':').nth(1).unwrap_or_default();
        let beginning = format!("{name} of ");
        let mut told = stderr.split(&beginning).skip(1);
        let is_named = |told: &str| {
            let line = told.lines().next().unwrap_or_default();
            line.split_once(" failed: ").is_some_and(|(resource, _)| !resource.trim().is_empty())
        };
        if !told.any(is_named) {
            return Err(format!("it does not name {name} and what it was about"));
        }
        // The head of an object has no body that could say why.
        let is_told_why = stderr.contains(REFUSAL) || name.starts_with("Head");
        if is_told_why { Ok(()) } else { Err("it does not say why".to_owned()) }
    }
}

/// What fails on a host is told with its step, the host, and what the host itself was told.
fn names_a_step(stderr: &str) -> Result<(), String> {
    let told = stderr.split_once("error: step ").and_then(|(_, told)| told.split_once(" failed on "));
    if !told.is_some_and(|(step, host)| !step.contains(' ') && host.contains("-0 (i-")) {
        return Err("it does not name the step and the host".to_owned());
    }
    // Who fetches an address is told by curl.
    let is_told_why = stderr.contains(REFUSAL) || stderr.contains("403");
    if is_told_why { Ok(()) } else { Err("it does not say why".to_owned()) }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.caller.name(), self.operation, self.nth, self.fault.name())
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let case = if let [caller, operation, nth, fault] = parts[..] {
            let caller = Caller::ALL.into_iter().find(|known| known.name() == caller);
            let fault = Fault::ALL.into_iter().find(|known| known.name() == fault);
            let case = caller.zip(nth.parse().ok()).zip(fault);
            case.map(|((caller, nth), fault)| Self { caller, operation: operation.to_owned(), nth, fault })
        } else {
            None
        };
        case.ok_or_else(|| {
            format!("{text}: expected CALLER/OPERATION/NTH/FAULT, such as run/ec2:RunInstances/1/slow")
        })
    }
}
