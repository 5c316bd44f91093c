#![cfg_attr(fuzzing, no_main)]
#![allow(missing_docs)]
fuzz::target!(fuzz::system);
