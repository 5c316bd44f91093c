//! What a person sees on stdout after a run.

use crate::{
    conditions::{COLUMNS, Conditions},
    hosts::{self, NamedHost},
    summary::{RepetitionSummary, Status, Summary},
    totals::{Direction, RepetitionTotals},
    units,
};
use comfy_table::{Attribute, Cell, CellAlignment, Color, LineStyle, Table, TableStyle, presets};

/// Up to so many rows, hosts are listed without asking.
const MAX_HOST_ROWS: usize = 20;

/// Lines of one host's stderr that are shown; `summary.json` and the report hold all that was kept.
const MAX_STDERR_LINES: usize = 10;

/// Hosts of one repetition whose errors are shown.
const MAX_FAILED_HOSTS: usize = 5;

/// What is not known.
const UNKNOWN: &str = "–";

/// No lines but one below the header.
const TABLE_STYLE: TableStyle = presets::NOTHING.header_separator(LineStyle::none().fill('─').junction('─'));

/// How the text looks. The caller knows whether stdout is a terminal and what `NO_COLOR` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether to use colours, as escape sequences of ECMA-48.
    pub color: bool,
    /// Whether to list all hosts however many there are, and everything of stderr that was kept.
    pub verbose: bool,
}

/// The summary as text of several lines, with a line feed at its end: a table of all repetitions, one of all
/// hosts unless there are too many, and what went wrong. Unknown values are shown as "–".
pub fn render(summary: &Summary, style: Style) -> String {
    let mut text = format!(
        "{scenario} · {run_id} · {status} · {duration}\n",
        scenario = printable(&summary.scenario),
        run_id = printable(&summary.run_id),
        status = style.status(summary.status),
        duration = units::seconds(summary.duration_s),
    );
    if summary.drivers.is_empty() {
        text.push_str("\nNo driver ran.\n");
    } else {
        append_table(&mut text, repetitions_table(summary), style);
    }
    let rows: usize = all_repetitions(summary).map(|(_, _, r)| r.servers.len() + r.clients.len()).sum();
    if rows > 0 && (rows <= MAX_HOST_ROWS || style.verbose) {
        append_table(&mut text, hosts_table(summary), style);
    }
    let measured = all_repetitions(summary).filter(|(_, _, r)| !Conditions::of(r).is_empty()).count();
    if measured > 0 && (measured <= MAX_HOST_ROWS || style.verbose) {
        append_table(&mut text, conditions_table(summary), style);
    }
    append_problems(&mut text, summary, style);
    text
}

impl Style {
    fn status(self, status: Status) -> String {
        let word = hosts::status_word(status);
        match (self.color, status) {
            (false, _) => word.to_owned(),
            (true, Status::Ok) => format!("\x1b[32m{word}\x1b[0m"),
            (true, Status::Failed) => format!("\x1b[1;31m{word}\x1b[0m"),
            (true, Status::Interrupted | Status::Running) => format!("\x1b[33m{word}\x1b[0m"),
        }
    }
}

fn color(status: Status) -> Color {
    match status {
        Status::Ok => Color::DarkGreen,
        Status::Failed => Color::DarkRed,
        Status::Interrupted | Status::Running => Color::DarkYellow,
    }
}

fn all_repetitions(summary: &Summary) -> impl Iterator<Item = (&str, usize, &RepetitionSummary)> {
    summary.drivers.iter().flat_map(|driver| {
        let repetitions = driver.repetitions.iter().enumerate();
        repetitions.map(|(index, repetition)| (driver.driver.as_str(), index + 1, repetition))
    })
}

fn repetitions_table(summary: &Summary) -> Table {
    let direction = Direction::of(summary);
    let payload = match direction {
        Direction::Received => "Received",
        Direction::Sent => "Sent",
    };
    let head = [
        "Driver",
        "Rep",
        "Status",
        "Duration",
        payload,
        "Goodput",
        "CPU server",
        "CPU client",
        "Peak memory",
    ];
    let mut table = table(&head, 3);
    for (driver, number, repetition) in all_repetitions(summary) {
        let totals = RepetitionTotals::of(repetition, direction);
        let bytes = match direction {
            Direction::Received => totals.received_bytes,
            Direction::Sent => totals.sent_bytes,
        };
        let numbers = [
            Some(units::seconds(totals.duration_s)),
            bytes.map(units::bytes),
            totals.goodput_bits_per_s.map(units::bit_rate),
            totals.server_cpu_s.map(units::seconds),
            totals.client_cpu_s.map(units::seconds),
            totals.max_rss_bytes().map(units::memory),
        ];
        let mut row = vec![
            Cell::new(printable(driver)),
            Cell::new(number),
            Cell::new(hosts::status_word(repetition.status)).fg(color(repetition.status)),
        ];
        row.extend(numbers.into_iter().map(known_or_dash));
        table.add_row(row);
    }
    table
}

fn hosts_table(summary: &Summary) -> Table {
    let head = ["Driver", "Rep", "Host", "Ended", "Duration", "Received", "Sent", "CPU", "Peak memory"];
    let mut table = table(&head, 4);
    for (driver, number, repetition) in all_repetitions(summary) {
        for host in hosts::named_hosts(repetition) {
            let summary = host.summary;
            let mut ended = known_or_dash(hosts::ending(summary));
            if summary.error.is_some() {
                ended = ended.fg(color(Status::Failed));
            }
            let numbers = [
                summary.duration_s.map(units::seconds),
                summary.received_bytes.map(units::bytes),
                summary.sent_bytes.map(units::bytes),
                summary.cpu_s.map(units::seconds),
                summary.max_rss_bytes.map(units::memory),
            ];
            let mut row = vec![
                Cell::new(printable(driver)),
                Cell::new(number),
                Cell::new(printable(&host.name)),
                ended,
            ];
            row.extend(numbers.into_iter().map(known_or_dash));
            table.add_row(row);
        }
    }
    table
}

fn conditions_table(summary: &Summary) -> Table {
    let head: Vec<&str> =
        ["Driver", "Rep"].into_iter().chain(COLUMNS.iter().map(|(title, _)| *title)).collect();
    let mut table = table(&head, 2);
    for (driver, number, repetition) in all_repetitions(summary) {
        let conditions = Conditions::of(repetition);
        if !conditions.is_empty() {
            let mut row = vec![Cell::new(printable(driver)), Cell::new(number)];
            row.extend(conditions.0.into_iter().map(known_or_dash));
            table.add_row(row);
        }
    }
    table
}

fn append_table(text: &mut String, mut table: Table, style: Style) {
    table.force_no_tty();
    if style.color {
        table.enforce_styling();
    }
    text.push('\n');
    for line in table.lines() {
        // Without colours the padding of the last column is only noise for whoever compares outputs.
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn table(head: &[&str], text_columns: usize) -> Table {
    let mut table = Table::new();
    table.load_style(TABLE_STYLE);
    table.set_header(head.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if index >= text_columns {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn known_or_dash(value: Option<String>) -> Cell {
    Cell::new(value.unwrap_or_else(|| UNKNOWN.to_owned()))
}

fn append_problems(text: &mut String, summary: &Summary, style: Style) {
    if let Some(error) = &summary.error {
        text.push_str(&format!("\n{}\n", printable(error)));
    }
    for reason in &summary.suspect {
        text.push_str(&format!("\nThe run is suspect: {}\n", printable(reason)));
    }
    for (driver, number, repetition) in all_repetitions(summary) {
        let hosts = hosts::named_hosts(repetition);
        let mut hosts: Vec<_> =
            hosts.iter().filter(|host| hosts::explains_failure(repetition, host)).collect();
        for reason in &repetition.suspect {
            text.push_str(&format!(
                "\n{}, repetition {number} is suspect: {}\n",
                printable(driver),
                printable(reason)
            ));
        }
        if repetition.status == Status::Ok && repetition.error.is_none() && hosts.is_empty() {
            continue;
        }
        hosts.sort_by_key(|host| host.summary.error.is_none());
        let error = repetition.error.as_ref().map(|error| format!(": {}", printable(error)));
        text.push_str(&format!(
            "\n{driver}, repetition {number} {status}{error}\n",
            driver = printable(driver),
            status = style.status(repetition.status),
            error = error.unwrap_or_default(),
        ));
        let limit = if style.verbose { hosts.len() } else { MAX_FAILED_HOSTS };
        for host in hosts.iter().take(limit) {
            append_host_problem(text, host, style);
        }
        if hosts.len() > limit {
            text.push_str(&format!("  and {} more hosts, see summary.json\n", hosts.len() - limit));
        }
    }
}

fn append_host_problem(text: &mut String, host: &NamedHost<'_>, style: Style) {
    let ending = hosts::ending(host.summary).map(|ending| format!(" ({ending})")).unwrap_or_default();
    let error = host.summary.error.as_ref().map(|error| format!(": {}", printable(error)));
    text.push_str(&format!("  {}{ending}{}\n", printable(&host.name), error.unwrap_or_default()));
    let lines: Vec<_> = host.summary.stderr_tail.trim_end().lines().collect();
    let skipped = if style.verbose { 0 } else { lines.len().saturating_sub(MAX_STDERR_LINES) };
    if skipped > 0 {
        text.push_str(&format!("    … {skipped} lines more\n"));
    }
    for line in &lines[skipped..] {
        text.push_str(&format!("    | {}\n", printable(line)));
    }
}

/// Text from outside without control characters: a driver's stderr must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
