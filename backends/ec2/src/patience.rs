//! The user's signals, while something is under way that nobody else interrupts.

use backends::signals::Patience;
use std::io;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Ends with the signal number `last` of this process, and never without `patience`. After an earlier one, also of
/// before, the user is told what goes on `instead`.
pub async fn out_of_patience(patience: Option<&Patience>, last: u32, instead: &str) {
    let Some(patience) = patience else { return std::future::pending().await };
    let socket = match patience.socket().and_then(UnixStream::from_std) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!("Ctrl-C cannot be heard for now: {error}");
            return std::future::pending().await;
        }
    };
    let mut told = 0;
    loop {
        let total = patience.total();
        if total >= last {
            return;
        }
        if total > told && !instead.is_empty() {
            tracing::warn!("interrupted: {instead}");
            told = total;
        }
        if socket.readable().await.is_err() {
            return std::future::pending().await;
        }
        // Nothing is read by this, which makes the next signal wake it again.
        let _ = socket.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backends::signals::EndSignals;
    use std::time::Duration;
    use tokio::time::timeout;

    /// The signals are those of this process, so one test has them all.
    #[tokio::test]
    async fn patience_ends_with_the_signal_that_it_was_to_end_with() {
        let signals = EndSignals::new().unwrap();
        let patience = signals.patience().unwrap();
        let send = || {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap()
        };
        let waits =
            |last| timeout(Duration::from_millis(50), out_of_patience(Some(&patience), last, "it goes on"));
        waits(1).await.expect_err("nobody has sent a signal");
        send();
        waits(2).await.expect_err("one is not two");
        assert_eq!(patience.total(), 1);
        waits(1).await.expect("the first one came before");
        let (ended, ()) = tokio::join!(
            timeout(Duration::from_secs(60), out_of_patience(Some(&patience), 2, "it goes on")),
            async { send() }
        );
        ended.expect("the second one wakes it");
    }
}
