//! How long a server asks to wait, in the many ways in which servers say so.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The wait that the server asks for: `retry-after-ms`, `Retry-After` in seconds or as a date, or else the
/// longest reset among the `x-ratelimit-*` counters that have nothing left.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|ms| seconds(ms, 1e-3)) {
        return Some(wait);
    }
    if let Some(value) = text(RETRY_AFTER.as_str()) {
        return seconds(value, 1.0).or_else(|| until(value, text(DATE.as_str())));
    }
    ["requests", "tokens"]
        .into_iter()
        .filter(|what| text(&format!("x-ratelimit-remaining-{what}")) == Some("0"))
        .filter_map(|what| text(&format!("x-ratelimit-reset-{what}")).and_then(span))
        .max()
}

/// From the server's own `now` (else this machine's clock) until an HTTP date; zero when it has passed.
fn until(date: &str, now: Option<&str>) -> Option<Duration> {
    let date = httpdate::parse_http_date(date).ok()?;
    let now = now.and_then(|now| httpdate::parse_http_date(now).ok()).unwrap_or_else(SystemTime::now);
    Some(date.duration_since(now).unwrap_or_default())
}

fn seconds(text: &str, unit: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse::<f64>().ok()? * unit).ok()
}

/// A span such as `6m0s`, `1.5s` or `20ms`.
pub(super) fn span(mut text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    while !text.is_empty() {
        let digits = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, rest) = text.split_at(digits);
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(letters);
        let unit = match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.checked_add(seconds(number, unit)?)?;
        text = rest;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_wait_is_read_in_every_form() {
        let check = |pairs: &[(&'static str, &str)], millis: Option<u64>| {
            assert_eq!(retry_after(&headers(pairs)), millis.map(Duration::from_millis), "{pairs:?}");
        };
        check(&[], None);
        check(&[("retry-after", "7")], Some(7_000));
        check(&[("retry-after", "1.5")], Some(1_500));
        check(&[("retry-after-ms", "250"), ("retry-after", "7")], Some(250));
        check(&[("retry-after", "-3")], None);
        check(&[("retry-after", "soon")], None);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        check(&[("retry-after", date), ("date", "Sun, 06 Nov 1994 08:49:07 GMT")], Some(30_000));
        check(&[("retry-after", date)], Some(0));
        check(
            &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0.5s")],
            Some(360_500),
        );
        check(&[("x-ratelimit-remaining-tokens", "3"), ("x-ratelimit-reset-tokens", "6m0s")], None);
        check(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "20ms")], Some(20));
    }
}
