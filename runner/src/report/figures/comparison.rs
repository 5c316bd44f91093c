//! Bars that compare drivers, or the repetitions of one.

use super::{MIB_BYTES, base_layout, figure};
use crate::{report::html::escaped, totals::Spread, units};
use plotly::{
    Bar, Scatter, Traces,
    common::{HoverInfo, Marker, Mode, Orientation},
    layout::{Axis, AxisType, HoverMode, Margin, RangeMode},
};

/// One bar for each name: the median, with a mark for every value it comes from.
pub(crate) fn comparison(bars: &[ComparisonBar], unit: ComparisonUnit) -> String {
    // Plotly puts the first row at the bottom.
    let bars: Vec<_> = bars.iter().rev().collect();
    let labels: Vec<String> = bars.iter().map(|bar| bar.label(unit)).collect();
    let medians: Vec<_> = bars.iter().map(|bar| bar.spread.map(|s| unit.on_axis(s.median))).collect();
    let colours: Vec<&'static str> = bars.iter().map(|bar| bar.colour).collect();
    let text: Vec<_> = bars.iter().map(|bar| bar.text(unit)).collect();
    let bar_trace = Bar::new(medians, labels.clone())
        .orientation(Orientation::Horizontal)
        .marker(Marker::new().color_array(colours))
        .hover_text_array(text)
        .hover_info(HoverInfo::Text);
    let (mut values, mut rows, mut value_texts) = (Vec::new(), Vec::new(), Vec::new());
    for (bar, label) in bars.iter().zip(&labels).filter(|(bar, _)| bar.values.len() > 1) {
        for value in &bar.values {
            values.push(unit.on_axis(*value));
            rows.push(label.clone());
            value_texts.push(unit.text(*value));
        }
    }
    let mut traces = Traces::new();
    traces.push(bar_trace);
    if !values.is_empty() {
        // Hollow: visible on the bar as well as beside it. The script gives the marks the colour of text.
        let marks = Scatter::new(values, rows)
            .mode(Mode::Markers)
            .name("repetitions")
            .marker(Marker::new().size(7).opacity(0.85))
            .hover_text_array(value_texts)
            .hover_info(HoverInfo::Text);
        traces.push(marks);
    }
    let layout = base_layout()
        .hover_mode(HoverMode::Closest)
        .margin(Margin::new().left(10).right(14).top(4).bottom(28))
        .x_axis(
            Axis::new().tick_format("~s").tick_suffix(unit.suffix()).range_mode(RangeMode::ToZero).n_ticks(5),
        )
        .y_axis(Axis::new().auto_margin(true).fixed_range(true).show_grid(false).type_(AxisType::Category));
    figure(&traces, &layout)
}

/// One bar of [`comparison`].
pub(crate) struct ComparisonBar {
    /// What the bar is about.
    pub(crate) name: String,
    /// Colour of the bar.
    pub(crate) colour: &'static str,
    /// The values.
    pub(crate) values: Vec<f64>,
    /// Median and extremes of the values; `None` is unknown.
    pub(crate) spread: Option<Spread>,
}

impl ComparisonBar {
    /// The row's label: the name and, below, the median.
    fn label(&self, unit: ComparisonUnit) -> String {
        let value = self.spread.map_or_else(|| "unknown".to_owned(), |spread| unit.text(spread.median));
        format!("<b>{}</b><br>{value}", escaped(&self.name))
    }

    fn text(&self, unit: ComparisonUnit) -> String {
        match self.spread {
            None => "unknown".to_owned(),
            Some(spread) if self.values.len() < 2 => unit.text(spread.median),
            Some(Spread { median, min, max }) => {
                format!("median {} ({} – {})", unit.text(median), unit.text(min), unit.text(max))
            }
        }
    }
}

/// Unit of a [`comparison`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ComparisonUnit {
    /// Bits a second.
    BitRate,
    /// Seconds.
    Seconds,
    /// Bytes of memory.
    Memory,
}

impl ComparisonUnit {
    /// What the numbers on the axis count.
    pub(crate) fn axis(self) -> &'static str {
        match self {
            Self::BitRate => "bit/s",
            Self::Seconds => "s",
            Self::Memory => "MiB",
        }
    }

    /// Follows the scaled numbers on the axis; seconds can be small, so that they need a unit to be scaled to.
    fn suffix(self) -> &'static str {
        match self {
            Self::BitRate | Self::Memory => "",
            Self::Seconds => "s",
        }
    }

    fn on_axis(self, value: f64) -> f64 {
        match self {
            Self::BitRate | Self::Seconds => value,
            Self::Memory => value / MIB_BYTES,
        }
    }

    fn text(self, value: f64) -> String {
        match self {
            Self::BitRate => units::bit_rate(value),
            Self::Seconds => units::seconds(value),
            Self::Memory => units::memory(value as u64),
        }
    }
}
