//! Histograms of durations, laid over each other.

use super::{base_layout, figure, rounded};
use crate::{
    report::{histogram::Bar, html::escaped, palette},
    units,
};
use plotly::{
    Scatter, Traces,
    common::{Fill, HoverInfo, Line, LineShape, Mode},
    layout::{Axis, AxisType, HoverMode, Margin, RangeMode},
};

/// Up to so many factors of ten, the axis has marks at 1, 2 and 5; beyond, at 1 only.
const MAX_FINE_DECADES: f64 = 2.5;

/// Marks on an axis that has them at 1 only.
const MAX_COARSE_MARKS: i32 = 8;

/// One distribution of a plot.
pub(crate) struct Distribution {
    /// Whose it is.
    pub(crate) name: String,
    /// Its colour, `#rrggbb`.
    pub(crate) colour: &'static str,
    /// Its bars, without gaps.
    pub(crate) bars: Vec<Bar>,
}

/// Distributions laid over each other on a logarithmic axis; `None` if all are empty.
pub(crate) fn distribution(distributions: &[Distribution]) -> Option<String> {
    let ends = distributions.iter().filter_map(|d| d.bars.first().zip(d.bars.last()));
    let (lower_us, upper_us) = ends
        .map(|(first, last)| (first.lower_us, last.upper_us))
        .reduce(|all, next| (all.0.min(next.0), all.1.max(next.1)))?;
    let mut traces = Traces::new();
    for distribution in distributions.iter().filter(|distribution| !distribution.bars.is_empty()) {
        traces.push(outline(distribution));
    }
    let (mark_values, mark_texts) =
        marks_us(lower_us, upper_us).into_iter().map(|us| (us / 1e6, units::axis_seconds(us / 1e6))).unzip();
    let x_axis = Axis::new().type_(AxisType::Log).tick_values(mark_values).tick_text(mark_texts);
    let layout = base_layout()
        .hover_mode(HoverMode::Closest)
        .margin(Margin::new().left(44).right(16).top(8).bottom(28))
        .x_axis(x_axis.zero_line(false))
        .y_axis(Axis::new().tick_suffix(" %").range_mode(RangeMode::ToZero).n_ticks(6).fixed_range(true));
    Some(figure(&traces, &layout))
}

/// A distribution as the outline of its bars: up at the left end of the first, down at the right end of the
/// last.
fn outline(distribution: &Distribution) -> Box<Scatter<f64, f64>> {
    let Distribution { name, colour, bars } = distribution;
    let mut points = Vec::with_capacity(bars.len() + 2);
    points.extend(bars.first().map(|first| (first.lower_us, 0.0, String::new())));
    for bar in bars {
        let (lower, upper) = (units::seconds(bar.lower_us / 1e6), units::seconds(bar.upper_us / 1e6));
        let percent = bar.share * 100.0;
        let text = format!("{}: {} % in {lower} – {upper}", escaped(name), units::three_digits(percent));
        points.push((bar.lower_us, percent, text));
    }
    points.extend(bars.last().map(|last| (last.upper_us, 0.0, String::new())));
    let seconds = points.iter().map(|(us, _, _)| us / 1e6).collect();
    let percents = points.iter().map(|(_, percent, _)| rounded(*percent, 1e4)).collect();
    Scatter::new(seconds, percents)
        .mode(Mode::Lines)
        .name(escaped(name))
        .meta(name.as_str())
        .line(Line::new().color(*colour).width(1.75).shape(LineShape::Hv))
        .fill(Fill::ToZeroY)
        .fill_color(palette::translucent(colour, 0.22))
        .hover_text_array(points.into_iter().map(|(_, _, text)| text).collect())
        .hover_info(HoverInfo::Text)
}

/// Round durations from `lower_us` to `upper_us`.
fn marks_us(lower_us: f64, upper_us: f64) -> Vec<f64> {
    let (first, last) = (lower_us.log10().floor() as i32, upper_us.log10().ceil() as i32);
    let fine = upper_us.log10() - lower_us.log10() <= MAX_FINE_DECADES;
    let step = if fine { 1 } else { (last - first) / MAX_COARSE_MARKS + 1 };
    let multiples: &[f64] = if fine { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let decades = (first..=last).filter(|decade| decade.rem_euclid(step) == 0);
    decades
        .flat_map(|decade| multiples.iter().map(move |multiple| multiple * 10_f64.powi(decade)))
        .filter(|mark| (lower_us..=upper_us).contains(mark))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        assert_eq!(marks_us(90.0, 1_100.0), [100.0, 200.0, 500.0, 1_000.0]);
        assert_eq!(marks_us(1.0, 10_000.0), [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
        let wide = marks_us(0.5, 2e19);
        assert!((4..=9).contains(&wide.len()), "{wide:?}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let empty = Distribution { name: "tcp".to_owned(), colour: "#000000", bars: Vec::new() };
        assert_eq!(distribution(&[empty]), None);
        assert_eq!(distribution(&[]), None);
    }
}
