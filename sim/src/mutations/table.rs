//! The mutations, by the part of the core that they break.

use super::Mutation;

/// Every mutation.
pub const MUTATIONS: [Mutation; 28] = [
    // --- the order of a repetition ---
    Mutation {
        name: "clients start when the servers are only ready",
        file: "russula-proto/src/repetition.rs",
        from: "Self::StartingServers => (servers(Milestone::WorkersRunning), Self::RunningClients),",
        to: "Self::StartingServers => (servers(Milestone::Ready), Self::RunningClients),",
        caught_by: "client-order",
    },
    Mutation {
        name: "servers stop when the clients only run",
        file: "russula-proto/src/repetition.rs",
        from: "(clients(Milestone::Done) && !facts.hold_servers, Self::StoppingServers)",
        to: "(clients(Milestone::WorkersRunning) && !facts.hold_servers, Self::StoppingServers)",
        caught_by: "server-order",
    },
    Mutation {
        name: "a repetition is over before its clients are",
        file: "russula-proto/src/repetition.rs",
        from: "(servers(Milestone::Done) && clients(Milestone::Done), Self::Over)",
        to: "(servers(Milestone::Done), Self::Over)",
        caught_by: "panic",
    },
    // --- workflows ---
    Mutation {
        name: "a client that has ended starts again",
        file: "russula-proto/src/workflow/client.rs",
        from: "(Self::Ready, Goal(Run)) => Some((Self::Run, WorkerStep::Start)),",
        to: "(Self::Ready | Self::Stopped, Goal(Run)) => Some((Self::Run, WorkerStep::Start)),",
        caught_by: "once",
    },
    Mutation {
        name: "clients count as running when they are only being started",
        file: "russula-proto/src/workflow/client.rs",
        from: "(Self::RunWorker, All(stage)) if stage >= Stage::Running => Some(Self::WorkersRunning),",
        to: "(Self::RunWorker, All(stage)) if stage >= Stage::Starting => Some(Self::WorkersRunning),",
        caught_by: "model",
    },
    Mutation {
        name: "a client may exit with any status",
        file: "russula-proto/src/workflow/client.rs",
        from: "Ending::Exited(outcome) => !outcome.exit.is_success(),",
        to: "Ending::Exited(_) => false,",
        caught_by: "success",
    },
    // --- worker ---
    Mutation {
        name: "a worker reports although nothing is new",
        file: "russula-proto/src/worker/converge.rs",
        from: "if self.task.workflow.stage() > stage {",
        to: "if self.task.workflow.stage() >= stage {",
        caught_by: "quiet",
    },
    Mutation {
        name: "a worker does not wait for the instant",
        file: "russula-proto/src/worker/converge.rs",
        from: "self.start_at().is_some_and(|at| at > now) || !self.is_goal_current",
        to: "!self.is_goal_current",
        caught_by: "together",
    },
    Mutation {
        name: "a worker forgets how its program ended",
        file: "russula-proto/src/worker/converge.rs",
        from: "self.task.ending = Some(ending);",
        to: "drop(ending);",
        caught_by: "outcome",
    },
    Mutation {
        name: "a worker ends before its program",
        file: "russula-proto/src/worker/shutdown.rs",
        from: "self.farewell != Farewell::Due && !self.task.program_active;",
        to: "self.farewell != Farewell::Due;",
        caught_by: "model",
    },
    Mutation {
        name: "a worker waits for ever for its coordinator",
        file: "russula-proto/src/worker/greeting.rs",
        from: "self.orphaned_at = Some(now + self.config.limits.orphan);",
        to: "self.orphaned_at = None;",
        caught_by: "nothing-left",
    },
    Mutation {
        name: "a worker takes its coordinator for another one when it comes again",
        file: "russula-proto/src/worker/greeting.rs",
        from: "if known.is_some_and(|(session, _)| session != hello.session) {",
        to: "if known.is_some() {",
        caught_by: "reconnects",
    },
    Mutation {
        name: "a worker does not say again what was on a lost connection",
        file: "russula-proto/src/worker/greeting.rs",
        from: "        self.report_due = true;\n",
        to: "",
        caught_by: "reconnects",
    },
    Mutation {
        name: "a program is killed at any time",
        file: "russula-proto/src/worker/mod.rs",
        from: "if self.kill_at.is_some_and(|at| at <= now) {",
        to: "if self.kill_at.is_some() {",
        caught_by: "contract",
    },
    Mutation {
        name: "a worker bears any number of strangers",
        file: "russula-proto/src/worker/connections.rs",
        from: "if strangers().count() < MAX_GREETINGS { None }",
        to: "if strangers().count() < 100 { None }",
        caught_by: "limits",
    },
    // --- link ---
    Mutation {
        name: "any key opens a link",
        file: "russula-proto/src/noise.rs",
        from: ".psk(0, key.as_bytes())?",
        to: ".psk(0, &[0; 32])?",
        caught_by: "intruders",
    },
    Mutation {
        name: "the handshake does not say which worker is meant",
        file: "russula-proto/src/noise.rs",
        from: "    prologue.extend_from_slice(&identity.index.to_be_bytes());\n",
        to: "",
        caught_by: "intruders",
    },
    // --- coordinator ---
    Mutation {
        name: "a broken connection is not made again",
        file: "russula-proto/src/coordinator/dialing.rs",
        from: "now.since(self.peers[index].since) >= self.config.limits.reconnect",
        to: "now >= self.peers[index].since",
        caught_by: "reconnects",
    },
    Mutation {
        name: "a worker that has ended is not dialed again",
        file: "russula-proto/src/coordinator/dialing.rs",
        from: "            self.set_stage(index, Stage::Released);\n",
        to: "            return self.set_stage(index, Stage::Released);\n",
        caught_by: "reconnects",
    },
    Mutation {
        name: "no phase has a deadline",
        file: "russula-proto/src/coordinator/group.rs",
        from: "self.deadline = phase.map(|phase| (phase, now + self.limit(phase)));",
        to: "self.deadline = None;",
        caught_by: "ends",
    },
    Mutation {
        name: "a deadline that has passed stays",
        file: "russula-proto/src/coordinator/mod.rs",
        from: "            self.deadline = None;\n            self.handle_deadline(phase);\n",
        to: "            if phase != Phase::Ready {\n                self.deadline = None;\n                self.handle_deadline(phase);\n            }\n",
        caught_by: "rest",
    },
    Mutation {
        name: "the window counts the message that ends it",
        file: "russula-proto/src/coordinator/window.rs",
        from: "self.control_bytes.saturating_sub((message_len + partial) as u64);",
        to: "self.control_bytes.saturating_sub(partial as u64 + 0 * message_len as u64);",
        caught_by: "counted",
    },
    Mutation {
        name: "clocks are said to be known better than they are",
        file: "russula-proto/src/coordinator/clocks.rs",
        from: "bound_us: round_trip_us.div_ceil(2) + 1 }",
        to: "bound_us: 1 }",
        caught_by: "start-known",
    },
    Mutation {
        name: "a restarted worker is not noticed",
        file: "russula-proto/src/coordinator/peer.rs",
        from: "self.memory.is_some_and(|known| known != welcome.memory)",
        to: "self.memory.is_some_and(|known| known.takeovers != welcome.memory.takeovers)",
        caught_by: "once",
    },
    Mutation {
        name: "a failure is still there in the next repetition",
        file: "russula-proto/src/coordinator/mod.rs",
        from: "        self.failure = None;\n",
        to: "",
        caught_by: "recovers",
    },
    // --- taking over ---
    Mutation {
        name: "a coordinator does not tell its connections apart",
        file: "russula-proto/src/coordinator/dialing.rs",
        from: "(u64::from(self.config.incarnation) << 32) + self.dials",
        to: "u64::from(self.config.incarnation) << 32",
        caught_by: "reconnects",
    },
    Mutation {
        name: "a process that takes over does not know its workers",
        file: "russula-proto/src/coordinator/taking_over.rs",
        from: "peer.memory = *memory;",
        to: "peer.memory = memory.filter(|_| false);",
        caught_by: "once",
    },
    Mutation {
        name: "a process that takes over goes less far than it was asked",
        file: "russula-proto/src/coordinator/taking_over.rs",
        from: "self.till = asked;",
        to: "self.till = asked.min(Some(Milestone::Ready));",
        caught_by: "ends",
    },
];
