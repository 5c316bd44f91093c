//! Questions to the kernel about internet sockets, and its answers, as netlink messages (`netlink(7)`,
//! `linux/inet_diag.h`).

use super::socket::{Family, Transport};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with, sockopt,
};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// For the kernel to answer, which it does at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// As much as the kernel puts into one answer.
const BUFFER_LEN: usize = 32 * 1024;

/// `SOCK_DIAG_BY_FAMILY`, `NLMSG_ERROR`, `NLMSG_DONE`.
const BY_FAMILY: u16 = 20;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// `NLM_F_REQUEST`, and `NLM_F_DUMP`, which asks for all sockets that match.
const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;

/// Lengths of `struct nlmsghdr` and `struct inet_diag_req_v2`.
const HEADER_LEN: usize = 16;
const QUESTION_LEN: usize = 56;

/// `INET_DIAG_NOCOOKIE`, both halves: whichever socket has the addresses.
const NO_COOKIE: [u8; 8] = [0xFF; 8];

/// What is asked about, a `struct inet_diag_req_v2`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) transport: Transport,
    pub(super) family: Family,
    /// What is to be told beside the `struct inet_diag_msg`, a set of `1 << (INET_DIAG_* - 1)`.
    pub(super) extensions: u8,
    /// The states in which a socket matches (`include/net/tcp_states.h`), a set of `1 << TCP_*`; for
    /// [`Netlink::ask_all`] only.
    pub(super) states: u32,
    pub(super) local: End,
    pub(super) peer: End,
    /// The interface that the socket is bound to, or 0.
    pub(super) interface: u32,
}

/// One end of a connection as the kernel writes it: an IPv4 address is in the first four bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct End {
    pub(super) address: [u8; 16],
    pub(super) port: u16,
}

/// A socket that the kernel answers on, any number of questions one after another.
#[derive(Debug)]
pub(super) struct Netlink {
    kernel: OwnedFd,
    /// Of the question that was asked last. An answer bears the number of its question, which tells one that came too
    /// late from the one that is waited for.
    number: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let kernel = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )?;
        sockopt::set_socket_timeout(&kernel, sockopt::Timeout::Recv, Some(ANSWER_LIMIT))?;
        Ok(Self { kernel, number: 0, buffer: vec![0; BUFFER_LEN] })
    }

    /// Asks about the one socket between two addresses; `answer` gets the body of what the kernel says. Its error is
    /// `ENOENT` if there is no such socket, or if the kernel was built without this.
    pub(super) fn ask_one<T>(
        &mut self,
        question: &Question,
        answer: impl FnOnce(&[u8]) -> T,
    ) -> io::Result<T> {
        let (mut answer, mut result) = (Some(answer), None);
        self.ask(question, REQUEST, |body| {
            result = answer.take().map(|answer| answer(body));
            ControlFlow::Break(())
        })?;
        result.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Asks about all sockets that match; `answer` gets what the kernel says of each. Of the two ends only
    /// the ports narrow the choice. Its error is `ENOENT` if the kernel was built without this.
    pub(super) fn ask_all(&mut self, question: &Question, mut answer: impl FnMut(&[u8])) -> io::Result<()> {
        self.ask(question, REQUEST | DUMP, |body| {
            answer(body);
            ControlFlow::Continue(())
        })
    }

    fn ask(
        &mut self,
        question: &Question,
        flags: u16,
        answer: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<()> {
        self.number = self.number.wrapping_add(1);
        self.send(&question.encode(flags, self.number))?;
        self.receive(answer)
    }

    fn send(&self, request: &[u8]) -> io::Result<()> {
        let kernel = SocketAddrNetlink::new(0, 0);
        retry_on_intr(|| sendto(&self.kernel, request, SendFlags::empty(), &kernel))?;
        Ok(())
    }

    /// Receives until `answer` has heard enough, or the kernel has said everything.
    fn receive(&mut self, mut answer: impl FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        loop {
            let (_, len) =
                retry_on_intr(|| recv(&self.kernel, self.buffer.as_mut_slice(), RecvFlags::empty()))
                    .map_err(explain)?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut rest = &self.buffer[..len];
            while let Some((message, after)) = Message::split_from(rest) {
                rest = after;
                if message.number != self.number {
                    continue;
                }
                match message.kind {
                    ERROR => return message.status().and(Err(io::ErrorKind::InvalidData.into())),
                    DONE => return message.status(),
                    BY_FAMILY if answer(message.body).is_break() => return Ok(()),
                    _ => {}
                }
            }
        }
    }
}

/// The word of the system for a limit that has passed does not name it.
fn explain(error: Errno) -> io::Error {
    if error == Errno::AGAIN {
        io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {ANSWER_LIMIT:?}"))
    } else {
        error.into()
    }
}

impl Question {
    fn encode(&self, flags: u16, number: u32) -> [u8; HEADER_LEN + QUESTION_LEN] {
        let mut request = [0; HEADER_LEN + QUESTION_LEN];
        let family = match self.family {
            Family::V4 => AddressFamily::INET,
            Family::V6 => AddressFamily::INET6,
        };
        let len = u32::try_from(request.len()).expect("72 bytes");
        request[0..4].copy_from_slice(&len.to_ne_bytes());
        request[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        request[6..8].copy_from_slice(&flags.to_ne_bytes());
        request[8..12].copy_from_slice(&number.to_ne_bytes());
        request[16] = u8::try_from(family.as_raw()).expect("2 or 10");
        request[17] = match self.transport {
            Transport::Tcp => 6,
            Transport::Udp => 17,
        };
        request[18] = self.extensions;
        request[20..24].copy_from_slice(&self.states.to_ne_bytes());
        request[24..26].copy_from_slice(&self.local.port.to_be_bytes());
        request[26..28].copy_from_slice(&self.peer.port.to_be_bytes());
        request[28..44].copy_from_slice(&self.local.address);
        request[44..60].copy_from_slice(&self.peer.address);
        request[60..64].copy_from_slice(&self.interface.to_ne_bytes());
        request[64..72].copy_from_slice(&NO_COOKIE);
        request
    }
}

/// A netlink message without what is of no interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message<'a> {
    kind: u16,
    number: u32,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The first message, and what follows it; messages begin at multiples of four.
    fn split_from(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let len = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
        let kind = u16::from_ne_bytes([*bytes.get(4)?, *bytes.get(5)?]);
        let number = u32::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
        let body = bytes.get(HEADER_LEN..len)?;
        Some((Self { kind, number, body }, bytes.get(len.next_multiple_of(4)..).unwrap_or_default()))
    }

    /// What `NLMSG_DONE` and `NLMSG_ERROR` begin with: zero or a negative error number. A kernel that has nothing to
    /// complain about may leave it out.
    fn status(&self) -> io::Result<()> {
        match self.body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes)) {
            0.. => Ok(()),
            number => Err(io::Error::from_raw_os_error(number.saturating_neg())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_no_message() {
        for bytes in [&[][..], &[1], &[255; 16], &[16, 0, 0, 0, 3], &[0; 16]] {
            assert!(
                Message::split_from(bytes).is_none_or(|(message, _)| message.body.is_empty()),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn messages_are_split_at_multiples_of_four_and_their_status_is_told() {
        let mut bytes = [0; 40];
        bytes[0..4].copy_from_slice(&18_u32.to_ne_bytes());
        bytes[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        bytes[8..12].copy_from_slice(&7_u32.to_ne_bytes());
        bytes[20..24].copy_from_slice(&20_u32.to_ne_bytes());
        bytes[24..26].copy_from_slice(&DONE.to_ne_bytes());
        bytes[36..40].copy_from_slice(&(-2_i32).to_ne_bytes());
        let (first, rest) = Message::split_from(&bytes).expect("a message");
        assert_eq!((first.kind, first.number, first.body), (ERROR, 7, &[0, 0][..]));
        first.status().expect("it has none");
        let (second, rest) = Message::split_from(rest).expect("another one");
        assert_eq!(second.kind, DONE);
        let error = second.status().expect_err("ENOENT");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(Message::split_from(rest), None);
    }

    /// Matches no socket.
    const NOTHING: Question = Question {
        transport: Transport::Tcp,
        family: Family::V4,
        extensions: 0,
        states: 0,
        local: End { address: [0; 16], port: 0 },
        peer: End { address: [0; 16], port: 0 },
        interface: 0,
    };

    #[test]
    fn an_answer_to_an_earlier_question_is_passed_over() {
        let mut netlink = Netlink::open().expect("a socket");
        // Nobody reads the answer to this one, which is an error: there is no socket between no addresses.
        netlink.send(&NOTHING.encode(REQUEST, netlink.number)).expect("sent");
        netlink.ask_all(&NOTHING, |socket| panic!("it is in no state: {socket:?}")).expect("answered");
    }

    /// Such a kernel must not be taken for one that has no sockets.
    #[test]
    fn a_kernel_that_was_built_without_the_transport_says_so() {
        let mut netlink = Netlink::open().expect("a socket");
        let mut request = NOTHING.encode(REQUEST | DUMP, netlink.number);
        // For experiments (RFC 3692): no kernel has it.
        request[17] = 253;
        netlink.send(&request).expect("sent");
        let error = netlink.receive(|_| ControlFlow::Continue(())).expect_err("it cannot know");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
