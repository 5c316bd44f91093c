#[cfg(target_os = "linux")]
pub mod process;
