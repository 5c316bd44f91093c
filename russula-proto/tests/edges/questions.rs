//! Whose clock is read when: never those of a whole group at once, and in the end all of them.

use crate::by_hand::{MEMORY, NOW, Peer, at_ms, coordinator_config, drain, report, welcome};
use russula_proto::wire::{ClockReading, CoordinatorMessage, Position, WorkerMessage};
use russula_proto::{Coordinator, Group, Milestone};
use std::collections::BTreeMap;

/// Workers that may be asked at once in a small group.
const AT_ONCE: usize = 8;

const EXCHANGES: u8 = 2;

/// A coordinator of a group that is ready but for its clocks.
struct Measured {
    coordinator: Coordinator,
    workers: Vec<Peer<Coordinator>>,
    /// The questions that were asked and not answered.
    asked: BTreeMap<usize, u32>,
}

impl Measured {
    fn new(count: u16) -> Self {
        let mut config = coordinator_config(Group::Client, count);
        config.limits.clock_exchanges = EXCHANGES;
        let mut coordinator = Coordinator::new(config, NOW);
        coordinator.begin(1, 0, NOW);
        coordinator.run_till(Milestone::Ready, NOW);
        let mut group = Self { coordinator, workers: vec![], asked: BTreeMap::new() };
        for index in 0..usize::from(count) {
            let worker = group.join(index);
            group.workers.push(worker);
        }
        group.hear();
        group
    }

    fn join(&mut self, index: usize) -> Peer<Coordinator> {
        let mut worker = Peer::accept(&mut self.coordinator, index, NOW);
        worker.say(&mut self.coordinator, &welcome(MEMORY), NOW);
        worker.say(&mut self.coordinator, &report(1, Position::Ready), NOW);
        worker
    }

    /// Takes what every worker is told.
    fn hear(&mut self) {
        drain(&mut self.coordinator);
        for (index, worker) in self.workers.iter_mut().enumerate() {
            for message in worker.hear(&mut self.coordinator, NOW) {
                if let CoordinatorMessage::ReadClock(number) = message {
                    let before = self.asked.insert(index, number);
                    assert_eq!(before, None, "one question at a time");
                }
            }
        }
    }

    fn answer(&mut self, index: usize) {
        let exchange = self.asked.remove(&index).expect("it was asked");
        let clock = WorkerMessage::Clock(ClockReading { exchange, at: at_ms(1) });
        self.workers[index].say(&mut self.coordinator, &clock, NOW);
        self.hear();
    }

    fn reconnect(&mut self, index: usize) {
        self.asked.remove(&index);
        self.coordinator.handle_connection_failed(index, "connection reset by peer", NOW);
        self.hear();
        self.coordinator.handle_timeout(at_ms(3000));
        drain(&mut self.coordinator);
        self.workers[index] = self.join(index);
        self.hear();
    }
}

#[test]
fn a_few_are_asked_at_once_and_all_in_the_end() {
    for count in [1, 7, 8, 9, 30] {
        let mut group = Measured::new(count);
        let mut answers = 0;
        while let Some((&index, _)) = group.asked.last_key_value() {
            let left = usize::from(count) * usize::from(EXCHANGES) - answers;
            let expected = AT_ONCE.min(left).min(usize::from(count));
            assert!(group.asked.len() <= expected, "{:?} of {count}", group.asked);
            assert_eq!(group.coordinator.reached(), None);
            group.answer(index);
            answers += 1;
        }
        assert_eq!(answers, usize::from(count) * usize::from(EXCHANGES));
        assert_eq!(group.coordinator.reached(), Some(Milestone::Ready));
    }
}

#[test]
fn more_are_asked_at_once_where_there_are_many() {
    assert_eq!(Measured::new(80).asked.len(), 10);
}

#[test]
fn a_connection_that_is_lost_makes_room_for_another_question() {
    let mut group = Measured::new(20);
    let before: Vec<usize> = group.asked.keys().copied().collect();
    for index in before {
        group.reconnect(index);
        assert_eq!(group.asked.len(), AT_ONCE, "after the loss of {index}");
    }
    while let Some((&index, _)) = group.asked.first_key_value() {
        group.answer(index);
    }
    assert_eq!(group.coordinator.reached(), Some(Milestone::Ready), "nobody was forgotten");
}

#[test]
fn a_new_repetition_asks_anew_whatever_was_asked_before() {
    let mut group = Measured::new(20);
    group.coordinator.abort(NOW);
    group.hear();
    for index in 0..20 {
        let ended = report(1, Position::Ended(russula_proto::Ending::NotStarted));
        group.workers[index].say(&mut group.coordinator, &ended, NOW);
        let released = report(1, Position::Released(russula_proto::Ending::NotStarted));
        group.workers[index].say(&mut group.coordinator, &released, NOW);
    }
    assert_eq!(group.coordinator.reached(), Some(Milestone::Done));
    group.asked.clear();
    group.coordinator.begin(2, 0, NOW);
    group.hear();
    assert_eq!(group.asked.len(), AT_ONCE);
}
