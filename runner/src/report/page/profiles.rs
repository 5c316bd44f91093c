//! How long the profiled operations of the scenario and the opening of connections took.

use super::{driver_dot, value_with_full};
use crate::{
    report::{
        data::RunData,
        figures::{self, Distribution},
        histogram::MergedHistogram,
        html::{escaped, json_element},
        palette,
    },
    summary::Summary,
    units,
};
use backends::collector::Stat;
use std::collections::BTreeSet;

/// The quantiles of the table.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

pub(super) fn render(summary: &Summary, data: &RunData) -> String {
    let ids: BTreeSet<u64> = data.drivers.iter().flat_map(|driver| driver.profiles.keys().copied()).collect();
    let connected = data.drivers.iter().any(|driver| driver.connect_time.count > 0);
    if ids.is_empty() && !connected {
        return String::new();
    }
    let profiles: String = ids.into_iter().map(|id| profile(summary, data, id)).collect();
    let connect = if connected { connect_time(summary, data) } else { String::new() };
    format!(
        "<section id=\"profiles\">\n<h2>Distributions</h2>\n<p class=\"lead\">Over all hosts and repetitions of \
         a driver, on a logarithmic axis. Quantiles are as exact as the buckets that the driver counts in.</p>\n\
         <div class=\"plots\">\n{profiles}{connect}</div>\n</section>\n"
    )
}

fn profile(summary: &Summary, data: &RunData, id: u64) -> String {
    let mut distributions = Vec::new();
    let mut rows = String::new();
    for (index, (driver, data)) in summary.drivers.iter().zip(&data.drivers).enumerate() {
        let Some(histogram) = data.profiles.get(&id) else { continue };
        distributions.push(Distribution {
            name: driver.driver.clone(),
            colour: palette::driver(index),
            bars: histogram.bars(),
        });
        rows.push_str(&row(index, &driver.driver, histogram.stat, Some(histogram)));
    }
    let (name, key) = (escaped(&data.trace_name(id)), format!("profile-{id}"));
    let plot = match figures::distribution(&distributions) {
        Some(json) => format!(
            "<div class=\"plot\" data-figure=\"{key}\" role=\"img\" aria-label=\"Distribution of {name}\"></div>\n{}",
            json_element(&key, &json),
        ),
        None => String::new(),
    };
    let quantiles: String = QUANTILES
        .iter()
        .map(|(name, _)| format!("<th scope=\"col\" title=\"approximate\">{name}</th>"))
        .collect();
    format!(
        "<figure class=\"card\"><figcaption>{name} <small>share of all, by duration</small></figcaption>\n{plot}\
         <div class=\"scroll\"><table class=\"numbers\"><thead><tr><th scope=\"col\">Driver</th>\
         <th scope=\"col\">Count</th><th scope=\"col\">Mean</th>{quantiles}</tr></thead>\n\
         <tbody>{rows}</tbody></table></div></figure>\n"
    )
}

fn connect_time(summary: &Summary, data: &RunData) -> String {
    let drivers = summary.drivers.iter().zip(&data.drivers).enumerate();
    let rows: String =
        drivers.map(|(index, (driver, data))| row(index, &driver.driver, data.connect_time, None)).collect();
    format!(
        "<figure class=\"card\"><figcaption>Connect time</figcaption>\n<div class=\"scroll\">\
         <table class=\"numbers\"><thead><tr><th scope=\"col\">Driver</th><th scope=\"col\">Count</th>\
         <th scope=\"col\">Mean</th></tr></thead>\n<tbody>{rows}</tbody></table></div></figure>\n"
    )
}

fn row(index: usize, driver: &str, stat: Stat, histogram: Option<&MergedHistogram>) -> String {
    let duration = |micros: Option<f64>| {
        let text = micros.map(|micros| (units::seconds(micros / 1e6), format!("{micros} µs")));
        format!("<td>{}</td>", value_with_full(text))
    };
    let quantiles: String = histogram
        .map(|histogram| QUANTILES.iter().map(|(_, part)| duration(histogram.quantile_us(*part))).collect())
        .unwrap_or_default();
    format!(
        "<tr><th scope=\"row\">{dot}{driver}</th><td>{count}</td>{mean}{quantiles}</tr>\n",
        dot = driver_dot(index),
        driver = escaped(driver),
        count = units::grouped(stat.count),
        mean = duration(stat.mean()),
    )
}
