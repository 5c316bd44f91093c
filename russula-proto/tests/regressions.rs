//! Bugs that were found, each under its own name: one machine alone, fed by hand.

use russula_proto::wire::{self, CoordinatorMessage, Goal, Welcome, WorkerMessage, encode_frame};
use russula_proto::{Coordinator, CoordinatorConfig, Group, Text, Timestamp, coordinator};
use serde::Serialize;

const NOW: Timestamp = Timestamp::ZERO;

#[test]
fn a_connection_that_ends_while_finishing_is_closed_once() {
    let mut coordinator = coordinator(Group::Server, 1);
    coordinator.handle_connected(0, NOW);
    coordinator.handle_bytes(0, &opening(&[welcome(1)]), NOW);
    coordinator.finish(NOW);
    drain(&mut coordinator);
    coordinator.handle_end(0, NOW);
    let closes = drain(&mut coordinator).outputs;
    let closes = closes.iter().filter(|output| matches!(output, coordinator::Output::Close(0)));
    assert_eq!(closes.count(), 1);
}

fn coordinator(group: Group, workers: u16) -> Coordinator {
    let run = "demo".parse().expect("a valid run id");
    Coordinator::new(CoordinatorConfig { run, group, workers, limits: Default::default(), seed: 1 }, NOW)
}

/// What a peer sends at the beginning of a connection.
fn opening<M: Serialize>(messages: &[M]) -> Vec<u8> {
    let mut bytes = wire::preamble().to_vec();
    messages.iter().for_each(|message| encode_frame(message, &mut bytes));
    bytes
}

fn welcome(session: u64) -> WorkerMessage {
    WorkerMessage::Welcome(Welcome { session, programs: 1, program_version: Text::tail_of("1.0") })
}

/// What a coordinator did until it came to rest.
#[derive(Debug)]
struct Drained {
    /// Without `Transmit`.
    outputs: Vec<coordinator::Output>,
    /// The goals that the sockets took.
    goals: Vec<Goal>,
}

fn drain(coordinator: &mut Coordinator) -> Drained {
    use coordinator::Output;
    let mut drained = Drained { outputs: vec![], goals: vec![] };
    loop {
        match coordinator.poll_output() {
            Output::Wait(_) => return drained,
            Output::Transmit(index) => {
                let bytes = coordinator.outgoing(index).to_vec();
                coordinator.handle_sent(index, bytes.len(), NOW);
                drained.goals.extend(goals(&bytes));
            }
            output @ (Output::Dial(_) | Output::Close(_) | Output::Event(_)) => drained.outputs.push(output),
        }
    }
}

/// The goals in whole frames, after a preamble or not.
fn goals(bytes: &[u8]) -> Vec<Goal> {
    let mut rest = bytes.strip_prefix(&wire::preamble()).unwrap_or(bytes);
    let mut decoder = wire::Decoder::default();
    let mut goals = vec![];
    while !rest.is_empty() {
        match decoder.decode(&mut rest).expect("a coordinator sends what can be decoded") {
            Some(CoordinatorMessage::Goal(goal)) => goals.push(goal),
            Some(CoordinatorMessage::Hello(_) | CoordinatorMessage::Finish) | None => {}
        }
    }
    goals
}
