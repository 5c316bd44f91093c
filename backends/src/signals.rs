//! The signals that ask a process to end, as events.

use mio::event::Source;
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// SIGTERM, SIGINT and SIGHUP of this process, as a source that becomes readable.
///
/// SIGHUP stays ignored if it was when the process started, which is how `nohup(1)` works; see `signal(7)` for why that
/// outlives an exec. It is known on Linux only; elsewhere all three are events. SIGINT always counts, also in what a
/// script runs in the background: whoever sends it wants an end in order.
#[derive(Debug)]
pub struct EndSignals {
    source: UnixStream,
    count: Arc<AtomicU32>,
}

/// How often the user has asked this process to end, for whoever works on the user's behalf while nobody else listens.
#[derive(Clone, Debug)]
pub struct Patience {
    source: Arc<std::os::unix::net::UnixStream>,
    count: Arc<AtomicU32>,
}

impl EndSignals {
    /// From now on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// What the system says to a socket pair, or to a handler.
    pub fn new() -> io::Result<Self> {
        let (source, sender) = std::os::unix::net::UnixStream::pair()?;
        source.set_nonblocking(true)?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            if signal != SIGHUP || !is_in(ignored_signals(), SIGHUP) {
                signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
            }
        }
        Ok(Self { source: UnixStream::from_std(source), count: Arc::default() })
    }

    /// How many signals came since it was last asked.
    pub fn take(&mut self) -> u32 {
        let new = read_all(&mut self.source);
        self.count.fetch_add(new, Ordering::Relaxed);
        new
    }

    /// How many signals came in all.
    pub fn total(&mut self) -> u32 {
        self.take();
        self.count.load(Ordering::Relaxed)
    }

    /// The same signals for somebody else: each counts once, whoever hears of it first.
    ///
    /// # Errors
    /// If the process has too many files open.
    pub fn patience(&self) -> io::Result<Patience> {
        let source = std::os::unix::net::UnixStream::from(self.source.as_fd().try_clone_to_owned()?);
        Ok(Patience { source: Arc::new(source), count: self.count.clone() })
    }
}

impl Patience {
    /// How many signals came in all.
    pub fn total(&self) -> u32 {
        let new = read_all(&mut &*self.source);
        self.count.fetch_add(new, Ordering::Relaxed) + new
    }

    /// A socket of its own that becomes readable with the next signal; it is not to be read from.
    ///
    /// # Errors
    /// If the process has too many files open.
    pub fn socket(&self) -> io::Result<std::os::unix::net::UnixStream> {
        self.source.try_clone()
    }
}

/// One byte is one signal.
fn read_all(source: &mut impl Read) -> u32 {
    let (mut count, mut bytes) = (0_u32, [0; 16]);
    while let Ok(len @ 1..) = source.read(&mut bytes) {
        count = count.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
    }
    count
}

impl AsFd for EndSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl Source for EndSignals {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source.deregister(registry)
    }
}

/// The signals that this process ignores, as the kernel's mask; none where that cannot be found out.
fn ignored_signals() -> u64 {
    if cfg!(target_os = "linux") {
        std::fs::read_to_string("/proc/self/status")
            .ok()
            .and_then(|status| parse_ignored(&status))
            .unwrap_or(0)
    } else {
        0
    }
}

/// `SigIgn: 0000000000001000`: signal N is bit N - 1 (`proc_pid_status(5)`).
fn parse_ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn is_in(mask: u64, signal: i32) -> bool {
    u32::try_from(signal - 1).ok().and_then(|bit| mask.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let mask =
            parse_ignored("SigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\nSigCgt:\t0\n").unwrap();
        assert!(is_in(mask, SIGHUP), "signal 1");
        assert!(is_in(mask, 13), "SIGPIPE, which the runtime of Rust ignores");
        assert!(!is_in(mask, SIGINT) && !is_in(mask, SIGTERM));
        assert!(!is_in(u64::MAX, 0) && !is_in(u64::MAX, 65) && is_in(u64::MAX, 64));
        for status in ["", "SigIgn:\tx\n", "Name:\tSigIgn: 1\n"] {
            assert_eq!(parse_ignored(status), None, "{status:?}");
        }
    }

    #[test]
    fn a_signal_counts_once_whoever_hears_of_it() {
        let (source, mut sender) = std::os::unix::net::UnixStream::pair().unwrap();
        source.set_nonblocking(true).unwrap();
        let mut signals = EndSignals { source: UnixStream::from_std(source), count: Arc::default() };
        let patience = signals.patience().unwrap();
        std::io::Write::write_all(&mut sender, &[0, 0]).unwrap();
        assert_eq!((patience.total(), signals.take(), signals.total()), (2, 0, 2));
        std::io::Write::write_all(&mut sender, &[0]).unwrap();
        assert_eq!((signals.take(), signals.total(), patience.clone().total()), (1, 3, 3));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_mask_is_that_of_this_process() {
        assert!(is_in(ignored_signals(), 13), "the runtime of Rust ignores SIGPIPE");
    }
}
