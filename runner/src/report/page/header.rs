//! What was run, when, on what, and how it ended.

use super::badge;
use crate::{
    report::html::escaped,
    summary::{Machine, Status, Summary},
    units,
};

/// What a run that has not ended is called, for those who do not know whether it ever will.
const UNFINISHED: &str = "<p class=\"note\">Unfinished: the run was under way when its summary was last written. \
     The page shows the repetitions that had ended by then.</p>\n";

pub(super) fn render(summary: &Summary) -> String {
    let Summary { run_id, status, scenario, version, started, duration_s, machine, drivers, .. } = summary;
    let names: Vec<_> = drivers.iter().map(|driver| driver.driver.as_str()).collect();
    let run = [
        ("Run", run_id.clone(), String::new()),
        ("Started", readable_time(started), started.clone()),
        ("Duration", units::seconds(*duration_s), format!("{duration_s} s")),
        ("Drivers", names.join(", "), String::new()),
        ("Version", version.clone(), String::new()),
    ];
    format!(
        "<header>\n<p class=\"kicker\">netbench run</p>\n<h1>{scenario} {badge}</h1>\n{unfinished}{run}{machine}</header>\n",
        scenario = escaped(scenario),
        badge = badge(*status),
        unfinished = if *status == Status::Running { UNFINISHED } else { "" },
        run = list(&run),
        machine = list(&machine_facts(machine)),
    )
}

/// Name of a fact, its value, and the value in full where it is shortened.
type Fact = (&'static str, String, String);

fn machine_facts(machine: &Machine) -> [Fact; 5] {
    let Machine { name, kernel, cpu, cores, memory_bytes } = machine;
    let cores = if *cores == 0 { String::new() } else { cores.to_string() };
    let memory = if *memory_bytes == 0 { String::new() } else { units::memory(*memory_bytes) };
    [
        ("Machine", name.clone(), String::new()),
        ("Kernel", kernel.clone(), String::new()),
        ("CPU", cpu.clone(), String::new()),
        ("Cores", cores, String::new()),
        ("Memory", memory, format!("{} bytes", units::grouped(*memory_bytes))),
    ]
}

/// What is not known is left out.
fn list(facts: &[Fact]) -> String {
    let facts: String = facts.iter().filter(|(_, value, _)| !value.is_empty()).map(fact).collect();
    format!("<dl>\n{facts}</dl>\n")
}

fn fact((name, value, full): &Fact) -> String {
    let title = if full.is_empty() { String::new() } else { format!(" title=\"{}\"", escaped(full)) };
    format!("<div><dt>{name}</dt><dd{title}>{}</dd></div>\n", escaped(value))
}

/// `2026-01-31 12:00:05 UTC`; what is no timestamp is shown as it is.
fn readable_time(rfc_3339: &str) -> String {
    match rfc_3339.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => rfc_3339.to_owned(),
    }
}
