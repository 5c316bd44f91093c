//! The host of whoever connects to a worker and is not its coordinator.

use super::mailbox::Mailbox;
use super::socket::PORT;
use ::turmoil::net::TcpStream;
use std::future::pending;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::sleep;

/// One connection of a stranger.
#[derive(Debug)]
pub(super) struct Visit {
    /// The host that it goes to.
    pub(super) to: IpAddr,
    pub(super) says: Vec<u8>,
    /// From one byte to the next; zero: all at once.
    pub(super) pace: Duration,
}

/// The host.
#[derive(Debug, Default)]
pub(super) struct Visitors {
    pub(super) mailbox: Mailbox<Visit>,
}

impl Visitors {
    /// What runs on the host: every visit by itself.
    ///
    /// # Errors
    /// Never.
    pub(super) async fn boot(self: Rc<Self>) -> ::turmoil::Result {
        loop {
            spawn_local(self.mailbox.next().await.make());
        }
    }
}

impl Visit {
    /// Connects, says everything there is to say, and never hangs up.
    async fn make(self) {
        let Ok(stream) = TcpStream::connect((self.to, PORT)).await else { return };
        let piece_len = if self.pace.is_zero() { self.says.len().max(1) } else { 1 };
        for piece in self.says.chunks(piece_len) {
            if stream.writable().await.is_err() || stream.try_write(piece).is_err() {
                break;
            }
            sleep(self.pace).await;
        }
        pending().await
    }
}
