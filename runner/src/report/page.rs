//! The page as a whole: which sections there are and what surrounds them.

mod conditions;
mod facts;
mod header;
mod hosts;
mod over_time;
mod problems;
mod profiles;
mod totals;

use super::{data::RunData, figures, html::escaped};
use crate::summary::{Status, Summary};

/// The style sheet of all pages.
pub(super) const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Has the browser refuse to load anything: what the page needs is inside it. Plotly styles its elements
/// inline and saves an image of a plot through a `blob:` address.
pub(super) const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:";

/// The report as one HTML document.
pub(crate) fn render(summary: &Summary, data: &RunData) -> String {
    let sections = [
        problems::render(summary),
        totals::render(summary),
        conditions::render(summary),
        over_time::render(summary, data),
        profiles::render(summary, data),
        hosts::render(summary, data),
        facts::render(&data.facts),
        problems::render_notes(data),
    ];
    let (title, sections) = (escaped(&title(summary)), sections.concat());
    let (header, plotly) = (header::render(summary), figures::plotly_script());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{CONTENT_SECURITY_POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{header}<main>\n\
         <noscript><p class=\"note\">The plots need JavaScript; the tables do not.</p></noscript>\n\
         {sections}</main>\n<footer>Made by the netbench orchestrator {version}. Amounts of data and rates are \
         decimal (1 GB = 10⁹ bytes), memory is binary (1 MiB = 2²⁰ bytes).</footer>\n\
         {plotly}\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        version = escaped(&summary.version),
    )
}

fn title(summary: &Summary) -> String {
    format!("{} – {}", summary.scenario, summary.run_id)
}

/// A status as a coloured mark. The word is in it: colour alone does not carry it.
fn badge(status: Status) -> String {
    let word = crate::hosts::status_word(status);
    format!("<span class=\"badge {word}\">{word}</span>")
}

/// A value scaled for people with its full form on hover; "unknown" where there is none.
fn value_with_full(value: Option<(String, String)>) -> String {
    match value {
        Some((short, full)) => format!("<span title=\"{}\">{}</span>", escaped(&full), escaped(&short)),
        None => "<span class=\"unknown\">unknown</span>".to_owned(),
    }
}

/// A coloured dot that goes with the name of a driver.
fn driver_dot(index: usize) -> String {
    format!("<span class=\"dot\" style=\"background:{}\"></span>", super::palette::driver(index))
}

/// `1 host`, `2 hosts`.
fn plural(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", crate::units::grouped(count as u64), if count == 1 { "" } else { "s" })
}
