//! What was run, when, on what, and how it ended.

use super::badge;
use crate::{
    report::html::escaped,
    summary::{Machine, Summary},
    units,
};

pub(super) fn render(summary: &Summary) -> String {
    let Summary { run_id, status, scenario, version, started, duration_s, machine, drivers, .. } = summary;
    let names: Vec<_> = drivers.iter().map(|driver| driver.driver.as_str()).collect();
    let facts = [
        ("Run", run_id.clone(), String::new()),
        ("Started", readable_time(started), started.clone()),
        ("Duration", units::seconds(*duration_s), format!("{duration_s} s")),
        ("Drivers", names.join(", "), String::new()),
        ("Version", version.clone(), String::new()),
    ];
    let facts = facts.into_iter().chain(machine_facts(machine));
    let facts: String = facts.filter(|(_, value, _)| !value.is_empty()).map(fact).collect();
    format!(
        "<header>\n<p class=\"kicker\">netbench run</p>\n<h1>{scenario} {badge}</h1>\n<dl>\n{facts}</dl>\n\
         </header>\n",
        scenario = escaped(scenario),
        badge = badge(*status),
    )
}

fn machine_facts(machine: &Machine) -> [(&'static str, String, String); 4] {
    let Machine { name, kernel, cpu, cores, memory_bytes } = machine;
    let cores = match cores {
        0 => String::new(),
        1 => " · 1 core".to_owned(),
        cores => format!(" · {cores} cores"),
    };
    let memory = if *memory_bytes == 0 { String::new() } else { units::memory(*memory_bytes) };
    [
        ("Machine", name.clone(), String::new()),
        ("Kernel", kernel.clone(), String::new()),
        ("CPU", format!("{cpu}{cores}").trim_start_matches(" · ").to_owned(), String::new()),
        ("Memory", memory, format!("{} bytes", units::grouped(*memory_bytes))),
    ]
}

fn fact((name, value, full): (&str, String, String)) -> String {
    let title = if full.is_empty() { String::new() } else { format!(" title=\"{}\"", escaped(&full)) };
    format!("<div><dt>{name}</dt><dd{title}>{}</dd></div>\n", escaped(&value))
}

/// `2026-01-31 12:00:05 UTC`; what is no timestamp is shown as it is.
fn readable_time(rfc_3339: &str) -> String {
    match rfc_3339.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => rfc_3339.to_owned(),
    }
}
