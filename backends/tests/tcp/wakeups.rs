//! A worker wakes when it has to, and only then.

use crate::common::{WorkerPlan, within};
use backends::tcp::{Programs, ProgramsWake, Shutdown, WorkerDriver};
use mio::{Registry, Token, Waker};
use russula_proto::worker::Finish;
use russula_proto::{Group, StartFailure};
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

const WAKES: u32 = 200;

/// No whole number of milliseconds, which is what the timeout of a poll is counted in.
const PERIOD: Duration = Duration::from_micros(1370);

/// What wants to be called at certain instants, and ends the worker after the last one.
#[derive(Default)]
struct Wanted {
    next: Cell<Option<Instant>>,
    calls: Cell<u32>,
    late: RefCell<Vec<Duration>>,
    done: OnceCell<Waker>,
}

struct Timetable(Rc<Wanted>);

impl Programs for Timetable {
    fn start(&mut self, _: u16, _: u32, _: &Registry, _: Token) -> Result<(), StartFailure> {
        Ok(())
    }

    fn terminate(&mut self) {}

    fn kill(&mut self) {}

    fn wake(&mut self, _: &Registry) -> Option<ProgramsWake> {
        let Wanted { next, calls, late, done } = &*self.0;
        calls.set(calls.get() + 1);
        let now = Instant::now();
        if let Some(at) = next.get().filter(|at| *at <= now) {
            late.borrow_mut().push(now - at);
            next.set(None);
        }
        if late.borrow().len() == WAKES as usize {
            done.get().unwrap().wake().unwrap();
        } else if next.get().is_none() {
            next.set(Some(now + PERIOD));
        }
        None
    }

    fn next_wake(&self) -> Option<Instant> {
        self.0.next.get()
    }
}

impl Shutdown for Timetable {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.0.done.set(Waker::new(registry, token)?).unwrap();
        Ok(())
    }

    fn is_requested(&mut self) -> bool {
        true
    }
}

#[test]
fn a_worker_wakes_once_for_each_instant_and_not_before_it() {
    within("wakes", || {
        let plan = WorkerPlan::new(Group::Client, 1);
        let wanted = Rc::new(Wanted::default());
        let mut end = Timetable(wanted.clone());
        let mut driver = WorkerDriver::bind(plan.address, plan.worker(0), Timetable(wanted.clone())).unwrap();
        assert_eq!(driver.run(&mut end).unwrap(), Finish::Requested);
        // One call sets the first instant; the last one leads to the end, which is another.
        let spare = wanted.calls.get() - WAKES;
        assert!(spare <= 2, "{spare} calls more than the {WAKES} that were wanted");
        let mut late = wanted.late.borrow().clone();
        late.sort();
        println!("late by {:?} (median), {:?} (99th percentile)", late[100], late[198]);
    });
}
