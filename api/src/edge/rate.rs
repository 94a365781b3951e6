//! How often one caller may ask. Invariant: a caller has one bucket for all that it reads, wherever it reads it from, and who
//! fails to say who they are has another: they take nothing from those who share their address, nor do they go on for ever.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::access::{Bearer, Caller};
use crate::problem::{Kind, Problem};

/// Buckets that are full again are dropped after so many requests.
const SWEEP: u32 = 4096;

/// How often one caller may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many requests …
    pub count: NonZeroU32,
    /// … in this time, and …
    pub per: Duration,
    /// … so many at once after a pause.
    pub burst: NonZeroU32,
}

/// Who a bucket belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Bucket {
    Bearer(Bearer),
    /// Whoever asks from there without one.
    Address(IpAddr),
    /// Whoever comes from there with one that is none.
    Failed(IpAddr),
}

impl Bucket {
    fn of(request: &Request) -> Self {
        let bearer = match request.extensions().get::<Caller>() {
            Some(Caller::Reader(reader)) => reader.bearer.clone(),
            _ => None,
        };
        bearer.map_or_else(|| Self::Address(address(request)), Self::Bearer)
    }
}

/// The buckets of one instance.
pub(crate) struct Rates {
    rate: Rate,
    limiter: DefaultKeyedRateLimiter<Bucket>,
    clock: DefaultClock,
    requests: AtomicU32,
}

impl Rates {
    pub(crate) fn new(rate: Rate) -> Self {
        let each = (rate.per / rate.count.get()).max(Duration::from_nanos(1));
        // No period is 0 here.
        let quota = Quota::with_period(each).unwrap_or(Quota::per_second(rate.count));
        let limiter = DefaultKeyedRateLimiter::keyed(quota.allow_burst(rate.burst));
        Self { rate, limiter, clock: DefaultClock::default(), requests: AtomicU32::new(0) }
    }

    /// Lets a caller read as often as the settings say.
    pub(super) fn take_read(&self, request: &Request) -> Result<(), Problem> {
        self.take(&Bucket::of(request))
    }

    /// Lets a credential be refused as often.
    pub(super) fn take_failure(&self, request: &Request) -> Result<(), Problem> {
        self.take(&Bucket::Failed(address(request)))
    }

    fn take(&self, bucket: &Bucket) -> Result<(), Problem> {
        if self.requests.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(bucket).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let Rate { count, per, .. } = self.rate;
            let detail = format!(
                "One caller may ask {count} times in {} s of this instance; ask again in {seconds} s.",
                per.as_secs()
            );
            Problem::new(Kind::TooManyRequests, detail).retry_after(seconds.max(1))
        })
    }
}

/// Where a request comes from. Of an IPv6 address it is the network that counts: whoever has one address has all of it.
fn address(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    match peer.map(|ConnectInfo(peer)| peer.ip().to_canonical()) {
        Some(IpAddr::V6(address)) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
        Some(address) => address,
        None => Ipv4Addr::UNSPECIFIED.into(),
    }
}
