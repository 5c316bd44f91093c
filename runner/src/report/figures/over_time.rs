//! Lines over time: one plot for each metric, one line for each host.

use super::{MIB_BYTES, base_layout, figure, rounded};
use crate::{
    hosts::Role,
    report::{data::HostData, html::escaped, palette, samples::Sample},
};
use plotly::{
    Scatter, Traces,
    common::{Line, Mode},
    layout::{Axis, HoverMode, Margin, RangeMode},
};

/// With more lines than this, a common hover label of all of them would hide the plot, and wide lines each
/// other.
const MAX_WIDE_LINES: usize = 12;

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
        let bit_rate = |bytes| sample.bytes_per_second(bytes).map(|rate| (rate * 8.0).round());
        match self {
            Self::Received => bit_rate(sample.received_bytes),
            Self::Sent => bit_rate(sample.sent_bytes),
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
    let known: Vec<_> =
        hosts.iter().filter(|host| metric.is_known(host) && !host.samples.is_empty()).collect();
    if known.is_empty() {
        return None;
    }
    let few = known.len() <= MAX_WIDE_LINES;
    let mut traces = Traces::new();
    for host in known {
        traces.push(line_of(host, metric, few));
    }
    let layout = base_layout()
        .hover_mode(if few { HoverMode::XUnified } else { HoverMode::Closest })
        .margin(Margin::new().left(44).right(10).top(8).bottom(28))
        .x_axis(Axis::new().tick_suffix(" s").zero_line(false).n_ticks(8).hover_format(".2f"))
        .y_axis(Axis::new().tick_format("~s").range_mode(RangeMode::ToZero).n_ticks(6));
    Some(figure(&traces, &layout))
}

fn line_of(host: &HostData, metric: Metric, few: bool) -> Box<Scatter<f64, Option<f64>>> {
    let (colour, dash) = palette::host(host.role, host.index);
    let width = match (few, host.role) {
        (true, Role::Client) => 2.25,
        (true, Role::Server) => 1.5,
        (false, _) => 1.0,
    };
    let (seconds, values) = points(host, metric);
    // A line needs two points.
    let mode = if seconds.len() == 1 { Mode::LinesMarkers } else { Mode::Lines };
    Scatter::new(seconds, values)
        .mode(mode)
        .name(escaped(&host.name))
        .meta(host.name.as_str())
        .legend_group(host.role.word())
        .hover_template(metric.hover())
        .opacity(if few { 1.0 } else { 0.7 })
        .line(Line::new().color(colour).width(width).dash(dash))
}

/// A sample holds for the time before its `end_ms`; it is drawn there, as the collector reports it.
fn points(host: &HostData, metric: Metric) -> (Vec<f64>, Vec<Option<f64>>) {
    let point =
        |sample: &Sample| (rounded(host.offset_s + sample.end_ms / 1000.0, 1000.0), metric.value(sample));
    host.samples.iter().map(point).unzip()
}
