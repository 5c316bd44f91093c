//! The plots, as the JSON that the page's script hands to Plotly.
//!
//! Colours of text, grid and background are left to the script, which takes them from the style sheet.

use super::{data::HostData, histogram::Bar as HistogramBar, html::escaped, palette, samples::Sample};
use crate::{hosts::Role, totals::Spread, units};
use plotly::{
    Bar, Layout, Plot, Scatter, Traces,
    common::{Fill, HoverInfo, Line, LineShape, Marker, Mode, Orientation},
    layout::{Axis, AxisType, HoverMode, Margin, RangeMode},
};

/// With more lines than this, a common hover label of all of them would hide the plot.
const MAX_LINES_IN_HOVER: usize = 12;

/// Bytes in one MiB, the unit of the memory axis.
const MIB_BYTES: f64 = 1024.0 * 1024.0;

/// What is drawn over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Rate of received bytes.
    Received,
    /// Rate of sent bytes.
    Sent,
    /// Use of the processors.
    Cpu,
    /// Resident memory.
    Memory,
}

impl Metric {
    /// All of them, in the order of the page.
    pub(crate) const ALL: [Metric; 4] = [Self::Received, Self::Sent, Self::Cpu, Self::Memory];

    /// Name within ids of the page.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Sent => "sent",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }

    /// Title of the plot.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Received => "Received",
            Self::Sent => "Sent",
            Self::Cpu => "CPU",
            Self::Memory => "Memory",
        }
    }

    /// What the numbers on the axis count.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Received | Self::Sent => "bit/s",
            Self::Cpu => "% of one core",
            Self::Memory => "MiB resident",
        }
    }

    fn hover(self) -> &'static str {
        match self {
            Self::Received | Self::Sent => "%{y:.3s}bit/s",
            Self::Cpu => "%{y:.1f} %",
            Self::Memory => "%{y:.2f} MiB",
        }
    }

    fn value(self, sample: &Sample) -> Option<f64> {
        let bit_rate = |bytes: u64| (bytes as f64 * 8.0 / sample.duration_s()).round();
        match self {
            Self::Received => Some(bit_rate(sample.received_bytes)),
            Self::Sent => Some(bit_rate(sample.sent_bytes)),
            Self::Cpu => sample.cpu_percent.map(|percent| rounded(percent, 10.0)),
            Self::Memory => sample.memory_bytes.map(|bytes| rounded(bytes as f64 / MIB_BYTES, 1000.0)),
        }
    }

    fn is_known(self, host: &HostData) -> bool {
        match self {
            Self::Received | Self::Sent => host.has_throughput,
            Self::Cpu => host.samples.iter().any(|sample| sample.cpu_percent.is_some_and(|cpu| cpu > 0.0)),
            Self::Memory => host.samples.iter().any(|sample| sample.memory_bytes.is_some()),
        }
    }
}

/// One metric of all hosts of a repetition; `None` if no host knows it.
pub(crate) fn over_time(hosts: &[HostData], metric: Metric) -> Option<String> {
    let mut traces = Traces::new();
    let (mut clients, mut servers) = (0, 0);
    let known = hosts.iter().filter(|host| metric.is_known(host) && !host.samples.is_empty()).count();
    for host in hosts {
        let index = match host.role {
            Role::Client => &mut clients,
            Role::Server => &mut servers,
        };
        let (colour, dash) = palette::host(host.role, *index);
        *index += 1;
        if host.samples.is_empty() || !metric.is_known(host) {
            continue;
        }
        let (seconds, values) = points(host, metric);
        let width = match host.role {
            Role::Client => 2.25,
            Role::Server => 1.5,
        };
        let line = Line::new().color(colour).width(width).dash(dash);
        let trace = Scatter::new(seconds, values)
            .mode(if host.samples.len() == 1 { Mode::Markers } else { Mode::Lines })
            .name(escaped(&host.name))
            .meta(host.name.as_str())
            .legend_group(host.role.word())
            .hover_template(metric.hover())
            .line(line)
            .connect_gaps(false);
        traces.push(trace);
    }
    if traces.is_empty() {
        return None;
    }
    let unified = known <= MAX_LINES_IN_HOVER;
    let layout = base_layout()
        .hover_mode(if unified { HoverMode::XUnified } else { HoverMode::Closest })
        .margin(Margin::new().left(44).right(10).top(8).bottom(28))
        .x_axis(Axis::new().tick_suffix(" s").zero_line(false).n_ticks(8).hover_format(".2f"))
        .y_axis(Axis::new().tick_format("~s").range_mode(RangeMode::ToZero).n_ticks(6));
    Some(figure(&traces, &layout))
}

/// One bar for each name: the median, with a mark for every value it comes from.
pub(crate) fn comparison(bars: &[ComparisonBar], unit: ComparisonUnit) -> String {
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
    fn suffix(self) -> &'static str {
        match self {
            Self::BitRate => "bit/s",
            Self::Seconds => "s",
            Self::Memory => " MiB",
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

/// Distributions laid over each other: name, colour and bars of each.
pub(crate) fn distribution(distributions: &[(String, &'static str, Vec<HistogramBar>)]) -> Option<String> {
    let mut traces = Traces::new();
    for (name, colour, bars) in distributions {
        let (Some(first), Some(last)) = (bars.first(), bars.last()) else { continue };
        // The outline goes up at the first bar's left end and down at the last one's right end.
        let mut seconds = vec![first.lower_us / 1e6];
        let mut percents = vec![0.0];
        let mut texts = vec![String::new()];
        for bar in bars {
            let (lower, upper) = (units::seconds(bar.lower_us / 1e6), units::seconds(bar.upper_us / 1e6));
            let percent = bar.share * 100.0;
            seconds.push(bar.lower_us / 1e6);
            percents.push(rounded(percent, 1e4));
            texts.push(format!("{}: {} % in {lower} – {upper}", escaped(name), units::three_digits(percent)));
        }
        seconds.push(last.upper_us / 1e6);
        percents.push(0.0);
        texts.push(String::new());
        let trace = Scatter::new(seconds, percents)
            .mode(Mode::Lines)
            .name(escaped(name))
            .meta(name.as_str())
            .line(Line::new().color(*colour).width(1.75).shape(LineShape::Hv))
            .fill(Fill::ToZeroY)
            .fill_color(palette::translucent(colour, 0.22))
            .hover_text_array(texts)
            .hover_info(HoverInfo::Text);
        traces.push(trace);
    }
    if traces.is_empty() {
        return None;
    }
    let x_axis = Axis::new().type_(AxisType::Log).tick_format("~s").tick_suffix("s").dtick(1.0);
    let layout = base_layout()
        .hover_mode(HoverMode::Closest)
        .margin(Margin::new().left(44).right(10).top(8).bottom(28))
        .x_axis(x_axis.zero_line(false))
        .y_axis(Axis::new().tick_suffix(" %").range_mode(RangeMode::ToZero).n_ticks(6).fixed_range(true));
    Some(figure(&traces, &layout))
}

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

/// A sample holds for the time before its `end_ms`; it is drawn there, as the collector reports it.
fn points(host: &HostData, metric: Metric) -> (Vec<f64>, Vec<Option<f64>>) {
    let point =
        |sample: &Sample| (rounded(host.offset_s + sample.end_ms / 1000.0, 1000.0), metric.value(sample));
    host.samples.iter().map(point).unzip()
}

/// Drops the digits that nobody sees, for a smaller page.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
