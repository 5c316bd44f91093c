//! Under which conditions each repetition measured: a table of start skew and quiet window.

use super::{driver_dot, value_with_full};
use crate::{
    conditions::{COLUMNS, Conditions},
    report::html::escaped,
    summary::Summary,
};

/// The table; nothing if nothing is known, as of a run of an older version.
pub(super) fn render(summary: &Summary) -> String {
    let rows: String = summary
        .drivers
        .iter()
        .enumerate()
        .flat_map(|(index, driver)| {
            let repetitions = driver.repetitions.iter().enumerate();
            repetitions.map(move |(number, repetition)| (index, &driver.driver, number + 1, repetition))
        })
        .filter_map(|(index, driver, number, repetition)| {
            let conditions = Conditions::of(repetition);
            (!conditions.is_empty()).then(|| row(index, driver, number, conditions))
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    let head: String = COLUMNS
        .iter()
        .map(|(title, meaning)| format!("<th scope=\"col\" title=\"{}\">{title}</th>", escaped(meaning)))
        .collect();
    format!(
        "<section id=\"conditions\">\n<h2>Conditions</h2>\n<p class=\"lead\">How well the clients started together, by \
         clocks that were measured before, and what the control connections carried while all of them ran.</p>\n\
         <div class=\"scroll card\"><table class=\"numbers\">\n\
         <thead><tr><th scope=\"col\">Driver</th><th scope=\"col\">Repetition</th>{head}</tr></thead>\n\
         <tbody>\n{rows}</tbody></table></div>\n</section>\n"
    )
}

fn row(index: usize, driver: &str, number: usize, conditions: Conditions) -> String {
    let cells: String = conditions
        .0
        .into_iter()
        .map(|word| format!("<td>{}</td>", value_with_full(word.map(|word| (word.clone(), word)))))
        .collect();
    let (dot, driver) = (driver_dot(index), escaped(driver));
    format!("<tr><th scope=\"row\">{dot}{driver}</th><td>{number}</td>{cells}</tr>\n")
}
