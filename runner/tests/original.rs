//! What the orchestrator that this project grew from got wrong, and which test says that it does not happen here.
//!
//! | | mistake |
//! |---|---|
//! | 1 | The child is never waited for: zombies, and a look through the whole process table instead. |
//! | 2 | Stopping a server kills the collector; the driver lives on and keeps its port. |
//! | 3 | A driver's exit status is lost: a crash looks like success. |
//! | 4 | A network error panics the coordinator, nothing reconnects, and whoever connects first is the coordinator. |
//! | 5 | Workers start one after the other, seconds apart, and talk while they measure. |
//! | 6 | States are compared by their bytes; reads and writes are taken for whole; an end is said three times in case. |
//! | 7 | Only success cleans up; without SSM a host has no time limit. |
//! | 8 | A step counts as done when its command failed, and the next one waits for it without limit. |
//! | 9 | The control port and ssh are open to the whole internet, in plain text, to anybody. |
//! | 10 | Every host builds everything from source, unpinned, for x86-64 only. |
//! | 11 | Instance type, image, key and ports are constants. |
//! | 12 | Other programs have to be there, and an infrastructure that nobody tells how to make. |
//! | 13 | A stuck driver hangs the run for ever. |
//! | 14 | Two tests, on fixed ports, with real sleeps. |

use std::fs;
use std::path::Path;

/// A mistake, the file of a test that would fail if it were made here, and the test.
const SHOWN: [(u8, &str, &str); 26] = [
    (1, "backends/tests/process", "nothing_of_a_reaped_driver_is_left_in_the_process_table"),
    (2, "backends/tests/process", "the_port_is_free_again_once_a_server_is_reaped"),
    (2, "backends/tests/process", "a_killed_worker_takes_its_driver_and_its_grandchildren_along"),
    (3, "runner/tests/cli", "a_client_that_exits_at_once"),
    (3, "runner/tests/cli", "a_server_that_exits_during_the_run"),
    (4, "runner/tests/cli", "reset_in_each_phase"),
    (4, "backends/tests/tcp", "a_port_scan"),
    (4, "backends/tests/worker", "strangers_on_the_control_port_change_nothing"),
    (5, "russula-proto/tests", "clients_with_any_clocks_start_together"),
    (5, "backends/tests/tcp", "nothing_is_said_in_an_undisturbed_window_and_the_kernel_agrees"),
    (6, "backends/tests/tcp", "a_path_of_tiny_socket_buffers_that_forwards_single_bytes"),
    (6, "backends/tests/tcp", "a_client_run_survives_the_end_of_its_connection_at_every_byte"),
    (7, "runner/tests/cloud", "a_fault_at_a_few_calls_leaves_nothing_and_is_named"),
    (7, "runner/tests/cloud", "hosts_end_at_their_time_limit_and_gc_removes_the_rest"),
    (7, "backends/ec2/src/launch", "the_time_limit_is_armed_first_and_is_not_shorter_than_asked"),
    (
        8,
        "backends/ec2/src/steps",
        "a_command_that_fails_in_the_middle_fails_the_step_and_the_next_try_may_succeed",
    ),
    (8, "backends/ec2/src/steps", "a_step_whose_dependency_never_comes_says_so_and_does_nothing"),
    (9, "runner/tests/cloud", "only_what_was_asked_for_is_open"),
    (9, "backends/tests/tcp", "a_downgrade_to_plain_text_gets_no_answer"),
    (10, "runner/tests/cloud", "servers_and_clients_of_different_architectures_get_each_their_worker"),
    (10, "runner/tests/cloud", "a_driver_from_git_is_built_once_and_shared"),
    (11, "runner/tests/cloud", "all_options_may_be_in_a_file_and_those_on_the_command_line_win"),
    (12, "runner/tests/cloud", "a_run_in_two_zones_with_two_drivers_leaves_nothing"),
    (13, "runner/tests/cli", "a_client_that_hangs_for_ever"),
    (13, "runner/tests/cloud", "a_step_that_hangs_ends_with_its_deadline_and_the_hosts"),
    // A seed is what its command replays.
    (14, "sim/tests", "a_seed_gives_the_same_run_twice"),
];

const MISTAKES: u8 = 14;

#[test]
fn every_mistake_of_the_original_has_a_test_that_says_otherwise() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (mistake, place, test) in SHOWN {
        let text = text_below(&root.join(place));
        assert!(
            text.contains(&format!("fn {test}(")),
            "mistake {mistake}: there is no test {test} in {place}"
        );
    }
    let missing: Vec<u8> =
        (1..=MISTAKES).filter(|mistake| SHOWN.iter().all(|(shown, ..)| shown != mistake)).collect();
    assert_eq!(missing, [0; 0]);
}

/// All that is written in Rust below a directory.
fn text_below(directory: &Path) -> String {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut text = String::new();
    for path in entries.map(|entry| entry.expect("readable").path()) {
        if path.is_dir() {
            text.push_str(&text_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("text"));
        }
    }
    text
}
