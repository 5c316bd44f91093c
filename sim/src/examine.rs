//! One seed: its run, and the rules that it breaks.

use crate::check::{self, PANIC, Violation};
use crate::run::{Options, Run, Sizes};
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The seed.
    pub seed: u64,
    /// How each of its repetitions ended; empty after a panic.
    pub kinds: Vec<&'static str>,
    /// The rules that it breaks.
    pub violations: Vec<Violation>,
}

/// Makes the run of `seed` and holds every rule against it; a panic of a machine is a violation like the others.
pub fn examine(seed: u64, sizes: Sizes) -> Finding {
    let made = without_panic(|| {
        let run = Run::of(Options::of(seed, sizes));
        let kinds = run.repetitions.iter().map(Run::kind).collect();
        Finding { seed, kinds, violations: check::violations(&run) }
    });
    made.unwrap_or_else(|violation| Finding { seed, kinds: vec![], violations: vec![violation] })
}

/// Calls `act`; a panic becomes a violation that says where it was.
///
/// # Errors
/// The panic.
pub fn without_panic<T>(act: impl FnOnce() -> T) -> Result<T, Violation> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_caught = LAST_PANIC
                .with_borrow_mut(|last| last.as_mut().map(|last| *last = info.to_string()).is_some());
            if !is_caught {
                usual(info);
            }
        }));
    });
    LAST_PANIC.set(Some(String::new()));
    let result = panic::catch_unwind(AssertUnwindSafe(act));
    let why = LAST_PANIC.take().unwrap_or_default();
    result.map_err(|_| Violation { checker: PANIC, why })
}

thread_local! {
    /// The newest panic of this thread, in words, while somebody catches them.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_violation_that_says_where() {
        let violation = without_panic(|| panic!("the machine is broken")).unwrap_err();
        assert!(violation.why.contains("the machine is broken"), "{violation}");
        assert!(violation.why.contains("examine.rs"), "{violation}");
        assert_eq!(without_panic(|| 3), Ok(3));
    }
}
