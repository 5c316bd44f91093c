//! The programs of the hosts: what workers ask of them, and what becomes of it.

use super::host::{Program, Script, Starts};
use super::queue::Happening;
use super::{HostId, Kind, Promise, World};
use crate::model::Observation;
use russula_proto::{Exit, Group, StartFailure};
use std::time::Duration;

/// From a signal to the end of a program.
const DYING: Duration = Duration::from_millis(1);

impl World {
    pub(super) fn start_program(&mut self, id: HostId, program: u16, repetition: u32) {
        self.note(Observation::Started(id, repetition));
        self.say(id, Kind::Program, || format!("starts program {program}"));
        let now = self.now;
        let host = self.host_mut(id);
        let is_second = host.program.is_some();
        let script: Script = host.scripts[usize::from(program)].clone();
        host.generation += 1;
        let generation = host.generation;
        match script.starts {
            Starts::Listens => self.schedule(now + script.start, Happening::Runs(id, generation)),
            Starts::NeverListens => {}
            Starts::Fails(_) => self.schedule(now + script.start, Happening::StartFails(id, generation)),
        }
        if let Some(run) = script.run {
            let exits = Happening::Exits(id, generation, script.exit.into());
            self.schedule(now + script.start + run, exits);
        }
        self.host_mut(id).program = Some(Program { script, started_at: now, runs: false });
        if is_second {
            self.breach(Promise::Contract, || format!("{id} starts a program while another one runs"));
        }
    }

    pub(super) fn terminate_program(&mut self, id: HostId) {
        self.note(Observation::Terminated(id));
        if self.host_mut(id).program.as_ref().is_some_and(|program| program.script.ignores_term) {
            self.say(id, Kind::Program, || "TERM, which the program ignores".into());
        } else {
            self.signal_program(id, 15);
        }
    }

    pub(super) fn signal_program(&mut self, id: HostId, signal: i32) {
        self.say(id, Kind::Program, || if signal == 9 { "KILL" } else { "TERM" }.into());
        let generation = self.host_mut(id).generation;
        self.schedule(self.now + DYING, Happening::Exits(id, generation, Exit::Signal(signal).into()));
    }

    pub(super) fn program_runs(&mut self, id: HostId, generation: u64) {
        let host = self.host_mut(id);
        if host.generation == generation
            && let Some(program) = &mut host.program
        {
            program.runs = true;
            self.note(Observation::Running(id));
            self.say(id, Kind::Program, || "the program runs".into());
            self.tell_worker(id, |worker, now| worker.handle_started(now));
        }
    }

    pub(super) fn program_start_fails(&mut self, id: HostId, generation: u64) {
        let host = self.host_mut(id);
        if host.generation == generation
            && let Some(program) = host.program.take()
            && let Starts::Fails(failure) = program.script.starts
        {
            self.note(Observation::StartFailed(id));
            self.say(id, Kind::Program, || failure.to_string());
            self.tell_worker(id, |worker, now| worker.handle_start_failed(failure.clone(), now));
        }
    }

    pub(super) fn program_exits(&mut self, id: HostId, generation: u64, exit: Exit) {
        let now = self.now;
        let host = self.host_mut(id);
        if host.generation == generation
            && let Some(program) = host.program.take()
        {
            let outcome = program.outcome(exit, now);
            self.note(Observation::Ended(id, Box::new(outcome.clone())));
            self.say(id, Kind::Program, || format!("the program ends, {exit}"));
            // A server that ends before it listens is told apart by whoever watches its port.
            let listens = matches!(program.script.starts, Starts::Listens);
            if id.group == Group::Server && !program.runs && listens && matches!(exit, Exit::Code(_)) {
                let failure = StartFailure::EndedBeforeListening { port: 4433, outcome };
                self.tell_worker(id, |worker, now| worker.handle_start_failed(failure.clone(), now));
            } else {
                self.tell_worker(id, |worker, now| worker.handle_program_ended(outcome.clone(), now));
            }
        }
    }
}
