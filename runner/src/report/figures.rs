//! The plots, as the JSON that the page's script hands to Plotly.
//!
//! Colours of text, grid and background are left to the script, which takes them from the style sheet.

mod comparison;
mod distribution;
mod over_time;

pub(crate) use comparison::{ComparisonBar, ComparisonUnit, comparison};
pub(crate) use distribution::{Distribution, distribution};
pub(crate) use over_time::{Metric, over_time};

use plotly::{Layout, Plot, Traces};

/// Bytes in one MiB, the unit of axes with memory on them.
const MIB_BYTES: f64 = 1024.0 * 1024.0;

/// Plotly itself as a script element, from the copy that the `plotly` crate carries.
///
/// The crate hands it out together with MathJax, which no plot here needs and which would look for formulas in
/// names and error texts: only the first of the elements is used.
pub(crate) fn plotly_script() -> String {
    const END: &str = "</script>";
    let scripts = Plot::offline_js_sources();
    match scripts.find(END) {
        Some(end) => scripts[..end + END.len()].to_owned(),
        None => scripts,
    }
}

fn base_layout() -> Layout {
    Layout::new().show_legend(false).auto_size(true)
}

fn figure(traces: &Traces, layout: &Layout) -> String {
    format!(r#"{{"data":{},"layout":{}}}"#, traces.to_json(), layout.to_json())
}

/// Drops the digits that nobody sees, for a smaller page.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
