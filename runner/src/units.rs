//! Quantities as people read them: three significant digits and a scaled unit.
//!
//! Amounts of data and rates are decimal (1 GB is 10⁹ bytes, 1 Gbit/s is 10⁹ bits a second), as is usual for
//! networks; memory is binary (1 MiB is 2²⁰ bytes), as the kernel counts it.

/// An amount of data: `1.50 GB`.
pub fn bytes(bytes: u64) -> String {
    scaled(bytes as f64, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// A rate in bits a second: `8.40 Gbit/s`.
pub fn bit_rate(bits_per_s: f64) -> String {
    scaled(bits_per_s, 1000.0, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

/// An amount of memory: `7.40 MiB`.
pub fn memory(bytes: u64) -> String {
    scaled(bytes as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// A duration in seconds: `12.0 µs`, `340 ms`, `5.02 s`, `2 min 05 s`, `1 h 02 min`.
pub fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return format!("{seconds} s");
    }
    if seconds >= 3600.0 {
        let minutes = (seconds / 60.0).round() as u64;
        return format!("{} h {:02} min", minutes / 60, minutes % 60);
    }
    // 99.95 s and above would be shown as 100 s, which is better read in minutes.
    if seconds >= 99.95 {
        let whole = seconds.round() as u64;
        return format!("{} min {:02} s", whole / 60, whole % 60);
    }
    if seconds == 0.0 {
        return "0 s".to_owned();
    }
    if seconds >= 0.9995 {
        return format!("{} s", three_digits(seconds));
    }
    scaled(seconds * 1e9, 1000.0, &["ns", "µs", "ms", "s"])
}

/// A round duration on an axis, without zeros after the point: `500 µs`, `1 ms`, `20 s`.
pub fn axis_seconds(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 0.9995e-6 => (s * 1e9, "ns"),
        s if s < 0.9995e-3 => (s * 1e6, "µs"),
        s if s < 0.9995 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    format!("{} {unit}", (value * 1000.0).round() / 1000.0)
}

/// A number with its digits in groups of three: `1,500,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits without an exponent; values from 1000 on are rounded to whole numbers.
pub fn three_digits(value: f64) -> String {
    let magnitude = value.abs();
    // The limits lie where rounding would add a digit: 9.996 is 10.0, not 10.00.
    if magnitude >= 99.95 {
        format!("{value:.0}")
    } else if magnitude >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn scaled(value: f64, base: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut units = units.iter().peekable();
    let mut unit = units.next().copied().unwrap_or_default();
    let first_unit = unit;
    // What would be rounded up to the base is the next unit's 1.00.
    while value.abs() >= base - 0.5 {
        let Some(larger) = units.next() else { break };
        value /= base;
        unit = larger;
    }
    // Nothing is smaller than the first unit, so a whole number of it needs no fraction.
    if unit == first_unit && value.fract() == 0.0 {
        return format!("{value:.0} {unit}");
    }
    format!("{} {unit}", three_digits(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_decimal_and_memory_binary() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.00 kB");
        assert_eq!(bytes(1_500_000_000), "1.50 GB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
        assert_eq!(memory(1023), "1023 B");
        assert_eq!(memory(7 * 1024 * 1024 + 400 * 1024), "7.39 MiB");
        assert_eq!(memory(1000 * 1024), "1000 KiB");
    }

    #[test]
    fn rounding_moves_to_the_next_unit() {
        assert_eq!(bytes(999_600), "1.00 MB");
        assert_eq!(bit_rate(9.996e9), "10.0 Gbit/s");
        assert_eq!(bit_rate(99.96e6), "100 Mbit/s");
        assert_eq!(bit_rate(0.5), "0.50 bit/s");
    }

    #[test]
    fn durations_span_nanoseconds_to_hours() {
        assert_eq!(seconds(0.0), "0 s");
        assert_eq!(seconds(12e-6), "12.0 µs");
        assert_eq!(seconds(0.34), "340 ms");
        assert_eq!(seconds(0.9999), "1.00 s");
        assert_eq!(seconds(5.021), "5.02 s");
        assert_eq!(seconds(125.0), "2 min 05 s");
        assert_eq!(seconds(3725.0), "1 h 02 min");
        assert_eq!(seconds(3599.9), "60 min 00 s");
        assert_eq!(seconds(f64::NAN), "NaN s");
    }

    #[test]
    fn round_durations_have_no_zeros_after_the_point() {
        assert_eq!(axis_seconds(0.0005), "500 µs");
        assert_eq!(axis_seconds(0.001), "1 ms");
        assert_eq!(axis_seconds(20.0), "20 s");
        assert_eq!(axis_seconds(5e-7), "500 ns");
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(123), "123");
        assert_eq!(grouped(1_234), "1,234");
        assert_eq!(grouped(1_500_000_000), "1,500,000,000");
    }
}
