//! The quiet window: when it is opened and closed, what is counted in it, and what the kernel says to that.

use crate::by_hand::{NOW, Peer, Run, SESSION, asks, attached_worker, goal, outcome};
use russula_proto::wire::{CoordinatorMessage, Report, Target, WorkerMessage};
use russula_proto::worker::Output;
use russula_proto::{
    ConnectionId, Exit, Group, KernelCheck, Quiet, QuietWindow, Repetition, RepetitionPhase, Stage, Traffic,
    Worker,
};
use std::time::Duration;

fn window(run: &Run) -> Option<QuietWindow> {
    Repetition::quiet(&run.servers.coordinator, &run.clients.coordinator)
}

/// Ends both clients, a while after one another.
fn end_clients(run: &mut Run) {
    run.ended(Group::Client, 0, Exit::Code(0));
    run.pass(Duration::from_secs(1));
    run.ended(Group::Client, 1, Exit::Code(0));
}

// --- a whole run ---

#[test]
fn the_window_lasts_from_the_last_confirmation_until_the_first_end() {
    let mut run = Run::running();
    assert_eq!(window(&run), None, "it is open");
    run.pass(Duration::from_secs(5));
    end_clients(&mut run);
    assert_eq!(run.phase(), RepetitionPhase::Over);
    let silence = Quiet { bytes: 0, kernel: KernelCheck::Agrees };
    let expected = QuietWindow { duration: Duration::from_secs(5), coordinators: silence, clients: silence };
    assert_eq!(window(&run), Some(expected));
}

#[test]
fn there_is_no_window_before_the_last_client_runs() {
    let mut run = Run::new(1, 2);
    run.host(Group::Client, 1).is_prompt = false;
    run.begin(1);
    run.pass(Duration::from_secs(3));
    assert_eq!(run.clients.coordinator.peer(0).stage, Stage::Running);
    run.started(Group::Client, 1);
    run.pass(Duration::from_secs(2));
    end_clients(&mut run);
    assert_eq!(window(&run).map(|window| window.duration), Some(Duration::from_secs(2)));
}

#[test]
fn there_is_no_window_if_a_client_ends_before_the_last_one_runs() {
    let mut run = Run::new(1, 2);
    run.host(Group::Client, 1).is_prompt = false;
    run.begin(1);
    run.pass(Duration::from_secs(1));
    run.ended(Group::Client, 0, Exit::Code(0));
    run.started(Group::Client, 1);
    run.ended(Group::Client, 1, Exit::Code(0));
    assert_eq!((run.phase(), window(&run)), (RepetitionPhase::Over, None));
}

#[test]
fn a_server_that_ends_closes_the_window_of_both_groups() {
    let mut run = Run::running();
    run.pass(Duration::from_secs(4));
    run.ended(Group::Server, 0, Exit::Code(1));
    run.pass(Duration::from_secs(4));
    let window = window(&run).expect("there was one");
    assert_eq!((window.duration, window.coordinators.bytes), (Duration::from_secs(4), 0));
}

#[test]
fn giving_up_closes_the_window() {
    let mut run = Run::running();
    run.pass(Duration::from_secs(4));
    run.repetition.as_mut().expect("it was begun").give_up();
    run.settle();
    let window = window(&run).expect("there was one");
    assert_eq!((window.duration, window.coordinators.bytes), (Duration::from_secs(4), 0));
}

#[test]
fn a_client_that_dials_again_in_the_window_is_counted_at_both_ends() {
    let mut run = Run::running();
    run.cut(Group::Client, 1);
    run.pass(Duration::from_secs(1));
    assert!(run.clients.coordinator.peer(1).is_connected, "it was reached again");
    end_clients(&mut run);
    let window = window(&run).expect("there was one");
    assert!(window.coordinators.bytes > 200, "two handshake messages and some: {window:?}");
    // The worker counts until its own end, the coordinators until the first one; both count the same connection.
    assert_eq!(window.clients.bytes, window.coordinators.bytes);
    assert!(run.clients.coordinator.peer(1).quiet.is_some_and(|quiet| quiet.bytes == window.clients.bytes));
    assert_eq!(run.clients.coordinator.peer(0).quiet.map(|quiet| quiet.bytes), Some(0));
}

#[test]
fn a_server_that_dials_again_in_the_window_is_counted() {
    let mut run = Run::running();
    run.cut(Group::Server, 0);
    run.pass(Duration::from_secs(1));
    end_clients(&mut run);
    let window = window(&run).expect("there was one");
    assert!(window.coordinators.bytes > 200 && window.clients.bytes == 0, "{window:?}");
}

#[test]
fn a_kernel_that_counts_otherwise_differs() {
    let mut run = Run::running();
    run.pass(Duration::from_secs(1));
    // From now on, so at the end of the window only.
    run.host(Group::Client, 0).kernel_is_wrong = true;
    end_clients(&mut run);
    let window = window(&run).expect("there was one");
    assert_eq!(window.clients, Quiet { bytes: 0, kernel: KernelCheck::Differs });
    assert_eq!(window.coordinators, Quiet { bytes: 0, kernel: KernelCheck::Agrees });
}

#[test]
fn without_a_kernel_that_says_so_nothing_is_agreed() {
    let mut run = Run::new(1, 2);
    let hosts = run.servers.hosts.iter_mut().chain(&mut run.clients.hosts);
    hosts.for_each(|host| host.has_kernel = false);
    run.begin(1);
    run.pass_until(|run| run.clients.has_all_at(Stage::Running));
    end_clients(&mut run);
    let unchecked = Quiet { bytes: 0, kernel: KernelCheck::NotChecked };
    let window = window(&run).expect("there was one");
    assert_eq!((window.coordinators, window.clients), (unchecked, unchecked));
}

#[test]
fn the_next_repetition_has_a_window_of_its_own() {
    let mut run = Run::running();
    run.cut(Group::Client, 1);
    run.pass(Duration::from_secs(1));
    end_clients(&mut run);
    run.begin(2);
    assert_eq!(window(&run), None);
    run.pass_until(|run| run.clients.has_all_at(Stage::Running));
    run.pass(Duration::from_secs(7));
    end_clients(&mut run);
    let window = window(&run).expect("there was one");
    assert_eq!((window.duration, window.coordinators.bytes), (Duration::from_secs(7), 0));
    assert_eq!(window.clients, Quiet { bytes: 0, kernel: KernelCheck::Agrees });
}

// --- a worker alone ---

/// A worker in its window. It has asked for the kernel's counters once, at the beginning.
fn quiet_worker() -> (Worker, Peer<Worker>) {
    let (mut worker, mut coordinator) = attached_worker(Group::Client);
    coordinator.say(&mut worker, &goal(1, Target::Run), NOW);
    worker.handle_started(NOW);
    assert!(!asks(&mut worker).contains(&Output::CheckKernel(coordinator.place)), "its report has not left");
    coordinator.hear(&mut worker, NOW);
    assert_eq!(worker.state(), "RunningAwaitComplete");
    assert!(asks(&mut worker).contains(&Output::CheckKernel(coordinator.place)));
    (worker, coordinator)
}

fn last_report(heard: Vec<WorkerMessage>) -> Report {
    match heard.into_iter().last() {
        Some(WorkerMessage::Report(report)) => report,
        other => panic!("the end is reported last: {other:?}"),
    }
}

#[test]
fn a_question_in_the_window_is_counted_with_its_answer() {
    let (mut worker, mut coordinator) = quiet_worker();
    let question = coordinator.seal(&CoordinatorMessage::ReadClock(1));
    worker.handle_bytes(coordinator.place, &question, NOW);
    let answer_len = coordinator.waiting(&worker).len();
    coordinator.hear(&mut worker, NOW);
    worker.handle_program_ended(outcome(Exit::Code(0)), NOW);
    assert!(asks(&mut worker).contains(&Output::CheckKernel(coordinator.place)));
    let report = last_report(coordinator.hear(&mut worker, NOW));
    assert_eq!(report.quiet.map(|quiet| quiet.bytes), Some((question.len() + answer_len) as u64));
}

#[test]
fn the_message_that_ends_the_window_is_not_counted() {
    let (mut worker, mut coordinator) = quiet_worker();
    let stop = coordinator.seal(&goal(1, Target::Stop));
    let (begin, end) = stop.split_at(3);
    worker.handle_bytes(coordinator.place, begin, NOW);
    worker.handle_bytes(coordinator.place, end, NOW);
    assert_eq!(worker.state(), "Killing");
    worker.handle_program_ended(outcome(Exit::Signal(15)), NOW);
    let report = last_report(coordinator.hear(&mut worker, NOW));
    assert_eq!(report.quiet.map(|quiet| quiet.bytes), Some(0));
}

/// What the worker says of a window at whose ends the kernel said whether it `agrees`.
fn kernel_check(agrees: [Option<bool>; 2]) -> Option<KernelCheck> {
    let (mut worker, mut coordinator) = quiet_worker();
    let place = coordinator.place;
    let say = |worker: &mut Worker, agrees: Option<bool>, counted: Traffic| {
        let wrong = Traffic { sent_bytes: counted.sent_bytes + 1, ..counted };
        if let Some(agrees) = agrees {
            worker.handle_kernel_counters(place, if agrees { counted } else { wrong });
        }
    };
    let counted = coordinator.link.traffic();
    let counted = Traffic { sent_bytes: counted.received_bytes, received_bytes: counted.sent_bytes };
    say(&mut worker, agrees[0], counted);
    worker.handle_program_ended(outcome(Exit::Code(0)), NOW);
    say(&mut worker, agrees[1], counted);
    coordinator.hear(&mut worker, NOW);
    let mut again = Peer::dial(&mut worker, ConnectionId(1), Group::Client, NOW);
    again.greet(&mut worker, SESSION, 2, NOW);
    last_report(again.hear(&mut worker, NOW)).quiet.map(|quiet| quiet.kernel)
}

#[test]
fn the_kernel_has_to_agree_at_both_ends_of_a_window() {
    use KernelCheck::{Agrees, Differs, NotChecked};
    assert_eq!(kernel_check([Some(true), Some(true)]), Some(Agrees));
    assert_eq!(kernel_check([Some(true), Some(false)]), Some(Differs));
    assert_eq!(kernel_check([Some(false), Some(true)]), Some(Differs));
    assert_eq!(kernel_check([Some(true), None]), Some(NotChecked));
    assert_eq!(kernel_check([None, Some(true)]), Some(NotChecked));
    assert_eq!(kernel_check([None, Some(false)]), Some(Differs));
    assert_eq!(kernel_check([None, None]), Some(NotChecked));
}
