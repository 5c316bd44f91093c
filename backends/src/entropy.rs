//! Randomness for the core, which has none of its own.

use std::io;

/// 32 bytes that nobody can guess, from the generator of the system.
///
/// # Errors
/// If the system has no generator, or does not let this process ask it. No system that this runs on is known to, but
/// a sandbox can be made to.
pub fn bytes() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_answers_differ() {
        let (one, other) = (bytes().expect("a generator"), bytes().expect("a generator"));
        assert_ne!(one, other);
        assert!([one, other].iter().all(|bytes| bytes.iter().any(|byte| *byte != 0)));
    }
}
