//! Texts of settings to values. Each reader says what it wants in a few words that complete "… is wanted".

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use vitrina_api::Rate;
use vitrina_projectors::{Rewind, Strategy, Swap};

type Read<T> = Result<T, &'static str>;

pub(super) fn text(value: &str) -> Read<String> {
    Ok(value.to_owned())
}

pub(super) fn boolean(value: &str) -> Read<bool> {
    value.parse().map_err(|_| "true or false")
}

pub(super) fn count(value: &str) -> Read<u32> {
    value.parse().map_err(|_| "a whole number from 0 to 4294967295")
}

pub(super) fn positive<N: FromStr + Default + PartialOrd>(value: &str) -> Read<N> {
    value.parse().ok().filter(|count| *count > N::default()).ok_or("a whole number from 1 on")
}

pub(super) fn strategy(value: &str) -> Read<Strategy> {
    match value {
        "none" => Ok(Strategy::None),
        "fixed" => Ok(Strategy::Fixed),
        "linear" => Ok(Strategy::Linear),
        "exponential" => Ok(Strategy::Exponential),
        _ => Err("none, fixed, linear or exponential"),
    }
}

pub(super) fn swap(value: &str) -> Read<Swap> {
    let all = [Swap::Auto, Swap::WhenEqual, Swap::ByHand];
    let named = all.into_iter().find(|swap| swap.name() == value);
    named.ok_or("auto, when_equal or by_hand")
}

pub(super) fn factor(value: &str) -> Read<f64> {
    value
        .parse()
        .ok()
        .filter(|factor| (1.0..=100.0).contains(factor))
        .ok_or("a number from 1 to 100")
}

pub(super) fn share(value: &str) -> Read<f64> {
    value
        .parse()
        .ok()
        .filter(|share| *share > 0.0 && *share <= 1.0)
        .ok_or("a share above 0 and up to 1, as in 0.5,")
}

pub(super) fn address(value: &str) -> Read<SocketAddr> {
    value.parse().map_err(|_| "an address and a port, as in 127.0.0.1:8080,")
}

/// `8MiB`, `64KiB`, `1GiB`, or bytes.
pub(super) fn size(value: &str) -> Read<usize> {
    let value = value.trim();
    let end = value.find(|character: char| !character.is_ascii_digit()).unwrap_or(value.len());
    let (digits, unit) = (&value[..end], value[end..].trim());
    let factor: Option<usize> = match unit {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let bytes = digits
        .parse::<usize>()
        .ok()
        .zip(factor)
        .and_then(|(count, factor)| count.checked_mul(factor));
    bytes
        .filter(|bytes| (1..=1 << 30).contains(bytes))
        .ok_or("a size up to 1GiB, as in \"8MiB\" or \"512KiB\",")
}

/// `5ms`, `2s`, `1m 30s`.
pub(super) fn duration(value: &str) -> Read<Duration> {
    humantime::parse_duration(value).map_err(|_| "a duration, as in \"5ms\", \"2s\" or \"1m\",")
}

/// What an operator's rewind of offsets asks for.
pub(super) fn rewind(value: &str) -> Read<Rewind> {
    match value {
        "rebuild" => Ok(Rewind::Rebuild),
        "from there" => Ok(Rewind::FromThere),
        _ => Err("\"rebuild\" or \"from there\""),
    }
}

/// A duration that is not 0.
pub(super) fn pause(value: &str) -> Read<Duration> {
    duration(value)
        .ok()
        .filter(|pause| !pause.is_zero())
        .ok_or("a duration above 0, as in \"500ms\" or \"30s\",")
}

/// `100/s`, `600/m`, `5000/h`.
pub(super) fn rate(value: &str) -> Read<Rate> {
    let read = || {
        let (count, unit) = value.split_once('/')?;
        let per = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        let count: NonZeroU32 = count.trim().parse().ok()?;
        Some(Rate { count, per: Duration::from_secs(per), burst: count })
    };
    read().ok_or(
        "a number of requests from 1 on and a time, as in \"100/s\", \"600/m\" or \"5000/h\",",
    )
}

pub(super) fn burst(value: &str) -> Read<NonZeroU32> {
    value.parse().map_err(|_| "a whole number from 1 on")
}
