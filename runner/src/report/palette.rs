//! Colours of lines and bars.
//!
//! Each is of medium lightness, so that one set serves the light and the dark page, and the first of each
//! list differ for people who do not tell red from green. Groups differ in hue as well: clients are warm,
//! servers cold.

use crate::hosts::Role;
use plotly::common::DashType;

const WARM: [&str; 4] = ["#d9640a", "#d33f7d", "#a97f00", "#d9403a"];
const COLD: [&str; 6] = ["#2f81d6", "#0f9b8e", "#8a63d2", "#7d8c1f", "#5b7fa6", "#1296b4"];
const DRIVERS: [&str; 6] = ["#2f81d6", "#d9640a", "#0f9b8e", "#8a63d2", "#d33f7d", "#a97f00"];

/// Colour of the driver at `index`.
pub(crate) fn driver(index: usize) -> &'static str {
    DRIVERS[index % DRIVERS.len()]
}

/// Colour and dash of the line of the host at `index` in its group; dashes tell hosts apart once the colours
/// are used up.
pub(crate) fn host(role: Role, index: usize) -> (&'static str, DashType) {
    let colours: &[&str] = match role {
        Role::Client => &WARM,
        Role::Server => &COLD,
    };
    let dash = match index / colours.len() % 4 {
        0 => DashType::Solid,
        1 => DashType::Dash,
        2 => DashType::Dot,
        _ => DashType::DashDot,
    };
    (colours[index % colours.len()], dash)
}

/// `colour` (`#rrggbb`) at a part of its opacity, from 0 to 1.
pub(crate) fn translucent(colour: &str, opacity: f64) -> String {
    format!("{colour}{:02x}", (opacity.clamp(0.0, 1.0) * 255.0).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contrast that WCAG 2.1 (1.4.11) asks for between graphical objects and what is next to them.
    const ENOUGH_CONTRAST: f64 = 3.0;

    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = u8::from_str_radix(&colour[at..at + 2], 16).expect("two hexadecimal digits");
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn colours_can_be_seen_on_the_light_and_the_dark_page() {
        let css = include_str!("page.css");
        let surfaces: Vec<_> = css.split("--surface: ").skip(1).map(|rest| &rest[..7]).collect();
        assert!(surfaces.len() >= 2, "page.css defines --surface for both schemes");
        for surface in surfaces {
            for colour in WARM.iter().chain(&COLD).chain(&DRIVERS) {
                let (one, other) = (luminance(colour), luminance(surface));
                let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                assert!(contrast >= ENOUGH_CONTRAST, "{colour} on {surface}: {contrast:.2}");
            }
        }
    }

    #[test]
    fn many_hosts_differ_by_colour_or_dash() {
        let mut looks: Vec<_> = (0..24).map(|i| format!("{:?}", host(Role::Server, i))).collect();
        looks.sort();
        looks.dedup();
        assert_eq!(looks.len(), 24);
    }
}
