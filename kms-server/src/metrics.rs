//! Counters for Prometheus, in its text format 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

/// Labels come from the services' tables and exception lists, never from a request: their number
/// is bounded.
#[derive(Default)]
pub(crate) struct Metrics {
    rows: Mutex<BTreeMap<Labels, Row>>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    service: String,
    operation: &'static str,
    result: &'static str,
}

#[derive(Default, Clone, Copy)]
struct Row {
    count: u64,
    time: Duration,
}

impl Metrics {
    pub(crate) fn count(
        &self,
        service: &str,
        operation: &'static str,
        result: &'static str,
        took: Duration,
    ) {
        let mut rows = self
            .rows
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let row = rows
            .entry(Labels {
                service: service.to_owned(),
                operation,
                result,
            })
            .or_default();
        row.count += 1;
        row.time += took;
    }

    pub(crate) fn text(&self) -> String {
        let rows = self
            .rows
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone();
        let mut out = String::from(
            "# HELP keystead_requests_total Requests answered, by operation and result.\n\
             # TYPE keystead_requests_total counter\n",
        );
        let mut times: BTreeMap<(&str, &str), Row> = BTreeMap::new();
        for (
            Labels {
                service,
                operation,
                result,
            },
            Row { count, time },
        ) in &rows
        {
            let _ = writeln!(
                out,
                "keystead_requests_total{{service=\"{service}\",operation=\"{operation}\",\
                 result=\"{result}\"}} {count}"
            );
            let sum = times.entry((service, operation)).or_default();
            sum.count += count;
            sum.time += *time;
        }
        out.push_str(
            "# HELP keystead_request_seconds Time from the whole request to its answer.\n\
             # TYPE keystead_request_seconds summary\n",
        );
        for ((service, operation), Row { count, time }) in times {
            let labels = format!("service=\"{service}\",operation=\"{operation}\"");
            let seconds = time.as_secs_f64();
            let _ = writeln!(out, "keystead_request_seconds_sum{{{labels}}} {seconds}");
            let _ = writeln!(out, "keystead_request_seconds_count{{{labels}}} {count}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_result_and_times_by_operation() {
        let metrics = Metrics::default();
        metrics.count("kms", "Encrypt", "ok", Duration::from_millis(250));
        metrics.count("kms", "Encrypt", "ok", Duration::from_millis(250));
        metrics.count(
            "kms",
            "Encrypt",
            "NotFoundException",
            Duration::from_millis(500),
        );
        metrics.count("cloudhsm", "CreateHsm", "ok", Duration::from_secs(2));
        let text = metrics.text();
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                r#"keystead_requests_total{service="cloudhsm",operation="CreateHsm",result="ok"} 1"#,
                r#"keystead_requests_total{service="kms",operation="Encrypt",result="NotFoundException"} 1"#,
                r#"keystead_requests_total{service="kms",operation="Encrypt",result="ok"} 2"#,
                r#"keystead_request_seconds_sum{service="cloudhsm",operation="CreateHsm"} 2"#,
                r#"keystead_request_seconds_count{service="cloudhsm",operation="CreateHsm"} 1"#,
                r#"keystead_request_seconds_sum{service="kms",operation="Encrypt"} 1"#,
                r#"keystead_request_seconds_count{service="kms",operation="Encrypt"} 3"#,
            ]
        );
    }
}
