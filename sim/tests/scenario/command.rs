//! The commands of the scenario files.
//!
//! ```text
//! group GROUP N [programs= run= version= ready= start= run-limit= stop= reconnect= attempt=
//!                greeting= kill-grace= orphan= clocks=]     a coordinator and N workers
//! network [latency=1ms] [split=whole|bytes|random]
//! program HOST NUMBER [start=5ms] [run=1s] [for-ever] [exit=0] [stderr="..."] [ignores-term]
//!                [never-listens] [fails=port-in-use|spawn]
//! begin GROUP REPETITION [PROGRAM]                   on one group alone
//! till GROUP ready|workers-running|done
//! abort GROUP / finish GROUP
//! repetition NUMBER [PROGRAM]                        over the servers and the clients
//! give-up                                            the user interrupts it
//! hold-servers yes|no                                the servers go on after the clients, or not any more
//! run until idle | run until over | run until GROUP MILESTONE | run for 5s
//! cut HOST / cut-unnoticed HOST / refuse HOST / accept HOST / hold HOST / release HOST
//! crash HOST / restart HOST / shutdown HOST / lost HOST "reason"
//! stranger HOST "bytes"
//! attack HOST wrong-key|wrong-worker|replay|giant-length|slow
//! identity HOST [run=] [group=] [index=]             who the worker is, before it is dialed
//! other-key HOST
//! vanish HOST / kill-program HOST                    the host loses its power; its program is killed
//! crash-orchestrator / resume-orchestrator           another process takes the run over
//! quietly COMMAND                                    what happens meanwhile is not shown
//! hide messages|events|programs / show-all
//! new-world                                          forgets everything
//! view GROUP                                         what the coordinator knows of its workers
//! ```

use super::Scenario;
use super::words::{Words, duration, number};
use russula_proto::{Coordinator, Exit, Group, Key, RepetitionPhase, StartFailure, Text, Timestamp};
use sim::HostId;
use sim::model::End;
use sim::world::{Death, GroupOptions, Hold, Kind, Script, Split, Starts, Stranger};
use std::fmt::Write as _;
use std::time::Duration;

/// Longest time that a `run until` takes before it is an error.
const RUN_LIMIT: Duration = Duration::from_secs(2 * 3600);

impl Scenario {
    /// Does what `line` says.
    pub(crate) fn execute(&mut self, line: &str) -> Result<(), String> {
        let mut words = Words::of(line)?;
        match words.next("a command")?.as_str() {
            "group" => self.group(words),
            "network" => self.network(words),
            "program" => self.program(words),
            "identity" => self.identity(words),
            "begin" => {
                let (group, repetition) = (words.group()?, words.number("a repetition")?);
                let program = words.number("a program").unwrap_or(0);
                self.world.with_coordinator(group, |c, now| c.begin(repetition, program, now));
                words.end()
            }
            "till" => {
                let (group, milestone) = (words.group()?, words.milestone()?);
                self.world.with_coordinator(group, |c, now| c.run_till(milestone, now));
                words.end()
            }
            "abort" => self.group_command(words, Coordinator::abort),
            "finish" => self.group_command(words, Coordinator::finish),
            "repetition" => {
                let number = words.number("a repetition")?;
                self.world.begin_repetition(number, words.number("a program").unwrap_or(0));
                words.end()
            }
            "give-up" => {
                self.world.give_up();
                words.end()
            }
            "hold-servers" => {
                self.world.hold_servers(words.next("yes or no")? == "yes");
                words.end()
            }
            "run" => self.run(words),
            "lost" => {
                let host = words.host()?;
                self.world.lose_host(host, &words.next("a reason")?);
                words.end()
            }
            "stranger" => {
                let host = words.host()?;
                self.world.intruder(host, words.next("the bytes")?.as_bytes());
                words.end()
            }
            "attack" => {
                let host = words.host()?;
                let stranger = match words.next("a stranger")?.as_str() {
                    "wrong-key" => Stranger::WrongKey,
                    "wrong-worker" => Stranger::WrongWorker,
                    "replay" => Stranger::Replay,
                    "giant-length" => Stranger::GiantLength,
                    "slow" => Stranger::Slow,
                    other => return Err(format!("no stranger {other:?}")),
                };
                self.world.stranger(host, stranger);
                words.end()
            }
            "crash-orchestrator" => {
                self.world.crash_orchestrator(Death::Killed);
                words.end()
            }
            "resume-orchestrator" => {
                self.world.resume_orchestrator();
                words.end()
            }
            "quietly" => {
                let before = self.take_log();
                self.execute(line.trim_start_matches("quietly "))?;
                self.take_log();
                self.out = before;
                Ok(())
            }
            "new-world" => {
                let (out, hidden) = (self.take_log(), std::mem::take(&mut self.hidden));
                *self = Self { out, hidden, ..Self::new() };
                words.end()
            }
            "hide" => self.hide(words),
            "show-all" => {
                self.hidden = vec![Kind::Socket, Kind::Clock, Kind::Fault];
                words.end()
            }
            "view" => self.view(words),
            command => self.host_command(command, words),
        }
    }

    fn group_command(
        &mut self,
        mut words: Words,
        act: fn(&mut Coordinator, Timestamp),
    ) -> Result<(), String> {
        self.world.with_coordinator(words.group()?, act);
        words.end()
    }

    /// The commands that are about a host and nothing else.
    fn host_command(&mut self, command: &str, mut words: Words) -> Result<(), String> {
        let act: fn(&mut Self, HostId) = match command {
            "cut" => |s, host| s.world.cut(host),
            "cut-unnoticed" => |s, host| s.world.cut_noticed_by(host, End::Dialer),
            "refuse" => |s, host| s.world.refuse(host, true),
            "accept" => |s, host| s.world.refuse(host, false),
            "hold" => |s, host| s.world.hold(host, Hold::ALL),
            "release" => |s, host| s.world.release(host),
            "kill-program" => |s, host| s.world.kill_program(host),
            "vanish" => |s, host| s.world.vanish(host),
            "crash" => |s, host| s.world.crash(host),
            "restart" => |s, host| s.world.restart(host),
            "shutdown" => |s, host| s.world.shut_down(host),
            "other-key" => |s, host| {
                s.world.host(host).config.key = Key::from_bytes([8; Key::LEN]);
                s.world.restart(host);
            },
            _ => return Err("no such command".into()),
        };
        let host = words.host()?;
        act(self, host);
        words.end()
    }

    fn group(&mut self, mut words: Words) -> Result<(), String> {
        let group = words.group()?;
        let mut options = GroupOptions::of(words.number("the number of workers")?);
        for (key, value) in words.options() {
            let (coordinator, worker) = (&mut options.coordinator, &mut options.worker);
            match key.as_str() {
                "programs" => options.programs = number(&value)?,
                "run" => options.run = value,
                "version" => options.version = value,
                "ready" => coordinator.ready = duration(&value)?,
                "start" => coordinator.start = duration(&value)?,
                "run-limit" => coordinator.run = duration(&value)?,
                "stop" => coordinator.stop = duration(&value)?,
                "reconnect" => coordinator.reconnect = duration(&value)?,
                "attempt" => coordinator.attempt = duration(&value)?,
                "greeting" => worker.greeting = duration(&value)?,
                "clocks" => coordinator.clock_exchanges = number(&value)?,
                "kill-grace" => worker.kill_grace = duration(&value)?,
                "orphan" => worker.orphan = duration(&value)?,
                _ => return Err(format!("no option {key:?}")),
            }
        }
        self.world.add_group(group, &options);
        Ok(())
    }

    fn network(&mut self, words: Words) -> Result<(), String> {
        for (key, value) in words.options() {
            match (key.as_str(), value.as_str()) {
                ("latency", value) => self.world.network.latency = duration(value)?,
                ("split", "whole") => self.world.network.split = Split::Whole,
                ("split", "bytes") => self.world.network.split = Split::Bytes,
                ("split", "random") => self.world.network.split = Split::UpTo(40),
                _ => return Err(format!("no option {key}={value}")),
            }
        }
        Ok(())
    }

    fn program(&mut self, mut words: Words) -> Result<(), String> {
        let (host, program) = (words.host()?, words.number::<usize>("a program")?);
        let mut script: Script = self.world.host(host).scripts[program].clone();
        for (key, value) in words.options() {
            match (key.as_str(), value.as_str()) {
                ("start", value) => script.start = duration(value)?,
                ("run", value) => script.run = Some(duration(value)?),
                ("for-ever", _) => script.run = None,
                ("exit", value) => script.exit = Exit::Code(number(value)?),
                ("stderr", value) => script.stderr = value.into(),
                ("ignores-term", _) => script.ignores_term = true,
                ("never-listens", _) => script.starts = Starts::NeverListens,
                ("fails", "port-in-use") => {
                    let detail = Text::tail_of("held by process 4711");
                    script.starts = Starts::Fails(StartFailure::PortInUse { port: 4433, detail });
                }
                ("fails", "spawn") => {
                    script.starts = Starts::Fails(StartFailure::spawn("No such file or directory"));
                }
                _ => return Err(format!("no option {key}={value}")),
            }
        }
        self.world.host(host).scripts[program] = script;
        Ok(())
    }

    fn identity(&mut self, mut words: Words) -> Result<(), String> {
        let host = words.host()?;
        for (key, value) in words.options() {
            let identity = &mut self.world.host(host).config.identity;
            match key.as_str() {
                "run" => identity.run = value.parse().map_err(|error| format!("{error}"))?,
                "group" => identity.group = Words::of(&value)?.group()?,
                "index" => identity.index = number(&value)?,
                _ => return Err(format!("no option {key:?}")),
            }
        }
        self.world.restart(host);
        Ok(())
    }

    fn run(&mut self, mut words: Words) -> Result<(), String> {
        let reached = match (words.next("for or until")?.as_str(), words.next("what")?.as_str()) {
            ("for", time) => {
                self.world.run_for(duration(time)?);
                true
            }
            ("until", "idle") => {
                self.world.run_until_idle();
                true
            }
            ("until", "over") => {
                self.world.run_until(RUN_LIMIT, |world| world.phase() == Some(RepetitionPhase::Over))
            }
            ("until", group) => {
                let (group, milestone) = (Words::of(group)?.group()?, words.milestone()?);
                self.world.run_until(RUN_LIMIT, |world| world.has_reached(group, milestone))
            }
            (word, _) => return Err(format!("{word:?} is neither for nor until")),
        };
        if !reached {
            return Err(format!("it never comes to that:\n{}", self.take_log()));
        }
        words.end()
    }

    fn hide(&mut self, mut words: Words) -> Result<(), String> {
        let kind = match words.next("what to hide")?.as_str() {
            "messages" => Kind::Message,
            "events" => Kind::Event,
            "programs" => Kind::Program,
            other => return Err(format!("{other:?} cannot be hidden")),
        };
        self.hidden.push(kind);
        words.end()
    }

    fn view(&mut self, mut words: Words) -> Result<(), String> {
        self.copy_log();
        let group: Group = words.group()?;
        let coordinator = self.world.coordinator(group);
        let reached = coordinator.reached().map_or("nothing".into(), |milestone| format!("'{milestone}'"));
        let _ = writeln!(self.out, "{group}s: {}, reached {reached}", coordinator.state());
        for (index, peer) in coordinator.peers().enumerate() {
            let connected = if peer.is_connected { "connected" } else { "not connected" };
            let _ = write!(self.out, "  worker {index}: {connected}, {:?}", peer.stage);
            if let Some(welcome) = peer.welcome {
                let _ = write!(self.out, ", version {}", welcome.program_version);
            }
            if let Some(ending) = peer.ending {
                let _ = write!(self.out, ", {ending}");
            }
            if let Some(outcome) = peer.ending.and_then(|ending| ending.outcome()) {
                let _ = write!(self.out, ", after {} us", outcome.duration_us);
                let _ = match outcome.stderr_tail.as_str() {
                    "" => Ok(()),
                    text => write!(self.out, ", stderr {text:?}"),
                };
            }
            if let Some(error) = peer.last_error {
                let _ = write!(self.out, "; last error: {error}");
            }
            self.out.push('\n');
        }
        words.end()
    }
}
