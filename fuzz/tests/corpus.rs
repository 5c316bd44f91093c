//! Every input of the corpus through its target.

use std::fs;
use std::path::Path;

macro_rules! replay {
    ($($target:ident)*) => {$(
        #[test]
        fn $target() {
            replay(stringify!($target), fuzz::$target);
        }
    )*};
}

replay!(decode round_trip frames link handshake worker coordinator system);

fn replay(target: &str, body: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = files.map(|file| file.expect("the corpus can be listed").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", directory.display());
    for file in files {
        // Shown only if the target panics.
        println!("{target} < {}", file.display());
        body(&fs::read(&file).expect("the corpus can be read"));
    }
    body(&[]);
}
