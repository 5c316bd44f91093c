//! Throughput, processor use and memory of every host over time, for one repetition at a time.

use super::{badge, driver_dot};
use crate::{
    hosts::status_word,
    report::{
        data::RunData,
        figures::{self, Metric},
        html::{escaped, json_element},
    },
    summary::{DriverSummary, Summary},
};

pub(super) fn render(summary: &Summary, data: &RunData) -> String {
    if summary.drivers.is_empty() {
        return String::new();
    }
    let mut html = format!(
        "<section id=\"time\">\n<div class=\"toolbar\"><h2>Over time</h2>{}</div>\n\
         <p class=\"lead\">Averages of each sampling interval; 0 s is when the first host of the repetition \
         began. Drag to zoom, double-click to return, click a host to hide it.</p>\n",
        selector(summary),
    );
    for (index, (driver, data)) in summary.drivers.iter().zip(&data.drivers).enumerate() {
        html.push_str(&driver_card(index, driver));
        for (repetition, hosts) in data.repetitions.iter().enumerate() {
            for metric in Metric::ALL {
                let json = figures::over_time(hosts, metric).unwrap_or_else(|| message(hosts.is_empty()));
                html.push_str(&json_element(&format!("time-{index}-{repetition}-{}", metric.key()), &json));
            }
        }
    }
    html.push_str("</section>\n");
    html
}

/// A list of the repetitions, if there is more than one. It holds for all drivers, so that like is seen beside
/// like.
fn selector(summary: &Summary) -> String {
    let repetitions = summary.drivers.iter().map(|driver| driver.repetitions.len()).max().unwrap_or_default();
    if repetitions < 2 {
        return String::new();
    }
    let options: String =
        (0..repetitions).map(|index| format!("<option value=\"{index}\">{}</option>", index + 1)).collect();
    format!("<label>Repetition <select id=\"repetition\">{options}</select></label>")
}

fn driver_card(index: usize, driver: &DriverSummary) -> String {
    let badges: String = driver
        .repetitions
        .iter()
        .enumerate()
        .map(|(repetition, summary)| {
            let hidden = if repetition == 0 { "" } else { " hidden" };
            let word = status_word(summary.status);
            format!(
                "<span data-repetition=\"{repetition}\" title=\"{word}\"{hidden}>{}</span>",
                badge(summary.status)
            )
        })
        .collect();
    let figures: String = Metric::ALL
        .iter()
        .map(|metric| {
            let (title, unit, key) = (metric.title(), metric.unit(), metric.key());
            format!(
                "<figure><figcaption>{title} <small>{unit}</small></figcaption><div class=\"plot\" \
                 data-driver=\"{index}\" data-metric=\"{key}\" role=\"img\" \
                 aria-label=\"{title} of each host over time\"></div></figure>\n"
            )
        })
        .collect();
    format!(
        "<article class=\"card panel\">\n<h3>{dot}{name} {badges}</h3>\n<div class=\"legend\"></div>\n\
         <div class=\"plots\">\n{figures}</div></article>\n",
        dot = driver_dot(index),
        name = escaped(&driver.driver),
    )
}

fn message(no_files: bool) -> String {
    let message = if no_files { "No result file could be read." } else { "Not reported by the collector." };
    format!(r#"{{"message":"{message}"}}"#)
}
