//! Which traces are recorded, where that is a share of them. Decided by the trace id alone, as OpenTelemetry's
//! `TraceIdRatioBased` does it, so spans of ours and of others, and other services, decide alike.

use opentelemetry::trace::TraceId;

/// A share of all traces, below 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share {
    rate: f64,
    below: u64,
}

impl Share {
    /// Returns none where all traces are recorded.
    pub(crate) fn of(rate: f64) -> Option<Self> {
        (rate < 1.0).then(|| Self { rate, below: (rate.max(0.0) * (1_u64 << 63) as f64) as u64 })
    }

    pub(crate) fn rate(self) -> f64 {
        self.rate
    }

    /// Returns whether a trace is in it.
    #[inline]
    pub(crate) fn has(self, trace: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace.to_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < self.below
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample};

    use super::*;

    #[test]
    fn it_decides_as_opentelemetrys_sampler_does() {
        for rate in [0.0, 0.01, 0.25, 0.5, 0.999] {
            let share = Share::of(rate).unwrap();
            let sampler = Sampler::TraceIdRatioBased(rate);
            for _ in 0..1_000 {
                let trace = RandomIdGenerator::default().new_trace_id();
                let kind = opentelemetry::trace::SpanKind::Internal;
                let theirs = sampler.should_sample(None, trace, "", &kind, &[], &[]).decision;
                assert_eq!(share.has(trace), theirs == SamplingDecision::RecordAndSample, "{rate} {trace}");
            }
        }
        assert_eq!(Share::of(1.0), None);
    }
}
