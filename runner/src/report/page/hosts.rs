//! Every host of every repetition.

use super::{badge, driver_dot, plural, problems, value_with_full};
use crate::{
    hosts::{self, NamedHost},
    report::{
        data::{HostData, RunData},
        html::{escaped, link_from_report},
    },
    summary::{HostSummary, RepetitionSummary, Summary},
    units,
};

/// The tables are open at first if they have at most this many rows together.
const MAX_OPEN_ROWS: usize = 30;

pub(super) fn render(summary: &Summary, data: &RunData) -> String {
    let repetitions = || summary.drivers.iter().flat_map(|driver| &driver.repetitions);
    let rows: usize = repetitions().map(|r| r.servers.len() + r.clients.len()).sum();
    if repetitions().next().is_none() {
        return String::new();
    }
    let mut html = "<section id=\"hosts\">\n<h2>Hosts</h2>\n".to_owned();
    for (index, (driver, data)) in summary.drivers.iter().zip(&data.drivers).enumerate() {
        for (number, (repetition, data)) in driver.repetitions.iter().zip(&data.repetitions).enumerate() {
            html.push_str(&format!(
                "<details class=\"card\"{open}><summary>{dot}{driver} · repetition {number} {badge} \
                 <span class=\"muted\">{duration}, {hosts}</span></summary>\n{table}</details>\n",
                open = if rows <= MAX_OPEN_ROWS { " open" } else { "" },
                dot = driver_dot(index),
                driver = escaped(&driver.driver),
                number = number + 1,
                badge = badge(repetition.status),
                duration = units::seconds(repetition.duration_s),
                hosts = plural(repetition.servers.len() + repetition.clients.len(), "host"),
                table = table(repetition, data),
            ));
        }
    }
    html.push_str("</section>\n");
    html
}

fn table(repetition: &RepetitionSummary, data: &[HostData]) -> String {
    let rows: String = hosts::named_hosts(repetition)
        .iter()
        .map(|host| row(host, data.iter().find(|data| data.name == host.name)))
        .collect();
    format!(
        "<div class=\"scroll\"><table class=\"numbers\"><thead><tr><th scope=\"col\">Host</th>\
         <th scope=\"col\">Ended</th><th scope=\"col\">Duration</th><th scope=\"col\">Received</th>\
         <th scope=\"col\">Sent</th><th scope=\"col\">CPU</th><th scope=\"col\">Peak memory</th>\
         <th scope=\"col\" title=\"voluntary / involuntary\">Context switches</th><th scope=\"col\">Files</th></tr></thead>\n\
         <tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn row(host: &NamedHost<'_>, data: Option<&HostData>) -> String {
    let HostSummary { duration_s, received_bytes, sent_bytes, cpu_s, max_rss_bytes, .. } = host.summary;
    let seconds = |value: &Option<f64>| value.map(|s| (units::seconds(s), format!("{s} s")));
    let bytes = |value: &Option<u64>, short: fn(u64) -> String| {
        value.map(|b| (short(b), format!("{} bytes", units::grouped(b))))
    };
    let switches = data.map(|data| data.totals).and_then(|totals| {
        let (voluntary, involuntary) = (totals.voluntary_switches?, totals.involuntary_switches?);
        let (short, long) = (units::grouped(voluntary), units::grouped(involuntary));
        let full = format!("{short} voluntary, {long} involuntary");
        Some((format!("{short} / {long}"), full))
    });
    let cells = [
        hosts::ending(host.summary).map(|ending| (ending.clone(), ending)),
        seconds(duration_s),
        bytes(received_bytes, units::bytes),
        bytes(sent_bytes, units::bytes),
        seconds(cpu_s),
        bytes(max_rss_bytes, units::memory),
        switches,
    ];
    let cells: String = cells.into_iter().map(|cell| format!("<td>{}</td>", value_with_full(cell))).collect();
    let error = host.summary.error.as_ref().map(|error| format!("<p class=\"error\">{}</p>", escaped(error)));
    format!(
        "<tr><th scope=\"row\">{name}</th>{cells}<td class=\"files\">{link}{error}{stderr}</td></tr>\n",
        name = escaped(&host.name),
        link = result_link(host.summary),
        error = error.unwrap_or_default(),
        stderr = problems::stderr(&host.summary.stderr_tail, false),
    )
}

fn result_link(host: &HostSummary) -> String {
    match host.result.as_deref().and_then(link_from_report) {
        Some(link) => format!("<a href=\"{}\">result</a>", escaped(&link)),
        None => "<span class=\"unknown\">none</span>".to_owned(),
    }
}
