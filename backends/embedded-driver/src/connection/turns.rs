//! Who does something at which look at the clock.
//!
//! The library's driver takes the time once per poll and then does all that it can; what comes later in the poll is
//! profiled with a time that is over. So each stream does one operation per poll, here called a look, and what comes
//! after it is put off to the next look, with a time of its own.

use netbench::connection::Owner;
use std::task::Poll;

/// One direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    /// Whose stream it is.
    pub(super) owner: Owner,
    /// Which of them.
    pub(super) stream: u64,
    /// The direction.
    pub(super) is_send: bool,
}

impl Lane {
    fn opposite(self) -> Self {
        Self { is_send: !self.is_send, ..self }
    }
}

/// What was done and put off at the present look and at the one before.
#[derive(Debug, Default)]
pub(super) struct Turns {
    present: Look,
    before: Look,
}

#[derive(Debug, Default)]
struct Look {
    /// What moved bytes, and how often.
    served: Vec<(Lane, u32)>,
    put_off: Vec<Lane>,
}

impl Turns {
    /// Begins the next look.
    pub(super) fn begin_look(&mut self) {
        std::mem::swap(&mut self.before, &mut self.present);
        self.present.served.clear();
        self.present.put_off.clear();
    }

    /// Whether something was put off at this look. Nothing but the next look will wake it.
    pub(super) fn has_put_off(&self) -> bool {
        !self.present.put_off.is_empty()
    }

    /// Whether the lane may do something at this look; if not, it is put off. A lane that sends may do so
    /// `sends_max` times.
    pub(super) fn poll(&mut self, lane: Lane, sends_max: u32) -> Poll<()> {
        let may = if self.present.times(lane.opposite()) > 0 {
            false
        } else if self.present.times(lane) > 0 {
            lane.is_send && self.present.times(lane) < sends_max
        } else {
            // Where both directions always have something to do, they alternate.
            !(self.before.times(lane) > 0 && self.before.put_off.contains(&lane.opposite()))
        };
        if may {
            return Poll::Ready(());
        }
        self.present.put_off.push(lane);
        Poll::Pending
    }

    /// To be called when the lane has done something. One that waits takes no time, and so uses up no turn.
    pub(super) fn count(&mut self, lane: Lane) {
        match self.present.served.iter_mut().find(|(served, _)| *served == lane) {
            Some((_, times)) => *times += 1,
            None => self.present.served.push((lane, 1)),
        }
    }
}

impl Look {
    fn times(&self, lane: Lane) -> u32 {
        self.served.iter().find(|(served, _)| *served == lane).map_or(0, |(_, times)| *times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND: Lane = Lane { owner: Owner::Local, stream: 0, is_send: true };
    const RECEIVE: Lane = Lane { is_send: false, ..SEND };
    const OTHER: Lane = Lane { stream: 1, ..RECEIVE };

    /// Each lane goes on as long as it may, as the library's threads do, if it has something to do at all.
    fn look(turns: &mut Turns, lanes: &[(Lane, bool)]) -> Vec<Lane> {
        turns.begin_look();
        let mut done = Vec::new();
        for (lane, has_something) in lanes {
            while turns.poll(*lane, 1).is_ready() && *has_something {
                turns.count(*lane);
                done.push(*lane);
            }
        }
        done
    }

    #[test]
    fn both_directions_alternate_whoever_comes_first() {
        for lanes in [[(SEND, true), (RECEIVE, true)], [(RECEIVE, true), (SEND, true)]] {
            let mut turns = Turns::default();
            let looks: Vec<_> = (0..6).map(|_| look(&mut turns, &lanes)).collect();
            assert!(looks.iter().all(|done| done.len() == 1), "{looks:?}");
            assert!(looks.windows(2).all(|pair| pair[0] != pair[1]), "{looks:?}");
        }
    }

    #[test]
    fn one_that_waits_does_not_hold_up_the_other_and_asks_for_no_further_look() {
        let mut turns = Turns::default();
        for _ in 0..4 {
            assert_eq!(look(&mut turns, &[(SEND, false), (RECEIVE, true)]), [RECEIVE]);
        }
        for _ in 0..4 {
            assert_eq!(look(&mut turns, &[(SEND, false), (RECEIVE, false)]), []);
            assert!(!turns.has_put_off());
        }
    }

    #[test]
    fn what_follows_an_operation_comes_at_the_next_look() {
        let mut turns = Turns::default();
        turns.begin_look();
        assert!(turns.poll(SEND, 1).is_ready());
        turns.count(SEND);
        assert!(turns.poll(RECEIVE, 1).is_pending() && turns.has_put_off());
        turns.begin_look();
        assert!(turns.poll(RECEIVE, 1).is_ready() && !turns.has_put_off());
    }

    #[test]
    fn streams_do_not_hold_up_each_other() {
        let mut turns = Turns::default();
        let all = [(SEND, true), (OTHER, true)];
        assert_eq!(look(&mut turns, &all), [SEND, OTHER]);
        assert_eq!(look(&mut turns, &all), [SEND, OTHER]);
    }

    #[test]
    fn several_sends_may_share_a_look() {
        let mut turns = Turns::default();
        turns.begin_look();
        for _ in 0..3 {
            assert!(turns.poll(SEND, 3).is_ready());
            turns.count(SEND);
        }
        assert!(turns.poll(SEND, 3).is_pending());
    }
}
