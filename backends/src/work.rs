//! What a run is about, as both sides compare it: by SHA-256 digests of the scenario file and of the drivers' names.

use russula_proto::{Digest, Work};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::path::Path;

/// The work that consists of a scenario file and drivers, in the order in which they take turns.
///
/// # Errors
/// If the file cannot be read.
pub fn of<'a>(scenario: &Path, drivers: impl IntoIterator<Item = &'a str>) -> io::Result<Work> {
    let mut file_digest = Sha256::new();
    io::copy(&mut File::open(scenario)?, &mut file_digest)?;
    let mut names_digest = Sha256::new();
    for name in drivers {
        // A name holds no line feed, so two lists never give the same text.
        names_digest.update(name);
        names_digest.update(b"\n");
    }
    Ok(Work {
        scenario: Digest(file_digest.finalize().into()),
        drivers: Digest(names_digest.finalize().into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_differs_by_the_file_and_by_the_order_of_the_drivers() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (one, same, other) = (file("a", "x"), file("b", "x"), file("c", "y"));
        let work = of(&one, ["tcp", "s2n-quic"]).unwrap();
        assert_eq!(work, of(&same, ["tcp", "s2n-quic"]).unwrap());
        assert_ne!(work.scenario, of(&other, ["tcp"]).unwrap().scenario);
        assert_ne!(work.drivers, of(&one, ["s2n-quic", "tcp"]).unwrap().drivers);
        assert_ne!(work.drivers, of(&one, ["tcps2n-quic"]).unwrap().drivers);
    }
}
