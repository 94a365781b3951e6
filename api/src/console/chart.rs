//! A line over the last hour. Invariant: whatever it shows it says, in words for who hears it and in a table for who counts;
//! where nothing was known the line has a gap.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use askama::Template;

use super::words::{clock, counted, grouped, lasting};
use crate::admin::lookout::{PACE, SPAN, Sample};

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 80.0;
/// Points of a line: a page with the charts of all models is sent again and again.
const POINTS: usize = 120;
/// Room for the line's own breadth, above and below.
const MARGIN: f64 = 3.0;
/// A line of a few seconds would be all noise.
const SHORTEST: Duration = Duration::from_secs(60);

/// How far a model is behind its log.
#[derive(Template)]
#[template(path = "console/chart.html")]
pub(super) struct Chart {
    of: String,
    words: String,
    /// The points of each piece of the line, as SVG has them.
    lines: Vec<String>,
    /// The same, down to the ground.
    areas: Vec<String>,
    most: Option<String>,
    began: String,
    rows: Vec<Row>,
}

struct Row {
    time: String,
    events: String,
    seconds: String,
}

impl Chart {
    /// Of samples, the oldest first; its table has one row for each `step` at most.
    pub(super) fn new(of: &str, samples: &[Sample], step: Duration) -> Self {
        let Some(last) = samples.last() else { return Self::empty(of) };
        let first = samples.first().unwrap_or(last);
        let past = |sample: &Sample| last.at.duration_since(sample.at).unwrap_or_default();
        let span = past(first).clamp(SHORTEST, SPAN);
        let known: Vec<i64> = samples.iter().filter_map(|sample| sample.lag).collect();
        let most = known.iter().copied().max();
        let height = most.unwrap_or(0).max(1) as f64;
        let place = |sample: &Sample| {
            let x = WIDTH * (1.0 - past(sample).as_secs_f64() / span.as_secs_f64());
            let share = sample.lag? as f64 / height;
            Some((x, MARGIN + (HEIGHT - 2.0 * MARGIN) * (1.0 - share)))
        };
        // Two looks are no trend.
        let drawn = if known.len() < 3 { &[] } else { samples };
        let pieces: Vec<Vec<(f64, f64)>> = pieces(drawn)
            .into_iter()
            .map(|piece| peaks(&piece, drawn.len()).filter_map(place).collect::<Vec<_>>())
            .filter(|piece| !piece.is_empty())
            .collect();
        Self {
            of: of.to_owned(),
            words: words(samples, &known, past(first)),
            lines: pieces.iter().map(|piece| line(piece)).collect(),
            areas: pieces.iter().map(|piece| area(piece)).collect(),
            most: most.filter(|most| *most > 0).map(grouped),
            began: format!("{} ago", lasting(span.as_secs_f64())),
            rows: rows(samples, step),
        }
    }

    fn empty(of: &str) -> Self {
        let (of, words) = (of.to_owned(), "Nothing was measured yet.".to_owned());
        let (lines, areas, rows) = (Vec::new(), Vec::new(), Vec::new());
        Self { of, words, lines, areas, most: None, began: String::new(), rows }
    }
}

/// Cut where the lag was not known, or nobody looked.
fn pieces(samples: &[Sample]) -> Vec<Vec<Sample>> {
    let mut pieces: Vec<Vec<Sample>> = Vec::new();
    let mut before: Option<SystemTime> = None;
    for sample in samples {
        let follows = before
            .and_then(|before| sample.at.duration_since(before).ok())
            .is_some_and(|gap| gap < 4 * PACE);
        before = sample.lag.map(|_| sample.at);
        match pieces.last_mut() {
            _ if sample.lag.is_none() => {}
            Some(piece) if follows => piece.push(*sample),
            _ => pieces.push(vec![*sample]),
        }
    }
    pieces
}

/// The highest of each few samples of a piece, where there are more in `all` than an eye tells apart.
fn peaks(piece: &[Sample], all: usize) -> impl Iterator<Item = &Sample> {
    let few = piece.chunks(all.div_ceil(POINTS).max(1));
    few.filter_map(|few| few.iter().max_by_key(|sample| sample.lag))
}

fn line(points: &[(f64, f64)]) -> String {
    let mut line = String::new();
    for (x, y) in points {
        // Writing to a text does not fail.
        let _ = write!(line, "{x:.1},{y:.1} ");
    }
    // A point alone is a short line.
    if let [(x, y)] = points {
        let _ = write!(line, "{:.1},{y:.1}", x + 1.0);
    }
    line.trim_end().to_owned()
}

fn area(points: &[(f64, f64)]) -> String {
    let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else {
        return String::new();
    };
    format!("{first:.1},{HEIGHT} {} {last:.1},{HEIGHT}", line(points))
}

/// The last value, the least, the most, and where it tends to.
fn words(samples: &[Sample], known: &[i64], past: Duration) -> String {
    let (Some(least), Some(most)) = (known.iter().min(), known.iter().max()) else {
        return "How far it is behind is not known: Kafka does not answer, or nothing was read yet.".to_owned();
    };
    let now = match samples.last().and_then(|sample| sample.lag) {
        Some(lag) => format!("{} behind now", counted(lag, "event")),
        None => "not known now".to_owned(),
    };
    if known.len() < 3 {
        return format!("{now}; measured for a moment only.");
    }
    let past = lasting(past.as_secs_f64().max(10.0));
    let (least, most, trend) = (grouped(*least), grouped(*most), trend(known));
    format!("{now}; least {least} and most {most} in the last {past}, {trend}.")
}

/// The value in the middle: a batch that was under way when somebody looked is no trend.
fn median(part: &[i64]) -> f64 {
    let mut sorted = part.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0) as f64
}

/// The last quarter against what was before.
fn trend(known: &[i64]) -> &'static str {
    let (before, lately) = known.split_at(known.len() - known.len().div_ceil(4));
    let (before, lately) = (median(before), median(lately));
    let much = (before.max(lately) * 0.1).max(1.0);
    match lately - before {
        difference if difference > much => "rising",
        difference if difference < -much => "falling",
        _ => "steady",
    }
}

/// The last sample of each step, the newest first.
fn rows(samples: &[Sample], step: Duration) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut above: Option<SystemTime> = None;
    for sample in samples.iter().rev() {
        let is_near = above
            .and_then(|above| above.duration_since(sample.at).ok())
            .is_some_and(|past| past < step);
        if is_near {
            continue;
        }
        above = Some(sample.at);
        rows.push(Row {
            time: clock(sample.at),
            events: sample.lag.map_or_else(|| "not known".to_owned(), grouped),
            seconds: sample.seconds.map_or_else(|| "not known".to_owned(), lasting),
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// A look every five seconds.
    fn samples(lags: &[Option<i64>]) -> Vec<Sample> {
        let sample = |(look, lag): (u64, &Option<i64>)| Sample {
            at: UNIX_EPOCH + Duration::from_secs(look * 5),
            lag: *lag,
            seconds: lag.map(|_| 0.5),
            generation: Some(1),
            reached: 0,
        };
        (0..).zip(lags).map(sample).collect()
    }

    fn chart(lags: &[Option<i64>]) -> Chart {
        Chart::new("m", &samples(lags), Duration::from_secs(10))
    }

    #[test]
    fn an_hour_has_its_peaks_in_few_points() {
        let lags: Vec<Option<i64>> =
            (0..720).map(|look| Some(if look == 333 { 9 } else { 1 })).collect();
        let chart = chart(&lags);
        let points: Vec<&str> = chart.lines[0].split(' ').collect();
        assert_eq!(points.len(), POINTS);
        let top = format!(",{MARGIN:.1}");
        assert_eq!(points.iter().filter(|point| point.ends_with(&top)).count(), 1);
    }

    #[test]
    fn what_is_drawn_is_said() {
        let chart = chart(&[Some(0), Some(0), Some(0), Some(1000), Some(1500)]);
        let said = "1\u{202f}500 events behind now; least 0 and most 1\u{202f}500 in the last 20 s, rising.";
        assert_eq!((&*chart.words, chart.most.as_deref()), (said, Some("1\u{202f}500")));
        // Newest first, one in ten seconds.
        let rows: Vec<_> = chart.rows.iter().map(|row| row.events.as_str()).collect();
        assert_eq!(rows, ["1\u{202f}500", "0", "0"]);
        assert!(chart.lines[0].starts_with("400.0,77.0 ") && chart.lines[0].ends_with("600.0,3.0"));
        let html = chart.to_string();
        assert!(html.contains(said) && html.contains("<polyline"), "{html}");
    }

    #[test]
    fn what_is_not_known_is_no_zero() {
        let lags = [Some(5), Some(5), None, Some(5), None];
        let gaps = chart(&lags);
        assert_eq!((gaps.lines.len(), gaps.areas.len()), (2, 2));
        assert!(gaps.words.starts_with("not known now; least 5"), "{}", gaps.words);
        assert_eq!(gaps.rows[0].events, "not known");
        let nothing = chart(&[None, None, None]);
        assert!(nothing.lines.is_empty() && nothing.words.contains("is not known"));
        // Nobody looked for a minute.
        let mut late = samples(&[Some(1); 4]);
        late[2].at += Duration::from_secs(60);
        late[3].at += Duration::from_secs(60);
        assert_eq!(Chart::new("m", &late, PACE).lines.len(), 2);
        assert!(Chart::new("m", &[], PACE).rows.is_empty());
    }

    #[test]
    fn a_trend_is_more_than_noise() {
        for (lags, tends) in [
            (vec![0; 20], "steady"),
            ((0..20).collect(), "rising"),
            ((0..20).rev().collect(), "falling"),
            (vec![100, 101, 100, 99, 100, 101, 100, 102], "steady"),
            (vec![0, 0, 0, 0, 0, 0, 0, 0, 192, 0], "steady"),
        ] {
            assert_eq!(trend(&lags), tends, "{lags:?}");
        }
    }
}
