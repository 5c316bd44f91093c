//! The drivers side by side: a table of what each came to, and bars to compare them.

use super::{driver_dot, plural, value_with_full};
use crate::{
    report::{
        figures::{self, ComparisonBar, ComparisonUnit},
        html::{escaped, json_element},
        palette,
    },
    summary::{Status, Summary},
    totals::{Direction, DriverTotals, RepetitionTotals, Spread},
    units,
};

/// A figure of a repetition, how it is called and shown.
struct Column {
    title: &'static str,
    explanation: String,
    figure: fn(&RepetitionTotals) -> Option<f64>,
    short: fn(f64) -> String,
    full: fn(f64) -> String,
}

pub(super) fn render(summary: &Summary) -> String {
    if summary.drivers.is_empty() {
        return "<section id=\"totals\"><h2>Totals</h2>\n<p class=\"note\">No driver ran.</p></section>\n"
            .to_owned();
    }
    let direction = Direction::of(summary);
    let totals: Vec<_> = summary.drivers.iter().map(|driver| DriverTotals::of(driver, direction)).collect();
    let columns = columns(direction);
    let head: String = columns
        .iter()
        .map(|c| format!("<th scope=\"col\" title=\"{}\">{}</th>", escaped(&c.explanation), c.title))
        .collect();
    let rows: String = summary
        .drivers
        .iter()
        .zip(&totals)
        .enumerate()
        .map(|(index, (driver, totals))| row(index, &driver.driver, totals, &columns))
        .collect();
    format!(
        "<section id=\"totals\">\n<h2>Totals</h2>\n<p class=\"lead\">{lead}</p>\n\
         <div class=\"scroll card\"><table class=\"numbers\">\n\
         <thead><tr><th scope=\"col\">Driver</th><th scope=\"col\">Ok</th>{head}</tr></thead>\n\
         <tbody>\n{rows}</tbody></table></div>\n{bars}</section>\n",
        lead = lead(&totals, direction),
        bars = comparison(summary, &totals, &columns),
    )
}

fn lead(totals: &[DriverTotals], direction: Direction) -> String {
    let several = totals.iter().any(|driver| driver.begun > 1);
    let spread = if several {
        "Median over the repetitions that are ok, with the smallest and the largest below. "
    } else {
        ""
    };
    let word = direction.word();
    format!("{spread}Goodput is what all clients {word}, over the time of the longest of them.")
}

fn columns(direction: Direction) -> Vec<Column> {
    let bytes = |value: f64| units::bytes(value as u64);
    let all_bytes = |value: f64| format!("{} bytes", units::grouped(value as u64));
    let memory = |value: f64| units::memory(value as u64);
    let seconds = |value: f64| format!("{value} s");
    let column = |title, explanation: &str, figure, short, full| Column {
        title,
        explanation: explanation.to_owned(),
        figure,
        short,
        full,
    };
    vec![
        column(
            "Duration",
            "From the first goal to the last outcome",
            |r| Some(r.duration_s),
            units::seconds,
            seconds,
        ),
        Column {
            title: "Goodput",
            explanation: format!("Bytes that all clients {}, over the time of the longest", direction.word()),
            figure: |r| r.goodput_bits_per_s,
            short: units::bit_rate,
            full: |value| format!("{} bit/s", units::grouped(value as u64)),
        },
        column(
            "Received",
            "Bytes that all clients received",
            |r| r.received_bytes.map(|b| b as f64),
            bytes,
            all_bytes,
        ),
        column("Sent", "Bytes that all clients sent", |r| r.sent_bytes.map(|b| b as f64), bytes, all_bytes),
        column("CPU, servers", "Processor time of all servers", |r| r.server_cpu_s, units::seconds, seconds),
        column("CPU, clients", "Processor time of all clients", |r| r.client_cpu_s, units::seconds, seconds),
        column(
            "CPU per GB",
            "Processor time of all hosts for each GB that the clients sent and received",
            |r| r.cpu_s_per_gb,
            units::seconds,
            |value| format!("{value} s/GB"),
        ),
        column(
            "Peak memory",
            "Peak resident memory of the largest host",
            |r| r.max_rss_bytes().map(|b| b as f64),
            memory,
            all_bytes,
        ),
    ]
}

fn row(index: usize, driver: &str, totals: &DriverTotals, columns: &[Column]) -> String {
    let cells: String = columns.iter().map(|column| cell(totals, column)).collect();
    format!(
        "<tr><th scope=\"row\">{dot}{driver}</th><td>{ok} of {begun}</td>{cells}</tr>\n",
        dot = driver_dot(index),
        driver = escaped(driver),
        ok = totals.repetitions.len(),
        begun = totals.begun,
    )
}

fn cell(totals: &DriverTotals, column: &Column) -> String {
    let Some(spread) = totals.spread(column.figure) else {
        return format!("<td>{}</td>", value_with_full(None));
    };
    let shown = |value| value_with_full(Some(((column.short)(value), (column.full)(value))));
    let range = if totals.repetitions.len() > 1 {
        format!("<small>{} – {}</small>", shown(spread.min), shown(spread.max))
    } else {
        String::new()
    };
    format!("<td>{}{range}</td>", shown(spread.median))
}

/// Bars of the drivers; of the repetitions if there is one driver only; nothing if there is one bar only.
fn comparison(summary: &Summary, totals: &[DriverTotals], columns: &[Column]) -> String {
    let charts = [
        ("Goodput", ComparisonUnit::BitRate, "more is better"),
        ("Duration", ComparisonUnit::Seconds, "less is better"),
        ("CPU per GB", ComparisonUnit::Seconds, "less is better"),
        ("Peak memory", ComparisonUnit::Memory, "less is better"),
    ];
    let mut html = String::new();
    for (index, (title, unit, hint)) in charts.into_iter().enumerate() {
        let Some(column) = columns.iter().find(|column| column.title == title) else { continue };
        let bars = bars(summary, totals, column);
        if bars.len() < 2 || bars.iter().all(|bar| bar.spread.is_none()) {
            continue;
        }
        let id = format!("totals-{index}");
        let rows = bars.len();
        html.push_str(&format!(
            "<figure class=\"card\"><figcaption>{title} <small>{axis}, {hint}</small></figcaption>\
             <div class=\"plot bars\" style=\"--rows:{rows}\" data-figure=\"{id}\" role=\"img\" \
             aria-label=\"{title} by {what}\"></div></figure>\n{json}",
            axis = unit.axis(),
            what = if totals.len() > 1 { plural(rows, "driver") } else { plural(rows, "repetition") },
            json = json_element(&id, &figures::comparison(&bars, unit)),
        ));
    }
    if html.is_empty() { html } else { format!("<div class=\"plots\">\n{html}</div>\n") }
}

fn bars(summary: &Summary, totals: &[DriverTotals], column: &Column) -> Vec<ComparisonBar> {
    if let [driver] = summary.drivers.as_slice() {
        let direction = Direction::of(summary);
        let repetitions = driver.repetitions.iter().enumerate();
        return repetitions
            .filter(|(_, repetition)| repetition.status == Status::Ok)
            .map(|(index, repetition)| {
                let value = (column.figure)(&RepetitionTotals::of(repetition, direction));
                bar(format!("repetition {}", index + 1), 0, value.into_iter().collect())
            })
            .collect();
    }
    let drivers = summary.drivers.iter().zip(totals).enumerate();
    drivers
        .map(|(index, (driver, totals))| {
            let values = totals.repetitions.iter().filter_map(column.figure).collect();
            bar(driver.driver.clone(), index, values)
        })
        .collect()
}

fn bar(name: String, colour: usize, values: Vec<f64>) -> ComparisonBar {
    ComparisonBar { name, colour: palette::driver(colour), spread: Spread::of(values.clone()), values }
}
